"""The blocking parts: the lock, connections and their errors, the manifest, a namespace's file."""

import itertools
import os
import sqlite3
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.backends.embedded import blas
from tenantry.backends.embedded.connections import ConnectionPool, Role, transaction, translated
from tenantry.backends.embedded.lock import LOCK_NAME, FolderLock
from tenantry.backends.embedded.manifest import Manifest, State
from tenantry.backends.embedded.store import Store, _after_prefix
from tenantry.errors import Corrupt, InvalidArgument, Locked, StorageFailed, Unavailable
from tenantry.model.records import Metric


@pytest.fixture
def pool():
    pool = ConnectionPool(4)
    yield pool
    pool.close()


# ------------------------------------------------------------------------------------- lock


def test_a_lock_is_exclusive_and_can_be_taken_twice_by_its_holder(tmp_path):
    lock = FolderLock(tmp_path / "data")
    lock.acquire()
    lock.acquire()
    other = FolderLock(tmp_path / "data")
    with pytest.raises(Locked):
        other.acquire()
    lock.release()
    lock.release()
    other.acquire()
    assert other.held
    other.release()


@pytest.mark.parametrize("note", [b"", b"{", b'{"pid":"x"}', b"\xff" * 9000, b'{"pid":1}'])
def test_a_stale_or_broken_note_never_blocks(tmp_path, note):
    (tmp_path / LOCK_NAME).write_bytes(note)
    lock = FolderLock(tmp_path)
    lock.acquire()
    assert b"%d" % os.getpid() in (tmp_path / LOCK_NAME).read_bytes()
    lock.release()


def test_a_broken_note_of_a_live_holder_still_says_in_use(tmp_path):
    lock = FolderLock(tmp_path)
    lock.acquire()
    (tmp_path / LOCK_NAME).write_bytes(b"nonsense")
    with pytest.raises(Locked, match="in use by another process"):
        FolderLock(tmp_path).acquire()
    lock.release()


def test_a_folder_that_cannot_be_is_storage_failed(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="data folder"):
        FolderLock(tmp_path / "file" / "data").acquire()


# ------------------------------------------------------------------------------ connections


def test_idle_connections_are_bounded_and_the_oldest_goes_first(tmp_path):
    pool = ConnectionPool(3)
    for i in range(10):
        with pool.use(tmp_path / f"{i}.db", Role.WRITER, create=True) as connection:
            connection.execute("CREATE TABLE t (x)")
        assert pool.open_count <= 3
    with pool.use(tmp_path / "9.db", Role.WRITER), pool.use(tmp_path / "9.db", Role.WRITER):
        assert pool.open_count <= 3
    assert pool.open_count <= 3
    pool.close()
    assert pool.open_count == 0


def test_a_failure_closes_the_connection_and_undoes_the_transaction(tmp_path, pool):
    path = tmp_path / "a.db"
    with pool.use(path, Role.WRITER, create=True) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(StorageFailed), pool.use(path, Role.WRITER) as connection, transaction(connection):  # noqa: PT012
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO no_such_table VALUES (1)")
    assert pool.open_count == 0
    with pool.use(path, Role.WRITER) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_a_missing_file_is_not_made_by_reading(tmp_path, pool):
    with pytest.raises(Corrupt, match=r"gone\.db"), pool.use(tmp_path / "gone.db", Role.READER):
        pass
    assert list(tmp_path.iterdir()) == []


def test_odd_folder_names_are_no_uri(tmp_path, pool):
    folder = tmp_path / "a?mode=ro#x%41 ü"
    folder.mkdir()
    with pool.use(folder / "x.db", Role.WRITER, create=True) as connection:
        connection.execute("CREATE TABLE t (x)")
    assert (folder / "x.db").exists()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StorageFailed),
        (sqlite3.SQLITE_IOERR_WRITE, StorageFailed),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFailed),
        (sqlite3.SQLITE_READONLY, StorageFailed),
        (sqlite3.SQLITE_CANTOPEN, StorageFailed),
        (sqlite3.SQLITE_CORRUPT, Corrupt),
        (sqlite3.SQLITE_NOTADB, Corrupt),
        (sqlite3.SQLITE_BUSY, Unavailable),
    ],
)
def test_each_failure_has_its_error(tmp_path, code, kind):
    error = sqlite3.OperationalError("as SQLite puts it")
    error.sqlite_errorcode = code
    ours = translated(error, tmp_path / "x.db")
    assert type(ours) is kind
    assert "x.db" in str(ours)
    assert type(translated(OSError(28, "No space left on device"), tmp_path)) is StorageFailed


# --------------------------------------------------------------------------------- manifest


def test_numbers_are_never_used_again(tmp_path, pool):
    manifest = Manifest(pool, tmp_path)
    assert manifest.open(3, Metric.COSINE) == []
    first, second = manifest.add("a"), manifest.add("b")
    manifest.mark_dropping(second)
    manifest.remove(second)
    assert manifest.add("b") > second > first


def test_marks_and_counts_are_durable(tmp_path, pool):
    manifest = Manifest(pool, tmp_path)
    manifest.open(3, Metric.COSINE)
    number = manifest.add("a")
    manifest.mark_dirty(number)
    (entry,) = manifest.open(3, Metric.COSINE)
    assert (entry.state, entry.dirty, entry.vectors) == (State.WRITTEN, True, 0)
    manifest.store_counts([(number, 12, 3456)])
    (entry,) = manifest.open(3, Metric.COSINE)
    assert (entry.dirty, entry.vectors, entry.bytes) == (False, 12, 3456)
    with pytest.raises(InvalidArgument, match="dimension"):
        manifest.open(4, Metric.COSINE)
    with pytest.raises(InvalidArgument, match="metric"):
        manifest.open(3, Metric.EUCLIDEAN)


def test_a_manifest_of_a_later_format_is_refused(tmp_path, pool):
    manifest = Manifest(pool, tmp_path)
    manifest.open(3, Metric.COSINE)
    with pool.use(tmp_path / "manifest.db", Role.WRITER) as connection:
        connection.execute("UPDATE about SET value = '99' WHERE key = 'format'")
    with pytest.raises(Corrupt, match="upgrade"):
        manifest.open(3, Metric.COSINE)


# ------------------------------------------------------------------------------------ store


@pytest.fixture
def store(tmp_path, pool):
    store = Store(pool, tmp_path / "ns-1.db", 2)
    store.create("main")
    return store


def put(store, *ids):
    with store.writing() as tx:
        return tx.put(ids, [np.ones(2, np.float32).tobytes()] * len(ids), [None] * len(ids))


def test_a_seq_is_never_used_twice(store):
    assert put(store, "a", "b") == (1, [])
    assert put(store, "b", "c") == (3, ["b"])
    with store.writing() as tx:
        assert tx.remove(["c", "absent"]) == ["c"]
    assert put(store, "c") == (5, [])
    with store.writing() as tx:
        tx.clear()
    assert put(store, "a") == (6, [])
    assert [(part.seqs, part.ids) for part in store.stretches()] == [([6], ["a"])]
    assert store.count() == 1


def test_readers_and_writers_do_not_wait_for_each_other(store):
    put(store, "a")
    inside, done = threading.Event(), threading.Event()

    def write():
        with store.writing() as tx:
            tx.put(["b"], [b"\0" * 8], [None])
            inside.set()
            done.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    inside.wait(10)
    assert store.id_page(None, 10, "") == ["a"]
    done.set()
    writer.join()
    assert store.id_page(None, 10, "") == ["a", "b"]


def test_a_vector_of_the_wrong_size_is_damage(store):
    with store.writing() as tx:
        tx.put(["a"], [b"\0" * 7], [None])
    with pytest.raises(Corrupt):
        list(store.stretches())
    with pytest.raises(Corrupt):
        store.record(store.fetch(["a"])[0])


ALPHABET = ["a", "b", "z", "\x7f", "é", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"]
words = st.lists(st.sampled_from(ALPHABET), max_size=3).map("".join)


@given(prefix=words.filter(bool), word=words)
def test_a_prefix_ends_where_no_word_has_it(prefix, word):
    end = _after_prefix(prefix)
    assert word.startswith(prefix) == (prefix <= word and (end is None or word < end))


def test_pages_are_in_order_of_code_points(store):
    ids = ["".join(pair) for pair in itertools.product(ALPHABET, repeat=2)]
    put(store, *ids)
    listed = []
    while page := store.id_page(listed[-1] if listed else None, 7, ""):
        listed += page
    assert listed == sorted(ids)
    for prefix in ALPHABET:
        assert store.id_page(None, 1000, prefix) == sorted(id for id in ids if id.startswith(prefix))


# ------------------------------------------------------------------------------------- BLAS


def test_the_thread_limit_ends_with_its_last_holder():
    def threads():
        from threadpoolctl import threadpool_info

        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    before = threads()
    blas.hold_single_threaded()
    blas.hold_single_threaded()
    assert threads() == {1}
    blas.release_single_threaded()
    assert threads() == {1}
    blas.release_single_threaded()
    assert threads() == before
