"""Analyses: what the results of a district say about the questions of an exam, for those who may know it.

A row of its own says that one is wanted; a worker makes it (`exam.statistics`), so that nothing here needs numpy. What
tells a key, the options and which of them are right, is kept apart and read over the author's role alone.
"""

from typing import Final

import msgspec

from exam.audit import only
from exam.auth import StaffSession
from exam.db import Connection, Database, Row, Rows, load
from exam.errors import NothingHere, NotPossible
from grading.findings import Finding, ItemFigures, OptionFigures, TotalFigures
from grading.items import Item

find_analysed_exam, list_analysed_exams, want_analysis, list_asked_items, find_option_figures = load(
    "analyses",
    "find_analysed_exam",
    "list_analysed_exams",
    "want_analysis",
    "list_asked_items",
    "find_option_figures",
)

AGAIN_SECONDS: Final = 20
"""An analysis is made anew at the earliest so long after it was last asked for."""


class GroupFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The attempts of one form or of one language; `facility` is by item, None where nobody of the group had it."""

    by: str
    name: str
    totals: TotalFigures
    facility: dict[str, float | None]


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that may be seen by whoever may see results. `unmarked` attempts wait for people and are not in it.

    Items have the name "<item_id>.<version>", and neither options nor in their findings which option it is.
    """

    totals: TotalFigures
    unmarked: int
    items: list[ItemFigures]
    groups: list[GroupFigures]


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was chosen in one item, and what is to be looked at, options named."""

    options: list[OptionFigures]
    findings: list[Finding]


async def list_analyses(connection: Connection, staff: StaffSession) -> Rows:
    """The frozen exams with a slot in the staff's district: exam_id, title, made_at or None."""
    only(staff, "author", "district_admin")
    return await list_analysed_exams.many(connection, district_id=staff.district_id)


async def analysis_of(connection: Connection, staff: StaffSession, exam_id: int) -> Row:
    """An exam's title, attempts `graded` in the staff's district, and the last analysis of them; NothingHere.

    `waits`: a new one is being made; `failure`: why it could not be.
    """
    only(staff, "author", "district_admin")
    row = await find_analysed_exam.one_or_none(connection, district_id=staff.district_id, exam_id=exam_id)
    if row is None:
        raise NothingHere
    return row


async def items_asked(connection: Connection, staff: StaffSession, exam_id: int) -> dict[str, tuple[int, str, Item]]:
    """Number, code and body of every item of an exam that the staff may see, by the name that figures have."""
    only(staff, "author", "district_admin")
    rows = await list_asked_items.many(connection, exam_id=exam_id)
    return {
        f"{row['item_id']}.{row['version']}": (row["item_id"], row["code"], msgspec.convert(row["body"], Item))
        for row in rows
    }


async def choices_of(db: Database, staff: StaffSession, exam_id: int) -> dict[str, Choices]:
    """What was chosen in each item, over the author's role, which alone may read it. NotAllowed for others."""
    only(staff, "author")
    async with db.author.connection() as connection:
        row = await find_option_figures.one_or_none(connection, exam_id=exam_id, district_id=staff.district_id)
    return {} if row is None else msgspec.convert(row["options"], dict[str, Choices])


async def ask_for_analysis(connection: Connection, staff: StaffSession, exam_id: int) -> None:
    """Wants a new analysis, unless one is under way or was just made. NotPossible where nothing is graded."""
    row = await analysis_of(connection, staff, exam_id)
    if not row["graded"]:
        raise NotPossible("Nobody has a graded attempt at this exam yet. Ask again when the first results are there.")
    await want_analysis.run(connection, exam_id=exam_id, district_id=staff.district_id, seconds=AGAIN_SECONDS)
