"""Simulated processes, for tests in virtual time: they can be killed and suspended at any instant.

A process reaches the outside (catalog, backends, clock) only through what `Process.reach` wraps. Each call goes out as
a message: it takes effect after a while, whatever has become of the caller by then, but within ``World.call_s``; its
answer comes back after another while, and may get lost. A killed process gets no more answers, for ever; a suspended
one gets them when it is resumed, while the world goes on, as with SIGSTOP.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from tenantry.errors import Unavailable
from tenantry.ports import Clock

T = TypeVar("T")


class Weather(msgspec.Struct, frozen=True):
    """How the network behaves.

    Attributes:
        fast_s, slow_s: usual and exceptional latency of one way, seconds; drawn evenly up to them.
        slow_share: part of the calls that are slow.
        lost_share: part of the calls whose request is lost (Unavailable, nothing happened) or whose answer is
            (Unavailable, it happened), half and half.
    """

    fast_s: float = 0.002
    slow_s: float = 0.05
    slow_share: float = 0.05
    lost_share: float = 0.0


CALM = Weather()


class KilledError(Exception):
    """The process that one talked to is gone; what one asked of it may or may not have happened."""


class SuspendedError(Unavailable):
    """A call that was to be made while the process was suspended."""


class World:
    """One seeded course of events. Attributes: ``weather`` may change at any time."""

    def __init__(self, seed: int, call_s: float, weather: Weather = CALM) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - reproducible by design
        self.call_s = call_s
        self.weather = weather
        self.trace: list[str] = []
        self.processes: list[Process] = []
        self._messages: set[asyncio.Task[Any]] = set()

    def note(self, what: str) -> None:
        """Remember an event, for the account of a failure."""
        self.trace.append(f"{asyncio.get_running_loop().time():8.3f} {what}")

    def latency(self) -> float:
        """One way's latency, seconds; two of them are less than ``call_s``."""
        weather = self.weather
        most = weather.slow_s if self.chance.random() < weather.slow_share else weather.fast_s
        return min(self.chance.random() * most, 0.45 * self.call_s)

    def send(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Send a message; the task is its effect and the way of the answer."""
        task = asyncio.get_running_loop().create_task(self._message(effect))
        self._messages.add(task)
        task.add_done_callback(self._arrived)
        return task

    def _arrived(self, message: asyncio.Task[Any]) -> None:
        self._messages.discard(message)
        if not message.cancelled():
            message.exception()  # whoever sent it may not be there any more

    async def _message(self, effect: Callable[[], Coroutine[Any, Any, T]]) -> T:
        lost = self.chance.random() < self.weather.lost_share
        await asyncio.sleep(self.latency())
        if lost and self.chance.random() < 0.5:
            raise Unavailable("the request was lost", retry_after_s=0.0)
        answer = await effect()
        await asyncio.sleep(self.latency())
        if lost:
            raise Unavailable("the answer was lost", retry_after_s=0.0)
        return answer


class Process:
    """One process. Attributes: ``dead`` is done when it was killed."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.Event()
        self._running.set()
        self._tasks: set[asyncio.Task[Any]] = set()
        #: What a dead process waits for. It is kept, or what waits would be collected in the middle.
        self._never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        world.processes.append(self)

    @property
    def killed(self) -> bool:
        """Whether it is gone."""
        return self.dead.done()

    @property
    def suspended(self) -> bool:
        """Whether it stands still."""
        return not self._running.is_set()

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more; what it has sent may still take effect."""
        if not self.killed:
            self.world.note(f"{self.name} killed")
            self.dead.set_result(None)
            for task in self._tasks:
                task.cancel()

    async def suspend(self, seconds: float) -> None:
        """SIGSTOP for so long, then SIGCONT."""
        self.world.note(f"{self.name} suspended for {seconds:.2f} s")
        self._running.clear()
        await asyncio.sleep(seconds)
        self.world.note(f"{self.name} resumed")
        self._running.set()

    async def turn(self) -> None:
        """Wait until the process runs; for ever when it was killed."""
        while not self._running.is_set():
            await self._running.wait()
        if self.killed:
            await asyncio.shield(self._never)

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the process do something, as its client. Raises KilledError when it dies meanwhile."""
        if self.killed:
            work.close()
            raise KilledError(self.name)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        waited: set[asyncio.Future[Any]] = {task, self.dead}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if self.killed:
            raise KilledError(self.name)
        return task.result()

    def reach(self, thing: Any) -> Any:
        """The thing as this process sees it, through the network."""
        return _Reached(self, thing)


class _Reached:
    """Calls of coroutine methods become messages; attributes are reached in their turn; the rest is as it is."""

    def __init__(self, process: Process, thing: Any) -> None:
        self._process = process
        self._thing = thing
        self._parts: dict[str, tuple[Any, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name in self._parts and self._parts[name][0] is found:
            return self._parts[name][1]
        if inspect.iscoroutinefunction(found):
            process = self._process

            async def call(*args: Any, **kwargs: Any) -> Any:
                if process.suspended:
                    # In truth the caller would stand still too, before it made sure that it may call. Here its code
                    # runs up to this point; so the call is lost, and whoever repeats it must make sure again.
                    await process.turn()
                    raise SuspendedError("the call was lost while the process stood still", retry_after_s=0.0)
                await process.turn()
                message = process.world.send(lambda: found(*args, **kwargs))
                try:
                    answer = await asyncio.shield(message)
                finally:
                    await process.turn()
                return answer

            self.__dict__[name] = call  # found at once the next time
            return call
        if inspect.ismethod(found):
            return lambda *args, **kwargs: _wrapped(self._process, found(*args, **kwargs))
        wrapped = _wrapped(self._process, found)
        if wrapped is not found:
            self._parts[name] = found, wrapped
        return wrapped


def _wrapped(process: Process, value: Any) -> Any:
    plain = value is None or isinstance(value, str | int | float | bool | list | dict | tuple | msgspec.Struct)
    return value if plain else _Reached(process, value)


class ProcessClock:
    """Implements `Clock` for a process: time goes on while it is suspended, but it does not wake up."""

    def __init__(self, process: Process, clock: Clock) -> None:
        self._process = process
        self._clock = clock
        self.now = clock.now
        self.monotonic = clock.monotonic

    async def sleep(self, seconds: float) -> None:
        """Let others run for that long, and as long as the process stands still."""
        await self._clock.sleep(seconds)
        await self._process.turn()
