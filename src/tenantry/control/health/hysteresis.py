"""Which warnings stand. Pure: a step from one state to the next, so that a value at its threshold does not flap.

A warning comes to stand when it was found ``raise_after`` times in a row. From then on it is held against relaxed
thresholds (`Thresholds.relaxed`), and goes when it was not found under these ``clear_after`` times in a row. So a value
that swings within the band changes nothing, and one change needs at least that many checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tenantry.control.health.values import Finding, Thresholds


class Standing(msgspec.Struct, frozen=True):
    """One warning from check to check.

    Attributes:
        finding: as it was last found.
        since: when it came to stand, seconds since the Unix epoch; None: it does not yet.
        seen: checks in a row that found it, up to the one that made it stand.
        quiet: checks in a row that did not, since it stands.
    """

    finding: Finding
    since: float | None = None
    seen: int = 0
    quiet: int = 0


class HealthState(msgspec.Struct, frozen=True):
    """All warnings of an index from check to check, by `Finding.key`."""

    standing: dict[str, Standing] = msgspec.field(default_factory=dict)

    @property
    def raised(self) -> dict[str, Standing]:
        """Those that stand."""
        return {key: one for key, one in self.standing.items() if one.since is not None}


class Step(msgspec.Struct, frozen=True):
    """A check's outcome: the next state, and what came to stand or went."""

    state: HealthState
    raised: list[Standing]
    cleared: list[Standing]


def step(
    state: HealthState, found: Iterable[Finding], lingering: Iterable[Finding], limits: Thresholds, at: float
) -> Step:
    """Args:
    found: what the rules find under the thresholds.
    lingering: what they find under the relaxed ones.
    at: the moment of the check.
    """
    now = {one.key: one for one in found}
    near = {one.key: one for one in lingering}
    following: dict[str, Standing] = {}
    raised: list[Standing] = []
    cleared: list[Standing] = []
    for key in sorted(state.standing.keys() | now.keys()):
        known = state.standing.get(key)
        if known is not None and known.since is not None:
            after = _standing(known, now.get(key) or near.get(key), limits)
            if after is None:
                cleared.append(known)
                continue
        else:
            after = _coming(known, now.get(key), limits, at)
            if after is None:
                continue
            if after.since is not None:
                raised.append(after)
        following[key] = after
    return Step(HealthState(following), raised, cleared)


def shown(state: HealthState, found: Iterable[Finding], lingering: Iterable[Finding]) -> list[Finding]:
    """What to tell now: everything that is found, and what stands and has not gone far enough back yet."""
    now = {one.key: one for one in found}
    raised = state.raised
    held = [one for one in lingering if one.key in raised and one.key not in now]
    return [*now.values(), *held]


def since(state: HealthState, keys: Iterable[str]) -> Mapping[str, float]:
    """Since when those of the warnings stand that do."""
    raised = state.raised
    return {key: raised[key].since or 0.0 for key in keys if key in raised}


def _coming(known: Standing | None, found: Finding | None, limits: Thresholds, at: float) -> Standing | None:
    if found is None:
        return None
    seen = 1 if known is None else known.seen + 1
    return Standing(found, at if seen >= limits.raise_after else None, seen)


def _standing(known: Standing, found: Finding | None, limits: Thresholds) -> Standing | None:
    if found is not None:
        return msgspec.structs.replace(known, finding=found, quiet=0)
    quiet = known.quiet + 1
    return None if quiet >= limits.clear_after else msgspec.structs.replace(known, quiet=quiet)
