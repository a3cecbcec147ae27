"""The candidate protocol from the client's side: what to send, and whether the answer is what was promised.

The source is docs/candidate-protocol.md. Requests are made once and sent by both generators: `Call.wire` gives the
bytes for the driver, `Call.keywords` the arguments for Locust's client. Whatever is not the promised answer raises;
nothing here decides that a trouble does not matter.
"""

import functools
import gzip
import itertools
from hashlib import pbkdf2_hmac, sha256
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from grading.items import (
    Choice,
    Essay,
    InlineChoice,
    Interaction,
    Match,
    Numeric,
    Ordering,
    Response,
    TextEntry,
    canonical,
    places,
)

LOGIN: Final = "login"
SITTING: Final = "sitting"
START: Final = "start"
PAPER: Final = "paper"
SEALED: Final = "sealed paper"
SAVE: Final = "save"
TAKEOVER: Final = "takeover"
SUBMIT: Final = "submit"

LARGEST_SAVE: Final = 200
"""Bytes of the body of a save of one answer."""
MOST_ROWS: Final = 100
"""Answers in one request."""
SOON: Final = 0.25
"""Seconds after which a start that came too early is tried again."""


class PutOff(Exception):
    """The service asks to come again: overload (429, 503 with Retry-After), or a start before the opening."""

    def __init__(self, operation: str, why: str, seconds: float) -> None:
        super().__init__(f"{operation}: {why}")
        self.why, self.seconds = why, seconds


class Unexpected(Exception):
    """An answer that the protocol does not promise here; `why` names the kind, without anything personal."""

    def __init__(self, operation: str, why: str) -> None:
        super().__init__(f"{operation}: {why}")
        self.why = why


class Reply(msgspec.Struct, frozen=True):
    """An HTTP response: `head` is its status line and header lines, each ended by CRLF."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes:
        """The value of a header, by its lower-case name; empty where there is none."""
        at = self.head.lower().find(b"\r\n" + name + b":")
        if at < 0:
            return b""
        begin = at + len(name) + 3
        return self.head[begin : self.head.index(b"\r\n", begin)].strip()


def read_reply(data: bytes) -> Reply | None:
    """The one response that `data` holds, or None while it is incomplete; a ValueError for anything else.

    Only what the service sends: HTTP/1.1 with Content-Length.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    status = int(data[9:12])
    head = data[: end + 2]
    at = head.find(b"\r\nContent-Length:")
    if at < 0:
        at = head.lower().find(b"\r\ncontent-length:")
    if at >= 0:
        size = int(head[at + 17 : head.index(b"\r\n", at + 17)])
    elif status == 204:
        size = 0
    else:
        raise ValueError("a response without its length")
    have = len(data) - end - 4
    if have < size:
        return None
    if have > size:
        raise ValueError("more bytes than the response announces")
    return Reply(status, head, data[end + 4 :])


# Requests -------------------------------------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True):
    """A request: `operation` is its name in every report, `body` its JSON."""

    operation: str
    method: str
    path: str
    body: bytes | None = None

    def wire(self, host: bytes, cookie: bytes) -> bytes:
        """The request's bytes, for a connection of one's own."""
        head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (self.method.encode(), self.path.encode(), host)
        if cookie:
            head += b"Cookie: %b\r\n" % cookie
        if self.operation == PAPER:
            head += b"Accept-Encoding: gzip\r\n"
        if self.body is None:
            return head + b"\r\n"
        return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(self.body), self.body)

    def keywords(self, name: str | None = None) -> dict[str, Any]:
        """The arguments of `request` of Locust's client, which adds the cookie by itself."""
        headers = {"Accept-Encoding": "identity"}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return {"method": self.method, "url": self.path, "data": self.body, "headers": headers,
                "name": name or self.operation}  # fmt: skip


def row(seq: int, item: int, response: bytes, flag: bool, at: int) -> bytes:
    """One answer of a save; `response` is JSON, `at` the client's time in milliseconds."""
    return b'{"seq":%d,"item":%d,"response":%b,"flag":%b,"at":%d}' % (
        seq,
        item,
        response,
        b"true" if flag else b"false",
        at,
    )


def log_in(registration: str, code: str) -> Call:
    return Call(LOGIN, "POST", "/api/login", msgspec.json.encode({"registration": registration, "code": code}))


def save(epoch: int, rows: list[bytes]) -> Call:
    """A save of consecutive rows; a ValueError if one row alone takes more than LARGEST_SAVE bytes."""
    body = b'{"epoch":%d,"answers":[%b]}' % (epoch, b",".join(rows))
    if len(rows) == 1 and len(body) > LARGEST_SAVE:
        raise ValueError(f"a save of {len(body)} bytes")
    return Call(SAVE, "PUT", "/api/answers", body)


def submit(epoch: int, last_seq: int, rows: list[bytes]) -> Call:
    body = b'{"epoch":%d,"last_seq":%d,"answers":[%b]}' % (epoch, last_seq, b",".join(rows))
    return Call(SUBMIT, "POST", "/api/submit", body)


def paper(form: str) -> Call:
    return Call(PAPER, "GET", f"/api/papers/{form}")


def sealed_paper(name: str) -> Call:
    return Call(SEALED, "GET", f"/papers/{name}")


READ_SITTING: Final = Call(SITTING, "GET", "/api/sitting")
PRESS_START: Final = Call(START, "POST", "/api/start", b"{}")


def start_by_code(key: str) -> Call:
    """The start of an exam that was begun by the code; `key` is the paper's, from the envelope."""
    return Call(START, "POST", "/api/start", msgspec.json.encode({"by": "code", "key": key}))


TAKE_OVER: Final = Call(TAKEOVER, "POST", "/api/takeover", b"{}")


# Responses ------------------------------------------------------------------------------------------------------


class Kept(msgspec.Struct, frozen=True):
    seq: int
    reason: str


class Ack(msgspec.Struct, frozen=True):
    """The answer to a save."""

    now: int
    watermark: int
    deadline: int
    notices: int
    kept: list[Kept] = []


class Running(msgspec.Struct, frozen=True):
    """The answer to a start and to a take-over."""

    now: int
    epoch: int
    watermark: int
    started_at: int
    deadline: int
    grace_ms: int
    form: str
    seed: int
    notices: int
    key: str = ""


class Receipt(msgspec.Struct, frozen=True):
    code: str
    digest: str
    signature: str
    key_id: str
    form: str
    answered: int
    ended_by: str
    ended_at: int


class Slot(msgspec.Struct, frozen=True):
    opens_at: int
    closes_at: int


class Held(msgspec.Struct, frozen=True):
    """The answer that counts for an item."""

    item: int
    epoch: int
    seq: int
    response: Response
    flag: bool


class Attempt(msgspec.Struct, frozen=True):
    writer: bool
    epoch: int | None
    watermark: int | None
    deadline: int
    grace_ms: int
    form: str
    takeovers_left: int
    answers: list[Held]
    kept: int


class Envelope(msgspec.Struct, frozen=True):
    slot: int
    rounds: int
    salt: str
    sealed: str


class ByCode(msgspec.Struct, frozen=True):
    """With what an exam begins by the code that the invigilator reads out."""

    started_at: int
    deadline: int
    grace_ms: int
    form: str
    seed: int
    envelope: Envelope


class Sitting(msgspec.Struct, frozen=True):
    """The answer to a log-in and to a reading of the sitting."""

    now: int
    state: str
    slot: Slot
    attempt: Attempt | None
    receipt: Receipt | None
    sealed: str | None = None
    by_code: ByCode | None = None


class Submitted(msgspec.Struct, frozen=True):
    """The answer to a submit."""

    now: int
    state: str
    watermark: int
    receipt: Receipt | None
    kept: list[Kept] = []


class Refusal(msgspec.Struct, frozen=True):
    error: str
    message: str


class PaperItem(msgspec.Struct, frozen=True):
    no: int
    interaction: Interaction


class Paper(msgspec.Struct, frozen=True):
    items: list[PaperItem]


_refusal = msgspec.json.Decoder(Refusal)
_paper = msgspec.json.Decoder(Paper)
_promised: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    LOGIN: msgspec.json.Decoder(Sitting),
    SITTING: msgspec.json.Decoder(Sitting),
    START: msgspec.json.Decoder(Running),
    TAKEOVER: msgspec.json.Decoder(Running),
    SAVE: msgspec.json.Decoder(Ack),
    SUBMIT: msgspec.json.Decoder(Submitted),
}


def read_answer(operation: str, reply: Reply) -> Any:
    """The promised answer of an operation, typed. PutOff if it was put off, Unexpected for everything else."""
    if reply.status != 200:
        raise refused(operation, reply)
    try:
        return _promised[operation].decode(reply.body)
    except msgspec.MsgspecError as wrong:
        raise Unexpected(operation, f"200 with another body: {wrong}") from None


def refused(operation: str, reply: Reply) -> PutOff | Unexpected:
    """What a response that is not 200 means."""
    try:
        error = _refusal.decode(reply.body).error
    except msgspec.MsgspecError:
        return Unexpected(operation, f"{reply.status} without a refusal")
    wait = reply.header(b"retry-after")
    if (reply.status, error) in ((503, "unavailable"), (429, "wait")) and wait.isdigit():
        return PutOff(operation, error, float(wait))
    if operation == START and error == "too_early":
        return PutOff(operation, error, SOON)
    return Unexpected(operation, f"{reply.status} {error}")


# Papers ---------------------------------------------------------------------------------------------------------

Sheet = tuple[tuple[bytes, ...], ...]
"""For each item of a paper the responses that a sitter chooses from, as canonical JSON."""


def read_paper(form: str, reply: Reply) -> Sheet:
    """The sheet of a paper that was fetched; Unexpected unless it is the form's."""
    if reply.status != 200:
        raise refused(PAPER, reply)
    return _read_paper(form, reply.body)


@functools.lru_cache(maxsize=64)  # whoever gets the same bytes need not unpack and hash them again
def _read_paper(form: str, body: bytes) -> Sheet:
    if body[:2] == b"\x1f\x8b":  # Locust's client has unpacked it already
        body = gzip.decompress(body)
    if sha256(body).hexdigest() != form:
        raise Unexpected(PAPER, "200 with other bytes than its name says")
    return sheet_of(body)


def read_sealed(reply: Reply) -> bytes:
    """The bytes of a sealed paper, the same object for everybody who fetched the same."""
    if reply.status != 200:
        raise refused(SEALED, reply)
    return _interned.setdefault(reply.body, reply.body)


_interned: Final[dict[bytes, bytes]] = {}


@functools.lru_cache(maxsize=64)  # a form has one key and one sealed paper
def open_sealed(form: str, key: str, body: bytes) -> Sheet:
    """The sheet of a sealed paper, opened with the key of the start; Unexpected if it is not the form's."""
    try:
        packed = AESGCM(bytes.fromhex(key)).decrypt(bytes(12), body, bytes.fromhex(form))
    except (InvalidTag, ValueError):
        raise Unexpected(START, "the key does not open the sealed paper") from None
    return _read_paper(form, packed)


@functools.lru_cache(maxsize=64)  # a form has one envelope in a hall, and a tenth of a second is long for a crowd
def open_envelope(code: str, form: str, envelope: Envelope) -> str:
    """The key of a form's paper, in hex, from the envelope that the code opens; Unexpected where it does not."""
    opener = pbkdf2_hmac("sha256", code.replace("-", "").encode(), bytes.fromhex(envelope.salt), envelope.rounds)
    beside = f"exam-envelope-1:{envelope.slot}:{form}".encode()
    try:
        return AESGCM(opener).decrypt(bytes(12), bytes.fromhex(envelope.sealed), beside).hex()
    except InvalidTag:
        raise Unexpected(START, "the code does not open the envelope") from None


def sheet_of(body: bytes) -> Sheet:
    """The sheet of a paper's bytes: a function of the paper alone, so that whoever checks can repeat it."""
    return tuple(
        tuple(canonical(response).encode() for response in _responses(item.interaction))
        for item in _paper.decode(body).items
    )


def _responses(interaction: Interaction) -> list[Response]:
    match interaction:
        case Choice(options=options, multiple=True):
            ids = [option.id for option in options]
            return [*([one] for one in ids), *(list(pair) for pair in itertools.pairwise(ids))]
        case Choice(options=options):
            return [option.id for option in options]
        case TextEntry(max_length=limit) | Essay(max_length=limit):
            return [text[:limit] for text in ("answer", "उत्तर", "another answer")]
        case Numeric():
            return ["3.14", "3.1415", "-2", "0"]
        case Match(prompts=prompts, choices=choices):
            return [{prompt.id: choice.id for prompt in prompts} for choice in choices]
        case InlineChoice(gaps=gaps):
            most = max(len(gap.options) for gap in gaps)
            return [{gap.id: gap.options[turn % len(gap.options)].id for gap in gaps} for turn in range(most)]
        case Ordering(options=options):
            ids = [option.id for option in options]
            turned = [[*ids[start:], *ids[:start]] for start in range(len(ids))]
            return [dict(zip(places(len(ids)), order, strict=True)) for order in turned]
