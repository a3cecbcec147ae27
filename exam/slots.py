"""Slots: an exam in a hall at a time; who is booked into it, the pin that prepares every attempt, and the release.

Booking, pinning and releasing lock the slot's row first, so that they follow each other.
"""

import datetime as dt
from typing import Any, Final

import msgspec

from exam.audit import only, plain_text, record
from exam.auth import StaffSession
from exam.db import Connection, Row, Rows, load
from exam.errors import Malformed, NothingHere, NotPossible
from exam.exams import exam_of
from exam.migrations import missing_partitions
from exam.timing import Times, check_times, last_start, latest_end, local_day, overlap
from exam.turns import take_turn

(
    add_slot,
    list_slots_from,
    find_slot,
    count_slot,
    list_district_batches,
    lock_slot,
    find_batch,
    lock_batch,
    list_engagements,
    add_bookings,
    take_seats,
    find_longest_allowance,
    count_beside,
    prepare_attempts,
    mark_pinned,
    count_unfinished,
    release_graded,
    mark_released,
) = load(
    "slots",
    "add_slot",
    "list_slots_from",
    "find_slot",
    "count_slot",
    "list_district_batches",
    "lock_slot",
    "find_batch",
    "lock_batch",
    "list_engagements",
    "add_bookings",
    "take_seats",
    "find_longest_allowance",
    "count_beside",
    "prepare_attempts",
    "mark_pinned",
    "count_unfinished",
    "release_graded",
    "mark_released",
)

MOST_SEATS: Final = 20_000


class SlotDraft(msgspec.Struct, frozen=True):
    """A slot as a person has typed it: starts are taken from `opens_at` (aware) for `start_minutes`."""

    exam_id: int
    hall: str
    opens_at: dt.datetime
    start_minutes: int
    capacity: int
    ends_at: dt.datetime | None = None


class LeftOut(msgspec.Struct, frozen=True):
    """Somebody of a batch who was not booked, and why, in a sentence."""

    registration: str
    name: str
    reason: str


class Booked(msgspec.Struct, frozen=True):
    """How many of a batch were booked, and who was not."""

    booked: int
    left_out: list[LeftOut]


async def create_slot(
    connection: Connection, staff: StaffSession, draft: SlotDraft, time_zone: str, now: dt.datetime
) -> int:
    """A new slot of the staff's district on the local day of its opening; its number.

    Malformed with the draft's `field` for what does not make sense, NotPossible where the exam is not frozen,
    NothingHere where there is no such exam.
    """
    only(staff, "district_admin")
    exam = await exam_of(connection, staff, draft.exam_id)
    if exam["frozen_at"] is None:
        raise NotPossible("This exam has no forms yet. Freeze it first, then make its slots.")
    hall = plain_text(draft.hall, "hall", 120)
    if not 1 <= draft.capacity <= MOST_SEATS:
        raise Malformed(f"A slot has between 1 and {MOST_SEATS} seats.", field="capacity")
    closes_at = last_start(draft.opens_at, draft.start_minutes)
    check_times(Times(draft.opens_at, closes_at, draft.ends_at, exam["duration_s"]), now)
    row = await add_slot.one(
        connection,
        district_id=staff.district_id,
        exam_id=draft.exam_id,
        hall=hall,
        opens_at=draft.opens_at,
        closes_at=closes_at,
        ends_at=draft.ends_at,
        exam_day=local_day(draft.opens_at, time_zone),
        capacity=draft.capacity,
    )
    slot_id: int = row["slot_id"]
    await record(
        connection,
        "slot.created",
        staff=staff,
        district_id=staff.district_id,
        slot_id=slot_id,
        exam_id=draft.exam_id,
        hall=hall,
        opens_at=draft.opens_at,
        capacity=draft.capacity,
    )
    return slot_id


async def list_slots(connection: Connection, staff: StaffSession, on_or_after: dt.date | None = None) -> Rows:
    """The slots of the staff's districts from a day on, or all, by their opening; at most 500."""
    only(staff, "invigilator", "district_admin", "platform_admin")
    return await list_slots_from.many(connection, scope=staff.scope, day=on_or_after)


async def one_slot(connection: Connection, staff: StaffSession, slot_id: int) -> Row:
    """A slot of the staff's districts with its exam's title and rules. NothingHere."""
    only(staff, "invigilator", "district_admin", "platform_admin")
    row = await find_slot.one_or_none(connection, scope=staff.scope, slot_id=slot_id)
    if row is None:
        raise NothingHere
    return row


async def slot_of(connection: Connection, staff: StaffSession, slot_id: int) -> Row:
    """As one_slot, with `forms`, `prepared` (attempts in any state), `states` (state to number) and `by_code` (how many
    began by the code). NothingHere."""
    only(staff, "invigilator", "district_admin", "platform_admin")
    row = await count_slot.one_or_none(connection, scope=staff.scope, slot_id=slot_id)
    if row is None:
        raise NothingHere
    return row


async def list_batches(connection: Connection, staff: StaffSession) -> Rows:
    """The batches of the staff's districts by name, with how many `candidates` each has."""
    only(staff, "district_admin", "platform_admin")
    return await list_district_batches.many(connection, scope=staff.scope)


async def _lock(connection: Connection, staff: StaffSession, slot_id: int) -> Row:
    row = await lock_slot.one_or_none(connection, scope=staff.scope, slot_id=slot_id)
    if row is None:
        raise NothingHere
    return row


def _times(row: Row) -> Times:
    return Times(row["opens_at"], row["closes_at"], row["ends_at"], row["duration_s"])


async def book_batch(connection: Connection, staff: StaffSession, slot_id: int, batch_id: int) -> Booked:
    """Books everybody of a batch who is free then: all of them or, where the seats do not suffice, nobody.

    Whoever is booked here already, or into a slot that overlaps this one, is left out by name. NotPossible with the
    number of free seats, or once the slot is pinned or over; NothingHere for a slot or batch of another district.
    """
    only(staff, "district_admin")
    slot = await _lock(connection, staff, slot_id)
    if slot["pinned_at"] is not None:
        raise NotPossible(
            "This slot is pinned: its attempts are prepared, and that cannot be undone. Make another slot for them."
        )
    if slot["over"]:
        raise NotPossible("The time to start in this slot has passed. Nobody was booked.")
    key = {"district_id": slot["district_id"], "batch_id": batch_id}
    batch = await find_batch.one_or_none(connection, **key)
    if batch is None:
        raise NothingHere
    # Locked, so that a second request that books the same people elsewhere waits and then sees these bookings.
    people = await lock_batch.many(connection, **key)
    left_out = await _left_out(connection, slot, people)
    free_people = [row["candidate_id"] for row in people if row["candidate_id"] not in left_out]
    free_seats = slot["capacity"] - slot["booked"]
    if len(free_people) > free_seats:
        raise NotPossible(
            f'Batch "{batch["name"]}" needs {len(free_people)} seats, and {free_seats} of {slot["capacity"]} are free. '
            "Nobody was booked."
        )
    if free_people:
        seat = {"district_id": slot["district_id"], "slot_id": slot_id}
        await add_bookings.run(connection, **seat, candidates=free_people)
        await take_seats.run(connection, **seat, seats=len(free_people))
        await record(
            connection,
            "batch.booked",
            staff=staff,
            district_id=slot["district_id"],
            slot_id=slot_id,
            batch_id=batch_id,
            booked=len(free_people),
            left_out=len(left_out),
        )
    named = [
        LeftOut(row["registration"], row["name"], left_out[row["candidate_id"]])
        for row in people
        if row["candidate_id"] in left_out
    ]
    return Booked(len(free_people), named)


async def _left_out(connection: Connection, slot: Row, people: Rows) -> dict[int, str]:
    """Who of the locked people cannot be booked, and why."""
    allowances = {row["candidate_id"]: row["extra_time_pct"] for row in people}
    engagements = await list_engagements.many(
        connection, district_id=slot["district_id"], candidates=list(allowances), opens_at=slot["opens_at"]
    )
    reasons: dict[int, str] = {}
    for other in engagements:
        candidate_id = other["candidate_id"]
        if other["slot_id"] == slot["slot_id"]:
            reasons[candidate_id] = "is booked in this slot already"
        elif overlap(_times(slot), _times(other), max(allowances[candidate_id], other["extra_time_pct"])):
            reasons.setdefault(candidate_id, f'is booked at that time in "{other["hall"]}" (slot {other["slot_id"]})')
    return reasons


async def pin(
    connection: Connection, staff: StaffSession, slot_id: int, *, max_candidates: int = 0, override: str = ""
) -> int:
    """Prepares the attempt of everybody who is booked, and closes the booking for good; how many.

    Forms are dealt round over the candidates in random order. After the commit the caller warms the cache with the
    papers. NotPossible where something is missing, the slot is pinned, or it and what is pinned beside it are more than
    the `max_candidates` (0: not measured) of the deployment and no `override` says why; NothingHere for a foreign slot.
    """
    only(staff, "district_admin")
    reason = plain_text(override, "override", 500, required=False)
    slot = await _lock(connection, staff, slot_id)
    if slot["pinned_at"] is not None:
        raise NotPossible("This slot is pinned already. Nothing was changed.")
    if slot["over"]:
        raise NotPossible("The time to start in this slot has passed. Make another slot.")
    if not slot["forms"]:
        raise NotPossible("The exam of this slot has no forms yet. Freeze it first.")
    if missing := await missing_partitions(connection, slot["district_id"], slot["exam_day"]):
        raise NotPossible(
            f"The database is not ready for this district on {slot['exam_day']}: {', '.join(missing)} is missing. "
            "Ask whoever runs the service to carry out `exam migrate`. Nothing was pinned."
        )
    beside = await _count_beside(connection, slot) if max_candidates else 0
    at_once = beside + slot["booked"]
    overridden: dict[str, Any] = {}
    if 0 < max_candidates < at_once:
        if not reason:
            raise NotPossible(
                f"Together with the {beside} pinned at the same time in all districts, the {slot['booked']} of this "
                f"slot make {at_once} candidates at once, and this deployment is measured for {max_candidates}. "
                "Nothing was pinned. Choose another time, or give a reason why it may be pinned all the same.",
                field="override",
            )
        overridden = {"override": reason, "at_once": at_once, "max_candidates": max_candidates}
    prepared = await prepare_attempts.run(connection, district_id=slot["district_id"], slot_id=slot_id)
    if not prepared:
        raise NotPossible("Nobody is booked into this slot yet. Book a batch first.")
    await mark_pinned.run(connection, district_id=slot["district_id"], slot_id=slot_id)
    await record(
        connection,
        "slot.pinned",
        staff=staff,
        district_id=slot["district_id"],
        slot_id=slot_id,
        attempts=prepared,
        forms=slot["forms"],
        **overridden,
    )
    return prepared


async def _count_beside(connection: Connection, slot: Row) -> int:
    """How many attempts of all districts are pinned into the time for which this slot may run."""
    longest = await find_longest_allowance.one_or_none(
        connection, district_id=slot["district_id"], slot_id=slot["slot_id"]
    )
    if longest is None:
        return 0
    # Of two districts that pin at once the second has to see what the first has prepared.
    await take_turn(connection, "the size of a slot")
    ends_at = latest_end(_times(slot), longest["extra_time_pct"])
    beside: int = (await count_beside.one(connection, opens_at=slot["opens_at"], ends_at=ends_at))["attempts"]
    return beside


async def release(connection: Connection, staff: StaffSession, slot_id: int) -> int:
    """Shows every graded result of a slot to its candidate; how many. May be repeated for those who came later.

    NotPossible, with what is missing, while anybody is working, an ended attempt is not graded, or people have not
    marked an answer yet.
    """
    only(staff, "district_admin")
    slot = await _lock(connection, staff, slot_id)
    key = {"district_id": slot["district_id"], "day": slot["exam_day"], "slot_id": slot_id}
    counts = await count_unfinished.one(connection, **key)
    if counts["started"] or counts["ungraded"]:
        raise NotPossible(
            f"Not yet. Still working: {counts['started']}. Ended and not graded: {counts['ungraded']}, of which the "
            f"grading failed for {counts['failed']}. Nothing was released."
        )
    if counts["unmarked"]:
        raise NotPossible(
            f"Not yet. Attempts with an essay that nobody has marked: {counts['unmarked']}. Nothing was released. "
            "Release the slot when all of them are marked."
        )
    released = await release_graded.run(connection, **key)
    if not released:
        if slot["released_at"] is not None:
            raise NotPossible("The results of this slot are released already. Nothing was changed.")
        raise NotPossible("There is no result in this slot yet. Nothing was released.")
    await mark_released.run(connection, district_id=slot["district_id"], slot_id=slot_id)
    await record(
        connection,
        "slot.released",
        staff=staff,
        district_id=slot["district_id"],
        slot_id=slot_id,
        results=released,
    )
    return released
