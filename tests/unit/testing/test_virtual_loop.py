"""Virtual time: it jumps, keeps order, never waits in truth, and says when nothing will happen any more."""

import asyncio
import time

import pytest

from tenantry.testing.virtual_loop import DeadlockError, VirtualClock, VirtualLoop, run_virtual


def test_a_month_passes_at_once():
    async def main():
        await asyncio.sleep(30 * 86_400)
        return asyncio.get_running_loop().time()

    began = time.process_time()
    assert run_virtual(main(), limit_s=1e9) == pytest.approx(30 * 86_400)
    assert time.process_time() - began < 2


def test_sleepers_wake_in_the_order_of_their_times():
    woken = []

    async def sleeper(name, seconds):
        await asyncio.sleep(seconds)
        woken.append((name, asyncio.get_running_loop().time()))

    async def main():
        await asyncio.gather(sleeper("late", 3.0), sleeper("early", 1.0), sleeper("middle", 2.0))

    run_virtual(main())
    assert woken == [("early", 1.0), ("middle", 2.0), ("late", 3.0)]


def test_time_stands_still_while_anything_is_ready():
    async def main():
        asleep = asyncio.create_task(asyncio.sleep(1.0))
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert not asleep.done()
        assert asyncio.get_running_loop().time() == 0.0
        await asleep

    run_virtual(main())


def test_the_same_program_runs_the_same_way():
    def course():
        told = []

        async def worker(name):
            for turn in range(20):
                await asyncio.sleep((name * 7 + turn * 3) % 5 * 0.1)
                told.append((name, asyncio.get_running_loop().time()))

        async def main():
            await asyncio.gather(*(worker(name) for name in range(8)))

        run_virtual(main())
        return told

    assert course() == course()


def test_a_time_limit_of_the_code_under_test_is_virtual_too():
    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 50.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 50.0


def test_a_loop_with_nothing_ready_and_no_timer_says_so():
    loop = VirtualLoop()
    waiting = loop.create_task(asyncio.Event().wait())
    with pytest.raises(DeadlockError, match="nothing is ready"):
        loop.run_until_complete(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()


def test_what_takes_longer_than_the_limit_is_stopped():
    """What hangs for ever comes to the limit too, because the limit is itself a timer."""
    with pytest.raises(TimeoutError):
        run_virtual(asyncio.sleep(11), limit_s=10)
    with pytest.raises(TimeoutError):
        run_virtual(asyncio.Event().wait(), limit_s=10)


def test_what_hangs_behind_is_cancelled_even_if_it_minds():
    minded = []

    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                minded.append(True)
        await asyncio.Event().wait()

    async def main():
        left = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        return left

    assert run_virtual(main()).cancelled()
    assert len(minded) == 3


def test_what_never_gives_in_is_an_error():
    stop = []

    async def deaf():
        while not stop:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                stop.extend([True] * (len(tries) >= 150))
                tries.append(True)

    async def main():
        left.append(asyncio.create_task(deaf()))
        await asyncio.sleep(0)

    tries, left = [], []
    with pytest.raises(RuntimeError, match="1 tasks cannot be cancelled"):
        run_virtual(main())
    left[0].__class__  # noqa: B018 - kept until here, or it would be collected while it is pending


def test_the_answer_and_the_error_of_the_program_come_out():
    async def right():
        return 42

    async def wrong():
        raise KeyError("x")

    assert run_virtual(right()) == 42
    with pytest.raises(KeyError):
        run_virtual(wrong())


def test_the_clock_shows_the_loops_time():
    async def main():
        clock = VirtualClock(asyncio.get_running_loop(), epoch=1_000.0)
        assert (clock.now(), clock.monotonic()) == (1_000.0, 0.0)
        await clock.sleep(2.5)
        assert (clock.now(), clock.monotonic()) == (1_002.5, 2.5)

    run_virtual(main())
