"""The local embedding model: offline, small, no service and no key."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tenantry.errors import InvalidArgument, TooLarge, Unavailable
from tenantry.model.records import Vector

if TYPE_CHECKING:
    from tenantry.settings import Settings

MODEL = "l2_supercat"
DIMENSION = 256
TEXT_CHARS = 1_000_000
#: What one turn of the worker thread takes on: short enough that a search waits a few tens of milliseconds
#: behind somebody's bulk load, long enough that the turns cost nothing.
BATCH_TEXTS = 128
BATCH_CHARS = 64_000
#: A question is embedded in place once the model is loaded: that takes tens of microseconds, less than it takes
#: to hand it to a thread and back, and it need not wait behind a bulk load.
IN_PLACE_CHARS = 1_000
#: Rows that are summed at a time, so that the memory for a long text is bounded.
BLOCK_TOKENS = 8_192


class LocalEmbedder:
    """WordLlama's static token vectors, averaged over the text and scaled to length 1.

    The weights (16 MB, MIT licence) are part of the installed `wordllama` package; nothing is ever downloaded.
    They are loaded on the first `embed`; `model` and `dimension` are known before that. Tokenising and averaging
    run in one worker thread, a bounded batch at a time, so the event loop is free meanwhile; only a short question
    is embedded in place.

    We average ourselves, without the padding that `wordllama` uses: the same vectors, twice as fast, and one long
    text among many short ones does not multiply the memory.
    """

    def __init__(self) -> None:
        self._worker: ThreadPoolExecutor | None = None
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Vector] | None = None

    @classmethod
    def from_settings(cls, settings: Settings, model: str) -> Self:
        """The embedder called ``local`` (or in full ``local:l2_supercat``)."""
        if model not in ("", MODEL):
            raise InvalidArgument("embedder", f"local:{model}", f"local, or local:{MODEL}")
        return cls()

    @property
    def model(self) -> str:
        """``local:l2_supercat``."""
        return f"local:{MODEL}"

    @property
    def dimension(self) -> int:
        """256."""
        return DIMENSION

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector of length 1 per text, in order.

        Raises InvalidArgument for a text without a single token (the empty one), naming its place; TooLarge over
        a million characters; Unavailable when the installed package lacks its weights.
        """
        for number, text in enumerate(texts):
            _check(text, f"texts[{number}]")
        if self._loaded is not None and sum(map(len, texts)) <= IN_PLACE_CHARS:
            return self._embed(list(texts), 0)
        loop = asyncio.get_running_loop()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tenantry-embed")
        worker = self._worker
        made: list[Vector] = []
        for batch in _batches(texts):
            if worker is not self._worker:
                raise Unavailable("the embedder was closed meanwhile")
            made += await loop.run_in_executor(worker, self._embed, batch, len(made))
        return made

    async def aclose(self) -> None:
        """Stop the worker thread once its batch is done; the model is dropped."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.to_thread(worker.shutdown, wait=True)
        self._loaded = None

    def _embed(self, batch: list[str], first: int) -> list[Vector]:
        """In the worker thread."""
        tokenizer, weights = self._load()
        rows: list[Vector] = []
        for number, encoded in enumerate(tokenizer.encode_batch_fast(batch, add_special_tokens=False)):
            tokens = np.asarray(encoded.ids, dtype=np.intp)
            total = np.zeros(DIMENSION, dtype=np.float32)
            for start in range(0, len(tokens), BLOCK_TOKENS):
                total += weights[tokens[start : start + BLOCK_TOKENS]].sum(axis=0)
            length = float(np.linalg.norm(total))
            if length == 0.0:
                raise InvalidArgument(f"texts[{first + number}]", batch[number], "a text with something to embed in it")
            rows.append(total / np.float32(length))
        return rows

    def _load(self) -> tuple[Any, Vector]:
        with self._loading:
            if self._loaded is None:
                self._loaded = _load_model()
            return self._loaded


def _load_model() -> tuple[Any, Vector]:
    """Tokenizer and token vectors out of the installed package."""
    # Importing wordllama calls logging.basicConfig, which is the application's business: it does nothing
    # while the root logger has a handler.
    root, guard = logging.getLogger(), logging.NullHandler()
    root.addHandler(guard)
    try:
        import wordllama

        package = Path(wordllama.__file__).parent
        loaded = wordllama.WordLlama.load(MODEL, cache_dir=package, dim=DIMENSION, disable_download=True)
    except (ImportError, OSError, ValueError) as error:
        raise Unavailable(
            f"the local embedding model cannot be loaded ({error}); install the package wordllama again", 60.0
        ) from error
    finally:
        root.removeHandler(guard)
    loaded.tokenizer.no_padding()
    return loaded.tokenizer, loaded.embedding


def _check(text: str, field: str) -> None:
    if not isinstance(text, str) or not text:
        raise InvalidArgument(field, text, "a text that is not empty")
    if len(text) > TEXT_CHARS:
        raise TooLarge(field, f"{len(text)} characters", f"at most {TEXT_CHARS}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(field, text[error.start], "Unicode text without lone surrogates") from None


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for text in texts:
        if batch and (len(batch) >= BATCH_TEXTS or chars + len(text) > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(text)
        chars += len(text)
    if batch:
        yield batch
