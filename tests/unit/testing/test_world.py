"""Simulated processes: what killing and suspending mean, seen with a toy server and its clients."""

import asyncio
import random

import pytest

from tenantry.errors import Unavailable
from tenantry.ports import Features
from tenantry.testing.virtual_loop import VirtualClock, run_virtual
from tenantry.testing.world import KilledError, Process, ProcessClock, SuspendedError, Weather, World

CALL_S = 0.4


class Log:
    """A part of the server, as a catalog has several."""

    def __init__(self):
        self.lines = []

    async def append(self, line):
        self.lines.append(line)
        return len(self.lines)


class Server:
    """A toy: a number, a log, handles and plain attributes. Time between receipt and effect can be set."""

    def __init__(self):
        self.value = 0
        self.log = Log()
        self.features = Features()
        self.busy_s = 0.0

    async def put(self, value):
        await asyncio.sleep(self.busy_s)
        self.value = value
        return value

    async def get(self):
        return self.value

    async def fail(self):
        raise KeyError("the server's own")

    def index(self, name):
        return Handle(self, name)


class Handle:
    def __init__(self, server, name):
        self._server = server
        self.name = name

    async def put(self, value):
        return await self._server.put((self.name, value))


def played(main, seed=1, **weather):
    """Run ``main(world, process, server)`` in virtual time."""

    async def course():
        world = World(seed, CALL_S, Weather(**weather))
        return await main(world, Process(world, "p1"), Server())

    return run_virtual(course(), limit_s=1_000)


def test_calls_arrive_and_answers_come_back_after_a_while():
    async def main(world, process, server):
        far = process.reach(server)
        assert await process.ask(far.put(7)) == 7
        assert server.value == 7
        assert 0 < asyncio.get_running_loop().time() < CALL_S

    played(main)


def test_groups_handles_attributes_and_errors_pass_through():
    async def main(world, process, server):
        far = process.reach(server)
        assert far.features is server.features
        assert await process.ask(far.log.append("a")) == 1
        assert far.index("n").name == "n"
        await process.ask(far.index("n").put(3))
        assert server.value == ("n", 3)
        with pytest.raises(KeyError):
            await process.ask(far.fail())
        with pytest.raises(AttributeError):
            far.nothing  # noqa: B018

    played(main)


def test_both_ways_together_take_less_than_the_limit_of_a_call():
    async def main(world, process, server):
        for _ in range(500):
            assert 0 <= world.latency() <= 0.45 * CALL_S

    played(main, fast_s=10.0, slow_s=50.0, slow_share=0.5)


def test_the_killed_get_no_answer_and_run_no_more():
    """Its code may still fall through its ``finally``s, but nothing of that reaches anybody."""
    after = []

    async def main(world, process, server):
        far = process.reach(server)

        async def work():
            try:
                await far.put(1)
                after.append("went on")
            finally:
                await far.put(2)
                after.append("cleaned up")

        server.busy_s = 0.1
        asking = asyncio.create_task(process.ask(work()))
        await asyncio.sleep(0.05)
        process.kill()
        with pytest.raises(KilledError):
            await asking
        await asyncio.sleep(100)
        assert server.value == 1  # it was on its way
        assert after == []
        assert process.killed

    played(main)


def test_the_killed_do_not_wake_up():
    woken = []

    async def main(world, process, server):
        clock = ProcessClock(process, VirtualClock(asyncio.get_running_loop()))

        async def background():
            await clock.sleep(1.0)
            woken.append(True)

        left = asyncio.create_task(background())
        process.kill()
        await asyncio.sleep(100)
        assert not left.done()
        assert not woken

    played(main)


def test_nobody_can_ask_the_killed():
    async def main(world, process, server):
        process.kill()
        process.kill()  # killing twice is killing once
        with pytest.raises(KilledError):
            await process.ask(process.reach(server).put(1))
        await asyncio.sleep(10)
        assert server.value == 0
        assert len(world.trace) == 1

    played(main)


def test_what_the_killed_had_sent_takes_effect_within_the_limit_of_a_call():
    """Whatever the seed: at the latest after ``call_s``, and for some seeds not at once."""
    late = set()

    async def main(world, process, server):
        asking = asyncio.create_task(process.ask(process.reach(server).put(1)))
        await asyncio.sleep(0.0002)
        if asking.done():
            return  # both ways were quicker than that
        process.kill()
        late.add(server.value == 0)
        with pytest.raises(KilledError):
            await asking
        await asyncio.sleep(CALL_S)
        assert server.value == 1

    for seed in range(40):
        played(main, seed, fast_s=0.003, slow_s=10.0, slow_share=0.3)
    assert late == {True, False}


def test_the_suspended_get_their_answers_when_they_are_resumed():
    async def main(world, process, server):
        loop = asyncio.get_running_loop()
        server.busy_s = 0.1
        asking = asyncio.create_task(process.ask(process.reach(server).put(1)))
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(process.suspend(5.0))
        await asyncio.sleep(0.2)
        assert process.suspended
        assert server.value == 1  # the world goes on, and so does what was sent
        assert not asking.done()
        assert await asking == 1
        assert loop.time() == pytest.approx(5.05)
        await stopping
        assert not process.suspended

    played(main)


def test_a_call_of_the_suspended_is_lost_and_its_caller_must_make_sure_again():
    async def main(world, process, server):
        stopping = asyncio.create_task(process.suspend(5.0))
        await asyncio.sleep(0)
        with pytest.raises(SuspendedError):
            await process.ask(process.reach(server).put(1))
        assert asyncio.get_running_loop().time() == pytest.approx(5.0)
        await stopping
        await asyncio.sleep(10)
        assert server.value == 0

    played(main)


def test_the_suspended_sleep_as_long_as_they_stand_still():
    async def main(world, process, server):
        loop = asyncio.get_running_loop()
        clock = ProcessClock(process, VirtualClock(loop))
        stopping = asyncio.create_task(process.suspend(5.0))
        await clock.sleep(1.0)
        assert clock.monotonic() == pytest.approx(5.0)  # its clock went on meanwhile
        await clock.sleep(1.0)
        assert loop.time() == pytest.approx(6.0)
        await stopping

    played(main)


def test_the_suspended_can_be_killed():
    async def main(world, process, server):
        stopping = asyncio.create_task(process.suspend(5.0))
        asking = asyncio.create_task(process.ask(process.reach(server).put(1)))
        await asyncio.sleep(1.0)
        process.kill()
        with pytest.raises(KilledError):
            await asking
        await stopping
        await asyncio.sleep(10)
        assert server.value == 0

    played(main)


def test_one_process_is_not_another():
    async def main(world, process, server):
        other = Process(world, "p2")
        process.kill()
        assert await other.ask(other.reach(server).put(3)) == 3
        assert world.processes == [process, other]

    played(main)


def test_of_what_is_lost_half_happened():
    async def main(world, process, server):
        far = process.reach(server)
        happened = []
        for number in range(1, 200):
            with pytest.raises(Unavailable, match="was lost"):
                await process.ask(far.put(number))
            happened.append(server.value == number)
        return sum(happened)

    assert 60 < played(main, lost_share=1.0) < 140


def test_in_the_calm_nothing_is_lost():
    async def main(world, process, server):
        for number in range(200):
            assert await process.ask(process.reach(server).put(number)) == number

    played(main)


@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_the_seed_decides_how_processes_interleave(lost):
    def course(seed):
        async def main(world, process, server):
            async def client(name):
                mine = Process(world, name)
                far = mine.reach(server.log)
                for number in range(5):
                    try:
                        await mine.ask(far.append(f"{name}/{number}"))
                    except Unavailable:
                        world.note(f"{name}/{number} was lost")

            await asyncio.gather(*(client(name) for name in "abc"))
            return server.log.lines, world.trace

        return played(main, seed, lost_share=lost)

    assert course(1) == course(1)
    assert len({tuple(course(seed)[0]) for seed in range(10)}) > 5
    assert all(is_in_order(course(seed)[0]) for seed in range(10))


def is_in_order(lines):
    return all(mine == sorted(mine) for mine in ([line for line in lines if line.startswith(name)] for name in "abc"))


def test_the_worlds_chance_is_its_own():
    """Drawing from the global generator changes nothing."""

    async def main(world, process, server):
        return [world.latency() for _ in range(10)]

    first = played(main)
    random.random()
    assert played(main) == first
