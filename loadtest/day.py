"""The day of a filled hall: when its slots open and end, who comes early, and the staff who watch."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from exam.auth import hash_password
from exam.db import Connection
from loadtest.seeding import SHARES, Hall

SLOTS: Final = (60, 30, 10)
"""Shares of the candidates in the three slots of a day, in per cent."""
ROLES: Final = ("invigilator", "district_admin")


def slot_of(number: int) -> int:
    """The slot of a candidate, 0 to 2: in every district 60, 30 and 10 per cent."""
    place = number % 10 * 10
    for slot, share in enumerate(SLOTS):
        if place < share:
            return slot
        place -= share
    raise AssertionError(number)


def staff_email(role: str, district_id: int) -> str:
    """Where a district's member of staff logs in."""
    return f"load-{role}-{district_id}@example.org"


async def add_staff(owner: Connection, password: str) -> None:
    """An invigilator and a district admin for each district, all with this password."""
    password_hash = hash_password(password)
    for district_id, _, _ in SHARES:
        for role in ROLES:
            await owner.execute(
                "INSERT INTO staff (district_id, email, name, role, password_hash) VALUES ($1, $2, $3, $4, $5)",
                district_id,
                staff_email(role, district_id),
                f"Load {role}",
                role,
                password_hash,
            )


async def add_old_answers(owner: Connection, hall: Hall, count: int) -> None:
    """So many answers of other attempts, 75 each, in the partitions that the candidates' answers will go to."""
    for district_id, _, share in SHARES:
        await owner.execute(
            "INSERT INTO answer SELECT $1::int, $2::date, 10000000 + $1::int * 1000000 + g / 75, 1, g % 75 + 1, "
            "g % 50 + 1, '\"b\"', false, 0, now() FROM generate_series(0, $3::bigint - 1) g",
            district_id,
            hall.exam_day,
            count * share // 100,
        )


async def set_times(owner: Connection, opens_at: dt.datetime, ends_at: dt.datetime, early: Sequence[int]) -> None:
    """One barrier and one common end for everybody; attempts of `early` candidates are open from now on."""
    closes_at = ends_at - dt.timedelta(seconds=1)
    async with owner.transaction():
        await owner.execute("UPDATE slot SET opens_at = $1, closes_at = $2, ends_at = $3", opens_at, closes_at, ends_at)
        await owner.execute(
            "UPDATE attempt SET opens_at = $1, closes_at = $2, ends_at = $3, duration_s = greatest(1, $4)",
            opens_at,
            closes_at,
            ends_at,
            round((ends_at - opens_at).total_seconds()),
        )
        await owner.execute(
            "UPDATE attempt SET opens_at = now() WHERE attempt_id = ANY($1::bigint[])", [number + 1 for number in early]
        )


async def split_into_slots(owner: Connection, hall: Hall, opens: Sequence[dt.datetime], minutes: float) -> None:
    """Moves everybody into three slots of 60, 30 and 10 per cent that open at these moments and last so long."""
    length = dt.timedelta(minutes=minutes)
    async with owner.transaction():
        for place, opens_at in enumerate(opens):
            times = (opens_at, opens_at + length - dt.timedelta(seconds=1), opens_at + length)
            numbers = [number + 1 for number in range(hall.candidates) if slot_of(number) == place]
            for district_id, first in hall.slots.items():
                slot_id = first if place == 0 else await owner.fetchval(
                    "INSERT INTO slot (district_id, exam_id, hall, opens_at, closes_at, exam_day, capacity, pinned_at) "
                    "SELECT district_id, exam_id, $2, opens_at, closes_at, exam_day, capacity, pinned_at FROM slot "
                    "WHERE slot_id = $1 RETURNING slot_id",
                    first,
                    f"Hall {place + 1}",
                )  # fmt: skip
                await owner.execute(
                    "UPDATE slot SET opens_at = $2, closes_at = $3, ends_at = $4 WHERE slot_id = $1", slot_id, *times
                )
                await owner.execute(
                    "UPDATE booking SET slot_id = $1 WHERE district_id = $2 AND candidate_id = ANY($3::bigint[])",
                    slot_id,
                    district_id,
                    numbers,
                )
                await owner.execute(
                    "UPDATE attempt SET slot_id = $1, opens_at = $4, closes_at = $5, ends_at = $6, duration_s = $7 "
                    "WHERE district_id = $2 AND candidate_id = ANY($3::bigint[])",
                    slot_id,
                    district_id,
                    numbers,
                    *times,
                    max(1, round(length.total_seconds())),
                )
