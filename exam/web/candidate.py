"""The candidate's door: docs/candidate-protocol.md over HTTP. The save path begins at `save`."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import Receive, Send
from msgspec import Meta

from exam.answers import Line, Save, Saved
from exam.attempts import Running, sat, take_over_attempt
from exam.auth import CandidateSession, read_token
from exam.db import Row
from exam.errors import Malformed, NothingHere, NotInPaper, Unavailable
from exam.hall import Hall
from exam.journals import Owner, journal_of, owner_of, unseal
from exam.papers import Loaded, picture
from exam.receipts import Receipt
from exam.sittings import Sitting, list_notices
from exam.tickets import arrival, issue
from exam.web.bare import JSON, PRIVATE, PUBLIC, Handler, Request, door, read_json, respond, respond_bytes
from grading.items import Response, canonical

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


class SealedRow(Body, frozen=True):
    seq: Seq
    iv: Annotated[str, Meta(min_length=16, max_length=16)]
    sealed: Annotated[str, Meta(max_length=125_000)]


class HandoverBody(Body, frozen=True):
    handover: Annotated[str, Meta(max_length=200)]
    epoch: Epoch
    rows: Annotated[list[SealedRow], Meta(min_length=1, max_length=100)]


class JournalRow(msgspec.Struct, frozen=True):
    """What a journal holds of a row; what is only the page's own business is not looked at."""

    item: Annotated[int, Meta(ge=0, le=1000)]
    response: Response
    flag: bool = False
    at: Annotated[int, Meta(ge=0, le=2**52)] = 0
    void: bool = False


class SubmitBody(Body, frozen=True):
    epoch: Epoch
    last_seq: Annotated[int, Meta(ge=0, le=1_000_000)]
    answers: Annotated[list[AnswerIn], Meta(max_length=100)] = []


_login = msgspec.json.Decoder(Login)
_start = msgspec.json.Decoder(StartBody)
_empty = msgspec.json.Decoder(Body)
_answers = msgspec.json.Decoder(AnswersBody)
_submit = msgspec.json.Decoder(SubmitBody)
_handover = msgspec.json.Decoder(HandoverBody)
_journal_row = msgspec.json.Decoder(JournalRow)

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
            lines.append(Line(answer.seq, answer.item, canonical(answer.response), answer.flag, answer.at))
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
        """What an earlier candidate left on this device, or a rescue file: whose it is, it says itself."""
        body: HandoverBody = await read_json(request, receive, _handover)
        saved = await hand_over(body, request)
        await respond(send, {"now": now(), "watermark": saved.watermark, **_kept(saved)})

    async def hand_over(body: HandoverBody, request: Request) -> Saved:
        whose = owner_of(hall.journal_key, body.handover)
        if whose is None:
            raise NothingHere
        await hall.sessions.limit(b"h:" + whose.attempt_id.to_bytes(8))
        paper = await hall.papers.get(whose.form_hash)
        answers = []
        for one in body.rows:
            plain = unseal(hall.journal_key, whose, body.epoch, one.seq, one.iv, one.sealed)
            try:
                row = _journal_row.decode(plain or b"")
            except msgspec.DecodeError:
                raise Malformed("This was not sealed by the candidate's own page, or was damaged.") from None
            # Nobody is there who could answer a refusal: what does not fit the paper only holds its place.
            fits = not row.void and paper.takes(row.item, row.response)
            answers.append(
                AnswerIn(one.seq, row.item, row.response, row.flag, row.at) if fits else AnswerIn(one.seq, 0, None)
            )
        return await write(whose, request, body.epoch, answers)

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
        paper = None if session.form_hash is None else await hall.papers.get(session.form_hash)
        told = _sitting_json(found, session, hall.notices.latest(session.slot_id), paper)
        return told if told["attempt"] is None else told | journal_json(session)

    async def start(request: Request, receive: Receive, send: Send) -> None:
        hall.let("start")
        body: StartBody = await read_json(request, receive, _start)
        session = await session_of(request)
        running = await hall.starts.start(session, request.stamp, by_code=body.by == "code")
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
        at("/media", "anyone", mount=True, GET=media),
    ]


def owner(session: CandidateSession) -> Owner:
    """The attempt that a session may write. NothingHere where none has been prepared yet."""
    attempt = sat(session)
    assert session.form_hash is not None
    return Owner(attempt.district_id, attempt.exam_day, attempt.attempt_id, session.form_hash)


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


def _sitting_json(sitting: Sitting, session: CandidateSession, notices: int, paper: Loaded | None) -> dict[str, Any]:
    booked, attempt, result = sitting.booked, sitting.attempt, sitting.result
    sealed, titles = (None, {}) if paper is None else (paper.sealed, paper.titles)
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
            "tools": booked["tools"],
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
        "receipt": _receipt_json(sitting.receipt),
        "result": None
        if result is None
        else {
            "total": str(result["total"]),
            "maximum": str(result["maximum"]),
            "sections": [section | {"title": titles[section["section"]]} for section in result["sections"]],
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
