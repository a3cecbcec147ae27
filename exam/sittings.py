"""Sittings: everything that a page needs to show or resume an attempt; and the announcements for its slot.

Those who load at the same moment are read together: after an outage or at a log-in rush a hall asks all at once.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec

from exam.attempts import by_day, keys, now_of
from exam.auth import CandidateSession
from exam.db import Again, Connection, Database, Group, Row, load
from exam.errors import NothingHere
from exam.receipts import Receipt
from exam.submissions import finals_of, receipts_of

list_booked, count_kept, find_released, list_notices, latest_notices = load(
    "sittings", "list_booked", "count_kept", "find_released", "list_notices", "latest_notices"
)

A_ROUND: Final = 100


class Sitting(msgspec.Struct, frozen=True):
    """One candidate's sitting; rows as the statements return them. `attempt` is None before the pin."""

    booked: Row
    attempt: Row | None
    answers: list[Row]
    kept: int
    receipt: Receipt | None
    result: Row | None


class Sittings:
    """Reads sittings in rounds."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._group: Group[CandidateSession, Sitting] = Group(self._round, gather=0.002, most=A_ROUND)

    async def of(self, session: CandidateSession) -> Sitting:
        """The session's sitting as it is now. NothingHere without a booking."""
        if session.slot_id is None:
            raise NothingHere("No exam is booked for you. Please ask your district office.")
        return await self._group.add(session)

    async def drain(self) -> None:
        """Waits until everybody who asked has been answered."""
        await self._group.drain()

    async def _round(self, sessions: list[CandidateSession]) -> list[Sitting | BaseException | Again]:
        async with self._db.web.connection() as connection:
            rows = await list_booked.many(
                connection,
                districts=[session.district_id for session in sessions],
                candidates=[session.candidate_id for session in sessions],
                slots=[session.slot_id for session in sessions],
                forms=[session.form_hash for session in sessions],
            )
            booked = {row["candidate_id"]: row for row in rows}
            found: dict[bytes, Sitting] = {}
            prepared = [one for one in sessions if one.attempt_id is not None and one.candidate_id in booked]
            for day, group in by_day(prepared).items():
                for session, sitting in zip(group, await _sat(connection, day, group, booked), strict=True):
                    found[session.token_hash] = sitting
        return [
            found.get(session.token_hash)
            or (
                Sitting(booked[session.candidate_id], None, [], 0, None, None)
                if session.candidate_id in booked
                else NothingHere()
            )
            for session in sessions
        ]


async def _sat(
    connection: Connection, day: dt.date, sessions: Sequence[CandidateSession], booked: dict[int, Row]
) -> list[Sitting]:
    """The sittings of sessions that have an attempt on one day; what nobody of them can have is not asked for."""
    now = {row["attempt_id"]: row for row in await now_of(connection, day, sessions)}

    def those(*states: str) -> list[CandidateSession]:
        return [one for one in sessions if now[one.attempt_id or 0]["state"] in states]

    begun = [one for one in sessions if now[one.attempt_id or 0]["state"] != "prepared"]
    ended = those("submitted", "sealed", "graded", "released")
    released = those("released")
    answers = await finals_of(connection, day, begun) if begun else {}
    kept, results = {}, {}
    if begun:
        kept = {row["attempt_id"]: row["kept"] for row in await count_kept.many(connection, **keys(day, begun))}
    receipts = await receipts_of(connection, day, ended) if ended else {}
    if released:
        results = {row["attempt_id"]: row for row in await find_released.many(connection, **keys(day, released))}
    return [
        Sitting(
            booked[one.candidate_id],
            now[one.attempt_id or 0],
            answers.get(one.attempt_id or 0, []),
            kept.get(one.attempt_id, 0),
            receipts.get(one.attempt_id or 0),
            results.get(one.attempt_id),
        )
        for one in sessions
    ]


class Notices:
    """The number of each slot's latest announcement, read every second or so: acknowledgements carry it for nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._latest: dict[int, int] = {}

    def latest(self, slot_id: int | None) -> int:
        """The number of a slot's latest announcement; 0 where there is none."""
        return self._latest.get(slot_id or 0, 0)

    async def refresh(self) -> None:
        """Reads them all anew."""
        async with self._db.web.connection() as connection:
            self._latest = {row["slot_id"]: row["latest"] for row in await latest_notices.many(connection)}
