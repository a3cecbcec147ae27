"""The nemesis: faults from a seeded schedule, one deck of kinds after another, and a log of what was done when.

The schedule is a function of seed, length and kinds alone. What a fault meets depends on the moment, so a run with the
same seed meets much the same trouble, not the very same interleaving.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from exam.children import Child, ChildError
from loadtest.faulty_hall import FaultyHall
from loadtest.proxy import Fault


class Strike(msgspec.Struct, frozen=True):
    """One fault to come: seconds from the start, its kind, and a number from which it draws its details."""

    at: float
    kind: str
    draw: int


class Done(msgspec.Struct):
    """One fault that was: wall-clock seconds of its begin and end, and what was done."""

    kind: str
    began: float
    ended: float
    detail: str


Act = Callable[["Nemesis", Random], Awaitable[str]]


def schedule(seed: int, seconds: float, every: float, kinds: Sequence[str]) -> list[Strike]:
    """Faults about every so many seconds; each kind once before any comes again."""
    random = Random(f"nemesis/{seed}")
    deck: list[str] = []
    strikes, at = [], random.uniform(0.5, 1.0) * min(every, seconds / 4)
    while at < seconds:
        if not deck:
            deck = random.sample(list(kinds), len(kinds))
        strikes.append(Strike(at, deck.pop(), random.randrange(2**32)))
        at += random.uniform(0.5, 1.5) * every
    return strikes


class Nemesis:
    """Strikes a hall; two faults may overlap, but not on one process."""

    def __init__(self, hall: FaultyHall, log: Path) -> None:
        self.hall = hall
        self.done: list[Done] = []
        self.fallen: list[str] = []
        """Processes that ended although nobody had killed them."""
        self._log = log.open("wb")
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, strikes: Sequence[Strike]) -> None:
        """All of the strikes, each at its time; returns when the last fault is over and every process runs again."""
        began = asyncio.get_running_loop().time()
        tasks = []
        for strike in strikes:
            await asyncio.sleep(max(0.0, began + strike.at - asyncio.get_running_loop().time()))
            tasks.append(asyncio.create_task(self._strike(strike)))
        await asyncio.gather(*tasks)
        await self.mend()
        self._log.close()

    async def _strike(self, strike: Strike) -> None:
        began = time.time()
        detail = await ACTS[strike.kind](self, Random(strike.draw))
        self.done.append(Done(strike.kind, began, time.time(), detail))
        self._log.write(msgspec.json.encode(self.done[-1]) + b"\n")
        self._log.flush()
        await self.mend()

    async def mend(self) -> None:
        """Starts what has fallen by itself, and remembers it: nothing but us may end a process."""
        for child in self.hall.children:
            async with self._locks[child.name]:
                if child.poll() is not None:
                    self.fallen.append(child.name)
                    await asyncio.to_thread(child.start)

    def one_of(self, children: Sequence[Child], random: Random) -> Child:
        return random.choice(list(children))

    async def kill(self, child: Child, away: float) -> str:
        """kill -9, and start again after so many seconds."""
        async with self._locks[child.name]:
            await asyncio.to_thread(child.kill)
            await asyncio.sleep(away)
            await asyncio.to_thread(_start, child)
        return f"{child.name}, {away:.1f} s away"

    async def freeze(self, child: Child, seconds: float) -> str:
        """SIGSTOP for so many seconds."""
        async with self._locks[child.name]:
            os.kill(child.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                with contextlib.suppress(ProcessLookupError, ChildError):
                    os.kill(child.pid, signal.SIGCONT)
        return f"{child.name}, {seconds:.1f} s"

    async def restart(self, child: Child) -> str:
        """A clean stop and a start."""
        async with self._locks[child.name]:
            await asyncio.to_thread(child.stop)
            await asyncio.to_thread(_start, child)
        return child.name

    async def reload(self) -> str:
        """nginx takes its configuration over again."""
        async with self._locks["nginx"]:
            await asyncio.to_thread(self.hall.nginx.reload)
        return "nginx"

    async def flush(self) -> str:
        """FLUSHALL, past the proxy."""
        redis = Redis.from_url(self.hall.settings.redis_state_url)
        try:
            await redis.flushall()
        except (RedisError, OSError):
            return "it was away"
        finally:
            await redis.aclose()
        return "emptied"

    async def proxy(self, fault: Fault) -> str:
        """A fault at the proxy, until it is over."""
        await self.hall.fault(fault)
        await asyncio.sleep(fault.seconds)
        return f"{fault.link}: {fault.seconds:.1f} s, chance {fault.chance:.2f}, delay {fault.delay:.2f} s"


def _start(child: Child) -> None:
    # On a busy machine a crashed PostgreSQL may need a second breath.
    for _ in range(2):
        with contextlib.suppress(ChildError):
            child.start()
            return
    child.start()


ACTS: Final[dict[str, Act]] = {
    "web_kill": lambda n, r: n.kill(n.one_of(n.hall.webs, r), r.uniform(0, 1)),
    "web_freeze": lambda n, r: n.freeze(n.one_of(n.hall.webs, r), r.uniform(0.5, 4)),
    "web_restart": lambda n, r: n.restart(n.one_of(n.hall.webs, r)),
    "worker_kill": lambda n, r: n.kill(n.one_of(n.hall.workers, r), r.uniform(0, 2)),
    "worker_freeze": lambda n, r: n.freeze(n.one_of(n.hall.workers, r), r.uniform(1, 6)),
    "postgres_kill": lambda n, r: n.kill(n.hall.postgres, r.uniform(0, 1.5)),
    "postgres_restart": lambda n, _: n.restart(n.hall.postgres),
    "valkey_kill": lambda n, r: n.kill(n.hall.valkey, r.uniform(0, 2)),
    "valkey_freeze": lambda n, r: n.freeze(n.hall.valkey, r.uniform(0.5, 3)),
    "valkey_empty": lambda n, _: n.flush(),
    "nginx_reload": lambda n, _: n.reload(),
    "nginx_kill": lambda n, r: n.kill(n.hall.nginx, r.uniform(0, 1)),
    "cut": lambda n, _: n.proxy(Fault("web", "cut")),
    "refuse": lambda n, r: n.proxy(Fault("web", "refuse", r.uniform(0.3, 1.5))),
    "delay": lambda n, r: n.proxy(Fault("web", "delay", r.uniform(1, 4), 1.0, r.uniform(0.02, 0.6))),
    "cut_request": lambda n, r: n.proxy(Fault("web", "cut_request", r.uniform(1, 4), r.uniform(0.05, 0.4))),
    "lose_response": lambda n, r: n.proxy(Fault("web", "lose_response", r.uniform(1, 4), r.uniform(0.05, 0.5))),
    "hang_response": lambda n, r: n.proxy(Fault("web", "hang_response", r.uniform(0.5, 2), r.uniform(0.05, 0.2))),
    "replay": lambda n, r: n.proxy(Fault("web", "replay", r.uniform(2, 6), r.uniform(0.1, 0.5), r.uniform(0.1, 4))),
    "postgres_cut": lambda n, _: n.proxy(Fault("postgres", "cut")),
    "commit_unheard": lambda n, r: n.proxy(Fault("postgres", "lose_response", r.uniform(0.1, 0.5), r.uniform(0.05, 0.3))),  # noqa: E501
    "valkey_cut": lambda n, r: n.proxy(Fault("valkey", "refuse", r.uniform(0, 2))),
}  # fmt: skip
"""What can be done to a hall, by name."""
