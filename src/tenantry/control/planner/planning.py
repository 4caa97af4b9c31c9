"""The planner's one function."""

from __future__ import annotations

from math import isfinite

from tenantry.control.planner.balance import balance
from tenantry.control.planner.consolidate import consolidate
from tenantry.control.planner.drain import drain
from tenantry.control.planner.explain import balancing_notes, balancing_reasons
from tenantry.control.planner.figures import as_plan
from tenantry.control.planner.isolate import isolate
from tenantry.control.planner.picture import Picture, picture_of
from tenantry.errors import InvalidArgument, NotFound
from tenantry.model.plan import Aim, Plan, PlanOptions, PlanView

SUBJECTS = {Aim.DRAIN: "name of the shard to empty", Aim.ISOLATE: "name of the tenant that gets a shard to itself"}


def plan(view: PlanView, options: PlanOptions, aim: Aim = Aim.BALANCE, subject: str | None = None) -> Plan:
    """Choose which tenants to move where. Pure: the same view gives the same plan, in whatever order it lists things.

    No move breaks a hard goal (`hard`), in the order of the plan; the soft goals are those of `goals`. A plan that
    would not help has no moves and says why in its notes.

    Args:
        subject: shard to drain, or tenant to isolate; None for the other aims.

    Raises:
        InvalidArgument: an option is out of range, or the aim and the subject do not go together.
        NotFound: the view has no such shard or tenant.
    """
    check_options(options)
    wanted = SUBJECTS.get(aim)
    if wanted is not None and not subject:
        raise InvalidArgument("subject", subject, wanted)
    if wanted is None and subject is not None:
        raise InvalidArgument("subject", subject, f"nothing, as the aim is to {aim.value}")
    picture = picture_of(view, options, aim)
    if aim is Aim.DRAIN:
        if subject not in picture.place:
            raise NotFound("shard", str(subject))
        return drain(picture, picture.place[subject])
    if aim is Aim.ISOLATE:
        found = next((n for n, each in enumerate(picture.tenants) if each.name == subject), None)
        if found is None:
            raise NotFound("tenant", str(subject))
        return isolate(picture, found)
    return consolidate(picture) if aim is Aim.CONSOLIDATE else _balanced(picture)


def check_options(options: PlanOptions) -> None:
    """Raises InvalidArgument for the first option that is out of range."""
    for field, given, good, allowed in (
        ("max_moves", options.max_moves, options.max_moves >= 1, "1 or more"),
        (
            "max_bytes", options.max_bytes, options.max_bytes is None or options.max_bytes >= 0, "0 or more, or nothing"
        ),
        ("tolerance", options.tolerance, _from_zero(options.tolerance), "a number from 0 (0.1 is 10%)"),
        ("cool_down_s", options.cool_down_s, _from_zero(options.cool_down_s), "seconds, 0 or more"),
        ("fill", options.fill, 0 < options.fill <= 1, "over 0, at most 1"),
        ("dollars_per_gib", options.dollars_per_gib, _from_zero(options.dollars_per_gib), "dollars, 0 or more"),
    ):  # fmt: skip
        if not good:
            raise InvalidArgument(field, given, allowed)


def _from_zero(given: float) -> bool:
    return isfinite(given) and given >= 0


def _balanced(picture: Picture) -> Plan:
    members = picture.members()
    steps, waiting = balance(picture)
    return as_plan(
        picture,
        steps,
        balancing_reasons(picture, steps) if steps else [],
        balancing_notes(picture, steps, waiting),
        members_before=members,
        members_after=members,
    )
