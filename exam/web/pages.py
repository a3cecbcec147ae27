"""Pages: Jinja2 templates, always escaped, under headers that let nothing foreign run, be framed or be kept.

Times are shown in the time zone of the settings, under its name; the server's own zone never shows.
"""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup

from exam.hall import Hall
from exam.web.forms import TOKEN, Form
from exam.web.guards import StaffRequest, form_token, staff_of
from grading.items import Choice, Essay, InlineChoice, Interaction, Match, Numeric, Ordering, TextEntry

STATIC_FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "static"

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


@cache
def static_version() -> str:
    """Twelve hex digits that change with anything in static/: modules name each other, so all change together."""
    files = sorted(path for path in STATIC_FOLDER.rglob("*") if path.is_file())
    return sha256(b"".join(sha256(path.read_bytes()).digest() for path in files)).hexdigest()[:12]


@cache
def static(path: str) -> str:
    """The address of a file of static/, for ever that of this content. FileNotFoundError for one that is not there."""
    if not (STATIC_FOLDER / path).is_file():
        raise FileNotFoundError(path)
    return f"/static/{static_version()}/{quote(path)}"


@cache
def candidate_files() -> list[str]:
    """The addresses of everything that the candidate's screen may need."""
    files = sorted(
        path.relative_to(STATIC_FOLDER) for path in (STATIC_FOLDER / "candidate").rglob("*") if path.is_file()
    )
    return [static(str(path)) for path in (Path("candidate.css"), Path("icons.svg"), *files)]


# What templates say with ------------------------------------------------------------------------------------------


def _text(texts: Mapping[str, str]) -> str:
    """A plain text in the language of the staff's pages, or in the first it has."""
    return texts.get("en") or next((text for text in texts.values() if text), "")


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
        body = self._environment.get_template(f"{name}.html.j2").render(context).encode()
        return Response(body, status_code=status, headers=HEADERS, media_type="text/html")

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

    def shell(path: str, name: str) -> HTTPRouteHandler:
        @get(path, opt={"audience": "anyone"}, name=f"page {path}")
        async def show(request: StaffRequest) -> Response[bytes]:
            return pages.render(name, lang=preferred(request.headers.get("accept-language", ""), LANGUAGES))

        return show

    @get("/sw.js", opt={"audience": "anyone"})
    async def service_worker() -> Response[bytes]:
        # At the root, because a worker governs the pages below its own address only; named by its content's version.
        shown = pages.render("candidate/sw", version=static_version(), files=candidate_files())
        headers = {**HEADERS, "cache-control": "no-cache"}
        return Response(shown.content, headers=headers, media_type="text/javascript")

    return [shell("/", "candidate/login"), shell("/sitting", "candidate/sitting"), service_worker]
