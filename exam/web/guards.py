"""The staff's door-keeper: who is there, whether this page is for them, and whether a form is really theirs."""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Any, Final, TypeAlias, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from exam.auth import StaffSession, read_token
from exam.errors import ForeignOrigin, NotAllowed, NothingHere
from exam.hall import Hall
from exam.web.bare import read_request
from exam.web.forms import TOKEN, read_form

StaffRequest: TypeAlias = Request[Any, Any, Any]
Guard: TypeAlias = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]

STALE_FORM: Final = (
    "This form was opened in an earlier log-in and was not carried out. Go back, load the page again and repeat it."
)
LARGEST_ID: Final = 2**31 - 1
LARGEST_BIG_ID: Final = 2**63 - 1


def form_token(key: bytes, staff: StaffSession) -> str:
    """What every form of this session carries: nobody else can know it, and it is worth nothing in another session."""
    return digest(key, staff.token_hash, sha256).hex()


def audiences(opt: Mapping[str, object]) -> frozenset[str]:
    """For whom a handler is, from its `opt["audience"]`: one name or several."""
    declared = opt.get("audience", ())
    return frozenset([declared] if isinstance(declared, str) else cast("tuple[str, ...]", declared))


def staff_guard(hall: Hall) -> Guard:
    """Lets only its audience through to a page, and a form only from this site and this session.

    Raises NoSession, NotAllowed (a wrong role), ForeignOrigin, or NothingHere for a number that nothing can have.
    """
    cookie = hall.staff_cookie.encode()

    async def keep(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        asked = read_request(connection.scope)
        audience = audiences(handler.opt)
        if "anyone" in audience:
            return
        if "sheds" in handler.opt and (asked.method == "GET" or "files" in handler.opt):
            hall.let(handler.opt["sheds"])
        staff = await hall.sessions.staff(read_token(asked.token(cookie)))
        if staff.role not in audience and "staff" not in audience:
            raise NotAllowed("This page is not for your account. Nothing was changed.")
        for name, number in connection.path_params.items():
            if isinstance(number, int) and not 0 < number <= (LARGEST_BIG_ID if name == "attempt_id" else LARGEST_ID):
                raise NothingHere
        if asked.method != "GET":
            form = await read_form(cast(StaffRequest, connection))
            sent = form.value(TOKEN).encode("utf-8", "replace")
            if not compare_digest(sent, form_token(hall.form_key, staff).encode()):
                raise ForeignOrigin(STALE_FORM)
        connection.scope["state"]["staff"] = staff

    return keep


def staff_of(request: StaffRequest) -> StaffSession:
    """The member of staff whom the guard let in."""
    return cast(StaffSession, request.scope["state"]["staff"])
