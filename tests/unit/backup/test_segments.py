"""Records to segments and back."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tenantry.backup.segments import Cutter, pack, unpack
from tenantry.errors import Corrupt
from tenantry.model.blocks import block_of, joined
from tenantry.model.records import Record


def block(count, dimension=4, prefix="r", kind=np.float32):
    rng = np.random.default_rng(5)
    values = rng.standard_normal((count, dimension)).astype(kind).astype(np.float32)
    odd = [None, {}, {"n": 1, "half": 0.5, "deep": ["a", "ü"]}, {"text": "x" * 300}]
    return block_of([Record(f"{prefix}{i:06}ü", values[i], odd[i % 4]) for i in range(count)], dimension)


def cut(whole, page=777):
    cutter, found = Cutter(whole.matrix.shape[1]), []
    for start in range(0, len(whole), page):
        found += list(cutter.add(whole.part(start, start + page)))
    return [joined(parts) for parts in [*found, cutter.rest()] if parts]


#: Values that give way to packing, and values that do not.
KINDS = [np.float32, np.float16]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_packed_comes_back_bit_for_bit(kind):
    whole = block(500, kind=kind)
    whole.matrix[3] = [np.float32(-0.0), np.finfo(np.float32).tiny, 1e-45, np.finfo(np.float32).max]
    packed = pack([whole])
    back = unpack(packed.data, 4, "it")
    assert back.ids == whole.ids
    assert back.metadata == whole.metadata
    assert back.matrix.tobytes() == whole.matrix.tobytes()
    assert (packed.records, packed.first, packed.last) == (500, whole.ids[0], whole.ids[-1])
    assert pack([whole]).data == packed.data


def test_other_tools_can_read_a_segment():
    whole = block(10)
    table = parquet.read_table(pa.BufferReader(pack([whole]).data))
    assert table.column_names == ["id", "values", "metadata"]
    vectors = [np.frombuffer(one, "<f4") for one in table.column("values").to_pylist()]
    assert (np.stack(vectors) == whole.matrix).all()
    whole = block(100, 64, kind=np.float16)
    table = parquet.read_table(pa.BufferReader(pack([whole]).data))
    assert (np.array(table.column("values").to_pylist(), np.float32) == whole.matrix).all()


def test_vectors_are_packed_where_it_pays():
    sizes = {kind: len(pack([block(1_000, 256, kind=kind)]).data) / (1_000 * 256 * 4) for kind in KINDS}
    assert sizes[np.float16] < 0.75
    assert 0.99 < sizes[np.float32] < 1.1


def test_segments_are_the_same_whatever_the_pages_and_hold_everything():
    whole = block(60_000)
    some, others = cut(whole, 500), cut(whole, 1_999)
    assert [len(one) for one in some] == [len(one) for one in others]
    assert joined(some).ids == whole.ids
    assert len(some) > 2


@pytest.mark.parametrize("at", [0, 30_000, 59_999])
def test_one_record_more_or_less_changes_few_segments(at):
    whole = block(60_000)
    before = {bytes(pack([one]).data) for one in cut(whole)}
    less = joined([one for one in (whole.part(0, at), whole.part(at + 1, len(whole))) if len(one)])
    after = [bytes(pack([one]).data) for one in cut(less)]
    assert sum(one not in before for one in after) <= 3


@pytest.mark.parametrize(
    "damage", [lambda d: b"", lambda d: d[:100], lambda d: b"PAR1" + d[4:-20], lambda d: b"x" * 999]
)
def test_what_is_no_segment_is_named(damage):
    with pytest.raises(Corrupt, match="object 7"):
        unpack(damage(pack([block(50)]).data), 4, "object 7")


def test_another_dimension_is_named():
    with pytest.raises(Corrupt, match="dimension 4, not 8"):
        unpack(pack([block(5)]).data, 8, "it")
