"""A candidate's device as the history checker plays it: one HTTP connection, one cookie, and a log of all that it did.

The log is append-only, one JSON object on a line: `invoke` before a request is sent, then `ok`, `fail` (refused,
nothing was written) or `unknown` (no answer, or one that leaves it open). What is claimed about the service is worked
out from it.
"""

import asyncio
import gzip
import itertools
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

Outcome = Literal["ok", "fail", "unknown"]

_PATHS: Final = {
    "login": ("POST", "/api/login"),
    "start": ("POST", "/api/start"),
    "save": ("PUT", "/api/answers"),
    "takeover": ("POST", "/api/takeover"),
    "submit": ("POST", "/api/submit"),
    "sitting": ("GET", "/api/sitting"),
    "paper": ("GET", "/api/papers/"),
}


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """One row as it was sent; `response` is its canonical text, `digest` the hash by which it is recognised."""

    seq: int
    item: int
    response: str
    flag: bool
    digest: str


class Event(msgspec.Struct, omit_defaults=True):
    """One line of the log. Times are seconds, of the monotonic and of the wall clock."""

    kind: Literal["invoke", "ok", "fail", "unknown"]
    request: str
    op: str
    device: int
    monotonic: float
    wall: float
    epoch: int = 0
    rows: list[Sent] = []
    last_seq: int = -1
    status: int = 0
    error: str = ""
    watermark: int = -1
    deadline: int = 0
    state: str = ""
    form: str = ""
    kept: list[tuple[int, str]] = []
    answers: list[tuple[int, int, int, str]] = []
    """Of a sitting: item, epoch, seq and response of what counts."""
    receipt: dict[str, Any] = {}


class Head(msgspec.Struct):
    """The first line of a log: whose it is."""

    seed: int
    client: int
    attempt: int


class Reply(msgspec.Struct, frozen=True):
    """What came back; status 0 where nothing did."""

    outcome: Outcome
    status: int = 0
    body: dict[str, Any] = {}

    @property
    def error(self) -> str:
        return str(self.body.get("error", ""))


def digest_of(item: int, response: str, flag: bool) -> str:
    """The hash by which a row's content is recognised."""
    return sha256(f"{item}|{flag:d}|{response}".encode()).hexdigest()[:16]


class Log:
    """The log of one attempt, in a file of its own."""

    def __init__(self, folder: Path, head: Head) -> None:
        self.attempt = head.attempt
        self._file = (folder / f"{head.attempt}.jsonl").open("wb")
        self._file.write(msgspec.json.encode(head) + b"\n")
        self._numbers = itertools.count(1)
        self.acknowledged = 0
        """Saves that were answered 200."""

    def name(self) -> str:
        """The id of a new request."""
        return f"{self.attempt}.{next(self._numbers)}"

    def write(self, event: Event) -> None:
        self._file.write(msgspec.json.encode(event) + b"\n")
        self.acknowledged += event.kind == "ok" and event.op == "save"

    def close(self) -> None:
        self._file.close()


def read_log(path: Path) -> tuple[Head, list[Event]]:
    """A log as it was written; a last line that was cut off is left out."""
    head, *lines = path.read_bytes().splitlines()
    decoder = msgspec.json.Decoder(Event)
    return msgspec.json.decode(head, type=Head), [decoder.decode(line) for line in lines if line.endswith(b"}")]


class Device:
    """One device at one address. Requests on it come one after the other; who wants two at once takes two."""

    def __init__(self, log: Log, number: int, port: int, patience: float) -> None:
        """`patience`: the seconds after which it gives a request up."""
        self.number, self.cookie = number, ""
        self._log, self._port, self._patience = log, port, patience
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def twin(self) -> "Device":
        """A second tab: another connection with the same cookie."""
        other = Device(self._log, self.number, self._port, self._patience)
        other.cookie = self.cookie
        return other

    async def ask(self, op: str, body: dict[str, Any] | None = None, *, path: str = "", **said: Any) -> Reply:
        """One request, logged before and after; `said` is what the log has to know of it."""
        name = self._log.name()
        self._log.write(Event("invoke", name, op, self.number, time.monotonic(), time.time(), **said))
        sent = False
        answer = b""
        try:
            async with asyncio.timeout(self._patience):
                if self._streams is None or self._streams[1].is_closing():
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                sent = True
                status, headers, answer = await self._exchange(name, op, path, body)
        except (OSError, EOFError, TimeoutError, ValueError):
            self.hang_up()
            status, headers = 0, b""
        said.pop("rows", None)
        reply = _reply(op, status, answer, headers, sent)
        if op == "login" and reply.outcome == "ok":
            self.cookie = _cookie(headers)
        event = Event(reply.outcome, name, op, self.number, time.monotonic(), time.time(), status=status, **said)
        _note(event, reply, answer)
        self._log.write(event)
        return reply

    async def _exchange(self, name: str, op: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes, bytes]:
        assert self._streams is not None
        reader, writer = self._streams
        method, base = _PATHS[op]
        content = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} {base}{path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nX-Request-Id: {name}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        )
        if self.cookie:
            head += f"Cookie: exam={self.cookie}\r\n"
        writer.write(head.encode() + b"\r\n" + content)
        headers = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = headers.partition(b"\r\ncontent-length:")[2].partition(b"\r")[0]
        if b"\r\ntransfer-encoding: chunked" in headers:
            answer = await _chunks(reader)
        else:
            answer = await reader.readexactly(int(length or 0))
        if b"\r\nconnection: close" in headers:
            self.hang_up()
        if b"\r\ncontent-encoding: gzip" in headers:
            answer = gzip.decompress(answer)
        return int(headers.split(b" ", 2)[1]), headers, answer

    def hang_up(self) -> None:
        """Ends the connection; the next request makes a new one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


def _reply(op: str, status: int, answer: bytes, headers: bytes, sent: bool) -> Reply:
    body: dict[str, Any] = {}
    if op != "paper" or status != 200:
        try:
            body = msgspec.json.decode(answer, type=dict[str, Any]) if answer else {}
        except msgspec.DecodeError:
            return Reply("unknown", status)
    if 200 <= status < 300:
        return Reply("ok", status, body)
    # A refusal of the 400s says that nothing was written; a 500 or 503 may have met a commit whose answer was lost.
    return Reply("fail" if 400 <= status < 500 or not sent else "unknown", status, body)


def _cookie(headers: bytes) -> str:
    return headers.partition(b"\r\nset-cookie: exam=")[2].partition(b";")[0].decode()


def _note(event: Event, reply: Reply, answer: bytes) -> None:
    """Puts what an answer claims into the event."""
    body = reply.body
    event.error = reply.error
    if event.op == "paper" and reply.outcome == "ok":
        event.form = sha256(answer).hexdigest()
        return
    event.state = str(body.get("state", ""))
    attempt = body.get("attempt") or {}
    event.watermark = _number(body.get("watermark", attempt.get("watermark")), -1)
    event.deadline = _number(body.get("deadline", attempt.get("deadline")), 0)
    event.form = str(body.get("form", attempt.get("form", "")))
    if event.op in ("start", "takeover", "sitting"):
        event.epoch = _number(body.get("epoch", attempt.get("epoch")), 0)
    event.kept = [(row["seq"], row["reason"]) for row in body.get("kept", [])] if event.op != "sitting" else []
    event.receipt = body.get("receipt") or {}
    event.answers = [
        (row["item"], row["epoch"], row["seq"], msgspec.json.encode(row["response"]).decode())
        for row in attempt.get("answers", [])
    ]


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
