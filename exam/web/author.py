"""The author's door: banks and what is in them. Others see items as candidates do; the key is for authors alone."""

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from exam.banks import ITEMS_A_PAGE, bank_of, item_of, key_of, list_items
from exam.exams import list_banks
from exam.hall import Hall
from exam.web.forms import asked
from exam.web.guards import StaffRequest, staff_of
from exam.web.pages import Pages
from grading.items import Item

READERS = ("author", "district_admin")


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The handlers of this door."""
    pages = Pages(hall)

    @get("/staff/banks", opt={"audience": READERS})
    async def banks(request: StaffRequest) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            rows = await list_banks(connection, staff)
        return pages.staff(request, "banks", banks=rows)

    @get("/staff/banks/{bank_id:int}", opt={"audience": READERS})
    async def bank(request: StaffRequest, bank_id: FromPath[int]) -> Response[bytes]:
        staff = staff_of(request)
        section = asked(request, "section") or None
        after = asked(request, "after")
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            found = await bank_of(connection, staff, bank_id)
            rows = await list_items(connection, staff, bank_id, section, after)
        items = [(row, msgspec.convert(row["body"], Item)) for row in rows[:ITEMS_A_PAGE]]
        more = items[-1][0]["code"] if len(rows) > ITEMS_A_PAGE else None
        return pages.staff(request, "bank", bank=found, items=items, section=section, after=after, more=more)

    @get("/staff/banks/{bank_id:int}/items/{item_id:int}", opt={"audience": READERS})
    async def item(request: StaffRequest, bank_id: FromPath[int], item_id: FromPath[int]) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            found = await bank_of(connection, staff, bank_id)
            row = await item_of(connection, staff, bank_id, item_id)
        key = await key_of(hall.db, staff, bank_id, item_id) if staff.role == "author" else None
        return pages.staff(request, "item", bank=found, row=row, item=msgspec.convert(row["body"], Item), key=key)

    return [banks, bank, item]
