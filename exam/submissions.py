"""The end of an attempt: submitted by the candidate or sealed by the clock; one submission, one receipt.

Submits run in rounds like saves: the attempts of a round are locked in one statement, what counts is read under the
lock, and ends, submissions and receipts are written in one more.
"""

import datetime as dt
import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from exam.answers import OLDEST, final_answers
from exam.attempts import by_day, keys, sat
from exam.auth import CandidateSession
from exam.db import Again, Connection, Database, Group, Row, load
from exam.errors import Gap, NotStarted, Refusal, StaleDevice, UnknownEpoch
from exam.receipts import Receipt, Signer, make_receipt

(
    lock_to_submit,
    watermarks_of,
    submit_attempts,
    find_receipts,
    seal_due,
    claim_unreceipted,
    write_receipts,
    find_public_receipt,
) = load(
    "submissions",
    "lock_to_submit",
    "watermarks_of",
    "submit_attempts",
    "find_receipts",
    "seal_due",
    "claim_unreceipted",
    "write_receipts",
    "find_public_receipt",
)

SEALS_A_ROUND: Final = 5000
RECEIPTS_A_ROUND: Final = 500


class Submit(msgspec.Struct, frozen=True):
    """One press of Submit, whose answers are saved already; `last_seq` is the highest ever sent in this epoch."""

    district_id: int
    exam_day: dt.date
    attempt_id: int
    epoch: int
    last_seq: int


class Submitted(msgspec.Struct, frozen=True):
    """How the attempt has ended; the receipt is None for the moments in which a sealed one's is still being made."""

    state: str
    receipt: Receipt | None


class Submissions:
    """Submits in rounds, one after the other in each worker."""

    def __init__(self, db: Database, signer: Signer) -> None:
        self._db, self._signer = db, signer
        self._group: Group[Submit, Submitted] = Group(self._round, key=lambda submit: submit.attempt_id)

    async def submit(self, session: CandidateSession, epoch: int, last_seq: int) -> Submitted:
        """Ends the attempt if everything up to `last_seq` is held; says the same again if it has ended.

        Raises Gap, NotStarted, StaleDevice or UnknownEpoch.
        """
        key = sat(session)
        return await self._group.add(Submit(key.district_id, key.exam_day, key.attempt_id, epoch, last_seq))

    async def drain(self) -> None:
        """Waits until every submit that was accepted has been answered."""
        await self._group.drain()

    async def _round(self, submits: list[Submit]) -> list[Submitted | BaseException | Again]:
        found: dict[int, Submitted | BaseException | Again] = {}
        for day, group in by_day(submits).items():
            async with self._db.saves.transaction() as connection:
                found |= await self._end(connection, day, group)
        return [found[submit.attempt_id] for submit in submits]

    async def _end(
        self, connection: Connection, day: dt.date, submits: list[Submit]
    ) -> dict[int, Submitted | BaseException | Again]:
        locked = {row["attempt_id"]: row for row in await lock_to_submit.many(connection, **keys(day, submits))}
        running = [one for one in submits if one.attempt_id in locked and _runs(locked[one.attempt_id], one)]
        found: dict[int, Submitted | BaseException | Again] = {}
        ready: list[Submit] = []
        if running:
            epochs = [submit.epoch for submit in running]
            rows = await watermarks_of.many(connection, **keys(day, running), epochs=epochs)
            held = {row["attempt_id"]: row["watermark"] for row in rows}
            ready = [one for one in running if held[one.attempt_id] == one.last_seq]
            found |= {
                one.attempt_id: Gap(watermark=held[one.attempt_id])
                for one in running
                if held[one.attempt_id] != one.last_seq
            }
        if ready:
            finals = await finals_of(connection, day, ready)
            receipts = [
                make_receipt(
                    self._signer, locked[one.attempt_id]["form_hash"], secrets.token_bytes(16), finals[one.attempt_id]
                )
                for one in ready
            ]
            rows = await submit_attempts.many(
                connection,
                **keys(day, ready),
                key_id=self._signer.key_id,
                salts=[receipt.salt for receipt in receipts],
                digests=[receipt.digest for receipt in receipts],
                signatures=[receipt.signature for receipt in receipts],
                answered=[receipt.answered for receipt in receipts],
            )
            found |= {row["attempt_id"]: Submitted("submitted", _receipt(row)) for row in rows}
        ended = [one for one in submits if one.attempt_id in locked and one.attempt_id not in found]
        over = [one for one in ended if locked[one.attempt_id]["state"] not in ("prepared", "started")]
        receipts_now = await receipts_of(connection, day, over) if over else {}
        for one in submits:
            if one.attempt_id in found:
                continue
            row = locked.get(one.attempt_id)
            if row is None:
                found[one.attempt_id] = Again()  # a save holds it just now
            elif one in over:
                found[one.attempt_id] = Submitted(row["state"], receipts_now.get(one.attempt_id))
            else:
                found[one.attempt_id] = _refusal(row, one)
        return found


def _runs(row: Row, submit: Submit) -> bool:
    return bool(row["state"] == "started" and row["epoch"] == submit.epoch)


def _refusal(row: Row, submit: Submit) -> Refusal:
    if row["state"] == "prepared":
        return NotStarted()
    return UnknownEpoch() if submit.epoch > row["epoch"] else StaleDevice()


def _receipt(row: Row) -> Receipt | None:
    if row["digest"] is None:
        return None
    values = dict(row)
    values.pop("attempt_id")
    return Receipt(**values)


async def receipts_of(connection: Connection, day: dt.date, attempts: Sequence[Any]) -> dict[int, Receipt | None]:
    """The receipts of attempts of one day by attempt; None while one is being made, nothing before the end."""
    rows = await find_receipts.many(connection, **keys(day, attempts))
    return {row["attempt_id"]: _receipt(row) for row in rows}


async def finals_of(connection: Connection, day: dt.date, attempts: Sequence[Any]) -> dict[int, list[Row]]:
    """The counted answers of attempts of one day, by attempt."""
    finals: dict[int, list[Row]] = defaultdict(list)
    for row in await final_answers.many(connection, **keys(day, attempts)):
        finals[row["attempt_id"]].append(row)
    return finals


async def public_receipt(db: Database, lowest: bytes, highest: bytes) -> Row | None:
    """What anybody may be told of the receipt whose digest lies within these bounds: answered and ended_at, or None."""
    async with db.web.connection() as connection:
        return await find_public_receipt.one_or_none(connection, lowest=lowest, highest=highest)


class Claimed(msgspec.Struct, frozen=True):
    """A submission that a worker has in hand."""

    district_id: int
    attempt_id: int


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
            finals = await finals_of(
                connection, day, [Claimed(row["district_id"], row["attempt_id"]) for row in claimed]
            )
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
