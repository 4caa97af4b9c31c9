"""Synthetic tenants, vectors and metadata: the same for everyone, from fixed seeds. Needs numpy alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSION = 768
TOPICS = 256
INNER_DIMENSION = 48
LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl")
LANGUAGE_SHARES = (0.40, 0.20, 0.12, 0.10, 0.07, 0.05, 0.04, 0.02)
FIRST_YEAR, LAST_YEAR = 2006, 2025
#: A filter that about a tenth of the rows match: German (20%), of the later half of the years (50%).
FILTER_LANGUAGE, FILTER_FROM_YEAR = "de", 2016

_COMPANIES_TEXT = "acme northwind contoso initech umbrella hooli globex stark wayne tyrell cyberdyne soylent vandelay"
_TRADES_TEXT = "robotics logistics health analytics payments energy foods retail media insurance travel labs legal"
_WORDS_TEXT = (
    "account access address archive balance batch bucket cache capacity change cluster column commit configuration "
    "connection consumer container copy create credential cursor daily default delete delivery deploy describe device "
    "disk domain edge encrypt endpoint event export failure field filter folder gateway group health history host "
    "identity image import index instance invoice job key latency ledger limit list locate log message metric migrate "
    "model monitor network node notice object offset operation order owner package page parameter partition payment "
    "permission plan policy price process profile project quota query queue range rate record region release replica "
    "report request resource response restore result retention role route rule schedule schema search secret segment "
    "server session setting shard signal size snapshot source stage state status storage stream subscription table tag "
    "target task template tenant threshold token topic traffic transfer trigger update upload usage user value vector "
    "version volume window workflow zone"
)
_COMPANIES, _TRADES, _WORDS = _COMPANIES_TEXT.split(), _TRADES_TEXT.split(), _WORDS_TEXT.split()


def tenant_names(count: int, seed: int = 1) -> Iterator[str]:
    """Names as SaaS teams give them: slugs, prefixed ids and UUIDs, 26 characters in the mean. All differ."""
    random = np.random.default_rng(seed)
    block = 10_000
    for start in range(0, count, block):
        high = random.integers(0, 2**63, block).tolist()
        low = random.integers(0, 2**63, block).tolist()
        for i in range(start, min(start + block, count)):
            a, b = high[i - start], low[i - start]
            match i % 3:
                case 0:
                    yield f"{_COMPANIES[a % 13]}-{_TRADES[b % 13]}-{i:06d}"
                case 1:
                    yield f"org_{a:016x}{i:07x}"[:24]
                case _:
                    yield f"{a >> 31:08x}-{a >> 15 & 0xFFFF:04x}-4{a & 0xFFF:03x}-a{b >> 51 & 0xFFF:03x}-{i:012x}"


def vectors(count: int, seed: int, topics: int = 12, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Unit vectors in clusters, as embeddings of a tenant's texts lie: a few of 256 shared topics, spread within each
    along 48 shared directions, with a little noise in all. Shape ``(count, dimension)``."""
    shared = np.random.default_rng(768)
    centres = shared.standard_normal((TOPICS, dimension), dtype=np.float32)
    directions = shared.standard_normal((INNER_DIMENSION, dimension), dtype=np.float32)
    own = np.random.default_rng(seed)
    chosen = np.random.default_rng(seed >> 8).choice(TOPICS, topics, replace=False)
    made = np.empty((count, dimension), np.float32)
    for start in range(0, count, 4096):
        part = made[start : start + 4096]
        part[:] = centres[chosen[own.integers(0, topics, len(part))]] * np.float32(0.8)
        part += own.standard_normal((len(part), INNER_DIMENSION), dtype=np.float32) @ directions * np.float32(0.16)
        part += own.standard_normal((len(part), dimension), dtype=np.float32) * np.float32(0.25)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def metadata(count: int, seed: int) -> list[dict[str, Any]]:
    """A text of about 340 characters and two typed fields each."""
    random = np.random.default_rng(seed)
    languages = random.choice(len(LANGUAGES), count, p=LANGUAGE_SHARES).tolist()
    years = random.integers(FIRST_YEAR, LAST_YEAR + 1, count).tolist()
    words = random.integers(0, len(_WORDS), (count, 46)).tolist()
    return [
        {"text": " ".join([_WORDS[word] for word in row]), "lang": LANGUAGES[language], "year": year}
        for row, language, year in zip(words, languages, years, strict=True)
    ]


def ids(count: int) -> list[str]:
    return [f"doc-{i:06d}" for i in range(count)]


def lognormal_sizes(tenants: int, total: int, classes: dict[int, int], seed: int = 5) -> NDArray[np.int64]:
    """Sizes of tenants, lognormal (sigma 1.5), about ``total`` together. For each ``size: count`` of ``classes``, the
    ``count`` tenants that are nearest to that size are given it exactly, the largest class first."""
    random = np.random.default_rng(seed)
    drawn = random.lognormal(0.0, 1.5, tenants)
    most = max(classes)
    fixed = sum(size * count for size, count in classes.items())
    free = np.ones(tenants, np.bool_)
    sizes = np.minimum(drawn * total / drawn.sum(), most)
    for size, count in sorted(classes.items(), reverse=True):
        distance = np.where(free, np.abs(np.log(sizes / size)), np.inf)
        nearest = np.argsort(distance)[:count]
        sizes[nearest] = size
        free[nearest] = False
    rest = sizes[free]
    sizes[free] = rest * max(0.1, (total - fixed) / rest.sum())
    return np.maximum(4, sizes).astype(np.int64)
