"""Metadata and filters that exercise every operator on every kind of value, and ids; for contract suites."""

from __future__ import annotations

from typing import Any

UNUSUAL_IDS = ["x" * 512, "é" * 512, "日本語/🙂", " spaced  id ", "a'b\"c;--%_\\", "0", "NULL"]
METADATA: list[dict[str, Any] | None] = [
    None,
    {},
    {"color": "red", "n": 1, "ok": True, "tags": ["a", "b"]},
    {"color": "blue", "n": 2.5, "ok": False, "tags": ["b"]},
    {"color": "green", "n": -3, "tags": []},
    {"color": "red", "n": 10},
    {"n": 1.0, "ok": True},
    {"color": "1", "n": 0},
    {"color": "données – 東京 🙂", "tags": ["東京"]},
    {"n": True, "color": "Red"},
    {"n": "1"},
    {"n": 2**53 - 1},
]
FILTERS: list[dict[str, Any]] = [
    {"color": "red"},
    {"color": {"$ne": "red"}},
    {"color": {"$in": ["red", "blue"]}},
    {"color": {"$nin": ["red", "blue"]}},
    {"color": {"$exists": True}},
    {"color": {"$exists": False}},
    {"color": "données – 東京 🙂"},
    {"n": 1},
    {"n": {"$eq": 1.0}},
    {"n": {"$ne": 1}},
    {"n": {"$gt": 1}},
    {"n": {"$gte": 1}},
    {"n": {"$lt": 1}},
    {"n": {"$lte": 2.5}},
    {"n": {"$gt": 0, "$lt": 5}},
    {"n": {"$in": [1, "1", True]}},
    {"n": {"$nin": [1, 10]}},
    {"n": {"$gte": 2**53 - 1}},
    {"ok": True},
    {"ok": False},
    {"ok": {"$ne": True}},
    {"tags": "b"},
    {"tags": {"$in": ["a", "東京"]}},
    {"tags": {"$nin": ["b"]}},
    {"tags": {"$exists": True}},
    {"absent": {"$ne": 1}},
    {"absent": {"$gt": 1}},
    {"color": "red", "n": 1},
    {"$or": [{"color": "blue"}, {"n": 10}]},
    {"$and": [{"color": "red"}, {"$or": [{"n": 1}, {"ok": {"$exists": False}}]}]},
]
