"""Cutting texts: pure, so mostly properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.documents.chunk import chunk_text
from tenantry.errors import InvalidArgument

TEXTS = st.text(st.sampled_from("ab .!?\n\t日。é"), max_size=400) | st.text(max_size=200)
SIZES = st.integers(2, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size // 2)))


def places(text, pieces, overlap):
    """Where each piece starts; follows from the rule that pieces overlap by at most ``overlap``."""
    starts, end = [], 0
    for piece in pieces:
        start = next(at for at in range(max(0, end - overlap), end + 1) if text[at : at + len(piece)] == piece)
        starts.append(start)
        end = max(end, start + len(piece))
    return starts


@given(TEXTS, SIZES)
def test_every_character_is_in_some_piece_and_no_piece_is_too_long(text, sizes):
    size, overlap = sizes
    pieces = chunk_text(text, size, overlap)
    covered = 0
    for start, piece in zip(places(text, pieces, overlap), pieces, strict=True):
        assert start <= covered
        assert len(piece) <= size
        assert start + len(piece) > covered or text == ""
        covered = start + len(piece)
    assert covered == len(text)


@given(TEXTS, TEXTS, SIZES)
def test_appending_leaves_all_pieces_but_the_last_as_they_were(text, more, sizes):
    before = chunk_text(text, *sizes)
    assert chunk_text(text + more, *sizes)[: len(before) - 1] == before[:-1]


@given(TEXTS, SIZES)
def test_without_overlap_the_pieces_join_to_the_text(text, sizes):
    assert "".join(chunk_text(text, sizes[0], 0)) == text


def test_a_text_that_fits_is_one_piece():
    assert chunk_text("x" * 1_000) == ["x" * 1_000]


def test_a_paragraph_end_is_the_best_place_to_cut():
    text = "One sentence. Another.\n\nNew paragraph. More words here."
    assert chunk_text(text, 40, 0)[0] == "One sentence. Another.\n\n"


def test_then_a_sentence_end_then_a_line_then_a_word():
    assert chunk_text("Twelve words. And 'this.' then goes on", 30, 0)[0] == "Twelve words. And 'this.' "
    assert chunk_text("twelve words and\nthen it goes on and on", 30, 0)[0] == "twelve words and\n"
    assert chunk_text("twelve words and then it goes on", 30, 0)[0] == "twelve words and then it goes "
    assert chunk_text("x" * 70, 30, 0) == ["x" * 30, "x" * 30, "x" * 10]
    assert chunk_text("これは文です。次の文もここにあります", 12, 0)[0] == "これは文です。"


def test_pieces_overlap_by_whole_words():
    first, second = chunk_text("alpha beta gamma delta epsilon zeta eta theta", 30, 10)
    assert first == "alpha beta gamma delta "
    assert second == "delta epsilon zeta eta theta"


@pytest.mark.parametrize(("size", "overlap", "field"), [(1, 0, "size"), (10, 6, "overlap"), (10, -1, "overlap")])
def test_senseless_sizes(size, overlap, field):
    with pytest.raises(InvalidArgument) as caught:
        chunk_text("text", size, overlap)
    assert caught.value.field == field


def test_a_large_text_takes_time_in_proportion():
    text = ("word " * 30 + "\n") * 20_000
    assert len(chunk_text(text)) > 3_000
    assert chunk_text("x" * 3_000_000)[-1]
