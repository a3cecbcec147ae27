"""The staff's own door: logging in and out, and the page on which everybody's day begins."""

import re
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from exam.auth import log_in_staff, read_token
from exam.errors import Malformed, NoSession, Wait, WrongLogin
from exam.exams import list_banks
from exam.hall import Hall
from exam.slots import list_slots
from exam.timing import local_day
from exam.web.bare import read_request
from exam.web.forms import Form, asked, read_form
from exam.web.guards import StaffRequest, staff_of
from exam.web.pages import Pages, see_other
from exam.web.refusals import LOGIN

HOURS_10: Final = 10 * 3600
_WITHIN = re.compile(r"/staff(/[0-9a-z/_-]*)?")


class LoginForm(msgspec.Struct, frozen=True):
    email: Annotated[str, Meta(min_length=3, max_length=200, description="Type your e-mail address.")]
    password: Annotated[str, Meta(min_length=1, max_length=200, description="Type your password.")]
    next: Annotated[str, Meta(max_length=200)] = "/staff"


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The handlers of this door."""
    pages = Pages(hall)

    def login_page(form: Form, status: int = 200) -> Response[bytes]:
        return pages.render("staff/login", status=status, form=form)

    def cookie(value: str, seconds: int) -> Cookie:
        return Cookie(
            hall.staff_cookie,
            "/",
            value=value,
            max_age=seconds,
            secure=hall.settings.tls,
            httponly=True,
            samesite="strict",
        )

    async def end_session(request: StaffRequest) -> None:
        with suppress(NoSession):
            await hall.sessions.revoke(read_token(read_request(request.scope).token(hall.staff_cookie.encode())))

    @get(LOGIN, opt={"audience": "anyone"})
    async def show_login(request: StaffRequest) -> Response[bytes]:
        return login_page(Form({"next": [asked(request, "next") or "/staff"]}))

    @post(LOGIN, opt={"audience": "anyone"}, status_code=200)
    async def log_in(request: StaffRequest) -> Response[bytes]:
        form = await read_form(request)
        try:
            typed = form.take(LoginForm)
            token = await log_in_staff(hall.db, hall.state, hall.form_key, typed.email, typed.password)
        except (Malformed, WrongLogin, Wait) as refusal:
            form.refuse(refusal)
            page = login_page(form, refusal.status)
            if refusal.retry_after is not None:
                page.headers["retry-after"] = str(refusal.retry_after)
            return page
        await end_session(request)  # whoever had this browser before, the same person or another
        response = see_other(typed.next if _WITHIN.fullmatch(typed.next) else "/staff")
        response.cookies.append(cookie(token.hex(), HOURS_10))
        return response

    @post("/staff/logout", opt={"audience": "staff"}, status_code=200)
    async def log_out(request: StaffRequest) -> Response[bytes]:
        await end_session(request)
        response = see_other(LOGIN)
        response.cookies.append(cookie("", 0))
        return response

    @get("/staff", opt={"audience": "staff"})
    async def start(request: StaffRequest) -> Response[bytes]:
        staff = staff_of(request)
        today = local_day(pages.now(), hall.settings.time_zone)
        found: dict[str, Any] = {"today": today, "slots": [], "banks": []}
        async with hall.db.staff.transaction(scope=staff.scope) as connection:
            if staff.role == "author":
                found["banks"] = await list_banks(connection, staff)
            elif staff.role != "marker":
                found["slots"] = await list_slots(connection, staff, today)
        return pages.staff(request, "start", **found)

    return [show_login, log_in, log_out, start]
