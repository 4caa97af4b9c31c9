"""Conditions on terms as expressions of Milvus.

Terms are stored as hashes of one length, so nothing that users wrote stands in an expression but ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from tenantry.backends.common.terms import And, Condition, Has, Lacks, Within
from tenantry.model.filters import Op

TERM_CHARS = 32
_ORDER = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}


def token(term: str) -> str:
    """A term as it is stored."""
    return hashlib.blake2b(term.encode(), digest_size=TERM_CHARS // 2).hexdigest()


def quoted(text: str) -> str:
    """A string as it stands in an expression."""
    return msgspec.json.encode(text).decode()


def expression_of(condition: Condition) -> str:
    """The expression that says the same."""
    if isinstance(condition, Has):
        return _any(condition.terms)
    if isinstance(condition, Lacks):
        return f"(not {_any(condition.terms)})"
    if isinstance(condition, Within):
        bound = f'numbers["{condition.number}"] {_ORDER[condition.op]} {condition.bound!r}'
        return f"({_any([condition.term])} and {bound})"
    return "(" + (" and " if isinstance(condition, And) else " or ").join(map(expression_of, condition.parts)) + ")"


def _any(terms: Iterable[str]) -> str:
    return f"array_contains_any(terms, [{', '.join(quoted(token(term)) for term in terms)}])"
