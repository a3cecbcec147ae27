"""The district admin's door to exams: making them, freezing their forms; and the log of who did what."""

from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta

from exam.audit import list_acts
from exam.auth import StaffSession
from exam.db import Connection, Row
from exam.errors import Malformed, NotAllowed, NotPossible
from exam.exams import (
    MOST_FORMS,
    RECORDS,
    USUAL_RECORDS,
    ExamDraft,
    ask_for_browser,
    create_exam,
    exam_of,
    freeze_exam,
    list_banks,
    list_exams,
)
from exam.hall import Hall
from exam.turns import take_turn
from exam.web.forms import Form, asked, read_form
from exam.web.guards import LARGEST_BIG_ID, LARGEST_ID, StaffRequest, staff_of
from exam.web.pages import Pages, see_other
from grading.forms import Navigation

REFUSED = (Malformed, NotAllowed, NotPossible)
"""What sends a form back with what was typed; everything else has a page of its own."""
DONE = {
    "made": "The exam is made. Freeze its forms when the bank is complete; until then it cannot be scheduled.",
    "frozen": "The forms are frozen. The exam can be scheduled now.",
    "locked": "From now on this exam can be sat in Safe Exam Browser only, with a file that has one of these keys.",
    "unlocked": "From now on this exam can be sat in any browser.",
}

Cells = Annotated[list[Annotated[str, Meta(max_length=120)]], Meta(max_length=200, description="Load the page again.")]
Tool = Literal["calculator", "notes"]
Recorded = Literal["focus", "fullscreen", "paste", "network", "device"]
Line = Annotated[str, Meta(max_length=200, description="At most 200 characters.")]


class ExamForm(msgspec.Struct, frozen=True):
    """A form for an exam; `section`, `count`, `marks` and `time` are the columns of a table."""

    bank_id: Annotated[int, Meta(ge=1, le=LARGEST_ID, description="Choose a bank.")]
    minutes: Annotated[int, Meta(ge=1, le=600, description="Type the minutes, a whole number from 1 to 600.")]
    section: Cells
    count: Cells
    marks: Cells
    seen: Annotated[int, Meta(ge=0, le=LARGEST_ID)]
    time: Cells = []
    navigation: Annotated[Navigation, Meta(description="Choose one of the two.")] = "free"
    title_en: Line = ""
    title_mr: Line = ""
    grace_s: Annotated[int, Meta(ge=0, le=300, description="Type the seconds, a whole number from 0 to 300.")] = 20
    device_changes: Annotated[int, Meta(ge=0, le=100, description="Type a whole number from 0 to 100.")] = 2
    negative: Annotated[str, Meta(max_length=20, description='Type a number such as "0" or "1/4".')] = "0"
    tools: Annotated[list[Tool], Meta(max_length=2, description="Choose among the tools of the list.")] = []
    records: Annotated[list[Recorded], Meta(max_length=5, description="Choose among what the list offers.")] = []

    def draft(self) -> ExamDraft:
        """The exam that the form describes; an empty count is none. Malformed for a row that makes no sense."""
        times = self.time or [""] * len(self.section)
        if not len(self.section) == len(self.count) == len(self.marks) == len(times):
            raise Malformed("The table of sections came incomplete. Load the page again.")
        for column, cells in (("count", self.count), ("time", times)):
            for section, cell in zip(self.section, cells, strict=True):
                if cell and not (cell.isascii() and cell.isdigit() and len(cell) < 5):
                    raise Malformed("Type a whole number.", field=f"{column}:{section}")
        rows = zip(self.section, self.count, self.marks, strict=True)
        return ExamDraft(
            title_en=self.title_en,
            title_mr=self.title_mr,
            bank_id=self.bank_id,
            minutes=self.minutes,
            sections={section: (int(count or 0), marks or "1") for section, count, marks in rows},
            section_minutes={section: int(cell) for section, cell in zip(self.section, times, strict=True) if cell},
            navigation=self.navigation,
            grace_s=self.grace_s,
            device_changes=self.device_changes,
            negative=self.negative,
            tools=tuple(self.tools),
            records=tuple(self.records),
        )


class FreezeForm(msgspec.Struct, frozen=True):
    forms: Annotated[
        int, Meta(ge=1, le=MOST_FORMS, description=f"Type how many, a whole number from 1 to {MOST_FORMS}.")
    ]
    sure: bool = False


class BrowserForm(msgspec.Struct, frozen=True):
    config_keys: Annotated[str, Meta(max_length=2000, description="At most 20 keys.")] = ""
    browser_keys: Annotated[str, Meta(max_length=2000, description="At most 20 keys.")] = ""


class BeforeForm(msgspec.Struct, frozen=True):
    before: Annotated[int, Meta(ge=1, le=LARGEST_BIG_ID)] | None = None


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The handlers of this door."""
    pages = Pages(hall)

    @get("/staff/exams", opt={"audience": ("district_admin", "platform_admin")})
    async def exams(request: StaffRequest) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            rows = await list_exams(connection, staff)
        return pages.staff(request, "exams", exams=rows)

    # A new exam -----------------------------------------------------------------------------------------------

    async def exam_form(request: StaffRequest, form: Form, status: int = 200) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            banks = await list_banks(connection, staff)
            newest = await list_exams(connection, staff)
        wanted = form.value("bank_id")
        return pages.staff(
            request,
            "exam_new",
            status=status,
            form=form,
            banks=banks,
            bank=next((bank for bank in banks if str(bank["bank_id"]) == wanted), None),
            seen=newest[0]["exam_id"] if newest else 0,
            records=RECORDS,
            standard_records=USUAL_RECORDS,
        )

    @get("/staff/exams/new", opt={"audience": "district_admin"})
    async def new_exam(request: StaffRequest) -> Response[bytes]:
        return await exam_form(request, Form({"bank_id": [asked(request, "bank_id")]}))

    @post("/staff/exams/new", opt={"audience": "district_admin"}, status_code=200)
    async def make_exam(request: StaffRequest) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(ExamForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                await take_turn(connection, f"exams of {staff.district_id}")
                exam_id = await made_already(connection, staff, typed)
                if exam_id is None:
                    exam_id = await create_exam(connection, staff, typed.draft())
        except REFUSED as refusal:
            form.refuse(refusal)
            return await exam_form(request, form, refusal.status)
        return see_other(f"/staff/exams/{exam_id}?done=made")

    async def made_already(connection: Connection, staff: StaffSession, typed: ExamForm) -> int | None:
        """The exam that the same form has made before: a double click makes one exam."""
        title = {tag: text for tag, text in (("en", typed.title_en), ("mr", typed.title_mr)) if text}
        wanted = (title, typed.minutes * 60)
        for row in await list_exams(connection, staff):
            if row["exam_id"] > typed.seen and (row["title"], row["duration_s"]) == wanted:
                return int(row["exam_id"])
        return None

    # One exam -------------------------------------------------------------------------------------------------

    async def exam_page(
        request: StaffRequest, exam_id: int, form: Form | None = None, status: int = 200
    ) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            row = await exam_of(connection, staff, exam_id)
        return pages.staff(
            request,
            "exam",
            status=status,
            form=form or Form(),
            exam=row,
            may_freeze=_may_freeze(staff, row),
            done=DONE.get(asked(request, "done")),
        )

    @get("/staff/exams/{exam_id:int}", opt={"audience": ("district_admin", "platform_admin")})
    async def exam(request: StaffRequest, exam_id: FromPath[int]) -> Response[bytes]:
        return await exam_page(request, exam_id)

    @post("/staff/exams/{exam_id:int}/freeze", opt={"audience": "district_admin"}, status_code=200)
    async def freeze(request: StaffRequest, exam_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(FreezeForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                row = await exam_of(connection, staff, exam_id)
                if typed.sure and row["frozen_at"] is None:
                    await freeze_exam(connection, staff, exam_id, typed.forms)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await exam_page(request, exam_id, form, refusal.status)
        if typed.sure or row["frozen_at"] is not None:
            return see_other(f"/staff/exams/{exam_id}?done=frozen")
        return pages.staff(request, "freeze", exam=row, forms=typed.forms)

    @post("/staff/exams/{exam_id:int}/browser", opt={"audience": "district_admin"}, status_code=200)
    async def browser(request: StaffRequest, exam_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(BrowserForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                await ask_for_browser(connection, staff, exam_id, typed.config_keys, typed.browser_keys)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await exam_page(request, exam_id, form, refusal.status)
        return see_other(f"/staff/exams/{exam_id}?done={'locked' if typed != BrowserForm() else 'unlocked'}")

    # The log --------------------------------------------------------------------------------------------------

    @get("/staff/audit", opt={"audience": ("district_admin", "platform_admin"), "sheds": "report"})
    async def audit(request: StaffRequest) -> Response[bytes]:
        staff = staff_of(request)
        before = Form({"before": [asked(request, "before")]}).take(BeforeForm).before
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            acts = await list_acts(connection, staff, before)
        return pages.staff(request, "audit", acts=acts, before=before)

    return [exams, new_exam, make_exam, exam, freeze, browser, audit]


def _may_freeze(staff: StaffSession, exam: Row) -> bool:
    return staff.role == "district_admin" and exam["district_id"] == staff.district_id and exam["frozen_at"] is None
