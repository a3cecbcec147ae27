"""Refusals of pages: the one place where an error becomes something that a person reads."""

import logging
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from exam.errors import Malformed, NoSession, NothingHere, Refusal, TooLarge, Unavailable, WrongMethod
from exam.hall import Hall
from exam.web.bare import DEFECT
from exam.web.pages import HEADERS, Pages, see_other

log = logging.getLogger("exam.web")

LOGIN: Final = "/staff/login"
HEADINGS: Final = {
    401: "Please log in",
    403: "This was not allowed",
    404: "Nothing here",
    405: "This was not possible",
    409: "This is not possible now",
    413: "This was too much",
    415: "This was not understood",
    429: "Please wait a moment",
    503: "Not possible for a moment",
}
AWAY: Final = (
    "The server cannot do this just now. Nothing was changed. Answers of candidates stay on their devices meanwhile; "
    "wait a few seconds, then load this page again."
)

Handler = Callable[[Request[Any, Any, Any], Any], Response[bytes]]


class Defect(Refusal):
    """A mistake of ours; the log has it, the page does not."""

    status = 500
    error = "defect"
    message = DEFECT


def exception_handlers(hall: Hall) -> dict[int | type[Exception], Handler]:
    """What the application does with what its pages raise, addresses that do not exist among it."""
    pages = Pages(hall)

    def show(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
        path = request.scope["path"]
        if path.startswith(("/api/", "/media/")):
            body = msgspec.json.encode({"error": refusal.error, "message": refusal.message})
            return Response(body, status_code=refusal.status, headers=HEADERS, media_type="application/json")
        of_staff = path == "/staff" or path.startswith("/staff/")
        if isinstance(refusal, NoSession) and of_staff and request.method == "GET":
            return see_other(LOGIN if path == "/staff" else f"{LOGIN}?{urlencode({'next': path})}")
        page = pages.render(
            "staff/refusal",
            status=refusal.status,
            heading=HEADINGS.get(refusal.status, "This did not work"),
            sentence=AWAY if isinstance(refusal, Unavailable) else refusal.message,
            back="/staff" if of_staff else "/",
        )
        if refusal.retry_after is not None:
            page.headers["retry-after"] = str(refusal.retry_after)
        return page

    def refused(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
        return show(request, refusal)

    def not_routed(request: Request[Any, Any, Any], failure: HTTPException) -> Response[bytes]:
        kinds: dict[int, type[Refusal]] = {400: Malformed, 404: NothingHere, 405: WrongMethod, 413: TooLarge}
        kind = kinds.get(failure.status_code)
        return failed(request, failure) if kind is None else show(request, kind())

    def failed(request: Request[Any, Any, Any], failure: Exception) -> Response[bytes]:
        log.error("a defect at %s", request.scope["path"], exc_info=failure)
        return show(request, Defect())

    return {Refusal: refused, HTTPException: not_routed, Exception: failed}
