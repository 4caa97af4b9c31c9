"""The breaker, held to the table in its docstring by random courses of events."""

from hypothesis import given
from hypothesis import strategies as st

from tenantry.router.scatter.breaker import LEAST_FAILURES, PROBES, WINDOW, Breaker, State

EVENTS = st.lists(
    st.tuples(st.sampled_from(["ask", "success", "failure", "abandoned"]), st.floats(0, 20, allow_nan=False)),
    max_size=200,
)


def opened(now=0.0):
    breaker = Breaker(5.0, 60.0)
    for _ in range(LEAST_FAILURES):
        breaker = breaker.failure(now)
    assert breaker.state is State.OPEN
    return breaker


@given(EVENTS)
def test_any_course_keeps_the_rules(events):  # noqa: C901 - the table, row by row
    breaker, now = Breaker(5.0, 60.0), 0.0
    asked_while_open_until = -1.0
    for what, wait in events:
        now += wait
        before = breaker
        if what == "ask":
            breaker, allowed = before.ask(now)
            if before.state is State.CLOSED:
                assert allowed
                assert breaker == before
            elif before.state is State.OPEN:
                assert allowed == (now >= before.until)
            else:
                assert allowed == (not before.probing)
            if allowed and before.state is not State.CLOSED:
                assert breaker.state is State.HALF_OPEN
                assert breaker.probing
            if not allowed:
                assert breaker == before
        elif what == "success":
            breaker = before.success()
            assert breaker.state is before.state or (before.state, breaker.state) == (State.HALF_OPEN, State.CLOSED)
        elif what == "failure":
            breaker = before.failure(now)
            if before.state is State.HALF_OPEN:
                assert breaker.state is State.OPEN
            if breaker.state is State.OPEN and before.state is not State.OPEN:
                asked_while_open_until = breaker.until
                assert now + 5.0 <= breaker.until <= now + 60.0
        else:
            breaker = before.abandoned()
            assert breaker.state is before.state
            assert not breaker.probing
        assert len(breaker.outcomes) <= WINDOW
        assert breaker.state is State.CLOSED or breaker.outcomes == ()
        assert breaker.state is not State.OPEN or breaker.until == asked_while_open_until
        # It never shuts for good: whoever asks late enough and comes back well closes it.
        late = max(now, breaker.until) + 1
        healed = breaker.abandoned()
        for _ in range(PROBES):
            healed, allowed = healed.ask(late)
            assert allowed
            healed = healed.success()
        assert healed.state is State.CLOSED


def test_rare_failures_do_not_open_it():
    breaker = Breaker()
    for i in range(1_000):
        breaker = breaker.failure(i) if i % 3 == 0 else breaker.success()
    assert breaker.state is State.CLOSED


def test_half_of_the_last_ones_do():
    breaker = Breaker()
    for _ in range(100):
        breaker = breaker.success()
    for i in range(WINDOW // 2):
        assert breaker.state is State.CLOSED
        breaker = breaker.failure(i)
    assert breaker.state is State.OPEN


def test_one_probe_at_a_time_and_each_failure_doubles_the_wait():
    breaker = opened()
    waits = []
    for _ in range(6):
        breaker, allowed = breaker.ask(breaker.until)
        assert allowed
        assert not breaker.ask(breaker.until + 1)[1]
        now = breaker.until + 1
        breaker = breaker.failure(now)
        waits.append(breaker.until - now)
    assert waits == [10, 20, 40, 60, 60, 60]


def test_it_closes_after_enough_probes_and_forgets():
    breaker = opened()
    for left in reversed(range(PROBES)):
        breaker, allowed = breaker.ask(10.0)
        assert allowed
        breaker = breaker.success()
        assert breaker.state is (State.HALF_OPEN if left else State.CLOSED)
    assert breaker == Breaker(5.0, 60.0)


def test_a_probe_that_nobody_waited_for_makes_room_for_the_next():
    breaker, _ = opened().ask(6.0)
    assert breaker.abandoned().ask(6.0)[1]
