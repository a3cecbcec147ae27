"""A hall in memory that keeps docs/candidate-protocol.md, with knobs for everything that can go wrong on the way.

It is a double for the tests of the candidate's screen, and lets one look at the screen without any server:
`python -m tests.browser.fake_hall` serves it on a free port.
"""

import base64
import gzip
import hashlib
import json
import random
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jinja2
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exam.envelopes import ROUNDS, code_of, seal_envelope
from exam.receipts import Signer, make_receipt
from exam.web.files import candidate_files, files
from grading.items import canonical

ROOT = Path(__file__).parents[2]
PAPER = json.loads((Path(__file__).parent / "paper.json").read_text(encoding="utf-8"))
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".po": "text/plain; charset=utf-8",
    ".json": "application/json",
}
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
SIGNER = Signer("22" * 32)

Reply = tuple[int, dict[str, Any] | None]


class Refusal(Exception):
    """A refusal of the protocol: status, error and its extra fields."""

    def __init__(self, status: int, error: str, message: str = "", **more: Any) -> None:
        super().__init__(error)
        self.reply: Reply = (status, {"error": error, "message": message or f"Refused: {error}.", **more})


@dataclass
class Attempt:
    """One sitting: what the database would hold of it."""

    state: str = "prepared"
    epoch: int = 0
    writer: str = ""
    watermarks: dict[int, int] = field(default_factory=dict)
    counted: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    kept: dict[tuple[int, int], tuple[dict[str, Any], str]] = field(default_factory=dict)
    started_at: int = 0
    deadline: int = 0
    section_ends: list[int] = field(default_factory=list)
    takeovers_left: int = 3
    receipt: dict[str, Any] | None = None
    result: dict[str, Any] | None = None

    def standing(self) -> list[dict[str, Any]]:
        """The answer that counts for each item, by item number."""
        latest: dict[int, dict[str, Any]] = {}
        for (epoch, seq), row in sorted(self.counted.items()):
            if row["item"]:
                latest[row["item"]] = {
                    "item": row["item"],
                    "epoch": epoch,
                    "seq": seq,
                    "response": row["response"],
                    "flag": row.get("flag", False),
                }
        return [latest[item] for item in sorted(latest)]


class Hall:
    """One candidate's exam; `now` is handed to `call` so that tests own the time."""

    def __init__(
        self,
        opens_at: int,
        minutes: float = 90,
        seed: int = 20_260_301,
        grace_ms: int = 20_000,
        timed: tuple[float, ...] = (),
        navigation: str = "free",
    ) -> None:
        """`timed`: the minutes of each section, where they have their own time."""
        paper = PAPER | ({"navigation": navigation} if navigation != "free" else {})
        if timed:
            paper["sections"] = [
                section | {"minutes": own} for section, own in zip(paper["sections"], timed, strict=True)
            ]
        self.timed, self.navigation = timed, navigation
        self.paper = json.dumps(paper, ensure_ascii=False).encode()
        self.form = hashlib.sha256(self.paper).hexdigest()
        self.key = secrets.token_bytes(32)
        self.sealed = AESGCM(self.key).encrypt(bytes(12), gzip.compress(self.paper), bytes.fromhex(self.form))
        self.items = {item["no"]: item for item in PAPER["items"]}
        self.opens_at, self.minutes, self.seed, self.grace_ms = opens_at, minutes, seed, grace_ms
        self.registration, self.code, self.wrong = "MUM-04217", "K7QX2M9TPBD4W", 0
        self.sessions: set[str] = set()
        self.tools: list[str] = []
        self.records = ["focus", "paste", "network", "device"]
        self.events: dict[tuple[int, int], dict[str, Any]] = {}
        self.config_key = ""  # of Safe Exam Browser; empty: any browser will do
        self.photo: str | None = None
        self.hall_code = code_of(b"the fake hall", 7)
        self.envelope: dict[str, Any] | None = None
        self.notices: list[dict[str, Any]] = []
        self.attempt = Attempt()
        self.most_kept = 500
        self.lock = threading.Lock()

    def lay_envelope(self) -> None:
        """From now on the exam can be begun by `hall_code`."""
        envelope = seal_envelope(self.hall_code, 7, bytes.fromhex(self.form), self.key)
        self.envelope = {
            "slot": 7,
            "rounds": ROUNDS,
            "salt": envelope.salt.hex(),
            "sealed": envelope.sealed.hex(),
        }

    def by_code(self) -> dict[str, Any] | None:
        """What the code begins the exam with, for whoever waits."""
        if self.attempt.started_at or self.envelope is None:
            return None
        return {
            "started_at": self.opens_at,
            "deadline": self.opens_at + int(self.minutes * 60_000),
            **({"section_ends": self._shares(self.opens_at)} if self.timed else {}),
            "grace_ms": self.grace_ms,
            "form": self.form,
            "seed": self.seed,
            "envelope": self.envelope,
        }

    def login(self) -> str:
        """A new session."""
        token = secrets.token_hex(16)
        self.sessions.add(token)
        return token

    def call(self, token: str, method: str, path: str, body: dict[str, Any] | None, now: int) -> Reply:
        """Answer one request that arrived at `now`."""
        with self.lock:
            self._seal(now)
            try:
                if path == "/api/handover":
                    return 200, self._handover(body or {}, now)
                if token not in self.sessions:
                    raise Refusal(401, "no_session")
                return self._route(token, method, path, body or {}, now)
            except Refusal as refusal:
                return refusal.reply

    def _route(self, token: str, method: str, path: str, body: dict[str, Any], now: int) -> Reply:
        match method, path.partition("?")[0]:
            case "GET", "/api/sitting":
                return 200, self.sitting(token, now)
            case "POST", "/api/start":
                return 200, self._start(token, body, now)
            case "POST", "/api/takeover":
                return 200, self._takeover(token, now)
            case "PUT", "/api/answers":
                return 200, self._save(body["epoch"], body["answers"], now)
            case "POST", "/api/submit":
                return 200, self._submit(body, now)
            case "GET", "/api/notices":
                after = int(path.partition("after=")[2])
                return 200, {"notices": [notice for notice in self.notices if notice["notice"] > after]}
            case "POST", "/api/events":
                for event in body["events"]:
                    held = self.events.setdefault((body["page"], event["n"]), event)
                    held["span"] = held["span"] if held["span"] is not None else event["span"]
                return 200, {"now": now}
            case "POST", "/api/logout":
                self.sessions.discard(token)
                return 204, None
        raise Refusal(404, "nothing_here")

    def sitting(self, token: str, now: int) -> dict[str, Any]:
        """What `GET /api/sitting` says."""
        attempt = self.attempt
        seen = None
        if attempt.started_at:
            writer = attempt.writer == token
            seen = {
                "writer": writer,
                "epoch": attempt.epoch if writer else None,
                "watermark": attempt.watermarks[attempt.epoch] if writer else None,
                "started_at": attempt.started_at,
                "deadline": attempt.deadline,
                **self._ends(),
                "grace_ms": self.grace_ms,
                "form": self.form,
                "key": self.key.hex(),
                "seed": self.seed,
                "takeovers_left": attempt.takeovers_left,
                "answers": attempt.standing(),
                "kept": len(attempt.kept),
            }
        return {
            "now": now,
            "state": attempt.state,
            "candidate": {
                "name": "Asha Patil",
                "registration": self.registration,
                "district": {"en": "Mumbai", "mr": "मुंबई"},
                "language": "en",
                **({"photo": self.photo} if self.photo else {}),
            },
            "exam": {
                "title": PAPER["title"],
                "minutes": int(self.minutes),
                "navigation": self.navigation,
                "sections": [
                    {"title": section["title"], "seconds": own * 60}
                    for section, own in zip(PAPER["sections"], self.timed, strict=True)
                ]
                if self.timed
                else None,
                "questions": len(self.items),
                "tools": self.tools,
                "records": self.records,
                "safe_browser": bool(self.config_key),
            },
            "slot": {
                "opens_at": self.opens_at,
                "closes_at": self.opens_at + 30 * 60_000,
                "hall": "Hall 2, Municipal School, Dadar",
            },
            "notices": len(self.notices),
            "sealed": f"{self.form}.0123456789abcdef",
            **({"journal": self.journal()} if seen or self.by_code() else {}),
            "attempt": seen,
            "by_code": self.by_code(),
            "receipt": attempt.receipt,
            "result": attempt.result if attempt.state == "released" else None,
        }

    def _start(self, token: str, body: dict[str, Any], now: int) -> dict[str, Any]:
        attempt = self.attempt
        if now < self.opens_at:
            raise Refusal(409, "too_early", opens_at=self.opens_at)
        if attempt.state == "prepared":
            if now > self.opens_at + 30 * 60_000 and body.get("key") != self.key.hex():
                raise Refusal(409, "too_late")
            attempt.state, attempt.epoch, attempt.writer = "started", 1, token
            attempt.watermarks = {1: 0}
            attempt.started_at = self.opens_at if body.get("by") == "code" else now
            attempt.deadline = attempt.started_at + int(self.minutes * 60_000)
            attempt.section_ends = self._shares(attempt.started_at)
        elif attempt.writer != token:
            raise Refusal(409, "other_device")
        return self._begun(now)

    def _begun(self, now: int) -> dict[str, Any]:
        attempt = self.attempt
        return {
            "now": now,
            "epoch": attempt.epoch,
            "watermark": attempt.watermarks[attempt.epoch],
            "started_at": attempt.started_at,
            "deadline": attempt.deadline,
            **self._ends(),
            "grace_ms": self.grace_ms,
            "form": self.form,
            "key": self.key.hex(),
            "seed": self.seed,
            "notices": len(self.notices),
            "journal": self.journal(),
        }

    def _shares(self, started_at: int) -> list[int]:
        parts = [sum(self.timed[: place + 1]) / sum(self.timed) for place in range(len(self.timed))]
        return [started_at + int(self.minutes * 60_000 * part) for part in parts]

    def _ends(self) -> dict[str, list[int]]:
        return {"section_ends": self.attempt.section_ends} if self.timed else {}

    def give(self, seconds: float, now: int) -> None:
        """Give time: to the section that is open now, where they have their own."""
        attempt, more = self.attempt, int(seconds * 1000)
        attempt.deadline += more
        last = len(attempt.section_ends) - 1
        attempt.section_ends = [
            end + more if end > now or place == last else end for place, end in enumerate(attempt.section_ends)
        ]

    def _open(self, item: int, now: int) -> bool:
        """Whether a row comes within the time of its section."""
        ends = self.attempt.section_ends
        for place, section in enumerate(PAPER["sections"]):
            if ends and item in section["items"]:
                return (not place or ends[place - 1] <= now) and now <= ends[place] + self.grace_ms
        return True

    def journal(self) -> dict[str, str]:
        """What the page keeps its journal with."""
        key = hashlib.sha256(f"journal {self.registration} {self.opens_at}".encode()).digest()
        return {"name": key[:8].hex(), "key": key.hex(), "handover": base64.b64encode(key[8:24]).decode()}

    def _handover(self, body: dict[str, Any], now: int) -> dict[str, Any]:
        """Take rows that only our own page can have sealed."""
        journal = self.journal()
        if body["handover"] != journal["handover"]:
            raise Refusal(404, "nothing_here")
        rows = []
        for row in body["rows"]:
            beside = f"{journal['name']}:{body['epoch']}:{row['seq']}".encode()
            sealed = base64.b64decode(row["sealed"])
            plain = AESGCM(bytes.fromhex(journal["key"])).decrypt(base64.b64decode(row["iv"]), sealed, beside)
            told = json.loads(plain)
            rows.append({"seq": row["seq"], **{name: told.get(name) for name in ("item", "response", "flag")}})
        return self._save(body["epoch"], rows, now)

    def _takeover(self, token: str, now: int) -> dict[str, Any]:
        attempt = self.attempt
        if not attempt.started_at:
            raise Refusal(409, "not_started")
        if attempt.state != "started":
            raise Refusal(409, "ended")
        if attempt.writer != token:
            if not attempt.takeovers_left:
                raise Refusal(403, "not_allowed", "No change of device is left. Ask the invigilator.")
            attempt.takeovers_left -= 1
        attempt.epoch, attempt.writer = attempt.epoch + 1, token
        attempt.watermarks[attempt.epoch] = 0
        return self._begun(now)

    def _save(self, epoch: int, rows: list[dict[str, Any]], now: int) -> dict[str, Any]:
        """Take rows: those that may count count, the others go to the quarantine with the reason."""
        attempt = self.attempt
        if not attempt.started_at and (epoch or now <= self.opens_at + int(self.minutes * 60_000) + self.grace_ms):
            raise Refusal(409, "not_started")
        if epoch > attempt.epoch:
            raise Refusal(409, "unknown_epoch")
        held = attempt.watermarks.get(epoch, 0)
        if rows and rows[0]["seq"] > held + 1:
            raise Refusal(409, "gap", watermark=held)
        for row in rows:
            item = self.items.get(row["item"])
            if row["item"] and (item is None or not fits(item["interaction"], row["response"])):
                raise Refusal(422, "not_in_paper", seq=row["seq"])
            known = attempt.counted.get((epoch, row["seq"])) or attempt.kept.get((epoch, row["seq"]), (None,))[0]
            if known is not None and content(known) != content(row):
                raise Refusal(409, "conflict", watermark=held)
        reason = None
        if not attempt.started_at:
            reason = "late"
        elif epoch != attempt.epoch:
            reason = "stale_device"
        elif attempt.state != "started":
            reason = "closed"
        elif now > attempt.deadline + self.grace_ms:
            reason = "late"
        for row in rows:
            place = (epoch, row["seq"])
            if place in attempt.counted or place in attempt.kept:
                continue
            why = reason or (None if self._open(row["item"], now) else "section")
            if why is None:
                attempt.counted[place] = row
            elif len(attempt.kept) >= self.most_kept:
                raise Refusal(409, "too_many_kept")
            else:
                attempt.kept[place] = (row, why)
            attempt.watermarks[epoch] = row["seq"]
        kept = [
            {"seq": row["seq"], "reason": attempt.kept[epoch, row["seq"]][1]}
            for row in rows
            if (epoch, row["seq"]) in attempt.kept
        ]
        reply = {
            "now": now,
            "watermark": attempt.watermarks.get(epoch, 0),
            "deadline": attempt.deadline,
            **self._ends(),
            "notices": len(self.notices),
        }
        return {**reply, "kept": kept, "message": "Kept, not counted."} if kept else reply

    def _submit(self, body: dict[str, Any], now: int) -> dict[str, Any]:
        attempt = self.attempt
        reply = self._save(body["epoch"], body["answers"], now)
        if attempt.state == "started":
            if body["epoch"] != attempt.epoch:
                raise Refusal(409, "stale_device")
            if reply["watermark"] != body["last_seq"]:
                raise Refusal(409, "gap", watermark=reply["watermark"])
            self._end("submitted", "candidate", now)
        return {**reply, "state": attempt.state, "receipt": attempt.receipt}

    def _seal(self, now: int) -> None:
        attempt = self.attempt
        if attempt.state == "started" and now > attempt.deadline + self.grace_ms:
            self._end("sealed", "clock", attempt.deadline + self.grace_ms)

    def _end(self, state: str, by: str, now: int) -> None:
        self.attempt.state = state
        finals = [row | {"response": canonical(row["response"])} for row in self.attempt.standing()]
        receipt = make_receipt(SIGNER, bytes.fromhex(self.form), bytes(range(16)), finals)
        self.attempt.receipt = {
            "code": receipt.code,
            "digest": receipt.digest.hex(),
            "salt": receipt.salt.hex(),
            "signature": receipt.signature.hex(),
            "key_id": receipt.key_id,
            "form": self.form,
            "answered": receipt.answered,
            "ended_by": by,
            "ended_at": now,
        }

    def release(self) -> None:
        """Grade (by chance) and release."""
        self.attempt.state = "released"
        self.attempt.result = {
            "total": "6.5",
            "maximum": "9",
            "sections": [
                {"section": "maths", "title": PAPER["sections"][0]["title"], "total": "4.5", "maximum": "5"},
                {"section": "teaching", "title": PAPER["sections"][1]["title"], "total": "2", "maximum": "4"},
            ],
        }


def content(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two rows the same row."""
    return row["item"], json.dumps(row["response"], sort_keys=True), row.get("flag", False)


def fits(interaction: dict[str, Any], response: Any) -> bool:
    """Whether a response has the shape of its item."""
    if response is None:
        return True
    kind = interaction["type"]
    if kind == "inline":
        offered = {gap["id"]: [option["id"] for option in gap["options"]] for gap in interaction["gaps"]}
        return isinstance(response, dict) and all(response[gap] in offered.get(gap, ()) for gap in response)
    if kind == "order":
        wanted = sorted(option["id"] for option in interaction["options"])
        places = {str(place) for place in range(1, len(wanted) + 1)}
        return isinstance(response, dict) and set(response) == places and sorted(response.values()) == wanted
    if kind == "match":
        prompts = {option["id"] for option in interaction["prompts"]}
        choices = {option["id"] for option in interaction["choices"]}
        return isinstance(response, dict) and prompts >= set(response) and choices >= set(response.values())
    if kind == "choice":
        ids = {option["id"] for option in interaction["options"]}
        if interaction["multiple"]:
            return isinstance(response, list) and ids >= set(response)
        return isinstance(response, str) and response in ids
    return isinstance(response, str) and len(response) <= interaction.get("max_length", 64)


class Server:
    """The hall behind HTTP, with the templates and the static files of the project, and the knobs."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.ahead = 0
        """How many ms the hall's clock is ahead of this machine's."""
        self.cut = False
        """Connections break before anything arrives."""
        self.deaf = 0
        """So many responses are lost after the request had its effect."""
        self.busy = 0
        """So many requests get 503."""
        self.proxy_page = False
        """Somebody's log-in page answers instead of the hall."""
        self.version = "0"
        """Of the files; those of another one are not there."""
        self.damaged = 0
        """So many papers come with a letter changed."""
        self.requests: list[tuple[str, str, Any]] = []
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(ROOT / "exam/web/templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        server = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                server.answer(self)

            do_POST = do_PUT = do_GET

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close the door."""
        self._http.shutdown()
        self._http.server_close()

    def now(self) -> int:
        """The hall's time in ms."""
        return int(time.time() * 1000) + self.ahead

    def answer(self, door: BaseHTTPRequestHandler) -> None:
        """Serve one request, or spoil it as the knobs say."""
        body = door.rfile.read(int(door.headers.get("Content-Length") or 0))
        path = door.path.partition("?")[0]
        if not path.startswith(("/api/", "/papers/")):
            self._page(door, path)
            return
        if self.cut:
            door.close_connection = True
            return
        self.requests.append((door.command, door.path, json.loads(body) if body else None))
        if self.proxy_page:
            self._send(door, 200, b"<html><h1>School network: log in</h1></html>", "text/html")
            return
        if self.busy:
            self.busy -= 1
            data = json.dumps({"error": "unavailable", "message": "The server is busy."}).encode()
            self._send(door, 503, data, "application/json", {"Retry-After": "1"})
            return
        if door.command != "GET" and door.headers.get("Content-Type") != "application/json":
            self._send(door, 415, b'{"error": "wrong_type", "message": "JSON, please."}', "application/json")
            return
        if path.startswith("/papers/"):
            sealed = self._spoilt(self.hall.sealed)
            self._send(door, 200, sealed, "application/octet-stream", {"Cache-Control": "public, immutable"})
            return
        if not self._right_browser(door, path):
            data = b'{"error": "safe_browser", "message": "Only in Safe Exam Browser."}'
            self._send(door, 403, data, "application/json")
            return
        if path.startswith("/api/papers/"):
            paper = self._spoilt(self.hall.paper)
            self._send(door, 200, paper, "application/json", {"Cache-Control": "private, max-age=31536000, immutable"})
            return
        headers: dict[str, str] = {}
        if path == "/api/login":
            status, reply = self._login(json.loads(body), headers)
        else:
            token = door.headers.get("Cookie", "").partition("exam=")[2].partition(";")[0]
            status, reply = self.hall.call(token, door.command, door.path, json.loads(body or b"{}"), self.now())
        if self.deaf:
            self.deaf -= 1
            door.close_connection = True
            return
        self._send(door, status, b"" if reply is None else json.dumps(reply).encode(), "application/json", headers)

    def _right_browser(self, door: BaseHTTPRequestHandler, path: str) -> bool:
        """Whether a request shows the key that the exam asks for, in one of the two ways."""
        if not self.hall.config_key or path in ("/api/logout", "/api/handover"):
            return True

        def shown(address: str, header: str) -> bool:
            wanted = hashlib.sha256((address + self.hall.config_key).encode()).hexdigest()
            return door.headers.get(header) == wanted

        page = door.headers.get("Seb-Page", "")
        ours = page in (f"{self.url}/", f"{self.url}/sitting") and shown(page, "Seb-Config-Key-Hash")
        return ours or shown(self.url + door.path, "X-SafeExamBrowser-ConfigKeyHash")

    def _spoilt(self, paper: bytes) -> bytes:
        if not self.damaged:
            return paper
        self.damaged -= 1
        return paper[:-20] + b"x" + paper[-19:]

    def _login(self, body: dict[str, str], headers: dict[str, str]) -> Reply:
        typed = body["code"].upper().replace("-", "").replace(" ", "")
        if body["registration"] != self.hall.registration or typed != self.hall.code:
            self.hall.wrong += 1
            if self.hall.wrong > 5:
                headers["Retry-After"] = "7"
                return 429, {"error": "wait", "message": "Wait a little."}
            return 401, {"error": "wrong_login", "message": "The registration number or the code is not right."}
        token = self.hall.login()
        headers["Set-Cookie"] = f"exam={token}; Path=/; HttpOnly; SameSite=Strict"
        return 200, self.hall.sitting(token, self.now())

    def _page(self, door: BaseHTTPRequestHandler, path: str) -> None:
        pages = {"/": "candidate/login.html.j2", "/sitting": "candidate/sitting.html.j2"}
        if path in pages:
            html = self._templates.get_template(pages[path]).render(
                static=lambda name: f"/static/{self.version}/{name}",
                lang="en",
                time_zone="Asia/Kolkata",
            )
            self._send(door, 200, html.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": POLICY})
            return
        if path == "/sw.js":
            kept = [f"/static/{self.version}/{file}" for file in candidate_files()]
            script = self._templates.get_template("candidate/sw.js.j2").render(version=self.version, files=kept)
            self._send(door, 200, script.encode(), "text/javascript", {"Cache-Control": "no-cache"})
            return
        if path == "/blank":
            self._send(door, 200, b"<!doctype html><title>blank</title>", "text/html")
            return
        if path.startswith("/test/"):
            file = Path(__file__).parent / Path(path).name
        elif path.startswith("/media/"):
            file = Path(__file__).parent / "picture.svg"
        elif (name := path.removeprefix(f"/static/{self.version}/")) in files():
            self._send(door, 200, files()[name], TYPES[Path(name).suffix])
            return
        else:
            file = ROOT / "nothing.here"
        if file.suffix not in TYPES or not file.is_file() or ROOT not in file.parents:
            self._send(door, 404, b"nothing here", "text/plain")
            return
        self._send(door, 200, file.read_bytes(), TYPES[file.suffix])

    def _send(
        self,
        door: BaseHTTPRequestHandler,
        status: int,
        data: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        try:
            door.send_response(status)
            if status != 204:
                door.send_header("Content-Type", kind)
                door.send_header("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                door.send_header(name, value)
            door.end_headers()
            if status != 204:
                door.wfile.write(data)
        except OSError:
            door.close_connection = True


def main() -> None:
    """Serve a hall that has just opened until interrupted."""
    hall = Hall(int(time.time() * 1000) - 1000, seed=random.getrandbits(32))
    server = Server(hall)
    print(f"{server.url}  registration {hall.registration}  code {hall.code}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
