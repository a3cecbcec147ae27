"""An attempt's beginning and its devices: start and take-over.

Each is a statement that carries its own condition; saves hold the same row shared, so nothing can slip in between.
"""

import asyncio
import datetime as dt
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from exam.answers import age_of
from exam.auth import CandidateSession
from exam.db import Again, Connection, Database, Group, Row, Rows, load
from exam.errors import Ended, NotAllowed, NothingHere, NotStarted, OtherDevice, TooEarly, TooLate

start_attempts, attempts_now, note_takeover, take_over, find_begun = load(
    "attempts", "start_attempts", "attempts_now", "note_takeover", "take_over", "find_begun"
)


class Start(msgspec.Struct, frozen=True):
    """One press of Start; `stamp` is the Unix time at which the load balancer had it."""

    district_id: int
    exam_day: dt.date
    attempt_id: int
    writer: bytes
    stamp: float
    by_code: bool
    proved: bool = False
    """Whether who began by code has shown what was in the envelope."""


class Running(msgspec.Struct, frozen=True):
    """What the writer of a running attempt has to know."""

    epoch: int
    watermark: int
    started_at: dt.datetime
    deadline: dt.datetime
    section_ends: list[dt.datetime] | None
    """Where sections have their own time; each is open from the end of the one before."""
    grace_s: int
    form_hash: bytes
    seed: int
    slot_id: int


class Attempt(msgspec.Struct, frozen=True):
    """The key of an attempt."""

    district_id: int
    exam_day: dt.date
    attempt_id: int


def sat(session: CandidateSession) -> Attempt:
    """The attempt of a session. NothingHere where none has been prepared yet."""
    if session.attempt_id is None or session.exam_day is None:
        raise NothingHere("There is no exam prepared for you yet. Please speak to the invigilator.")
    return Attempt(session.district_id, session.exam_day, session.attempt_id)


def by_day(entries: Sequence[Any]) -> dict[dt.date, list[Any]]:
    """Entries by their day: the day is a plain parameter of each statement, so that only its partitions are opened."""
    days: dict[dt.date, list[Any]] = defaultdict(list)
    for entry in entries:
        days[entry.exam_day].append(entry)
    return days


def keys(day: dt.date, entries: Sequence[Any]) -> dict[str, Any]:
    """The parameters that name these attempts of one day."""
    return {
        "day": day,
        "districts": [entry.district_id for entry in entries],
        "attempts": [entry.attempt_id for entry in entries],
    }


class Starts:
    """Starts in rounds, like the answer log: the rush at the opening costs what an ordinary second costs."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._group: Group[Start, Running] = Group(self._round, key=lambda start: start.attempt_id, bound=50_000)
        self._asking: Group[Attempt, bool] = Group(self._look, gather=0.002, bound=50_000)
        self._begun: set[int] = set()

    def __len__(self) -> int:
        return len(self._group)

    async def start(
        self, session: CandidateSession, stamp: float, *, by_code: bool = False, proved: bool = False
    ) -> Running:
        """Starts the session's attempt, or says again how it was started.

        Raises TooEarly, TooLate, OtherDevice or Ended.
        """
        key = sat(session)
        start = Start(key.district_id, key.exam_day, key.attempt_id, session.token_hash, stamp, by_code, proved)
        running = await self._group.add(start)
        self._remember(key.attempt_id)
        return running

    async def begun(self, session: CandidateSession) -> bool:
        """Whether the session's attempt has been started. It never becomes unstarted, so a yes is remembered."""
        key = sat(session)
        if key.attempt_id in self._begun:
            return True
        if await self._asking.add(key):
            self._remember(key.attempt_id)
            return True
        return False

    def _remember(self, attempt_id: int) -> None:
        if len(self._begun) >= 200_000:
            self._begun.clear()
        self._begun.add(attempt_id)

    async def drain(self) -> None:
        await asyncio.gather(self._group.drain(), self._asking.drain())

    async def _look(self, attempts: list[Attempt]) -> list[bool | BaseException | Again]:
        begun: set[int] = set()
        async with self._db.web.connection() as connection:
            for day, group in by_day(attempts).items():
                begun |= {row["attempt_id"] for row in await find_begun.many(connection, **keys(day, group))}
        return [attempt.attempt_id in begun for attempt in attempts]

    async def _round(self, starts: list[Start]) -> list[Running | BaseException | Again]:
        found: dict[int, Running | BaseException | Again] = {}
        async with self._db.saves.connection() as connection:
            for day, group in by_day(starts).items():
                rows = await start_attempts.many(
                    connection,
                    **keys(day, group),
                    writers=[start.writer for start in group],
                    ages=[age_of(start.stamp) for start in group],
                    by_codes=[start.by_code for start in group],
                    proved=[start.proved for start in group],
                )
                started = {row["attempt_id"]: _running(row, 0) for row in rows if row["epoch"] is not None}
                held = {row["attempt_id"] for row in rows}
                doubtful = [start for start in group if start.attempt_id in held and start.attempt_id not in started]
                found |= started
                if doubtful:
                    now = {row["attempt_id"]: row for row in await attempts_now.many(connection, **keys(day, doubtful))}
                    found |= {start.attempt_id: _not_started(now[start.attempt_id], start) for start in doubtful}
        return [found.get(start.attempt_id, Again()) for start in starts]


def _not_started(row: Row, start: Start) -> Running | BaseException | Again:
    """Why a start changed nothing: too early, too late, or started before; Again if the row changed meanwhile."""
    if row["state"] == "prepared":
        arrived = time.time() - age_of(start.stamp)
        if (time.time() if start.by_code else arrived) < row["opens_at"].timestamp():
            return TooEarly(opens_at=round(row["opens_at"].timestamp() * 1000))
        if arrived > row["closes_at"].timestamp() and not (start.by_code and start.proved):
            return TooLate()
        return Again()
    if row["state"] != "started":
        return Ended()
    if row["writer"] != start.writer:
        return OtherDevice(takeovers_left=row["takeovers_left"])
    return _running(row, row["watermark"])


def _running(row: Row, watermark: int) -> Running:
    return Running(
        row["epoch"],
        watermark,
        row["started_at"],
        row["deadline"],
        row["section_ends"],
        row["grace_s"],
        row["form_hash"],
        row["seed"],
        row["slot_id"],
    )


async def take_over_attempt(db: Database, session: CandidateSession) -> Running:
    """Makes this session the writer under the next epoch. NotStarted, NotAllowed or Ended."""
    key = sat(session)
    which = {"district_id": key.district_id, "day": key.exam_day, "attempt_id": key.attempt_id}
    async with db.web.transaction() as connection:
        await note_takeover.run(connection, **which, writer=session.token_hash)
        changed = await take_over.run(connection, **which, writer=session.token_hash)
        rows = await now_of(connection, key.exam_day, [key])
        if not rows:
            raise NothingHere
        if not changed:  # and nothing stays noted
            if rows[0]["state"] == "prepared":
                raise NotStarted
            if rows[0]["state"] != "started":
                raise Ended
            raise NotAllowed("The device was changed too often. The invigilator can allow another change.")
    return _running(rows[0], rows[0]["watermark"])


async def now_of(connection: Connection, day: dt.date, attempts: Sequence[Any]) -> Rows:
    """Attempts of one day as they are now, with the watermark of their epoch."""
    return await attempts_now.many(connection, **keys(day, attempts))
