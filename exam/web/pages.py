"""Pages: Jinja2 templates, always escaped, under headers that let nothing foreign run, be framed or be kept.

Times are shown in the time zone of the settings, under its name; the server's own zone never shows.
"""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup

from exam.hall import Hall
from exam.web.files import candidate_files, compress, encoding_of, static, static_version
from exam.web.forms import TOKEN, Form
from exam.web.guards import StaffRequest, form_token, staff_of
from grading.items import Choice, Essay, InlineChoice, Interaction, Match, Numeric, Ordering, TextEntry

# Nothing inline and nothing from elsewhere: what somebody smuggles into a text stays a text.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self'",
        "style-src 'self'",
        "script-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    ]
)
HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


# What templates say with ------------------------------------------------------------------------------------------


def _text(texts: Mapping[str, str]) -> str:
    """A plain text in the language of the staff's pages, or in the first it has."""
    return texts.get("en") or next((text for text in texts.values() if text), "")


def plain(texts: Mapping[str, str]) -> str:
    """The words of an item's text as the staff's pages say it, without its marks."""
    return str(_fragment(_text(texts)).striptags())


def _fragment(text: str) -> Markup:
    # Only for texts of items: they passed the allow-list of exam.imports.html when they came in.
    return Markup(text)  # noqa: S704


def _span(seconds: float) -> str:
    """A length of time: "2 h 5 min", "1 min 30 s", "0 s"."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if number]
    return " ".join(parts[:2]) or "0 s"


def _kind(interaction: Interaction) -> str:
    match interaction:
        case Choice(multiple=True):
            return "several of a list"
        case Choice():
            return "one of a list"
        case TextEntry():
            return "short text"
        case Numeric():
            return "number"
        case Match():
            return "matching"
        case InlineChoice():
            return "gaps in a text"
        case Ordering():
            return "putting in order"
        case Essay():
            return "essay, marked by people"


def _noted(record: str) -> str:
    return {
        "focus": "leaving the page or the window",
        "fullscreen": "leaving full screen",
        "paste": "pasting (how many characters, never the text)",
        "network": "the line to the server",
        "device": "a change of device",
    }[record]


def _number(number: int) -> str:
    return f"{number:,}"


@cache
def _environment(time_zone: str) -> Environment:
    zone = ZoneInfo(time_zone)

    def local(moment: dt.datetime, form: str = "%-d %b %Y, %H:%M") -> str:
        return moment.astimezone(zone).strftime(form)

    def time(moment: dt.datetime, form: str) -> Markup:
        exact = moment.astimezone(zone).isoformat(timespec="seconds")
        return Markup('<time datetime="{}">{}</time>').format(exact, local(moment, form))

    environment = Environment(
        loader=PackageLoader("exam.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters |= {
        "text": _text,
        "fragment": _fragment,
        "span": _span,
        "number": _number,
        "kind": _kind,
        "noted": _noted,
        "moment": lambda moment: time(moment, "%-d %b %Y, %H:%M"),
        "clock": lambda moment: time(moment, "%H:%M:%S"),
        "hour": lambda moment: time(moment, "%H:%M"),
        "typed": lambda moment: local(moment, "%Y-%m-%dT%H:%M"),
        "day": lambda day: day.strftime("%a %-d %b %Y"),
    }
    environment.globals |= {"static": static, "time_zone": time_zone, "TOKEN": TOKEN}
    return environment


class Pages:
    """The templates with what they need of the hall."""

    def __init__(self, hall: Hall) -> None:
        self.zone = ZoneInfo(hall.settings.time_zone)
        self._environment = _environment(hall.settings.time_zone)
        self._key = hall.form_key

    def render(self, name: str, *, status: int = 200, **context: Any) -> Response[bytes]:
        """A page from templates/<name>.html.j2."""
        body = self.text(f"{name}.html", **context)
        return Response(body, status_code=status, headers=HEADERS, media_type="text/html")

    def text(self, name: str, **context: Any) -> bytes:
        """What templates/<name>.j2 comes to."""
        return self._environment.get_template(f"{name}.j2").render(context).encode()

    def staff(self, request: StaffRequest, name: str, *, status: int = 200, **context: Any) -> Response[bytes]:
        """A page of somebody of the staff from templates/staff/<name>.html.j2, with their forms' token."""
        staff = staff_of(request)
        context.setdefault("form", Form())
        return self.render(
            f"staff/{name}",
            status=status,
            staff=staff,
            token=form_token(self._key, staff),
            path=request.url.path,
            now=self.now(),
            **context,
        )

    def now(self) -> dt.datetime:
        """This moment, for ages and greetings on pages; what judges is the database's clock."""
        return dt.datetime.now(self.zone)


def see_other(path: str) -> Response[bytes]:
    """After a form: shows another page, so that loading again repeats nothing."""
    return Response(b"", status_code=303, headers={**HEADERS, "location": path}, media_type="text/plain")


def preferred(accept_language: str, offered: tuple[str, ...]) -> str:
    """The first of the browser's languages that is offered (RFC 9110, section 12.5.4), else the first offered."""
    wanted: list[tuple[float, int, str]] = []
    for part in accept_language[:500].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), len(wanted), tag.partition("-")[0].strip().lower()))
        except ValueError:
            continue
    return next((tag for _, _, tag in sorted(wanted) if tag in offered), offered[0])


LANGUAGES: Final = ("en", "mr", "hi")


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The candidate's two pages, for anyone and without a word about anybody, and what keeps them without a line."""
    pages = Pages(hall)

    @cache
    def shells(name: str, language: str, encoding: str) -> bytes:
        return compress(pages.text(f"{name}.html", lang=language), encoding)

    def shell(path: str, name: str) -> HTTPRouteHandler:
        @get(path, opt={"audience": "anyone"}, name=f"page {path}")
        async def show(request: StaffRequest) -> Response[bytes]:
            language = preferred(request.headers.get("accept-language", ""), LANGUAGES)
            # Small also without nginx's help, which compresses no page: in these there is no secret to be measured.
            encoding = encoding_of(request.headers.get("accept-encoding", "").encode())
            headers = {**HEADERS, "vary": "accept-encoding, accept-language"}
            if encoding:
                headers["content-encoding"] = encoding
            return Response(shells(name, language, encoding), headers=headers, media_type="text/html")

        return show

    @get("/sw.js", opt={"audience": "anyone"})
    async def service_worker() -> Response[bytes]:
        # At the root, because a worker governs the pages below its own address only; named by its content's version.
        kept = [static(path) for path in candidate_files()]
        script = pages.text("candidate/sw.js", version=static_version(), files=kept)
        return Response(script, headers={**HEADERS, "cache-control": "no-cache"}, media_type="text/javascript")

    return [shell("/", "candidate/login"), shell("/sitting", "candidate/sitting"), service_worker]
