"""Banks as their readers see them: items page by page, and the key of an item for authors alone."""

from typing import Final

import msgspec

from exam.audit import only
from exam.auth import StaffSession
from exam.db import Connection, Database, Row, Rows, load
from exam.errors import NothingHere
from exam.exams import list_usable_banks
from grading.keys import Key

list_bank_items, find_item, find_item_key = load("banks", "list_bank_items", "find_item", "find_item_key")

ITEMS_A_PAGE: Final = 50


async def bank_of(connection: Connection, staff: StaffSession, bank_id: int) -> Row:
    """A bank that the staff may use: name, `sections` (titles) and `counts` by section. NothingHere."""
    only(staff, "author", "district_admin")
    rows = await list_usable_banks.many(connection, scope=staff.scope, bank_id=bank_id)
    if not rows:
        raise NothingHere
    return rows[0]


async def list_items(
    connection: Connection, staff: StaffSession, bank_id: int, section: str | None = None, after: str = ""
) -> Rows:
    """The next ITEMS_A_PAGE items of a bank by code, of one section or all, and one more if there are more."""
    only(staff, "author", "district_admin")
    return await list_bank_items.many(
        connection, scope=staff.scope, bank_id=bank_id, section=section, after=after, most=ITEMS_A_PAGE + 1
    )


async def item_of(connection: Connection, staff: StaffSession, bank_id: int, item_id: int) -> Row:
    """The latest version of an item, `body` as candidates may see it. NothingHere."""
    only(staff, "author", "district_admin")
    row = await find_item.one_or_none(connection, scope=staff.scope, bank_id=bank_id, item_id=item_id)
    if row is None:
        raise NothingHere
    return row


async def key_of(db: Database, staff: StaffSession, bank_id: int, item_id: int) -> Key | None:
    """The key of an item's latest version over the author's role, which alone may read it; None where it has none.

    NotAllowed for everybody but authors.
    """
    only(staff, "author")
    async with db.author.connection() as connection:
        row = await find_item_key.one_or_none(connection, scope=staff.scope, bank_id=bank_id, item_id=item_id)
    return None if row is None else msgspec.convert(row["key"], Key)
