"""Names of chunks: unambiguous for any document id."""

from hypothesis import given
from hypothesis import strategies as st

from tenantry.documents import ids

NASTY = st.text(st.sampled_from("a#%23.0\n ") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(NASTY, NASTY)
def test_no_document_lists_the_chunks_of_another(one, other):
    made = ids.chunk_id(ids.document_key(one), 0, ids.text_hash("t"), ids.metadata_hash({}))
    assert made.startswith(ids.document_key(one))
    assert made.startswith(ids.document_key(other)) is (one == other)


@given(NASTY, st.integers(0, ids.MOST_CHUNKS - 1), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_name_gives_its_parts_back(document, number, text):
    key = ids.document_key(document)
    made = ids.chunk_id(key, number, ids.text_hash(text), ids.metadata_hash({"a": 1}))
    assert ids.parse_chunk_id(made) == (key, number, ids.text_hash(text))
    assert len(made) == len(key) - 1 + ids.SUFFIX_CHARS


@given(NASTY)
def test_other_records_of_the_tenant_are_no_chunks(id):
    assert ids.parse_chunk_id(id) is None
    assert ids.parse_chunk_id(ids.document_key(id) + "000001") is None


def test_the_name_says_text_and_metadata():
    assert ids.text_hash("a") != ids.text_hash("b")
    assert ids.metadata_hash({"a": 1, "b": 2}) == ids.metadata_hash({"b": 2, "a": 1})
    assert ids.metadata_hash({"a": 1}) != ids.metadata_hash({"a": "1"}) != ids.metadata_hash({"a": True})


def test_names_are_the_same_in_every_process_and_version():
    """They are stored: a change here would make every document look changed."""
    made = ids.chunk_id(ids.document_key("50% a#b"), 7, ids.text_hash("text"), ids.metadata_hash({"k": ["v"], "n": 1}))
    assert made == "50%25 a%23b#000007.d732c6be860e019351f99173fa6ae612.c7ab8c5d6d9637f4"
