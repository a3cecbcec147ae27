"""An attempt's life: start, take-over, submit, the seal by the clock, and the receipt.

Each change is one statement that carries its own condition, or one short transaction that locks the attempt's row;
saves hold the same row shared, so that nothing can slip in between.
"""

import datetime as dt
import secrets
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from exam.answers import OLDEST, age_of, count_kept, final_answers, watermark_of
from exam.auth import CandidateSession
from exam.db import Again, Connection, Database, Group, Row, load
from exam.errors import (
    Ended,
    Gap,
    NotAllowed,
    NothingHere,
    NotStarted,
    OtherDevice,
    StaleDevice,
    TooEarly,
    TooLate,
    UnknownEpoch,
)
from exam.receipts import Receipt, Signer, make_receipt

(
    start_attempts,
    attempts_now,
    take_over,
    lock_to_submit,
    end_attempt,
    add_submission,
    seal_due,
    claim_unreceipted,
    write_receipts,
    find_receipt,
    find_booked,
    find_released,
    list_notices,
    latest_notices,
) = load(
    "attempts",
    "start_attempts",
    "attempts_now",
    "take_over",
    "lock_to_submit",
    "end_attempt",
    "add_submission",
    "seal_due",
    "claim_unreceipted",
    "write_receipts",
    "find_receipt",
    "find_booked",
    "find_released",
    "list_notices",
    "latest_notices",
)

SEALS_A_ROUND: Final = 5000
RECEIPTS_A_ROUND: Final = 500


class Start(msgspec.Struct, frozen=True):
    """One press of Start; `stamp` is the Unix time at which the load balancer had it."""

    district_id: int
    exam_day: dt.date
    attempt_id: int
    writer: bytes
    stamp: float
    by_code: bool


class Running(msgspec.Struct, frozen=True):
    """What the writer of a running attempt has to know."""

    epoch: int
    watermark: int
    started_at: dt.datetime
    deadline: dt.datetime
    grace_s: int
    form_hash: bytes
    seed: int
    slot_id: int


def _sat(session: CandidateSession) -> dict[str, Any]:
    """The key of the session's attempt. NothingHere where there is none yet."""
    if session.attempt_id is None:
        raise NothingHere("There is no exam prepared for you yet. Please speak to the invigilator.")
    return {"district_id": session.district_id, "day": session.exam_day, "attempt_id": session.attempt_id}


class Starts:
    """Starts in rounds, like the answer log: the rush at the opening costs what an ordinary second costs."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._group: Group[Start, Running] = Group(self._round, key=lambda start: start.attempt_id, bound=50_000)

    def __len__(self) -> int:
        return len(self._group)

    async def start(self, session: CandidateSession, stamp: float, *, by_code: bool) -> Running:
        """Starts the session's attempt, or says again how it was started.

        Raises TooEarly, TooLate, OtherDevice, or Ended.
        """
        key = _sat(session)
        return await self._group.add(
            Start(session.district_id, key["day"], key["attempt_id"], session.token_hash, stamp, by_code)
        )

    async def drain(self) -> None:
        await self._group.drain()

    async def _round(self, starts: list[Start]) -> list[Running | BaseException | Again]:
        by_day: dict[dt.date, list[Start]] = defaultdict(list)
        for start in starts:
            by_day[start.exam_day].append(start)
        held: set[int] = set()
        now: dict[int, Row] = {}
        async with self._db.saves.connection() as connection:
            for day, group in by_day.items():
                who: dict[str, Any] = {
                    "day": day,
                    "districts": [start.district_id for start in group],
                    "attempts": [start.attempt_id for start in group],
                }
                rows = await start_attempts.many(
                    connection,
                    **who,
                    writers=[start.writer for start in group],
                    ages=[age_of(start.stamp) for start in group],
                    by_codes=[start.by_code for start in group],
                )
                held.update(row["attempt_id"] for row in rows)
                now.update({row["attempt_id"]: row for row in await attempts_now.many(connection, **who)})
        return [_started(now[start.attempt_id], start) if start.attempt_id in held else Again() for start in starts]


def _started(row: Row, start: Start) -> Running | BaseException:
    if row["state"] == "prepared":
        arrived = time.time() - age_of(start.stamp)
        if start.by_code or arrived < row["opens_at"].timestamp():
            return TooEarly(opens_at=round(row["opens_at"].timestamp() * 1000))
        return TooLate()
    if row["state"] != "started":
        return Ended()
    if row["writer"] != start.writer:
        return OtherDevice(takeovers_left=row["takeovers_left"])
    return _running(row)


def _running(row: Row) -> Running:
    return Running(
        row["epoch"],
        row["watermark"],
        row["started_at"],
        row["deadline"],
        row["grace_s"],
        row["form_hash"],
        row["seed"],
        row["slot_id"],
    )


async def take_over_attempt(db: Database, session: CandidateSession) -> Running:
    """Makes this session the writer under the next epoch. NotStarted, NotAllowed or Ended."""
    key = _sat(session)
    async with db.web.transaction() as connection:
        changed = await take_over.run(connection, **key, writer=session.token_hash)
        row = await now_of(connection, session)
    if not changed:
        if row["state"] == "prepared":
            raise NotStarted
        if row["state"] != "started":
            raise Ended
        raise NotAllowed("The device was changed too often. The invigilator can allow another change.")
    return _running(row)


async def now_of(connection: Connection, session: CandidateSession) -> Row:
    """The session's attempt as it is now; NothingHere where there is none."""
    key = _sat(session)
    rows = await attempts_now.many(
        connection, day=key["day"], districts=[key["district_id"]], attempts=[key["attempt_id"]]
    )
    if not rows:
        raise NothingHere
    return rows[0]


async def submit(
    db: Database, session: CandidateSession, signer: Signer, epoch: int, last_seq: int
) -> tuple[str, Receipt | None]:
    """Ends the attempt if everything up to `last_seq` is held; its state and receipt, the same again if it had ended.

    The receipt is None for the moments in which a sealed attempt's is still being made. Raises Gap, NotStarted,
    StaleDevice or UnknownEpoch.
    """
    key = _sat(session)
    async with db.saves.transaction() as connection:
        row = await lock_to_submit.one_or_none(connection, **key)
        if row is None:
            raise NothingHere
        if row["state"] == "prepared":
            raise NotStarted
        if row["state"] != "started":
            return row["state"], await receipt_of(connection, session)
        if epoch > row["epoch"]:
            raise UnknownEpoch
        if epoch < row["epoch"]:
            raise StaleDevice
        held = (await watermark_of.one(connection, **key, epoch=epoch))["watermark"]
        if held != last_seq:
            raise Gap(watermark=held)
        rows = await final_answers.many(
            connection, day=key["day"], districts=[key["district_id"]], attempts=[key["attempt_id"]]
        )
        receipt = make_receipt(signer, row["form_hash"], secrets.token_bytes(16), rows)
        await end_attempt.run(connection, **key)
        await add_submission.run(
            connection,
            **key,
            slot_id=row["slot_id"],
            form_hash=row["form_hash"],
            salt=receipt.salt,
            digest=receipt.digest,
            signature=receipt.signature,
            key_id=receipt.key_id,
            answered=receipt.answered,
        )
        return "submitted", await receipt_of(connection, session)


async def receipt_of(connection: Connection, session: CandidateSession) -> Receipt | None:
    """The receipt of the session's attempt; None before its end, and for the moments until a sealed one is made."""
    row = await find_receipt.one_or_none(connection, **_sat(session))
    if row is None or row["digest"] is None:
        return None
    return Receipt(**dict(row))


async def seal(db: Database) -> int:
    """Ends by the clock every attempt that has run out, in bulk; how many."""
    sealed = 0
    while True:
        async with db.grading.connection() as connection:
            done = await seal_due.run(connection, oldest=OLDEST, most=SEALS_A_ROUND)
        sealed += done
        if done < SEALS_A_ROUND:
            return sealed


async def receipt_sealed(db: Database, signer: Signer) -> int:
    """Makes the receipts of sealed attempts, in bulk; how many."""
    made = 0
    while True:
        async with db.grading.transaction() as connection:
            claimed = await claim_unreceipted.many(connection, most=RECEIPTS_A_ROUND)
            if not claimed:
                return made
            day = claimed[0]["exam_day"]
            finals = await finals_of(connection, day, claimed)
            receipts = [
                make_receipt(signer, row["form_hash"], row["salt"], finals[row["attempt_id"]]) for row in claimed
            ]
            made += await write_receipts.run(
                connection,
                day=day,
                key_id=signer.key_id,
                districts=[row["district_id"] for row in claimed],
                attempts=[row["attempt_id"] for row in claimed],
                digests=[receipt.digest for receipt in receipts],
                signatures=[receipt.signature for receipt in receipts],
                answered=[receipt.answered for receipt in receipts],
            )


async def finals_of(connection: Connection, day: dt.date, attempts: Sequence[Row]) -> dict[int, list[Row]]:
    """The counted answers of many attempts of one day, by attempt."""
    rows = await final_answers.many(
        connection,
        day=day,
        districts=sorted({row["district_id"] for row in attempts}),
        attempts=[row["attempt_id"] for row in attempts],
    )
    finals: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        finals[row["attempt_id"]].append(row)
    return finals


class Sitting(msgspec.Struct, frozen=True):
    """Everything that a page needs to show or resume an attempt; rows as the statements return them."""

    booked: Row
    attempt: Row | None
    answers: list[Row]
    kept: int
    receipt: Receipt | None
    result: Row | None


async def sitting_of(db: Database, session: CandidateSession) -> Sitting:
    """The session's sitting as it is now. NothingHere without a booking."""
    if session.slot_id is None:
        raise NothingHere("No exam is booked for you. Please ask your district office.")
    async with db.web.connection() as connection:
        booked = await find_booked.one_or_none(
            connection,
            district_id=session.district_id,
            candidate_id=session.candidate_id,
            slot_id=session.slot_id,
            form_hash=session.form_hash,
        )
        if booked is None:
            raise NothingHere
        if session.attempt_id is None:
            return Sitting(booked, None, [], 0, None, None)
        key = _sat(session)
        row = await now_of(connection, session)
        if row["state"] == "prepared":
            return Sitting(booked, row, [], 0, None, None)
        answers = await final_answers.many(
            connection, day=key["day"], districts=[key["district_id"]], attempts=[key["attempt_id"]]
        )
        kept = (await count_kept.one(connection, **key))["kept"]
        receipt = None if row["state"] == "started" else await receipt_of(connection, session)
        result = await find_released.one_or_none(connection, **key) if row["state"] == "released" else None
        return Sitting(booked, row, answers, kept, receipt, result)


class Notices:
    """The number of each slot's latest announcement, read every second or so: acknowledgements carry it for nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._latest: dict[int, int] = {}

    def latest(self, slot_id: int) -> int:
        return self._latest.get(slot_id, 0)

    async def refresh(self) -> None:
        async with self._db.web.connection() as connection:
            self._latest = {row["slot_id"]: row["latest"] for row in await latest_notices.many(connection)}
