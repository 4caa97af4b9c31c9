"""The table of a move's phases, and what must hold in each."""

import msgspec
import pytest

from tenantry.errors import Bug, Refused
from tenantry.model.moves import (
    BEFORE_COMMIT,
    BOTH_SIDES,
    ENDED,
    FENCED,
    NEXT,
    Move,
    Phase,
    Proof,
    Wish,
    check_step,
    check_wish,
    mode_of,
    route_of,
    sides,
)
from tenantry.model.topology import Mode, Place, TenantState

SOURCE, TARGET = Place("a", "acme"), Place("b", "acme~2")
PROOF = Proof(0, "", 0, 0, 0, 1, 0, 1.0, 1, 0, 0.0, 0.0)


def move(phase=Phase.PREPARE, **given):
    return Move("m1", "default", "acme", SOURCE, TARGET, 0.0, phase=phase, **given)


def reachable(start):
    seen, todo = set(), [start]
    while todo:
        phase = todo.pop()
        if phase not in seen:
            seen.add(phase)
            todo.extend(NEXT[phase])
    return seen


def test_every_phase_is_in_the_table_and_can_be_reached_and_left():
    assert set(NEXT) == set(Phase)
    assert reachable(Phase.PREPARE) == set(Phase)
    for phase in Phase:
        assert reachable(phase) & ENDED, phase


def test_nothing_before_the_commit_can_be_reached_after_it():
    assert not reachable(Phase.SETTLE) & BEFORE_COMMIT
    assert not reachable(Phase.BACK_SETTLE) & {Phase.SOAK, Phase.SETTLE, Phase.BACK}


def test_only_a_flip_changes_sides_and_it_starts_fenced_and_ends_with_both_sides_answering():
    for phase, following in NEXT.items():
        for after in following:
            outcome = {Phase.CLOSE: Phase.DONE if phase is Phase.SOAK else Phase.CANCELLED}.get(after)
            ruling = Phase.DONE if phase is Phase.CLOSE and after is Phase.CLEAN else outcome
            before, then = move(phase, outcome=ruling), move(after, outcome=ruling)
            if phase in (Phase.CLEAN,):
                continue
            if sides(before) != sides(then):
                assert phase in FENCED
                assert after in BOTH_SIDES
                assert mode_of(after) is Mode.LOGGED


@pytest.mark.parametrize(
    ("phase", "mode", "place", "other"),
    [
        (Phase.PREPARE, Mode.DIRECT, SOURCE, TARGET),
        (Phase.CAPTURE, Mode.LOGGED, SOURCE, TARGET),
        (Phase.COPY, Mode.LOGGED, SOURCE, TARGET),
        (Phase.FLIP, Mode.FENCED, SOURCE, TARGET),
        (Phase.SETTLE, Mode.LOGGED, TARGET, SOURCE),
        (Phase.SOAK, Mode.LOGGED, TARGET, SOURCE),
        (Phase.BACK, Mode.FENCED, TARGET, SOURCE),
        (Phase.BACK_SETTLE, Mode.LOGGED, SOURCE, TARGET),
        (Phase.CANCELLED, Mode.DIRECT, SOURCE, None),
        (Phase.FAILED, Mode.DIRECT, SOURCE, None),
        (Phase.ROLLED_BACK, Mode.DIRECT, SOURCE, None),
        (Phase.DONE, Mode.DIRECT, TARGET, None),
    ],
)
def test_the_route_follows_from_the_phase(phase, mode, place, other):
    route = route_of(move(phase), 7, TenantState.SUSPENDED)
    assert (route.epoch, route.mode, route.place, route.other) == (7, mode, place, other)
    assert route.state is TenantState.SUSPENDED


@pytest.mark.parametrize("outcome", [Phase.DONE, Phase.CANCELLED, Phase.ROLLED_BACK, Phase.FAILED])
def test_a_closing_move_rules_where_it_is_going_to(outcome):
    ruling = TARGET if outcome is Phase.DONE else SOURCE
    for phase in (Phase.CLOSE, Phase.CLEAN):
        assert sides(move(phase, outcome=outcome))[0] == ruling
    assert route_of(move(Phase.CLOSE, outcome=outcome), 1, TenantState.ACTIVE).mode is Mode.FENCED
    assert route_of(move(Phase.CLEAN, outcome=outcome), 1, TenantState.ACTIVE).other is None


def test_writers_are_answered_by_the_ruling_side_and_by_both_while_it_settles():
    marks = {"source_mark": 3, "target_mark": 5}
    assert move(Phase.COPY, **marks).acknowledged() == 3
    assert move(Phase.SOAK, **marks).acknowledged() == 5
    assert move(Phase.SETTLE, **marks).acknowledged() == 3
    assert move(Phase.BACK_SETTLE, source_mark=5, target_mark=3).acknowledged() == 3


@pytest.mark.parametrize(
    ("given", "phase", "head"),
    [
        (move(), Phase.COPY, None),  # not in the table
        (move(Phase.CAPTURE), Phase.COPY, None),  # R3: no s0
        (move(Phase.CAPTURE, s0=4, source_mark=3), Phase.COPY, None),  # R3: the source lacks an entry
        (move(Phase.FLIP, source_mark=4, target_mark=4), Phase.SETTLE, None),  # R5: nobody looked
        (move(Phase.FLIP, source_mark=4, target_mark=4), Phase.SETTLE, 5),  # R5: both behind
        (move(Phase.FLIP, source_mark=5, target_mark=4), Phase.SETTLE, 5),  # R5: one behind
        (move(Phase.BACK, source_mark=4, target_mark=5), Phase.BACK_SETTLE, 5),
        (move(Phase.CATCH_UP), Phase.FLIP, None),  # no proof
        (move(Phase.CLOSE, outcome=Phase.DONE, source_mark=5, target_mark=4), Phase.CLEAN, 5),
        (move(Phase.COPY, outcome=Phase.DONE), Phase.CLOSE, None),
        (move(Phase.CLEAN, outcome=Phase.CANCELLED), Phase.DONE, None),
    ],
)
def test_a_step_that_must_not_be_taken_is_a_bug(given, phase, head):
    with pytest.raises(Bug, match="m1"):
        check_step(given, phase, head)


def test_steps_that_may_be_taken():
    check_step(move(Phase.CAPTURE, s0=4, source_mark=4), Phase.COPY)
    check_step(move(Phase.FLIP, source_mark=5, target_mark=5), Phase.SETTLE, 5)
    check_step(move(Phase.CATCH_UP, proof=PROOF), Phase.FLIP)
    check_step(move(Phase.CLOSE, outcome=Phase.DONE, source_mark=4, target_mark=5), Phase.CLEAN, 5)
    check_step(move(Phase.CLEAN, outcome=Phase.CANCELLED), Phase.CANCELLED)


REFUSED = {
    Wish.CANCEL: set(Phase) - BEFORE_COMMIT,
    Wish.ROLL_BACK: BEFORE_COMMIT | {Phase.CLOSE, Phase.CLEAN} | ENDED,
    Wish.FINALISE: BEFORE_COMMIT | {Phase.BACK, Phase.BACK_SETTLE} | ENDED,
    Wish.PAUSE: ENDED,
}


@pytest.mark.parametrize("wish", list(REFUSED))
@pytest.mark.parametrize("phase", list(Phase))
def test_what_may_be_wished_in_which_phase(wish, phase):
    given = move(phase, outcome=Phase.DONE if phase in (Phase.CLOSE, Phase.CLEAN) else None)
    if phase in REFUSED[wish]:
        with pytest.raises(Refused, match="m1"):
            check_wish(given, wish)
    else:
        check_wish(given, wish)


def test_a_wish_that_leads_to_an_end_is_not_taken_back_and_may_be_repeated():
    for wish, phase in ((Wish.CANCEL, Phase.COPY), (Wish.ROLL_BACK, Phase.SOAK), (Wish.FINALISE, Phase.SOAK)):
        given = move(phase, wish=wish)
        check_wish(given, wish)
        for other in (Wish.RUN, Wish.PAUSE):
            with pytest.raises(Refused):
                check_wish(given, other)
    with pytest.raises(Refused):
        check_wish(move(Phase.SOAK, wish=Wish.ROLL_BACK), Wish.FINALISE)


def test_a_move_can_be_stored_and_read_back():
    given = move(Phase.SOAK, proof=PROOF, started={"soak": 1.0})
    assert msgspec.json.decode(msgspec.json.encode(given), type=Move) == given
