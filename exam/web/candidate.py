"""The candidate's door: docs/candidate-protocol.md over HTTP. The save path begins at `save`."""

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from typing import Annotated, Any, Literal

import msgspec
from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import Receive, Send
from msgspec import Meta

from exam.answers import Line, Save, Saved
from exam.attempts import Running, sat, take_over_attempt
from exam.auth import CandidateSession, read_token
from exam.browsers import Shown
from exam.db import Row
from exam.errors import Malformed, NothingHere, NotInPaper, Unavailable
from exam.events import Event, Kind
from exam.hall import Hall
from exam.handovers import AnyEpoch, SealedRow, Seq
from exam.journals import Owner, journal_of
from exam.papers import Loaded, picture
from exam.receipts import Receipt
from exam.sittings import Sitting, list_notices
from exam.tickets import arrival, issue
from exam.web.bare import JSON, PRIVATE, PUBLIC, Handler, Request, door, read_json, respond, respond_bytes
from grading.items import Response, canonical

log = logging.getLogger("exam.web")

Epoch = Annotated[int, Meta(ge=1, le=1000)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request body: what is not named here is refused."""


class Login(Body, frozen=True):
    registration: Annotated[str, Meta(min_length=1, max_length=64)]
    code: Annotated[str, Meta(min_length=1, max_length=64)]


class StartBody(Body, frozen=True):
    by: Literal["code"] | None = None
    key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None


class AnswerIn(Body, frozen=True):
    seq: Seq
    item: Annotated[int, Meta(ge=0, le=1000)]
    response: Response
    flag: bool = False
    at: Annotated[int, Meta(ge=0, le=2**52)] = 0


class AnswersBody(Body, frozen=True):
    epoch: AnyEpoch
    answers: Annotated[list[AnswerIn], Meta(min_length=1, max_length=100)]


class HandoverBody(Body, frozen=True):
    handover: Annotated[str, Meta(max_length=200)]
    epoch: AnyEpoch
    rows: Annotated[list[SealedRow], Meta(min_length=1, max_length=100)]


Milliseconds = Annotated[int, Meta(ge=0, le=86_400_000)]


class EventIn(Body, frozen=True):
    n: Annotated[int, Meta(ge=1, le=10_000)]
    kind: Kind
    age: Milliseconds
    span: Milliseconds | None = None
    item: Annotated[int, Meta(ge=1, le=1000)] | None = None
    characters: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class EventsBody(Body, frozen=True):
    page: Annotated[int, Meta(ge=1, lt=2**31)]
    events: Annotated[list[EventIn], Meta(min_length=1, max_length=50)]


class SubmitBody(Body, frozen=True):
    epoch: Epoch
    last_seq: Annotated[int, Meta(ge=0, le=1_000_000)]
    answers: Annotated[list[AnswerIn], Meta(max_length=100)] = []


_login = msgspec.json.Decoder(Login)
_start = msgspec.json.Decoder(StartBody)
_empty = msgspec.json.Decoder(Body)
_answers = msgspec.json.Decoder(AnswersBody)
_submit = msgspec.json.Decoder(SubmitBody)
_events = msgspec.json.Decoder(EventsBody)
_handover = msgspec.json.Decoder(HandoverBody)

KEPT_MESSAGES = {
    "late": "The time was over when this arrived. It is kept for the district to look at, but does not count.",
    "section": "Its section was not open when this came. It is kept for the district to look at, but does not count.",
    "stale_device": "The exam goes on at another device. What was written here since is kept, but does not count.",
    "closed": "The exam had ended before this arrived. It is kept for the district to look at, but does not count.",
}


def milliseconds(moment: dt.datetime) -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return round(moment.timestamp() * 1000)


def now() -> int:
    """The server's time in milliseconds: for clocks on screens. What judges is the database's, in the statements."""
    return milliseconds(dt.datetime.now(dt.UTC))


def routes(hall: Hall) -> list[ASGIRouteHandler]:
    """The handlers of this door."""
    cookie = hall.cookie.encode()

    async def session_of(request: Request) -> CandidateSession:
        """Whose request this is. Every door of an attempt begins here, also because it looks at the browser."""
        session = await hall.sessions.candidate(read_token(request.token(cookie)))
        right_browser(session, request)
        return session

    def right_browser(session: CandidateSession, request: Request) -> None:
        """OtherBrowser where the exam asks for Safe Exam Browser, and the request does not come from it."""
        keys = hall.browsers.asked(session.slot_id)
        if keys is not None:
            asked = request.target + b"?" + request.query if request.query else request.target
            hall.browsers.check(
                keys,
                Shown(
                    hall.browsers.origin + asked.decode("latin-1"),
                    request.header(b"x-safeexambrowser-configkeyhash"),
                    request.header(b"x-safeexambrowser-requesthash"),
                ),
                Shown(*map(request.header, (b"seb-page", b"seb-config-key-hash", b"seb-browser-exam-key-hash"))),
            )

    # The save path ------------------------------------------------------------------------------------------

    async def save(request: Request, receive: Receive, send: Send) -> None:
        body: AnswersBody = await read_json(request, receive, _answers)
        with ticketed(request):
            session = await session_of(request)
            saved = await write(owner(session), request, body.epoch, body.answers)
        await respond(
            send,
            {
                "now": now(),
                "watermark": saved.watermark,
                "deadline": milliseconds(saved.deadline),
                "notices": hall.notices.latest(session.slot_id),
                **_section_ends(saved.section_ends),
                **_kept(saved),
            },
        )

    async def write(attempt: Owner, request: Request, epoch: int, answers: list[AnswerIn]) -> Saved:
        """Checks each answer against the paper, before any of them can trouble its neighbours; then commits them."""
        paper = await hall.papers.get(attempt.form_hash)
        lines = []
        for place, answer in enumerate(answers):
            if answer.seq != answers[0].seq + place:
                raise Malformed("The answers of one request have to follow each other without a gap.")
            if not paper.takes(answer.item, answer.response):
                raise NotInPaper(seq=answer.seq)
            section = paper.section_of(answer.item)
            lines.append(Line(answer.seq, answer.item, canonical(answer.response), answer.flag, answer.at, section))
        save = Save(
            attempt.district_id,
            attempt.exam_day,
            attempt.attempt_id,
            epoch,
            lines,
            request.judged or request.stamp,
            request.stamp,
        )
        return await hall.answers.save(save)

    async def handover(request: Request, receive: Receive, send: Send) -> None:
        """What an earlier candidate left on this device: whose it is, it says itself."""
        body: HandoverBody = await read_json(request, receive, _handover)
        whose = hall.handovers.owner(body.handover)
        await hall.sessions.limit(b"h:" + whose.attempt_id.to_bytes(8))
        handed = await hall.handovers.hand_over(whose, body.epoch, body.rows, request.stamp)
        await respond(send, {"now": now(), "watermark": handed.saved.watermark, **_kept(handed.saved)})

    @contextmanager
    def ticketed(request: Request) -> Iterator[None]:
        """Honours the ticket of an earlier sending; who is put off now gets one, so that overload costs no answer."""
        token = read_token(request.token(cookie))
        if request.ticket and (first := arrival(hall.ticket_key, token, request.body, request.ticket)) is not None:
            request.judged = min(request.stamp, first)
        try:
            yield
        except Unavailable as put_off:
            put_off.extra["ticket"] = issue(hall.ticket_key, token, request.body, request.judged or request.stamp)
            raise

    # Before and after ---------------------------------------------------------------------------------------

    async def login(request: Request, receive: Receive, send: Send) -> None:
        hall.let("login")
        body: Login = await read_json(request, receive, _login)
        token, session = await hall.log_ins.candidate(body.registration, body.code)
        secure = "; Secure" if hall.settings.tls else ""
        header = f"{hall.cookie}={token.hex()}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200{secure}"
        await respond(send, await _sitting(session, request), headers=_with_cookie(header))

    async def logout(request: Request, receive: Receive, send: Send) -> None:
        await read_json(request, receive, _empty)
        await hall.sessions.revoke(read_token(request.token(cookie)))
        secure = "; Secure" if hall.settings.tls else ""
        header = f"{hall.cookie}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}"
        await respond(send, b"", 204, headers=_with_cookie(header))

    async def sitting(request: Request, receive: Receive, send: Send) -> None:
        session = await hall.sessions.candidate(read_token(request.token(cookie)))
        await respond(send, await _sitting(session, request))

    async def _sitting(session: CandidateSession, request: Request) -> dict[str, Any]:
        if session.attempt_id is None:
            async with hall.db.web.connection() as connection:
                session = await hall.sessions.attach(connection, session)
        found = await hall.sittings.of(session)
        if found.attempt is None or found.attempt["state"] in ("prepared", "started"):
            right_browser(session, request)  # afterwards receipt and result may be read anywhere
        paper = None if session.form_hash is None else await hall.papers.get(session.form_hash)
        safe_browser = hall.browsers.asked(session.slot_id) is not None
        told = _sitting_json(found, session, hall.notices.latest(session.slot_id), paper, safe_browser=safe_browser)
        begun = told["attempt"] is not None or told["by_code"] is not None
        return told | journal_json(session) if begun else told

    async def start(request: Request, receive: Receive, send: Send) -> None:
        hall.let("start")
        body: StartBody = await read_json(request, receive, _start)
        session = await session_of(request)
        by_code, proved = body.by == "code", False
        if by_code and body.key is not None:  # who has it has opened the envelope
            paper = await hall.papers.get(session.form_hash)
            proved = compare_digest(bytes.fromhex(body.key), paper.sealed.key)
        running = await hall.starts.start(session, request.stamp, by_code=by_code, proved=proved)
        await respond(send, await _running(session, running))

    async def _running(session: CandidateSession, running: Running) -> dict[str, Any]:
        paper = await hall.papers.get(running.form_hash)
        return _running_json(running, hall.notices.latest(running.slot_id), paper.sealed.key) | journal_json(session)

    def journal_json(session: CandidateSession) -> dict[str, Any]:
        journal = journal_of(hall.journal_key, owner(session))
        return {"journal": {"name": journal.name, "key": journal.key.hex(), "handover": journal.handover}}

    async def take_over(request: Request, receive: Receive, send: Send) -> None:
        await read_json(request, receive, _empty)
        session = await session_of(request)
        await respond(send, await _running(session, await take_over_attempt(hall.db, session)))

    async def submit(request: Request, receive: Receive, send: Send) -> None:
        body: SubmitBody = await read_json(request, receive, _submit)
        with ticketed(request):
            session = await session_of(request)
            saved = await write(owner(session), request, body.epoch, body.answers) if body.answers else None
            submitted = await hall.submissions.submit(session, body.epoch, body.last_seq)
        if submitted.state == "submitted":
            hall.knock()
        answer: dict[str, Any] = {
            "now": now(),
            "state": submitted.state,
            "watermark": body.last_seq if saved is None else saved.watermark,
            "receipt": _receipt_json(submitted.receipt),
        }
        await respond(send, answer if saved is None else answer | _kept(saved))

    async def paper(request: Request, receive: Receive, send: Send) -> None:
        session = await session_of(request)
        asked = request.path.strip("/")
        if session.form_hash is None or asked != session.form_hash.hex():
            raise NothingHere
        if not await hall.starts.begun(session):
            raise NothingHere
        if bad := _damage(request.query):
            log.warning("a paper came damaged: form %s, attempt %s, got %s", asked[:12], session.attempt_id, bad)
        if request.accel:  # nginx has the bytes, or fetches them once for all from the door below
            await respond_bytes(send, b"", JSON, (b"x-accel-redirect", f"/_papers/{asked}".encode()))
        else:
            await send_paper(send, asked, PRIVATE)

    async def sealed_paper(request: Request, receive: Receive, send: Send) -> None:
        # For anybody who knows the name, so that nginx can keep it: without the key it is noise.
        name = request.path.strip("/")
        form = name.partition(".")[0]
        loaded = await hall.papers.get(bytes.fromhex(form) if _is_hash(form) else None)
        if name != loaded.sealed.name:
            raise NothingHere
        await respond_bytes(send, loaded.sealed.body, b"application/octet-stream", kept=PUBLIC)

    async def paper_for_nginx(request: Request, receive: Receive, send: Send) -> None:
        # From outside nginx answers 404 for this address; whoever comes here has been let in by `paper`.
        await send_paper(send, request.path.strip("/"), PUBLIC)

    async def send_paper(send: Send, name: str, kept: bytes) -> None:
        loaded = await hall.papers.get(bytes.fromhex(name) if _is_hash(name) else None)
        await respond_bytes(send, loaded.compressed, JSON, (b"content-encoding", b"gzip"), kept=kept)

    async def notices(request: Request, receive: Receive, send: Send) -> None:
        session = await session_of(request)
        after = _number(request.query, b"after")
        async with hall.db.web.connection() as connection:
            rows = await list_notices.many(connection, slot_id=session.slot_id, after=after)
        listed = [
            {"notice": row["announcement_id"], "at": milliseconds(row["announced_at"]), "text": row["text"]}
            for row in rows
        ]
        await respond(send, {"notices": listed})

    async def events(request: Request, receive: Receive, send: Send) -> None:
        hall.let("event")
        body: EventsBody = await read_json(request, receive, _events)
        session = await session_of(request)
        await hall.events.tell(session, body.page, _noticed(body.events))
        await respond(send, {"now": now()})

    async def media(request: Request, receive: Receive, send: Send) -> None:
        # The name is 256 secret bits that stand in the paper only, so it is the right to see the picture.
        name = request.path.strip("/")
        if not _is_hash(name):
            raise NothingHere
        content_type, body = await picture(hall.db, bytes.fromhex(name))
        await respond_bytes(send, body, content_type.encode(), kept=PUBLIC)

    def at(path: str, audience: str = "candidate", *, mount: bool = False, **methods: Handler) -> ASGIRouteHandler:
        # A mount where the rest of the path is a name: Litestar finds no path parameters for bare handlers.
        return asgi(path, copy_scope=False, is_mount=mount, opt={"audience": audience})(door(**methods))

    return [
        at("/api/login", "anyone", POST=login),
        at("/api/logout", POST=logout),
        at("/api/sitting", GET=sitting),
        at("/api/start", POST=start),
        at("/api/takeover", POST=take_over),
        at("/api/answers", PUT=save),
        at("/api/submit", POST=submit),
        at("/api/papers", mount=True, GET=paper),
        at("/internal/papers", "internal", mount=True, GET=paper_for_nginx),
        at("/api/handover", "anyone", POST=handover),
        at("/papers", "anyone", mount=True, GET=sealed_paper),
        at("/api/notices", GET=notices),
        at("/api/events", POST=events),
        at("/media", "anyone", mount=True, GET=media),
    ]


def owner(session: CandidateSession) -> Owner:
    """The attempt that a session may write. NothingHere where none has been prepared yet."""
    attempt = sat(session)
    assert session.form_hash is not None
    return Owner(attempt.district_id, attempt.exam_day, attempt.attempt_id, session.form_hash)


def _noticed(events: list[EventIn]) -> list[Event]:
    """The events of one request. Malformed unless their numbers grow and what was pasted, only that, has a size."""
    for place, event in enumerate(events):
        if place and event.n <= events[place - 1].n:
            raise Malformed("The numbers of the events of one request have to grow.")
        if (event.kind == "paste") != (event.characters is not None):
            raise Malformed("What was pasted has a number of characters, and nothing else has.")
    return [Event(event.n, event.kind, event.age, event.span, event.item, event.characters) for event in events]


def _with_cookie(header: str) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"set-cookie", header.encode()),
    )


def _damage(query: bytes) -> str:
    """What a page says that it got instead of its paper: a SHA-256, or "sealed" for one that does not open; else ""."""
    bad = query.removeprefix(b"bad=").decode("latin-1") if query.startswith(b"bad=") else ""
    return bad if bad == "sealed" or _is_hash(bad) else ""


def _is_hash(name: str) -> bool:
    """Whether this is a SHA-256 in hex."""
    return len(name) == 64 and not set(name) - set("0123456789abcdef")


def _number(query: bytes, name: bytes) -> int:
    for part in query.split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name:
            if not value.isdigit() or len(value) > 9:
                raise Malformed
            return int(value)
    return 0


def _kept(saved: Saved) -> dict[str, Any]:
    if not saved.kept:
        return {}
    kept = [{"seq": seq, "reason": reason} for seq, reason in saved.kept]
    return {"kept": kept, "message": KEPT_MESSAGES[saved.kept[-1][1]]}


def _section_ends(ends: list[dt.datetime] | None) -> dict[str, Any]:
    return {} if ends is None else {"section_ends": [milliseconds(end) for end in ends]}


def _running_json(running: Running, notices: int, key: bytes) -> dict[str, Any]:
    return {
        "now": now(),
        "epoch": running.epoch,
        "watermark": running.watermark,
        "started_at": milliseconds(running.started_at),
        "deadline": milliseconds(running.deadline),
        "grace_ms": running.grace_s * 1000,
        "form": running.form_hash.hex(),
        "key": key.hex(),
        "seed": running.seed,
        "notices": notices,
        **_section_ends(running.section_ends),
    }


def _receipt_json(receipt: Receipt | None) -> dict[str, Any] | None:
    if receipt is None:
        return None
    assert receipt.ended_at is not None
    return {
        "code": receipt.code,
        "digest": receipt.digest.hex(),
        "salt": receipt.salt.hex(),
        "signature": receipt.signature.hex(),
        "key_id": receipt.key_id,
        "form": receipt.form_hash.hex(),
        "answered": receipt.answered,
        "ended_by": receipt.ended_by,
        "ended_at": milliseconds(receipt.ended_at),
    }


def _sitting_json(
    sitting: Sitting, session: CandidateSession, notices: int, paper: Loaded | None, *, safe_browser: bool
) -> dict[str, Any]:
    booked, attempt, result = sitting.booked, sitting.attempt, sitting.result
    sealed = None if paper is None else paper.sealed
    titles = {} if paper is None or result is None else {section.section: section.title for section in paper.sections}
    extra_pct = max(booked["extra_time_pct"], booked["candidate_extra_time_pct"])
    return {
        "now": now(),
        "state": "prepared" if attempt is None else attempt["state"],
        "prepared": attempt is not None,
        "candidate": {name: booked[name] for name in ("name", "registration", "district", "language")},
        "exam": {
            "title": booked["title"],
            "minutes": booked["duration_s"] * (100 + extra_pct) // 6000,
            "navigation": None if paper is None else paper.navigation,
            "sections": None if paper is None or not paper.timed else _sections_json(paper, extra_pct),
            "questions": booked["questions"] or 0,
            "tools": booked["tools"],
            "records": booked["records"],
            "safe_browser": safe_browser,
        },
        "slot": {
            "opens_at": milliseconds(booked["opens_at"]),
            "closes_at": milliseconds(booked["closes_at"]),
            "hall": booked["hall"],
        },
        "notices": notices,
        "sealed": None if sealed is None else sealed.name,
        "attempt": None
        if attempt is None or sealed is None or attempt["state"] == "prepared"
        else _attempt_json(attempt, sitting, session, sealed.key),
        "by_code": None
        if attempt is None or attempt["state"] != "prepared" or booked["sealed"] is None
        else _by_code_json(attempt, booked),
        "receipt": _receipt_json(sitting.receipt),
        "result": None
        if result is None
        else {
            "total": str(result["total"]),
            "maximum": str(result["maximum"]),
            "sections": [section | {"title": titles[section["section"]]} for section in result["sections"]],
        },
    }


def _sections_json(paper: Loaded, extra_pct: int) -> list[dict[str, Any]]:
    return [
        {"title": section.title, "seconds": (section.minutes or 0) * 60 * (100 + extra_pct) // 100}
        for section in paper.sections
    ]


def _by_code_json(attempt: Row, booked: Row) -> dict[str, Any]:
    return {
        "started_at": milliseconds(attempt["opens_at"]),
        "deadline": milliseconds(attempt["code_deadline"]),
        **_section_ends(attempt["code_section_ends"]),
        "grace_ms": attempt["grace_s"] * 1000,
        "form": attempt["form_hash"].hex(),
        "seed": attempt["seed"],
        "envelope": {
            "slot": booked["slot_id"],
            "rounds": booked["rounds"],
            "salt": booked["salt"].hex(),
            "sealed": booked["sealed"].hex(),
        },
    }


def _attempt_json(attempt: Row, sitting: Sitting, session: CandidateSession, key: bytes) -> dict[str, Any]:
    writes = attempt["writer"] == session.token_hash
    return {
        "writer": writes,
        "epoch": attempt["epoch"] if writes else None,
        "watermark": attempt["watermark"] if writes else None,
        "started_at": milliseconds(attempt["started_at"]),
        "deadline": milliseconds(attempt["deadline"]),
        "grace_ms": attempt["grace_s"] * 1000,
        "form": attempt["form_hash"].hex(),
        "key": key.hex(),
        "seed": attempt["seed"],
        "takeovers_left": attempt["takeovers_left"],
        **_section_ends(attempt["section_ends"]),
        "answers": [
            {
                "item": row["item"],
                "epoch": row["epoch"],
                "seq": row["seq"],
                "response": msgspec.Raw(row["response"].encode()),
                "flag": row["flag"],
            }
            for row in sitting.answers
        ],
        "kept": sitting.kept,
    }
