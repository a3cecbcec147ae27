"""What staff give a candidate on the day: more time, and another change of device."""

from typing import Final

import msgspec

from exam.audit import only, plain_text, record
from exam.auth import Role, StaffSession
from exam.db import Connection, Row, Rows, load
from exam.errors import Malformed, NotAllowed, NothingHere, NotPossible
from exam.slots import one_slot

add_grant, add_time, allow_takeover, find_sitter, list_slot_grants = load(
    "grants", "add_grant", "add_time", "allow_takeover", "find_sitter", "list_slot_grants"
)

LONGEST: Final[dict[Role, int]] = {"invigilator": 30 * 60, "district_admin": 240 * 60}
"""Seconds of one grant by role."""
MOST_TAKEOVERS: Final = 20
"""Device changes that may lie open for one attempt."""


class Granted(msgspec.Struct, frozen=True):
    """To how many attempts time was given, and how many had ended before."""

    changed: int
    ended: int


async def _pinned(connection: Connection, staff: StaffSession, slot_id: int) -> Row:
    slot = await one_slot(connection, staff, slot_id)
    if slot["pinned_at"] is None:
        raise NotPossible("This slot is not pinned yet, so there are no attempts in it. Nothing was changed.")
    return slot


async def grant_time(
    connection: Connection, staff: StaffSession, slot_id: int, attempt_id: int | None, seconds: int, reason: str
) -> Granted:
    """Gives time to one attempt, or to everybody in the slot who has not ended.

    An invigilator gives at most 30 minutes at once, a district admin 240. Malformed with `field` "seconds" or
    "reason"; NotPossible where all have ended; NothingHere for a foreign slot or attempt.
    """
    only(staff, "invigilator", "district_admin")
    reason = plain_text(reason, "reason", 500)
    if not 1 <= seconds <= max(LONGEST.values()):
        raise Malformed("Give between 1 second and 240 minutes.", field="seconds")
    if seconds > LONGEST[staff.role]:
        raise NotAllowed(
            f"You can give at most {LONGEST[staff.role] // 60} minutes at once. For more, ask the district admin."
        )
    slot = await _pinned(connection, staff, slot_id)
    done = await add_time.one(
        connection,
        district_id=slot["district_id"],
        day=slot["exam_day"],
        slot_id=slot_id,
        attempt_id=attempt_id,
        seconds=seconds,
    )
    if attempt_id is not None and not done["found"]:
        raise NothingHere
    if not done["changed"]:
        raise NotPossible(
            "This attempt has ended. No time was given."
            if attempt_id is not None
            else "Everybody in this slot has ended. No time was given."
        )
    await add_grant.run(
        connection,
        district_id=slot["district_id"],
        slot_id=slot_id,
        attempt_id=attempt_id,
        seconds=seconds,
        reason=reason,
        staff_id=staff.staff_id,
    )
    granted = Granted(done["changed"], done["found"] - done["changed"])
    await record(
        connection,
        "time.granted",
        staff=staff,
        district_id=slot["district_id"],
        candidate_id=None if attempt_id is None else done["candidate_id"],
        slot_id=slot_id,
        attempt_id=attempt_id,
        seconds=seconds,
        reason=reason,
        changed=granted.changed,
        ended=granted.ended,
    )
    return granted


async def list_grants(connection: Connection, staff: StaffSession, slot_id: int) -> Rows:
    """The time given in a slot, newest first, with to whom (null: everybody), by whom and why; at most 500."""
    slot = await one_slot(connection, staff, slot_id)
    return await list_slot_grants.many(
        connection, district_id=slot["district_id"], day=slot["exam_day"], slot_id=slot_id
    )


async def allow_device_change(connection: Connection, staff: StaffSession, slot_id: int, attempt_id: int) -> int:
    """Lets the candidate of a started attempt change device once more; how many changes are open then.

    NotPossible before the start and after the end, NothingHere for a foreign slot or attempt.
    """
    only(staff, "invigilator", "district_admin")
    slot = await _pinned(connection, staff, slot_id)
    key = {
        "district_id": slot["district_id"],
        "day": slot["exam_day"],
        "slot_id": slot_id,
        "attempt_id": attempt_id,
    }
    done = await allow_takeover.one_or_none(connection, **key, most=MOST_TAKEOVERS)
    if done is None:
        sitter = await find_sitter.one_or_none(connection, **key)
        if sitter is None:
            raise NothingHere
        if sitter["state"] == "prepared":
            raise NotPossible("This candidate has not started yet and can start on any device. Nothing was changed.")
        if sitter["state"] != "started":
            raise NotPossible("This attempt has ended. Nothing was changed.")
        raise NotPossible(f"{sitter['takeovers_left']} device changes are open already. Nothing was changed.")
    takeovers_left: int = done["takeovers_left"]
    await record(
        connection,
        "device.allowed",
        staff=staff,
        district_id=slot["district_id"],
        candidate_id=done["candidate_id"],
        slot_id=slot_id,
        attempt_id=attempt_id,
        takeovers_left=takeovers_left,
    )
    return takeovers_left
