"""The district admin's door to slots: making them, booking batches, the pin, and the release of the results."""

import datetime as dt
import logging
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta

from exam.auth import StaffSession
from exam.db import Connection, Row
from exam.envelopes import lay_envelopes, seal_envelopes
from exam.errors import Malformed, NotAllowed, NotPossible, Refusal
from exam.exams import list_exams
from exam.hall import Hall
from exam.papers import list_forms, warm
from exam.results import list_results
from exam.slots import (
    MOST_SEATS,
    SlotDraft,
    book_batch,
    create_slot,
    list_batches,
    list_slots,
    one_slot,
    pin,
    release,
    slot_of,
)
from exam.timing import local_day
from exam.turns import take_turn
from exam.web.forms import Form, asked, moment, read_form
from exam.web.guards import LARGEST_ID, StaffRequest, staff_of
from exam.web.pages import Pages, see_other

log = logging.getLogger("exam.web")

REFUSED = (Malformed, NotAllowed, NotPossible)
"""What sends a form back with what was typed; everything else has a page of its own."""
DONE = {
    "made": "The slot is made. Book a batch into it, then pin it.",
    "booked": "Everybody in the batch is booked.",
    "pinned": "The slot is pinned: every attempt is prepared, and the papers are laid ready.",
    "released": "The results are released. Each candidate sees their own from now on.",
}
RESULTS_A_PAGE = 100


class SlotForm(msgspec.Struct, frozen=True):
    exam_id: Annotated[int, Meta(ge=1, le=LARGEST_ID, description="Choose an exam.")]
    hall: Annotated[str, Meta(min_length=1, max_length=120, description="Type the hall, at most 120 characters.")]
    opens_at: Annotated[str, Meta(min_length=10, max_length=19, description="Choose a day and a time.")]
    start_minutes: Annotated[int, Meta(ge=0, le=720, description="Type the minutes, a whole number from 0 to 720.")]
    capacity: Annotated[
        int, Meta(ge=1, le=MOST_SEATS, description=f"Type the seats, a whole number from 1 to {MOST_SEATS}.")
    ]
    seen: Annotated[int, Meta(ge=0, le=LARGEST_ID)]
    ends_at: Annotated[str, Meta(max_length=19, description="Choose a day and a time, or leave it empty.")] = ""


class BookForm(msgspec.Struct, frozen=True):
    batch_id: Annotated[int, Meta(ge=1, le=LARGEST_ID, description="Choose a batch.")]


class SureForm(msgspec.Struct, frozen=True):
    sure: bool = False


class PinForm(msgspec.Struct, frozen=True):
    sure: bool = False
    override: Annotated[str, Meta(max_length=500, description="Type the reason, at most 500 characters.")] = ""


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The handlers of this door."""
    pages = Pages(hall)
    watchers = ("invigilator", "district_admin", "platform_admin")
    planners = ("district_admin", "platform_admin")

    @get("/staff/slots", opt={"audience": watchers})
    async def slots(request: StaffRequest) -> Response[bytes]:
        staff = staff_of(request)
        everything = asked(request, "all") == "1"
        today = local_day(pages.now(), hall.settings.time_zone)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            rows = await list_slots(connection, staff, None if everything else today)
        return pages.staff(request, "slots", slots=rows, everything=everything)

    # A new slot -----------------------------------------------------------------------------------------------

    async def slot_form(request: StaffRequest, form: Form, status: int = 200) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            exams = [row for row in await list_exams(connection, staff) if row["frozen_at"] is not None]
            rows = await list_slots(connection, staff)
        return pages.staff(
            request,
            "slot_new",
            status=status,
            form=form,
            exams=exams,
            seen=max((row["slot_id"] for row in rows), default=0),
        )

    @get("/staff/slots/new", opt={"audience": "district_admin"})
    async def new_slot(request: StaffRequest) -> Response[bytes]:
        return await slot_form(request, Form({"exam_id": [asked(request, "exam_id")]}))

    @post("/staff/slots/new", opt={"audience": "district_admin"}, status_code=200)
    async def make_slot(request: StaffRequest) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(SlotForm)
            draft = SlotDraft(
                exam_id=typed.exam_id,
                hall=typed.hall,
                opens_at=moment(typed.opens_at, pages.zone, "opens_at"),
                start_minutes=typed.start_minutes,
                capacity=typed.capacity,
                ends_at=moment(typed.ends_at, pages.zone, "ends_at") if typed.ends_at else None,
            )
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                await take_turn(connection, f"slots of {staff.district_id}")
                slot_id = await made_already(connection, staff, draft, typed.seen)
                if slot_id is None:
                    slot_id = await create_slot(
                        connection, staff, draft, hall.settings.time_zone, dt.datetime.now(dt.UTC)
                    )
        except REFUSED as refusal:
            form.refuse(refusal)
            return await slot_form(request, form, refusal.status)
        return see_other(f"/staff/slots/{slot_id}?done=made")

    async def made_already(connection: Connection, staff: StaffSession, draft: SlotDraft, seen: int) -> int | None:
        """The slot that the same form has made before: a double click makes one slot."""
        wanted = (draft.exam_id, draft.hall, draft.opens_at, draft.capacity)
        for row in await list_slots(connection, staff):
            if row["slot_id"] > seen and (row["exam_id"], row["hall"], row["opens_at"], row["capacity"]) == wanted:
                return int(row["slot_id"])
        return None

    # One slot -------------------------------------------------------------------------------------------------

    async def slot_page(
        request: StaffRequest, slot_id: int, form: Form | None = None, status: int = 200, **more: Any
    ) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            slot = await slot_of(connection, staff, slot_id)
            batches = await list_batches(connection, staff)
        return pages.staff(
            request,
            "slot",
            status=status,
            form=form or Form(),
            slot=slot,
            batches=[row for row in batches if row["district_id"] == slot["district_id"]],
            acts=staff.role == "district_admin",
            **{"done": DONE.get(asked(request, "done")), "booked": None, **more},
        )

    @get("/staff/slots/{slot_id:int}", opt={"audience": planners})
    async def slot(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        return await slot_page(request, slot_id)

    @post("/staff/slots/{slot_id:int}/book", opt={"audience": "district_admin"}, status_code=200)
    async def book(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(BookForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                booked = await book_batch(connection, staff, slot_id, typed.batch_id)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await slot_page(request, slot_id, form, refusal.status)
        if booked.left_out:  # names that no later page can show; sending it again books nobody twice
            return await slot_page(request, slot_id, booked=booked)
        return see_other(f"/staff/slots/{slot_id}?done=booked")

    # Pin and release: each names what will happen, then does it -----------------------------------------------

    @get("/staff/slots/{slot_id:int}/pin", opt={"audience": "district_admin"})
    async def ask_pin(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        return await pin_page(request, slot_id, Form())

    async def pin_page(request: StaffRequest, slot_id: int, form: Form, status: int = 200) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            row = await slot_of(connection, staff, slot_id)
        return pages.staff(request, "pin", status=status, form=form, slot=row)

    @post("/staff/slots/{slot_id:int}/pin", opt={"audience": "district_admin"}, status_code=200)
    async def do_pin(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(PinForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                row = await one_slot(connection, staff, slot_id)
                hashes = [one["form_hash"] for one in await list_forms.many(connection, exam_id=row["exam_id"])]
            if row["pinned_at"] is None:
                # Sealed before the slot is locked, for that takes its time; forms never change.
                keys = {form_hash: (await hall.papers.get(form_hash)).sealed.key for form_hash in hashes}
                envelopes = await seal_envelopes(hall.code_key, slot_id, keys)
                async with hall.db.staff.transaction(scope=staff.scope) as connection:
                    if (await one_slot(connection, staff, slot_id))["pinned_at"] is None:
                        most = hall.settings.max_candidates
                        await pin(connection, staff, slot_id, max_candidates=most, override=typed.override)
                        await lay_envelopes(connection, row["district_id"], slot_id, envelopes)
        except REFUSED as refusal:
            form.refuse(refusal)
            # A slot that is too big may be pinned with a reason: its field is on the page that asks.
            page = pin_page if "override" in form.problems else slot_page
            return await page(request, slot_id, form, refusal.status)
        await lay_ready(hashes)
        return see_other(f"/staff/slots/{slot_id}?done=pinned")

    async def lay_ready(hashes: list[bytes]) -> None:
        try:
            async with hall.db.web.connection() as connection:
                await warm(connection, hall.cache, hashes)
        except Refusal:  # the slot is pinned; whoever asks for a paper first loads it
            log.warning("the papers of a slot could not be laid ready")

    @get("/staff/slots/{slot_id:int}/release", opt={"audience": "district_admin"})
    async def ask_release(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            row = await slot_of(connection, staff, slot_id)
        return pages.staff(request, "release", slot=row)

    @post("/staff/slots/{slot_id:int}/release", opt={"audience": "district_admin"}, status_code=200)
    async def do_release(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            form.take(SureForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                row = await slot_of(connection, staff, slot_id)
                if not _all_released(row):
                    await release(connection, staff, slot_id)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await slot_page(request, slot_id, form, refusal.status)
        return see_other(f"/staff/slots/{slot_id}?done=released")

    @get("/staff/slots/{slot_id:int}/results", opt={"audience": "district_admin", "sheds": "report"})
    async def results(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff = staff_of(request)
        after = asked(request, "after")
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            row = await one_slot(connection, staff, slot_id)
            rows = await list_results.many(
                connection,
                district_id=row["district_id"],
                day=row["exam_day"],
                slot_id=slot_id,
                after=after,
                most=RESULTS_A_PAGE + 1,
            )
        more = rows[RESULTS_A_PAGE - 1]["registration"] if len(rows) > RESULTS_A_PAGE else None
        return pages.staff(request, "results", slot=row, results=rows[:RESULTS_A_PAGE], after=after, more=more)

    return [slots, new_slot, make_slot, slot, book, ask_pin, do_pin, ask_release, do_release, results]


def _all_released(slot: Row) -> bool:
    """Whether a second press of Release has nothing left to do."""
    others = {state for state, attempts in slot["states"].items() if attempts} - {"released", "prepared"}
    return slot["released_at"] is not None and not others
