"""The candidates of the history checker: they do on purpose what goes wrong by accident.

They answer, revise, repeat and reorder saves, write from two tabs and two devices, submit twice and while a save is
under way, go on after the end, and aim at the last moment. What they do is drawn from the run's seed; what comes of it
is in their logs.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec

from loadtest.device import Device, Head, Log, Reply, Sent, digest_of
from loadtest.faulty_hall import RESPONSES, Booked
from loadtest.reference import canonical

Ending = Literal["submit", "edge", "clock", "race"]


class Party(msgspec.Struct):
    """What the candidates of a run share."""

    seed: int
    port: int
    folder: Path
    think: float
    """Mean seconds between two acts."""
    endings: dict[Ending, float]
    stop: asyncio.Event
    give_up: float
    """Seconds after the run's end in which a candidate still tries to bring in what is not safe."""
    sitting: set[int] = msgspec.field(default_factory=set)
    """Attempts that run now."""
    acknowledged: int = 0
    unfinished: list[int] = msgspec.field(default_factory=list)
    """Attempts whose candidates had to give up."""
    absent: list["Sitter"] = msgspec.field(default_factory=list)
    """Who left the end to the clock; they come back at the end of the run and look."""
    stopped_at: float = float("inf")


class GaveUp(Exception):
    """Nothing came back for too long."""


class Sitter:
    """One candidate, one attempt."""

    def __init__(self, party: Party, client: int, booked: Booked) -> None:
        self._party, self._booked = party, booked
        self._random = Random(f"{party.seed}/{booked.attempt_id}")
        self._log = Log(party.folder, Head(party.seed, client, booked.attempt_id))
        self._devices = 0
        self._writer = self._new_device()
        self._epoch = 0
        self._journal: dict[int, Sent] = {}
        self._watermark = 0
        self._deadline = self._grace = 0.0
        self._form = ""
        self._ended = self._absent = False

    def _new_device(self) -> Device:
        self._devices += 1
        return Device(self._log, self._devices, self._party.port, self._random.choice((2.5, 6.0, 12.0)))

    # A sitting --------------------------------------------------------------------------------------------------

    async def sit(self) -> None:
        """From the log-in to the end; GaveUp leaves the attempt to the clock."""
        party, attempt_id = self._party, self._booked.attempt_id
        (ending,) = self._random.choices(list(party.endings), list(party.endings.values()))
        try:
            await self._log_in(self._writer)
            await self._start()
            party.sitting.add(attempt_id)
            await self._paper()
            leave = time.time() + self._random.uniform(0.4, 0.95) * self._booked.duration_s
            while not self._ended and not party.stop.is_set():
                if time.time() > (leave if ending in ("submit", "race") else self._limit - 0.7):
                    break
                await self._act()
                await asyncio.sleep(self._random.expovariate(1 / party.think))
            if party.stop.is_set() and self._limit - time.time() > 5 and ending != "race":
                ending = "submit"
            await self._end(ending)
        except GaveUp:
            party.unfinished.append(attempt_id)
        finally:
            party.sitting.discard(attempt_id)
            party.acknowledged += self._log.acknowledged
            self._writer.hang_up()
            if not self._absent:
                self._log.close()

    @property
    def _limit(self) -> float:
        return self._deadline + self._grace

    async def _log_in(self, device: Device) -> None:
        body = {"registration": self._booked.registration, "code": self._booked.code}
        reply = await self._until_answered(lambda: device.ask("login", body))
        if reply.outcome != "ok":
            raise GaveUp

    async def _start(self) -> None:
        reply = await self._until_answered(lambda: self._writer.ask("start", {}))
        if reply.error == "other_device":
            await self._take_over()
        elif reply.outcome == "ok":
            self._begin(reply)
        else:
            raise GaveUp

    def _begin(self, reply: Reply) -> None:
        self._epoch, self._watermark = reply.body["epoch"], reply.body["watermark"]
        self._form = reply.body["form"]
        self._deadline, self._grace = reply.body["deadline"] / 1000, reply.body["grace_ms"] / 1000

    async def _paper(self) -> None:
        await self._until_answered(lambda: self._writer.ask("paper", path=self._form))

    async def _act(self) -> None:
        acts: dict[Callable[[], Awaitable[None]], float] = {
            self._answer: 70,
            self._repeat: 8,
            self._reorder: 6,
            self._two_tabs: 2,
            self._second_device: 3,
            self._read: 6,
        }
        (act,) = self._random.choices(list(acts), list(acts.values()))
        await act()

    # Acts -------------------------------------------------------------------------------------------------------

    def _row(self, seq: int, item: int | None = None) -> Sent:
        if item is None:
            item = 0 if self._random.random() < 0.02 else self._random.choice(list(RESPONSES))
        response = canonical(self._random.choice(RESPONSES[item]) if item else None)
        flag = self._random.random() < 0.2
        return Sent(seq, item, response, flag, digest_of(item, response, flag))

    def _write(self, count: int) -> list[Sent]:
        """New rows for the journal; now and then an item twice, as somebody does who changes their mind."""
        rows: list[Sent] = []
        for _ in range(count):
            again = rows[-1].item if rows and rows[-1].item and self._random.random() < 0.5 else None
            rows.append(self._row(len(self._journal) + 1, again))
            self._journal[rows[-1].seq] = rows[-1]
        return rows

    async def _answer(self) -> None:
        self._write(self._random.choice((1, 1, 1, 2, 3)))
        await self._bring_in()

    async def _repeat(self) -> None:
        """What is safe already is sent again: a duplicate that somebody on the way has made."""
        if self._watermark:
            first = self._random.randint(max(1, self._watermark - 8), self._watermark)
            rows = [self._journal[seq] for seq in range(first, self._watermark + 1) if seq in self._journal]
            if rows:
                self._acknowledged(await self._save(self._writer, self._epoch, rows))

    async def _reorder(self) -> None:
        """Two requests at once, the later one first."""
        first, second = self._write(self._random.randint(1, 3)), self._write(self._random.randint(1, 3))
        twin = self._writer.twin()
        later = asyncio.create_task(self._save(twin, self._epoch, second))
        await asyncio.sleep(self._random.choice((0, 0.001, 0.004, 0.02)))
        replies = await asyncio.gather(self._save(self._writer, self._epoch, first), later)
        twin.hang_up()
        for reply in replies:
            self._acknowledged(reply)
        await self._bring_in()

    async def _two_tabs(self) -> None:
        """Two tabs give the same number to different rows; one of them is refused and takes over."""
        (row,) = self._write(1)
        other = self._row(row.seq)
        twin = self._writer.twin()
        replies = await asyncio.gather(
            self._save(self._writer, self._epoch, [row]), self._save(twin, self._epoch, [other])
        )
        twin.hang_up()
        if "conflict" in {reply.error for reply in replies}:
            await self._take_over()
        else:
            self._acknowledged(replies[0])
        await self._bring_in()

    async def _second_device(self) -> None:
        """The sitting goes on at another device, and the old one does not know it yet."""
        old, old_epoch, old_seq = self._writer, self._epoch, len(self._journal) + 1
        new = self._new_device()
        await self._log_in(new)
        self._writer = new
        await self._take_over()
        if not self._ended and self._random.random() < 0.7:
            await self._save(old, old_epoch, [self._row(old_seq)])
            await self._bring_in()
        old.hang_up()

    async def _read(self) -> None:
        await self._writer.ask("sitting")

    # Saving until it is safe ------------------------------------------------------------------------------------

    async def _save(self, device: Device, epoch: int, rows: Sequence[Sent]) -> Reply:
        body = {"epoch": epoch, "answers": [_plain(row) for row in rows]}
        return await device.ask("save", body, epoch=epoch, rows=list(rows))

    def _acknowledged(self, reply: Reply) -> None:
        if reply.outcome == "ok":
            self._watermark = max(self._watermark, reply.body["watermark"])
            self._deadline = reply.body["deadline"] / 1000
            reasons = {row["reason"] for row in reply.body.get("kept", [])}
            self._ended = self._ended or "closed" in reasons
        elif reply.error == "gap":
            self._watermark = reply.body["watermark"]

    @property
    def _unsafe(self) -> list[Sent]:
        return [row for seq, row in sorted(self._journal.items()) if seq > self._watermark]

    async def _bring_in(self) -> None:
        """Sends what is above the watermark until all of it is held, or the attempt has ended."""
        while self._unsafe and not self._ended:
            rows = self._unsafe[: self._random.choice((1, 3, 20, 100))]
            reply = await self._until_answered(lambda rows=rows: self._save(self._writer, self._epoch, rows))  # type: ignore[misc]
            if reply.outcome == "ok":
                self._acknowledged(reply)
                stale = any(row["reason"] == "stale_device" for row in reply.body.get("kept", []))
                if stale and not self._ended:
                    await self._take_over()
            elif reply.error == "gap":
                self._acknowledged(reply)
                await self._breathe()
            elif reply.error in ("conflict", "unknown_epoch"):
                await self._take_over()
            elif reply.error == "no_session":
                await self._log_in(self._writer)
            elif reply.error == "not_started":
                await self._start()
            else:
                raise GaveUp

    async def _take_over(self) -> None:
        """The next epoch; rows that are not safe are written again in it."""
        unsafe = self._unsafe
        reply = await self._until_answered(lambda: self._writer.ask("takeover", {}))
        if reply.error == "ended":
            self._ended = True
        elif reply.error == "no_session":
            await self._log_in(self._writer)
            await self._take_over()
        elif reply.outcome != "ok":
            raise GaveUp
        else:
            self._begin(reply)
            again = [msgspec.structs.replace(row, seq=seq) for seq, row in enumerate(unsafe, start=1)]
            self._journal = {row.seq: row for row in again}

    def _still_trying(self) -> None:
        if time.time() > self._party.stopped_at + self._party.give_up:
            raise GaveUp

    async def _breathe(self) -> None:
        self._still_trying()
        await asyncio.sleep(self._random.uniform(0, 0.03))

    async def _until_answered(self, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """The same request until there is a definite answer."""
        while True:
            reply = await ask()
            if reply.status and reply.outcome != "unknown" and reply.error != "wait":
                return reply
            self._still_trying()
            await asyncio.sleep(self._random.uniform(0.02, 0.4))

    # The end ----------------------------------------------------------------------------------------------------

    async def _end(self, ending: Ending) -> None:
        if ending in ("edge", "clock"):
            await self._edge()
        if ending == "clock" and not self._ended:
            self._absent = True
            self._party.absent.append(self)
            return
        await self._bring_in()
        if ending == "race":
            await self._race()
        await self._submit()
        if self._random.random() < 0.4:
            self._write(1)
            await self._save(self._writer, self._epoch, [self._journal[len(self._journal)]])
            if self._watermark and 1 in self._journal:
                await self._save(self._writer, self._epoch, [self._journal[1]])
        if self._random.random() < 0.3:
            await self._submit()
            await self._read()

    async def _edge(self) -> None:
        """Saves around the last moment, from somewhat before it until surely after."""
        await asyncio.sleep(max(0.0, self._limit - 0.6 - time.time()))
        while not self._ended and time.time() < self._limit + 0.6:
            self._still_trying()
            self._write(1)
            reply = await self._save(self._writer, self._epoch, self._unsafe[:100])
            self._acknowledged(reply)
            if reply.error in ("conflict", "unknown_epoch", "no_session", "not_started"):
                await self._bring_in()
            near = abs(time.time() - self._limit) < 0.15
            await asyncio.sleep(self._random.uniform(0, 0.015) if near else self._random.uniform(0.02, 0.12))

    async def _race(self) -> None:
        """A save and two submits at the same moment."""
        last = len(self._journal)
        row = self._write(1)
        tabs = [self._writer.twin() for _ in range(3)]
        ending = {"epoch": self._epoch, "last_seq": last}

        async def submit(tab: Device) -> Reply:
            await asyncio.sleep(self._random.choice((0, 0, 0.002, 0.005, 0.01, 0.03)))
            return await tab.ask("submit", ending, epoch=self._epoch, last_seq=last)

        saved, *_ = await asyncio.gather(
            self._save(tabs[0], self._epoch, row), submit(tabs[1]), submit(tabs[2])
        )  # fmt: skip
        self._acknowledged(saved)
        for tab in tabs:
            tab.hang_up()

    async def _submit(self) -> None:
        while True:
            rows, last = self._unsafe[:100], len(self._journal)
            body: dict[str, Any] = {"epoch": self._epoch, "last_seq": last, "answers": [_plain(row) for row in rows]}

            def ask(body: dict[str, Any] = body, rows: list[Sent] = rows, last: int = last) -> Awaitable[Reply]:
                return self._writer.ask("submit", body, epoch=self._epoch, last_seq=last, rows=rows)

            reply = await self._until_answered(ask)
            if reply.outcome == "ok":
                self._ended = True
                return
            await self._breathe()
            if reply.error == "gap":
                self._watermark = reply.body["watermark"]
                # More is held than this page knows of: a row of the other tab. It counts, so it is part of the end.
                for seq in range(len(self._journal) + 1, self._watermark + 1):
                    self._journal[seq] = self._row(seq)
            elif reply.error in ("conflict", "unknown_epoch", "stale_device"):
                await self._take_over()
                if not self._ended:
                    await self._bring_in()
            elif reply.error == "no_session":
                await self._log_in(self._writer)
            elif reply.error == "not_started":
                await self._start()
            else:
                raise GaveUp

    async def come_back(self) -> None:
        """After the end by the clock: what does the server say now?"""
        with contextlib.suppress(GaveUp):
            await self._until_answered(lambda: self._writer.ask("sitting"))
        self._writer.hang_up()
        self._log.close()


def _plain(row: Sent) -> dict[str, Any]:
    response = msgspec.Raw(row.response.encode())
    return {"seq": row.seq, "item": row.item, "response": response, "flag": row.flag, "at": int(time.time() * 1000)}


async def seat(party: Party, client: int, waiting: list[Booked]) -> None:
    """One place in the hall: candidate after candidate, until the run stops."""
    await asyncio.sleep(client * 0.05)
    while waiting and not party.stop.is_set():
        await Sitter(party, client, waiting.pop()).sit()
