"""Announcements to everybody in a slot; acknowledgements of saves carry the number of the latest."""

from typing import Final

from exam.audit import only, plain_text, record
from exam.auth import StaffSession
from exam.db import Connection, Rows, load
from exam.slots import one_slot

add_announcement, list_slot_announcements = load("notices", "add_announcement", "list_slot_announcements")

MOST_CHARACTERS: Final = 500


async def announce(connection: Connection, staff: StaffSession, slot_id: int, text_en: str, text_mr: str) -> int:
    """Tells everybody in a slot something, in one language at least; the announcement's number.

    Malformed with `field` for a text that is empty in both languages or longer than 500 characters.
    """
    only(staff, "invigilator", "district_admin")
    text = {
        "en": plain_text(text_en, "text_en", MOST_CHARACTERS, required=not text_mr.strip()),
        "mr": plain_text(text_mr, "text_mr", MOST_CHARACTERS, required=False),
    }
    text = {language: written for language, written in text.items() if written}
    slot = await one_slot(connection, staff, slot_id)
    row = await add_announcement.one(
        connection, district_id=slot["district_id"], slot_id=slot_id, text=text, staff_id=staff.staff_id
    )
    announcement_id: int = row["announcement_id"]
    await record(
        connection,
        "notice.announced",
        staff=staff,
        district_id=slot["district_id"],
        slot_id=slot_id,
        announcement_id=announcement_id,
        text=text,
    )
    return announcement_id


async def list_announcements(connection: Connection, staff: StaffSession, slot_id: int) -> Rows:
    """The announcements to a slot, newest first, with who made them; at most 200."""
    slot = await one_slot(connection, staff, slot_id)
    return await list_slot_announcements.many(connection, district_id=slot["district_id"], slot_id=slot_id)
