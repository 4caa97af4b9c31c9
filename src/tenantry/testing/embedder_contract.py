"""What every embedder must do; subclass it, give it an ``embedder`` fixture, and pytest collects the rest."""

# ruff: noqa: S101

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tenantry.errors import InvalidArgument
from tenantry.ports import Embedder

TEXTS = [
    "Invoices are sent on the first day of the month.",
    "Ünïcode, 日本語 und Emoji 🙂 gehören dazu.",
    "x",
    "A longer text. " * 200,
]
MANY = 700


class EmbedderContract:
    """Tests of the `Embedder` port. A deviation is an ``xfail`` with its reason."""

    async def test_the_name_and_the_dimension_are_known_before_anything_is_embedded(self, embedder: Embedder) -> None:
        """They are recorded with the data."""
        assert ":" in embedder.model
        assert embedder.dimension >= 1
        assert embedder.model == embedder.model.strip()

    async def test_one_float32_vector_for_each_text(self, embedder: Embedder) -> None:
        """Of the promised length, finite, and not zero."""
        vectors = await embedder.embed(TEXTS)
        assert len(vectors) == len(TEXTS)
        for vector in vectors:
            assert vector.dtype == np.float32
            assert vector.shape == (embedder.dimension,)
            assert np.isfinite(vector).all()
            assert vector.any()

    async def test_the_order_is_that_of_the_texts_over_many_batches(self, embedder: Embedder) -> None:
        """However the embedder cuts its batches."""
        texts = [f"Text number {number} of the list, {'padding ' * (number % 40)}" for number in range(MANY)]
        vectors = await embedder.embed(texts)
        assert len(vectors) == MANY
        for place in (0, 1, MANY // 2, MANY - 1):
            [alone] = await embedder.embed([texts[place]])
            np.testing.assert_allclose(vectors[place], alone, atol=1e-6)

    async def test_the_same_text_gives_the_same_vector(self, embedder: Embedder) -> None:
        """Also within one call, and beside other texts."""
        first, second, _ = await embedder.embed([TEXTS[0], TEXTS[0], TEXTS[1]])
        [again] = await embedder.embed([TEXTS[0]])
        np.testing.assert_allclose(first, second, atol=1e-6)
        np.testing.assert_allclose(first, again, atol=1e-6)

    async def test_no_texts_give_no_vectors(self, embedder: Embedder) -> None:
        """An empty call is not an error."""
        assert await embedder.embed([]) == []

    async def test_an_empty_text_is_refused_by_its_place(self, embedder: Embedder) -> None:
        """There is nothing to embed in it."""
        with pytest.raises(InvalidArgument) as caught:
            await embedder.embed(["good", "", "also good"])
        assert caught.value.field == "texts[1]"

    async def test_what_is_not_unicode_is_refused_by_its_place(self, embedder: Embedder) -> None:
        """A lone surrogate."""
        with pytest.raises(InvalidArgument) as caught:
            await embedder.embed(["good", "bad \ud800"])
        assert caught.value.field == "texts[1]"

    async def test_calls_at_the_same_time_do_not_mix(self, embedder: Embedder) -> None:
        """Each gets the vectors of its own texts."""
        lists = [[f"call {call}, text {text}" for text in range(20)] for call in range(8)]
        together = await asyncio.gather(*(embedder.embed(texts) for texts in lists))
        for texts, vectors in zip(lists, together, strict=True):
            for vector, alone in zip(vectors, await embedder.embed(texts), strict=True):
                np.testing.assert_allclose(vector, alone, atol=1e-6)

    async def test_closing_twice_is_safe(self, embedder: Embedder) -> None:
        """Also when it was used before."""
        await embedder.embed(["one"])
        await embedder.aclose()
        await embedder.aclose()
