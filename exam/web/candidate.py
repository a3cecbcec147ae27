"""The candidate's door: docs/candidate-protocol.md over HTTP. The save path begins at `save`."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import Receive, Send
from msgspec import Meta

from exam.answers import Line, Save, Saved
from exam.attempts import Running, sat, take_over_attempt
from exam.auth import CandidateSession, read_token
from exam.db import Row
from exam.errors import Malformed, NothingHere, NotInPaper
from exam.hall import Hall
from exam.papers import picture
from exam.receipts import Receipt
from exam.sittings import Sitting, list_notices
from exam.web.bare import JSON, PRIVATE, PUBLIC, Handler, Request, door, read_json, respond, respond_bytes
from grading.items import Response, Text, canonical

Seq = Annotated[int, Meta(ge=1, le=1_000_000)]
Epoch = Annotated[int, Meta(ge=1, le=1000)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request body: what is not named here is refused."""


class Login(Body, frozen=True):
    registration: Annotated[str, Meta(min_length=1, max_length=64)]
    code: Annotated[str, Meta(min_length=1, max_length=64)]


class StartBody(Body, frozen=True):
    by: Literal["code"] | None = None


class AnswerIn(Body, frozen=True):
    seq: Seq
    item: Annotated[int, Meta(ge=0, le=1000)]
    response: Response
    flag: bool = False
    at: Annotated[int, Meta(ge=0, le=2**52)] = 0


class AnswersBody(Body, frozen=True):
    epoch: Epoch
    answers: Annotated[list[AnswerIn], Meta(min_length=1, max_length=100)]


class SubmitBody(Body, frozen=True):
    epoch: Epoch
    last_seq: Annotated[int, Meta(ge=0, le=1_000_000)]
    answers: Annotated[list[AnswerIn], Meta(max_length=100)] = []


_login = msgspec.json.Decoder(Login)
_start = msgspec.json.Decoder(StartBody)
_empty = msgspec.json.Decoder(Body)
_answers = msgspec.json.Decoder(AnswersBody)
_submit = msgspec.json.Decoder(SubmitBody)

KEPT_MESSAGES = {
    "late": "The time was over when this arrived. It is kept for the district to look at, but does not count.",
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
        return await hall.sessions.candidate(read_token(request.token(cookie)))

    # The save path ------------------------------------------------------------------------------------------

    async def save(request: Request, receive: Receive, send: Send) -> None:
        body: AnswersBody = await read_json(request, receive, _answers)
        session = await session_of(request)
        saved = await write(session, request.stamp, body.epoch, body.answers)
        await respond(
            send,
            {
                "now": now(),
                "watermark": saved.watermark,
                "deadline": milliseconds(saved.deadline),
                "notices": hall.notices.latest(session.slot_id),
                **_kept(saved),
            },
        )

    async def write(session: CandidateSession, stamp: float, epoch: int, answers: list[AnswerIn]) -> Saved:
        """Checks each answer against the paper, before any of them can trouble its neighbours; then commits them."""
        attempt = sat(session)
        paper = await hall.papers.get(session.form_hash)
        lines = []
        for place, answer in enumerate(answers):
            if answer.seq != answers[0].seq + place:
                raise Malformed("The answers of one request have to follow each other without a gap.")
            if not paper.takes(answer.item, answer.response):
                raise NotInPaper(seq=answer.seq)
            lines.append(Line(answer.seq, answer.item, canonical(answer.response), answer.flag, answer.at))
        save = Save(attempt.district_id, attempt.exam_day, attempt.attempt_id, epoch, lines, stamp)
        return await hall.answers.save(save)

    # Before and after ---------------------------------------------------------------------------------------

    async def login(request: Request, receive: Receive, send: Send) -> None:
        hall.let("login")
        body: Login = await read_json(request, receive, _login)
        token, session = await hall.log_ins.candidate(body.registration, body.code)
        secure = "; Secure" if hall.settings.tls else ""
        header = f"{hall.cookie}={token.hex()}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200{secure}"
        await respond(send, await _sitting(session), headers=_with_cookie(header))

    async def logout(request: Request, receive: Receive, send: Send) -> None:
        await read_json(request, receive, _empty)
        await hall.sessions.revoke(read_token(request.token(cookie)))
        secure = "; Secure" if hall.settings.tls else ""
        header = f"{hall.cookie}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}"
        await respond(send, b"", 204, headers=_with_cookie(header))

    async def sitting(request: Request, receive: Receive, send: Send) -> None:
        await respond(send, await _sitting(await session_of(request)))

    async def _sitting(session: CandidateSession) -> dict[str, Any]:
        if session.attempt_id is None:
            async with hall.db.web.connection() as connection:
                session = await hall.sessions.attach(connection, session)
        found = await hall.sittings.of(session)
        titles = {} if found.result is None else (await hall.papers.get(session.form_hash)).titles
        return _sitting_json(found, session, hall.notices.latest(session.slot_id), titles)

    async def start(request: Request, receive: Receive, send: Send) -> None:
        hall.let("start")
        body: StartBody = await read_json(request, receive, _start)
        session = await session_of(request)
        running = await hall.starts.start(session, request.stamp, by_code=body.by == "code")
        await respond(send, _running_json(running, hall.notices.latest(running.slot_id)))

    async def take_over(request: Request, receive: Receive, send: Send) -> None:
        await read_json(request, receive, _empty)
        running = await take_over_attempt(hall.db, await session_of(request))
        await respond(send, _running_json(running, hall.notices.latest(running.slot_id)))

    async def submit(request: Request, receive: Receive, send: Send) -> None:
        body: SubmitBody = await read_json(request, receive, _submit)
        session = await session_of(request)
        saved = await write(session, request.stamp, body.epoch, body.answers) if body.answers else None
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
        if request.accel:  # nginx has the bytes, or fetches them once for all from the door below
            await respond_bytes(send, b"", JSON, (b"x-accel-redirect", f"/_papers/{asked}".encode()))
        else:
            await send_paper(send, asked, PRIVATE)

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
        at("/api/notices", GET=notices),
        at("/media", "anyone", mount=True, GET=media),
    ]


def _with_cookie(header: str) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"set-cookie", header.encode()),
    )


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


def _running_json(running: Running, notices: int) -> dict[str, Any]:
    return {
        "now": now(),
        "epoch": running.epoch,
        "watermark": running.watermark,
        "started_at": milliseconds(running.started_at),
        "deadline": milliseconds(running.deadline),
        "grace_ms": running.grace_s * 1000,
        "form": running.form_hash.hex(),
        "seed": running.seed,
        "notices": notices,
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


def _sitting_json(sitting: Sitting, session: CandidateSession, notices: int, titles: dict[str, Text]) -> dict[str, Any]:
    booked, attempt, result = sitting.booked, sitting.attempt, sitting.result
    return {
        "now": now(),
        "state": "prepared" if attempt is None else attempt["state"],
        "prepared": attempt is not None,
        "candidate": {name: booked[name] for name in ("name", "registration", "district", "language")},
        "exam": {
            "title": booked["title"],
            "minutes": booked["duration_s"]
            * (100 + max(booked["extra_time_pct"], booked["candidate_extra_time_pct"]))
            // 6000,
            "navigation": "free",
            "questions": booked["questions"] or 0,
        },
        "slot": {
            "opens_at": milliseconds(booked["opens_at"]),
            "closes_at": milliseconds(booked["closes_at"]),
            "hall": booked["hall"],
        },
        "notices": notices,
        "attempt": None
        if attempt is None or attempt["state"] == "prepared"
        else _attempt_json(attempt, sitting, session),
        "receipt": _receipt_json(sitting.receipt),
        "result": None
        if result is None
        else {
            "total": str(result["total"]),
            "maximum": str(result["maximum"]),
            "sections": [section | {"title": titles[section["section"]]} for section in result["sections"]],
        },
    }


def _attempt_json(attempt: Row, sitting: Sitting, session: CandidateSession) -> dict[str, Any]:
    writes = attempt["writer"] == session.token_hash
    return {
        "writer": writes,
        "epoch": attempt["epoch"] if writes else None,
        "watermark": attempt["watermark"] if writes else None,
        "started_at": milliseconds(attempt["started_at"]),
        "deadline": milliseconds(attempt["deadline"]),
        "grace_ms": attempt["grace_s"] * 1000,
        "form": attempt["form_hash"].hex(),
        "seed": attempt["seed"],
        "takeovers_left": attempt["takeovers_left"],
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
