"""The lean load driver: one connection for each candidate, prebuilt requests, several processes; it carries the mass.

The schedule is open-loop: when a candidate acts is decided beforehand, and latency counts from that moment, so a
stall of the service (or of this driver) shows in every request that should have been sent meanwhile. As a module it is
one process: a Plan as JSON on standard input, a Tally as JSON on standard output.
"""

import asyncio
import gc
import math
import random
import re
import resource
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import msgspec
import uvloop

from loadtest import protocol
from loadtest.plan import Plan, is_early
from loadtest.protocol import Call, PutOff, Unexpected, read_reply
from loadtest.seeding import token_of
from loadtest.sitter import Sitter
from loadtest.tally import Second, Tally

LOCAL_ADDRESSES: Final = tuple(f"127.0.0.{number}" for number in range(1, 13))
"""Where connections come from: each address has some 28,000 ports, and one that was closed rests for a minute."""
PATIENCE: Final = 30.0
"""Seconds after which a request counts as never answered."""
MOST_TROUBLES: Final = 10
"""Failures in a row after which a candidate gives up."""
IP_BIND_ADDRESS_NO_PORT: Final = 24
FIRST_PRESS: Final = 0.05
"""Seconds from the opening to the first press: clocks of one machine still round differently."""
_ADDRESS: Final = re.compile(r"0x[0-9a-f]+")
QUESTION_1: Final = "question 1"
"""From the press of Start to the paper: the one that lay there sealed, or one that is fetched then."""
STEPS: Final[dict[str, Callable[[Sitter], Call]]] = {
    protocol.LOGIN: Sitter.log_in,
    protocol.SITTING: lambda _: protocol.READ_SITTING,
    protocol.START: lambda _: protocol.PRESS_START,
    protocol.PAPER: Sitter.paper,
    protocol.SEALED: Sitter.sealed_paper,
    protocol.SUBMIT: Sitter.submit,
}


class Seat(asyncio.Protocol):
    """One candidate at their connection: what is due is sent when the connection is free, one request in flight."""

    __slots__ = (
        *("driver", "sitter", "transport", "buffer", "connecting", "flying", "sent_at"),
        *("due", "saves", "stops_at", "pressed", "troubles", "repeat"),
    )

    def __init__(self, driver: "Driver", sitter: Sitter) -> None:
        self.driver, self.sitter = driver, sitter
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.connecting = False
        self.flying = ""
        self.sent_at = 0.0
        self.due: deque[tuple[str, float]] = deque()
        self.saves: deque[float] = deque()
        """Intended moments of the answers above the watermark."""
        self.stops_at = math.inf
        self.pressed = 0.0
        self.troubles = 0
        self.repeat: asyncio.TimerHandle | None = None

    # Sending ------------------------------------------------------------------------------------------------------

    def ask(self, operation: str, intended: float) -> None:
        """Has something to ask for at this moment."""
        self.due.append((operation, intended))
        if not self.flying and self.repeat is None:
            self.driver.tally.lag.add(max(0.0, self.driver.now() - intended))
            self.send()

    def answer(self, intended: float) -> None:
        """Answers an item at this moment, and plans the next one."""
        if self.troubles >= MOST_TROUBLES:
            return
        self.saves.append(intended)
        self.sitter.write()
        after = intended + self.sitter.think()
        if after < self.stops_at:
            self.driver.at(after, self.answer)
        if not self.flying and self.repeat is None:
            self.driver.tally.lag.add(max(0.0, self.driver.now() - intended))
            self.send()

    def send(self) -> None:
        """Sends what is due, if anything is: steps in their order, then answers."""
        self.repeat = None
        if self.flying or self.connecting or (not self.due and not self.saves):
            return
        if self.transport is None or self.transport.is_closing():
            self.transport = None
            self.connecting = True
            self.driver.connect(self)
            return
        if self.due:
            self.flying = self.due[0][0]
            call = STEPS[self.flying](self.sitter)
        else:
            self.flying = protocol.SAVE
            call = self.sitter.save()
        self.sent_at = self.driver.now()
        self.transport.write(call.wire(self.driver.host, self.sitter.cookie))

    def trouble(self, why: str, pause: float = 1.0) -> None:
        """Counts a failure of what is in flight or due, and repeats it, as every request may be repeated."""
        operation = self.flying or (self.due[0][0] if self.due else protocol.SAVE)
        self.driver.tally.fail(operation, why)
        self.troubles += 1
        if self.troubles >= MOST_TROUBLES:
            self.driver.tally.fail(operation, "gave up")
            self.due.clear()
            self.saves.clear()
            self.flying = ""
            return
        self.later(pause)

    def later(self, pause: float) -> None:
        """Sends the same again after some seconds."""
        self.flying = ""
        if self.repeat is not None:
            self.repeat.cancel()
        self.repeat = self.driver.loop.call_later(pause, self.send)

    # The connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.connecting, self.buffer = cast(asyncio.Transport, transport), False, b""
        self.driver.connections += 1
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        self.driver.connections -= 1
        if self.connecting:  # a new one is on its way already
            return
        self.transport = None
        if self.flying:
            self.trouble("the connection was cut")
        elif not self.driver.closing:
            self.driver.tally.reconnects += 1

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        if not self.flying:
            self.driver.tally.fail("connection", "bytes that nobody asked for")
            return
        try:
            reply = read_reply(data)
        except ValueError as wrong:
            self.trouble(str(wrong))
            assert self.transport is not None
            self.transport.abort()
            return
        if reply is None:
            self.buffer = data
            return
        self.buffer = b""
        operation = self.flying
        try:
            self.sitter.took(operation, reply)
        except PutOff as later:
            self.driver.tally.put_off_one(operation)
            if operation in (protocol.SAVE, protocol.SUBMIT):
                self.trouble(f"put off: {later.why}", later.seconds)
            else:
                self.later(later.seconds)
            return
        except Unexpected as wrong:
            self.trouble(wrong.why)
            return
        self.flying, self.troubles = "", 0
        self.driver.answered += 1
        self.record(operation)
        self.send()

    def record(self, operation: str) -> None:
        """Counts what was answered, from the moment at which it should have been sent."""
        driver = self.driver
        now = driver.now()
        for _ in range(len(self.saves) - self.sitter.unsafe):
            intended = self.saves.popleft()
            driver.count(protocol.SAVE, intended, now)
        if operation != protocol.SAVE:
            _, intended = self.due.popleft()
            driver.count(operation, intended, now)
            self.next_step(operation, now)

    def next_step(self, operation: str, now: float) -> None:
        """What a candidate does after this answer."""
        driver, plan = self.driver, self.driver.plan
        opens_at = driver.local(plan.opens_at)
        if operation == protocol.LOGIN and not is_early(self.sitter.number, plan.early_every):
            driver.at(opens_at + FIRST_PRESS + driver.random.random() * plan.press_seconds, self.press)
            self.look_again(now)
            if self.sitter.sealed:
                # Spread over the waiting time: nobody is in a hurry.
                driver.at(now + driver.random.random() * max(0.0, opens_at - 2 - now), self.fetch_sealed)
        elif operation == protocol.SITTING:
            self.look_again(now)
        elif operation == protocol.LOGIN:
            self.press(now)
        elif operation == protocol.START and not self.sitter.sheet:
            self.ask(protocol.PAPER, now)
        elif operation in (protocol.START, protocol.PAPER):
            driver.count(QUESTION_1, self.pressed, now)
            self.begin(now)

    def look_again(self, now: float) -> None:
        """In the waiting room: reads the sitting after a while, unless the opening is near."""
        after = now + self.driver.plan.look_after * self.driver.random.uniform(0.8, 1.2)
        if after < self.driver.local(self.driver.plan.opens_at) - 5:
            self.driver.at(after, lambda intended: self.ask(protocol.SITTING, intended))

    def log_in(self, intended: float) -> None:
        """Comes in; who is seated has a session and a running attempt already, and only says so."""
        if self.driver.plan.seated:
            self.sitter.cookie = b"exam=%b" % token_of(self.sitter.number).hex().encode()
            self.press(intended)
        else:
            self.ask(protocol.LOGIN, intended)

    def fetch_sealed(self, intended: float) -> None:
        """Fetches what the start will open."""
        self.ask(protocol.SEALED, intended)

    def press(self, intended: float) -> None:
        """Presses Start."""
        self.pressed = intended
        self.ask(protocol.START, intended)

    def begin(self, now: float) -> None:
        """The paper is there: the first answer after a while, the last one before the end."""
        driver, plan = self.driver, self.driver.plan
        end = driver.local(plan.ends_at)
        self.stops_at = end - 0.1
        if driver.random.random() < plan.submit_share:
            self.stops_at = driver.random.uniform(driver.local(plan.submit_from), end - 0.5)
            driver.at(self.stops_at, self.hand_in)
        first = now + driver.random.random() * plan.thinks[1]
        if first < self.stops_at:
            driver.at(first, self.answer)

    def hand_in(self, intended: float) -> None:
        """Submits, with one more answer that travels with it."""
        if self.troubles < MOST_TROUBLES:
            self.sitter.write()
            self.saves.append(intended)
            self.ask(protocol.SUBMIT, intended)


class Driver:
    """All seats of one process, their clock and their tally."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.tally = plan, Tally()
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self._ahead = time.time() - self.loop.time()
        self._opens_at = self.local(plan.opens_at)
        self.random = random.Random(f"driver {plan.numbers[:1]}")
        self.host = b"127.0.0.1:%d" % plan.port
        self.connections = self.answered = 0
        self.closing = False
        self.seats = [Seat(self, Sitter(number, plan.thinks)) for number in plan.numbers]
        self._connecting: set[asyncio.Task[None]] = set()
        self.loop.set_exception_handler(self._defect)

    def _defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A defect of the driver's own makes the run fail, too."""
        defect = repr(context.get("exception") or context["message"])
        self.tally.fail("driver", f"a defect: {_ADDRESS.sub('…', defect)}")
        loop.default_exception_handler(context)

    def local(self, moment: float) -> float:
        """A Unix time on this loop's clock."""
        return moment - self._ahead

    def at(self, moment: float, act: Callable[[float], None]) -> None:
        """Calls `act(moment)` then."""
        self.loop.call_at(moment, act, moment)

    def count(self, operation: str, intended: float, now: float) -> None:
        self.tally.timeline.add(operation, math.floor(intended - self._opens_at), now - intended)

    def connect(self, seat: Seat) -> None:
        """Makes a seat's connection, from the local address that is its turn."""
        task = self.loop.create_task(self._connect(seat))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, seat: Seat) -> None:
        one = socket.socket()
        try:
            one.setblocking(False)
            # The port is chosen when the other side is known: one address can then have 28,000 for each server port.
            if sys.platform == "linux":
                one.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                one.bind((LOCAL_ADDRESSES[seat.sitter.number % len(LOCAL_ADDRESSES)], 0))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(PATIENCE):
                await self.loop.sock_connect(one, ("127.0.0.1", self.plan.port))
                await self.loop.create_connection(lambda: seat, sock=one)
        except (OSError, TimeoutError) as failure:
            one.close()
            seat.connecting = False
            seat.trouble(f"no connection: {type(failure).__name__}")

    async def run(self) -> Tally:
        """Carries the plan out; returns when the exam is over and everything has been answered."""
        plan = self.plan
        first, last = self.local(plan.log_in_from), self.local(plan.log_in_to)
        step = (last - first) / max(1, len(self.seats))
        for place, seat in enumerate(self.seats):
            self.at(first + (place + self.random.random()) * step, seat.log_in)
        end = self.local(plan.ends_at)
        second = math.floor(self.now() - self._opens_at)
        while self.now() < end + 0.5 or (
            self.now() < end + PATIENCE + 5 and any(s.flying or s.saves for s in self.seats)
        ):
            second += 1
            await asyncio.sleep(max(0.0, self._opens_at + second - self.now()))
            self._note(second)
        self.closing = True
        for seat in self.seats:
            for operation, _ in seat.due:
                self.tally.fail(operation, "never answered")
            if seat.saves:
                self.tally.fail(protocol.SAVE, "never answered")
            if seat.transport is not None:
                seat.flying = ""
                seat.transport.close()
        await asyncio.sleep(0.1)
        self.tally.accounts = [seat.sitter.account() for seat in self.seats]
        return self.tally

    def _note(self, second: int) -> None:
        self.tally.seconds.append(Second(second, time.process_time(), self.answered, self.connections))
        late = self.now() - PATIENCE
        for seat in self.seats:
            if seat.flying and seat.sent_at < late:
                seat.trouble(f"no answer within {PATIENCE:.0f} s")
                if seat.transport is not None:
                    seat.transport.abort()


async def drive(plan: Plan) -> Tally:
    """Carries a plan out in this process."""
    return await Driver(plan).run()


def main() -> None:
    """One process: the plan comes on standard input, the tally goes to standard output."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # macOS has a lower limit of the kernel's
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A collection over all seats would stop the schedule for a tenth of a second; there is next to nothing to collect.
    gc.disable()
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(drive(plan))))


if __name__ == "__main__":
    main()
