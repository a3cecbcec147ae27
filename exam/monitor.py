"""What the staff see of a slot while it runs. Two statements a page, whatever the number of candidates."""

from exam.auth import StaffSession
from exam.db import Connection, Row, Rows, load
from exam.slots import one_slot

list_sitters, count_returns, count_sitters = load("monitor", "list_sitters", "count_returns", "count_sitters")


async def board(connection: Connection, staff: StaffSession, slot_id: int) -> Rows:
    """A row per attempt of a slot by registration, at most 2,000: state, times, device, what is saved and kept.

    `saved` counts the rows held, `kept` those in quarantine, `noted` the events; `answered`, `ended_by` and `digest`
    (of the receipt) are there once the attempt has ended. NothingHere for a foreign slot.
    """
    slot = await one_slot(connection, staff, slot_id)
    return await list_sitters.many(connection, district_id=slot["district_id"], day=slot["exam_day"], slot_id=slot_id)


async def returns(connection: Connection, slot: Row, attempt_id: int) -> int:
    """How often somebody answered again after a later question; `slot` is one that the staff may see."""
    row = await count_returns.one(
        connection, district_id=slot["district_id"], day=slot["exam_day"], attempt_id=attempt_id
    )
    return int(row["returns"])


async def counts(connection: Connection, staff: StaffSession, slot_id: int) -> Row:
    """How many are `booked`, and how many attempts are prepared, started, submitted, sealed, graded and released."""
    slot = await one_slot(connection, staff, slot_id)
    return await count_sitters.one(connection, district_id=slot["district_id"], day=slot["exam_day"], slot_id=slot_id)
