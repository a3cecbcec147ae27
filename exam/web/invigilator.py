"""The invigilator's door: a slot on its day. Who sits, writes and has finished; more time, announcements, devices."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta

from exam.answers import list_quarantine
from exam.auth import StaffSession
from exam.db import Connection, Row
from exam.envelopes import look_at_code
from exam.errors import Malformed, NotAllowed, NothingHere, NotPossible
from exam.events import MOST_EVENTS, list_events
from exam.grants import allow_device_change, grant_time, list_grants
from exam.hall import Hall
from exam.handovers import LARGEST_FILE, LARGEST_UPLOAD, MOST_FILES, Brought
from exam.monitor import board, counts, returns
from exam.notices import announce, list_announcements
from exam.slots import one_slot
from exam.turns import take_turn
from exam.web.bare import read_request
from exam.web.forms import Form, asked, read_form
from exam.web.guards import LARGEST_ID, StaffRequest, staff_of
from exam.web.pages import Pages, see_other

REFUSED = (Malformed, NotAllowed, NotPossible)
"""What sends a form back with what was typed; everything else has a page of its own."""
QUIET: Final = dt.timedelta(minutes=3)
"""A candidate who writes and saves nothing for longer may sit before a dead line: somebody should look."""
WATCHERS: Final = ("invigilator", "district_admin", "platform_admin")
ACTORS: Final = ("invigilator", "district_admin")
DONE = {
    "granted": "The time is given. It reaches every screen with the next save, within a minute of work.",
    "announced": "The announcement is made. It reaches every screen with the next save, within a minute of work.",
    "device": "One more change of device is allowed. The candidate logs in on the other device and presses Continue.",
}
MEANWHILE: Final = (
    "Since you opened this page, time was given here: look at the list below. Nothing was given a second time. "
    "If this is to come on top, send it again."
)


class GrantForm(msgspec.Struct, frozen=True):
    minutes: Annotated[int, Meta(ge=1, le=240, description="Type the minutes, a whole number from 1 to 240.")]
    reason: Annotated[str, Meta(min_length=1, max_length=500, description="Type the reason, at most 500 characters.")]
    seen: Annotated[int, Meta(ge=0, le=LARGEST_ID)]
    sure: bool = False


class AnnounceForm(msgspec.Struct, frozen=True):
    seen: Annotated[int, Meta(ge=0, le=LARGEST_ID)]
    text_en: Annotated[str, Meta(max_length=500, description="At most 500 characters.")] = ""
    text_mr: Annotated[str, Meta(max_length=500, description="At most 500 characters.")] = ""


class LookForm(msgspec.Struct, frozen=True):
    pass


class DeviceForm(msgspec.Struct, frozen=True):
    seen: Annotated[int, Meta(ge=0, le=1000)]


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The handlers of this door."""
    pages = Pages(hall)

    # The day --------------------------------------------------------------------------------------------------

    @get("/staff/slots/{slot_id:int}/day", opt={"audience": WATCHERS, "sheds": "board"})
    async def day(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff = staff_of(request)
        shown = asked(request, "show") or "all"
        still = asked(request, "still") == "1"
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            slot = await one_slot(connection, staff, slot_id)
            numbers = await counts(connection, staff, slot_id)
            rows = await board(connection, staff, slot_id)
            grants = await list_grants(connection, staff, slot_id)
            announcements = await list_announcements(connection, staff, slot_id)
        now = pages.now()
        quiet = {row["attempt_id"] for row in rows if _quiet(row, now)}
        return pages.staff(
            request,
            "day",
            slot=slot,
            counts=numbers,
            sitters=[row for row in rows if _shown(row, shown, quiet)],
            quiet=quiet,
            kept=sum(row["kept"] > 0 for row in rows),
            shown=shown,
            still=still,
            grants=grants,
            announcements=announcements,
            acts=staff.role in ACTORS,
            done=DONE.get(asked(request, "done")),
        )

    # Time for everybody ---------------------------------------------------------------------------------------

    async def grant_page(
        request: StaffRequest, slot_id: int, form: Form, status: int = 200, *, ask: bool = False
    ) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            slot = await one_slot(connection, staff, slot_id)
            numbers = await counts(connection, staff, slot_id)
            grants = await list_grants(connection, staff, slot_id)
        return pages.staff(
            request,
            "grant_sure" if ask else "grant",
            status=status,
            form=form,
            slot=slot,
            counts=numbers,
            grants=grants,
            seen=_newest(grants),
        )

    @get("/staff/slots/{slot_id:int}/grant", opt={"audience": ACTORS})
    async def ask_grant(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        return await grant_page(request, slot_id, Form())

    @post("/staff/slots/{slot_id:int}/grant", opt={"audience": ACTORS}, status_code=200)
    async def grant(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        form = await read_form(request)
        try:
            typed = form.take(GrantForm)
            if typed.sure:
                await give(staff_of(request), slot_id, None, typed)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await grant_page(request, slot_id, form, refusal.status)
        if not typed.sure:
            return await grant_page(request, slot_id, form, ask=True)
        return see_other(f"/staff/slots/{slot_id}/day?done=granted")

    async def give(staff: StaffSession, slot_id: int, attempt_id: int | None, typed: GrantForm) -> None:
        """Gives the time unless the same form has given it before; NotPossible if others gave some meanwhile."""
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            await take_turn(connection, f"grants of {slot_id}")
            since = [row for row in await list_grants(connection, staff, slot_id) if row["grant_id"] > typed.seen]
            touching = [row for row in since if attempt_id is None or row["attempt_id"] in (None, attempt_id)]
            asked_for = (attempt_id, typed.minutes * 60, typed.reason, staff.name)
            if any((row["attempt_id"], row["seconds"], row["reason"], row["staff_name"]) == asked_for for row in since):
                return
            if touching:
                raise NotPossible(MEANWHILE)
            await grant_time(connection, staff, slot_id, attempt_id, typed.minutes * 60, typed.reason)

    # Announcements --------------------------------------------------------------------------------------------

    async def announce_page(request: StaffRequest, slot_id: int, form: Form, status: int = 200) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            slot = await one_slot(connection, staff, slot_id)
            rows = await list_announcements(connection, staff, slot_id)
        seen = rows[0]["announcement_id"] if rows else 0
        return pages.staff(request, "announce", status=status, form=form, slot=slot, announcements=rows, seen=seen)

    @get("/staff/slots/{slot_id:int}/announce", opt={"audience": ACTORS})
    async def ask_announce(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        return await announce_page(request, slot_id, Form())

    @post("/staff/slots/{slot_id:int}/announce", opt={"audience": ACTORS}, status_code=200)
    async def make_announcement(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(AnnounceForm)
            text = {tag: said for tag, said in (("en", typed.text_en), ("mr", typed.text_mr)) if said}
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                await take_turn(connection, f"announcements of {slot_id}")
                made = await list_announcements(connection, staff, slot_id)
                if not any(row["announcement_id"] > typed.seen and row["text"] == text for row in made):
                    await announce(connection, staff, slot_id, typed.text_en, typed.text_mr)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await announce_page(request, slot_id, form, refusal.status)
        return see_other(f"/staff/slots/{slot_id}/day?done=announced")

    # The code to read out -------------------------------------------------------------------------------------

    async def code_page(request: StaffRequest, slot_id: int, form: Form, status: int = 200) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            slot = await one_slot(connection, staff, slot_id)
        return pages.staff(request, "code", status=status, form=form, slot=slot, code="")

    @get("/staff/slots/{slot_id:int}/code", opt={"audience": ACTORS})
    async def ask_code(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        return await code_page(request, slot_id, Form())

    # A form, so that no link and no prefetching browser looks at it, and each look is somebody's.
    @post("/staff/slots/{slot_id:int}/code", opt={"audience": ACTORS}, status_code=200)
    async def show_code(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            form.take(LookForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                slot, code = await look_at_code(connection, staff, slot_id, hall.code_key)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await code_page(request, slot_id, form, refusal.status)
        return pages.staff(request, "code", slot=slot, code=code)

    # One person -----------------------------------------------------------------------------------------------

    async def person_page(
        request: StaffRequest, slot_id: int, attempt_id: int, form: Form | None = None, status: int = 200
    ) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            slot = await one_slot(connection, staff, slot_id)
            sitter = await sitter_of(connection, staff, slot_id, attempt_id)
            grants = await list_grants(connection, staff, slot_id)
            events = await list_events.many(
                connection, district_id=slot["district_id"], day=slot["exam_day"], attempt_id=attempt_id
            )
            again = await returns(connection, slot, attempt_id) if slot["navigation"] == "forward" else None
        return pages.staff(
            request,
            "person",
            status=status,
            form=form or Form(),
            slot=slot,
            sitter=sitter,
            grants=[row for row in grants if row["attempt_id"] in (None, attempt_id)],
            seen=_newest(grants),
            quiet=_quiet(sitter, pages.now()),
            returns=again,
            events=events,
            most_events=MOST_EVENTS,
            acts=staff.role in ACTORS,
            done=DONE.get(asked(request, "done")),
        )

    async def sitter_of(connection: Connection, staff: StaffSession, slot_id: int, attempt_id: int) -> Row:
        for row in await board(connection, staff, slot_id):
            if row["attempt_id"] == attempt_id:
                return row
        raise NothingHere

    person_path = "/staff/slots/{slot_id:int}/people/{attempt_id:int}"

    @get(person_path, opt={"audience": WATCHERS})
    async def person(request: StaffRequest, slot_id: FromPath[int], attempt_id: FromPath[int]) -> Response[bytes]:
        return await person_page(request, slot_id, attempt_id)

    @post(f"{person_path}/grant", opt={"audience": ACTORS}, status_code=200)
    async def grant_person(request: StaffRequest, slot_id: FromPath[int], attempt_id: FromPath[int]) -> Response[bytes]:
        form = await read_form(request)
        try:
            await give(staff_of(request), slot_id, attempt_id, form.take(GrantForm))
        except REFUSED as refusal:
            form.refuse(refusal)
            return await person_page(request, slot_id, attempt_id, form, refusal.status)
        return see_other(f"/staff/slots/{slot_id}/people/{attempt_id}?done=granted")

    @post(f"{person_path}/device", opt={"audience": ACTORS}, status_code=200)
    async def allow_device(request: StaffRequest, slot_id: FromPath[int], attempt_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        try:
            typed = form.take(DeviceForm)
            async with hall.db.staff.transaction(scope=staff.scope) as connection:
                await take_turn(connection, f"devices of {slot_id}")
                sitter = await sitter_of(connection, staff, slot_id, attempt_id)
                # More are open than the form has shown: this is the second half of a double click.
                if sitter["takeovers_left"] <= typed.seen:
                    await allow_device_change(connection, staff, slot_id, attempt_id)
        except REFUSED as refusal:
            form.refuse(refusal)
            return await person_page(request, slot_id, attempt_id, form, refusal.status)
        return see_other(f"/staff/slots/{slot_id}/people/{attempt_id}?done=device")

    # Rescue files ---------------------------------------------------------------------------------------------

    async def rescue_page(
        request: StaffRequest, slot: Row, form: Form, status: int = 200, brought: Sequence[tuple[str, Brought]] = ()
    ) -> Response[bytes]:
        return pages.staff(
            request,
            "rescue",
            status=status,
            form=form,
            slot=slot,
            brought=brought,
            most_files=MOST_FILES,
            largest_mb=LARGEST_FILE // 2**20,
            together_mb=LARGEST_UPLOAD // 2**20,
        )

    async def slot_of(staff: StaffSession, slot_id: int) -> Row:
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            return await one_slot(connection, staff, slot_id)

    @get("/staff/slots/{slot_id:int}/rescue", opt={"audience": ACTORS})
    async def ask_rescue(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        return await rescue_page(request, await slot_of(staff_of(request), slot_id), Form())

    # Answers with what became of each file instead of leading on: loading that again repeats the upload, and changes
    # nothing.
    @post(
        "/staff/slots/{slot_id:int}/rescue",
        opt={"audience": ACTORS, "files": "files", "sheds": "board"},
        status_code=200,
        request_max_body_size=LARGEST_UPLOAD,
    )
    async def bring_rescue(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff, form = staff_of(request), await read_form(request)
        slot = await slot_of(staff, slot_id)
        try:
            form.take(LookForm)
            if not 0 < len(form.files) <= MOST_FILES:
                raise Malformed(f"Choose at least one file, and at most {MOST_FILES} at once.", field="files")
        except REFUSED as refusal:
            form.refuse(refusal)
            return await rescue_page(request, slot, form, refusal.status)
        bodies = [await file.read(LARGEST_FILE + 1) for file in form.files]
        brought = await hall.handovers.bring(staff, slot, bodies, read_request(request.scope).stamp)
        names = [file.filename[:100] for file in form.files]
        return await rescue_page(request, slot, Form(), brought=list(zip(names, brought, strict=True)))

    # What does not count --------------------------------------------------------------------------------------

    @get("/staff/slots/{slot_id:int}/quarantine", opt={"audience": ACTORS, "sheds": "report"})
    async def quarantine(request: StaffRequest, slot_id: FromPath[int]) -> Response[bytes]:
        staff = staff_of(request)
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            slot = await one_slot(connection, staff, slot_id)
            rows = await list_quarantine.many(
                connection, district_id=slot["district_id"], day=slot["exam_day"], slot_id=slot_id
            )
        return pages.staff(request, "quarantine", slot=slot, rows=rows)

    return [
        day,
        ask_grant,
        grant,
        ask_announce,
        make_announcement,
        ask_code,
        show_code,
        person,
        grant_person,
        allow_device,
        ask_rescue,
        bring_rescue,
        quarantine,
    ]


def _newest(grants: list[Any]) -> int:
    return int(grants[0]["grant_id"]) if grants else 0


def _quiet(sitter: Row, now: dt.datetime) -> bool:
    return bool(sitter["state"] == "started" and now - (sitter["last_save"] or sitter["started_at"]) > QUIET)


def _shown(sitter: Row, shown: str, quiet: set[int]) -> bool:
    match shown:
        case "quiet":
            return sitter["attempt_id"] in quiet
        case "kept":
            return bool(sitter["kept"])
        case "all":
            return True
        case state:
            return str(sitter["state"]) == state
