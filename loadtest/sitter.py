"""A candidate who sits: what they answer, when they think, and what the server has told them is safe.

What a sitter does is a function of their number, the epoch and the seq. So nobody has to write down 800,000 answers:
whoever checks the tables afterwards knows each row from its key, and a row that is wrong cannot hide.
"""

import time
from typing import Final, NamedTuple

import msgspec

from loadtest import protocol
from loadtest.protocol import Call, Reply, Sheet, Unexpected
from loadtest.seeding import login_of

_MASK: Final = 2**64 - 1
REVISES: Final = 25
"""Of a hundred answers, how many change an earlier one."""
FLAGS: Final = 10
"""Of a hundred answers, how many carry the flag `look at this again`."""
CLEARS: Final = 2
"""Of a hundred answers, how many clear the item."""


def chance(number: int, epoch: int, seq: int) -> int:
    """64 bits that look random and are always the same for these three."""
    x = (number * 0x9E3779B97F4A7C15 + epoch * 0xBF58476D1CE4E5B9 + seq * 0x94D049BB133111EB + 1) & _MASK
    x = ((x ^ x >> 31) * 0xD6E8FEB86659FD93) & _MASK
    x = ((x ^ x >> 29) * 0xD6E8FEB86659FD93) & _MASK
    return x ^ x >> 32


class Line(NamedTuple):
    """One event: item, response as canonical JSON, flag."""

    item: int
    response: bytes
    flag: bool


def line_of(number: int, epoch: int, seq: int, sheet: Sheet) -> Line:
    """What this candidate answers under this epoch and seq: the next item, or one of the earlier again."""
    dice = chance(number, epoch, seq)
    items = len(sheet)
    item = (seq - 1) % items + 1
    if seq > 1 and dice % 100 < REVISES:
        item = (dice >> 8) % min(seq - 1, items) + 1
    responses = sheet[item - 1]
    response = b"null" if (dice >> 24) % 100 < CLEARS else responses[(dice >> 32) % len(responses)]
    return Line(item, response, (dice >> 48) % 100 < FLAGS)


class Account(msgspec.Struct, frozen=True, array_like=True):
    """What one candidate was promised: acknowledged and sent seq of each epoch, and the receipt's digest, if any."""

    number: int
    epochs: list[tuple[int, int, int]]
    """(epoch, highest seq acknowledged, highest seq sent)"""
    ended: str
    """How the attempt ended as far as the candidate was told: `submitted`, `sealed`, `graded`, or empty."""
    digest: str
    started: bool


class Sitter:
    """The state of one candidate's client. `took` is told every response; it raises PutOff or Unexpected."""

    __slots__ = (
        *("number", "thinks", "cookie", "form", "sheet", "offset", "opens_at", "deadline", "grace", "takeovers_left"),
        *("epoch", "seq", "sent", "watermark", "started", "ended", "digest", "sealed", "_earlier", "_kept"),
        *("by_code", "_key"),
    )

    def __init__(self, number: int, thinks: tuple[float, float] = (20.0, 40.0)) -> None:
        """`thinks`: seconds between two answers, at least and at most."""
        self.number, self.thinks = number, thinks
        self.cookie = b""
        self.epoch = self.seq = self.sent = self.watermark = 0
        self.opens_at = self.deadline = self.grace = self.offset = 0.0
        self.takeovers_left = 0
        self.form = ""
        self.sheet: Sheet = ()
        self.started = False
        self.ended = self.digest = self.sealed = ""
        self._kept = b""
        self._key = ""
        self.by_code: protocol.ByCode | None = None
        self._earlier: list[tuple[int, int, int]] = []

    # What is sent ---------------------------------------------------------------------------------------------

    def log_in(self) -> Call:
        return protocol.log_in(*login_of(self.number))

    def open(self, code: str) -> None:
        """Begins without the service, by the code that was read out. Unexpected where it opens nothing."""
        if self.by_code is None or not self._kept:
            raise Unexpected(protocol.START, "nothing here that a code could open")
        self._key = protocol.open_envelope(code, self.by_code.form, self.by_code.envelope)
        self.form, self.deadline = self.by_code.form, self.by_code.deadline / 1000
        self.sheet = protocol.open_sealed(self.form, self._key, self._kept)

    def start(self) -> Call:
        """The start, told as the one it is."""
        return protocol.start_by_code(self._key) if self._key else protocol.PRESS_START

    def write(self) -> int:
        """Answers one item; its seq. Not sent yet."""
        self.seq += 1
        return self.seq

    @property
    def unsafe(self) -> int:
        """How many answers are not acknowledged."""
        return self.seq - self.watermark

    def save(self) -> Call:
        """A save of everything above the watermark, of at most 100 rows."""
        return protocol.save(self.epoch, self._rows())

    def submit(self) -> Call:
        """A submit that carries what is unsent."""
        return protocol.submit(self.epoch, self.seq, self._rows())

    def paper(self) -> Call:
        return protocol.paper(self.form)

    def sealed_paper(self) -> Call:
        return protocol.sealed_paper(self.sealed)

    def think(self) -> float:
        """Seconds until the next answer."""
        low, high = self.thinks
        return low + (high - low) * (chance(self.number, -self.epoch, self.seq) & 0xFFFFFF) / 0x1000000

    def _rows(self) -> list[bytes]:
        self.sent = min(self.seq, self.watermark + protocol.MOST_ROWS)
        at = int(time.time() * 1000)
        return [
            protocol.row(seq, *line_of(self.number, self.epoch, seq, self.sheet), at)
            for seq in range(self.watermark + 1, self.sent + 1)
        ]

    # What came back -------------------------------------------------------------------------------------------

    def took(self, operation: str, reply: Reply) -> None:
        """Learns from a response; raises PutOff or Unexpected, and then nothing has changed."""
        if operation == protocol.SAVE:
            self._took_ack(protocol.read_answer(operation, reply))
        elif operation == protocol.PAPER:
            self.sheet = protocol.read_paper(self.form, reply)
        elif operation == protocol.SEALED:
            self._kept = protocol.read_sealed(reply)
        elif operation in (protocol.LOGIN, protocol.SITTING):
            self._took_sitting(operation, reply, protocol.read_answer(operation, reply))
        elif operation == protocol.SUBMIT:
            self._took_receipt(protocol.read_answer(operation, reply))
        else:
            self._took_start(operation, protocol.read_answer(operation, reply))

    def _took_ack(self, ack: protocol.Ack) -> None:
        if ack.kept:
            raise Unexpected(protocol.SAVE, f"kept: {ack.kept[0].reason}")
        if ack.watermark != self.sent:
            raise Unexpected(protocol.SAVE, "another watermark than what was sent")
        self.watermark, self.deadline = ack.watermark, ack.deadline / 1000

    def _took_sitting(self, operation: str, reply: Reply, sitting: protocol.Sitting) -> None:
        if operation == protocol.LOGIN:
            cookie = reply.header(b"set-cookie").partition(b";")[0]
            if not cookie:
                raise Unexpected(operation, "200 without a cookie")
            self.cookie = cookie
        self.sealed = sitting.sealed or ""
        self.by_code = sitting.by_code or self.by_code
        self.offset = sitting.now / 1000 - time.time()
        self.opens_at = sitting.slot.opens_at / 1000
        attempt = sitting.attempt
        if attempt is not None:
            self.deadline, self.grace, self.form = attempt.deadline / 1000, attempt.grace_ms / 1000, attempt.form
            self.takeovers_left = attempt.takeovers_left
            self._compare(operation, attempt)
        elif self.started:
            raise Unexpected(operation, "a started attempt that has not started")
        if sitting.state not in ("prepared", "started"):
            self.ended = sitting.state
            if sitting.receipt is not None:
                self._hold(operation, sitting.receipt.digest)

    def _compare(self, operation: str, attempt: protocol.Attempt) -> None:
        """Everything that was called safe has to stand in the sitting, and count."""
        if attempt.kept:
            raise Unexpected(operation, "answers in quarantine")
        if attempt.writer and attempt.epoch == self.epoch and (attempt.watermark or 0) < self.watermark:
            raise Unexpected(operation, "a watermark below what was acknowledged")
        if not self.sheet:
            return
        expected: dict[int, tuple[int, int]] = {}
        for epoch, safe, _ in self._all():
            for seq in range(1, safe + 1):
                expected[line_of(self.number, epoch, seq, self.sheet).item] = (epoch, seq)
        for held in attempt.answers:
            line = line_of(self.number, held.epoch, held.seq, self.sheet)
            if (line.item, msgspec.json.decode(line.response), line.flag) != (held.item, held.response, held.flag):
                raise Unexpected(operation, "another answer than was sent")
            if expected.pop(held.item, (0, 0)) > (held.epoch, held.seq):
                raise Unexpected(operation, "an older answer than was acknowledged")
        if expected:
            raise Unexpected(operation, "an acknowledged answer is missing")

    def _took_start(self, operation: str, running: protocol.Running) -> None:
        if operation == protocol.TAKEOVER:
            if running.epoch <= self.epoch or running.watermark:
                raise Unexpected(operation, "no new epoch")
            self._earlier.append((self.epoch, self.watermark, self.sent))
            self.seq = self.sent = self.watermark = 0
        elif running.epoch != 1 or running.watermark != self.watermark:
            raise Unexpected(operation, "another epoch or watermark than those of a start")
        begun = self.by_code if self._key and operation == protocol.START else None
        if begun is not None and (running.started_at, running.deadline) != (begun.started_at, begun.deadline):
            raise Unexpected(operation, "another time than that of a start by code")
        self.epoch, self.form, self.started = running.epoch, running.form, True
        self.deadline, self.grace = running.deadline / 1000, running.grace_ms / 1000
        if self._kept and not self.sheet:
            self.sheet = protocol.open_sealed(self.form, running.key, self._kept)

    def _took_receipt(self, submitted: protocol.Submitted) -> None:
        if submitted.kept:
            raise Unexpected(protocol.SUBMIT, f"kept: {submitted.kept[0].reason}")
        if submitted.state != "submitted" or submitted.receipt is None:
            raise Unexpected(protocol.SUBMIT, f"ended as {submitted.state}, or without a receipt")
        if submitted.watermark != self.seq or submitted.receipt.form != self.form:
            raise Unexpected(protocol.SUBMIT, "another watermark or form")
        self.watermark, self.ended = submitted.watermark, "submitted"
        self._hold(protocol.SUBMIT, submitted.receipt.digest)

    def _hold(self, operation: str, digest: str) -> None:
        if self.digest and digest != self.digest:
            raise Unexpected(operation, "another receipt than before")
        self.digest = digest

    def _all(self) -> list[tuple[int, int, int]]:
        return [*self._earlier, (self.epoch, self.watermark, self.sent)] if self.epoch else []

    def account(self) -> Account:
        """What this candidate was promised until now."""
        return Account(self.number, self._all(), self.ended, self.digest, self.started)
