"""The approximate index of a large namespace."""

from __future__ import annotations


class Index:
    """Nodes of the index."""

    nbytes = 0


class Attached:
    """The index, tied to the rows of one `Resident`."""

    index: Index
