"""What must hold after a run: the clients' logs, the witness's and the database compared, attempt by attempt.

Each check has the number of its rule. A violation is one sentence that names the attempt; none is explained away here,
save by EPSILON, the seconds by which two readings of one moment may differ on a busy machine.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from loadtest.device import Event
from loadtest.held import Form, Held, HeldRow
from loadtest.proxy import Crossing
from loadtest.reference import Row, code_of, digest, finals, mark, section_ends

EPSILON: Final = 0.05
GRANT_MARGIN: Final = 2.0
"""Seconds within which it is open whether a grant came before or after a row."""

RULES: Final = {
    "H1": "every acknowledged row, start, take-over and submission is there, just so",
    "H2": "every row was sent by somebody, and its request crossed and was not refused",
    "H3": "one row per (attempt, epoch, seq), and the same verdict at each repetition",
    "H4": "what counts is the highest (epoch, seq); the receipt recomputes and verifies",
    "H5": "watermarks never fall, and a read shows what was acknowledged before it",
    "H6": "nothing is taken late or outside its section's time, nothing in time is refused, by the witness's clock",
    "H7": "one submission and one receipt; no row is accepted after it",
    "H8": "one result for each ended attempt, stored once; none left",
    "H9": "marks equal those of the reference grader, item by item",
    "H10": "no row of an epoch is accepted after a later one began",
    "H11": "deadline = start (by code: opening) + duration + grants + wait for us, and never earlier than it was said",
    "H12": "every paper and form received is the pinned one",
    "live": "nobody had to give up, no process fell by itself, no answer was a defect",
}


class Check(msgspec.Struct):
    """One rule: how many things were looked at, and what was wrong."""

    rule: str
    looked: int = 0
    violations: list[str] = []


class Ledger:
    """The checks of a run, and by how much arrivals differ from the witness (seconds, later is positive)."""

    def __init__(self) -> None:
        self.checks = {name: Check(rule, violations=[]) for name, rule in RULES.items()}
        self.skews: list[float] = []

    def look(self, check: str, holds: object, what: str) -> None:
        """Counts one look, and keeps the sentence if it does not hold."""
        self.checks[check].looked += 1
        if not holds:
            self.checks[check].violations.append(what)

    @property
    def violations(self) -> int:
        return sum(len(check.violations) for check in self.checks.values())


class History:
    """One attempt's log, put in order."""

    def __init__(self, events: Sequence[Event], crossings: Mapping[str, Sequence[Crossing]]) -> None:
        self.events = events
        self.asked = {event.request: event for event in events if event.kind == "invoke"}
        self.results = {event.request: event for event in events if event.kind != "invoke"}
        self.crossings = {name: crossings.get(name, ()) for name in self.asked}
        self.carriers: dict[tuple[int, int, str], list[str]] = defaultdict(list)
        for name, event in self.asked.items():
            for row in event.rows:
                self.carriers[event.epoch, row.seq, row.digest].append(name)

    def acks(self, *ops: str) -> list[Event]:
        """What was answered 200, of these operations."""
        return [event for event in self.results.values() if event.kind == "ok" and event.op in ops]

    def could_write(self, name: str) -> bool:
        """Whether this request can have brought rows in: it crossed, and it was not refused for good."""
        if not self.crossings[name]:
            return False
        result = self.results.get(name)
        # A submit saves its rows first and may be refused after that; a copy from the proxy has an answer nobody heard.
        refused = result is not None and result.kind == "fail" and result.op != "submit"
        return not refused or any(crossing.replay for crossing in self.crossings[name])


def check_attempt(ledger: Ledger, held: Held, history: History, form: Form, public: bytes) -> None:
    """Holds one attempt against its log."""
    name = f"attempt {held.attempt_id}"
    _acknowledged(ledger, name, held, history)
    _sent(ledger, name, held, history)
    _orders(ledger, name, history)
    _arrivals(ledger, name, held, history, form)
    _ends(ledger, name, held, history, public)
    _marks(ledger, name, held, form)
    _epochs(ledger, name, held, history)
    _deadline(ledger, name, held, history)
    for event in history.acks("paper", "start", "takeover"):
        ledger.look("H12", event.form == held.form, f"{name}: {event.request} got the form {event.form[:12]}")
    for event in history.results.values():
        ledger.look("live", event.status != 500, f"{name}: {event.op} {event.request} met a defect")


def _acknowledged(ledger: Ledger, name: str, held: Held, history: History) -> None:
    rows = {(row.epoch, row.seq): row for row in held.rows}
    started = False
    for result in history.events:
        if result.kind == "fail" and result.error == "no_session":
            ledger.look("H1", False, f"{name}: {result.request} was told to log in again")
        if result.kind == "fail" and result.error == "not_started":
            ledger.look("H1", not started, f"{name}: {result.request}: the start was lost")
        started = started or (result.kind == "ok" and result.op == "start")
    for ack in history.acks("save", "submit"):
        kept = dict(ack.kept)
        asked = history.asked[ack.request]
        for sent in asked.rows:
            found = rows.get((asked.epoch, sent.seq))
            same = found is not None and found.digest == sent.digest and found.reason == kept.get(sent.seq, "")
            ledger.look("H1", same, f"{name}: {asked.epoch}/{sent.seq} in {ack.request} was acknowledged"
                        f" {kept.get(sent.seq, 'as counting')}, held is {_shown(found)}")  # fmt: skip
        if ack.op == "submit":
            ledger.look("H1", held.submissions, f"{name}: the submission {ack.request} is lost")
        missing = set(range(1, ack.watermark + 1)) - {seq for epoch, seq in rows if epoch == asked.epoch}
        ledger.look(
            "H1",
            not missing,
            f"{name}: below the watermark {ack.watermark} of {ack.request} miss {sorted(missing)[:5]}",
        )
    for ack in history.acks("start", "takeover"):
        ledger.look(
            "H1", held.epoch >= ack.epoch, f"{name}: epoch {ack.epoch} of {ack.request} is lost, it is {held.epoch}"
        )


def _shown(row: HeldRow | None) -> str:
    return "nothing" if row is None else f"{row.response[:30]} ({row.reason or 'counts'})"


def _sent(ledger: Ledger, name: str, held: Held, history: History) -> None:
    for row in held.rows:
        carriers = history.carriers.get((row.epoch, row.seq, row.digest), [])
        ledger.look("H2", carriers, f"{name}: {row.epoch}/{row.seq} {_shown(row)} was sent by nobody")
        if carriers:
            able = any(history.could_write(one) for one in carriers)
            ledger.look(
                "H2", able, f"{name}: {row.epoch}/{row.seq} is held, but {carriers[:3]} never crossed or were refused"
            )
    for (epoch, seq), count in Counter((row.epoch, row.seq) for row in held.rows).items():
        ledger.look("H3", count == 1, f"{name}: {epoch}/{seq} is held {count} times")
    verdicts: dict[tuple[int, int, str], set[str]] = defaultdict(set)
    for ack in history.acks("save", "submit"):
        kept = dict(ack.kept)
        for sent in history.asked[ack.request].rows:
            verdicts[history.asked[ack.request].epoch, sent.seq, sent.digest].add(kept.get(sent.seq, "counts"))
    for (epoch, seq, _), found in verdicts.items():
        ledger.look(
            "H3", len(found) == 1, f"{name}: {epoch}/{seq} was acknowledged as {' and as '.join(sorted(found))}"
        )


def _orders(ledger: Ledger, name: str, history: History) -> None:
    marks: dict[int, int] = defaultdict(int)
    counted: dict[int, tuple[int, int]] = {}
    deadline = 0
    floors: dict[str, tuple[int, int]] = {}
    reads: dict[str, dict[int, tuple[int, int]]] = {}
    for event in history.events:
        if event.kind == "invoke":
            floors[event.request] = marks[event.epoch], deadline
            if event.op == "sitting":
                reads[event.request] = dict(counted)
            continue
        mark_then, deadline_then = floors[event.request]
        if event.deadline:
            ledger.look("H11", event.deadline >= deadline_then, f"{name}: {event.request} took time away")
            deadline = max(deadline, event.deadline)
        if event.op == "save" and event.watermark >= 0:
            ledger.look("H5", event.watermark >= mark_then,
                        f"{name}: {event.request} says watermark {event.watermark} after {mark_then}")  # fmt: skip
            if event.kind == "ok":
                marks[event.epoch] = max(marks[event.epoch], event.watermark)
        if event.kind == "ok" and event.op in ("save", "submit"):
            kept = dict(event.kept)
            for row in history.asked[event.request].rows:
                if row.seq not in kept and row.item:
                    counted[row.item] = max(counted.get(row.item, (0, 0)), (event.epoch, row.seq))
        if event.kind == "ok" and event.op == "sitting" and event.state != "prepared":
            shown = {item: (epoch, seq) for item, epoch, seq, _ in event.answers}
            for item, place in reads[event.request].items():
                old = f"{name}: {event.request} shows {shown.get(item)} for item {item} after {place}"
                ledger.look("H5", shown.get(item, (0, 0)) >= place, old)


def _arrivals(ledger: Ledger, name: str, held: Held, history: History, form: Form) -> None:
    def outside(item: int, wall: float) -> float:
        """By how many seconds this moment is outside the item's section; negative within it, or where it has none.

        What a section's end was when the moment was judged it is still, unless it lay ahead: time goes to what is open.
        """
        place = form.section_of(item)
        if place is None:
            return -float("inf")
        opens = held.section_ends[place - 1] if place else -float("inf")
        return max(opens - wall, wall - held.section_ends[place] - held.grace_s)

    def limit(moment: float) -> float:
        given = sum(seconds for at, seconds, _ in held.grants if at <= moment)
        return held.started_at + held.duration_s + given + held.grace_s

    for row in held.rows:
        carriers = history.carriers.get((row.epoch, row.seq, row.digest), [])
        walls = [crossing.wall for one in carriers for crossing in history.crossings[one]]
        if not walls:
            continue
        nearest = min(walls, key=lambda wall: abs(row.arrived - wall))
        ledger.skews.append(row.arrived - nearest)
        if not row.reason:
            over = min(walls) - limit(row.committed)
            ledger.look("H6", over <= EPSILON, f"{name}: {row.epoch}/{row.seq} counts, {over * 1000:.0f} ms late")
            least = min(outside(row.item, wall) for wall in walls)
            what = f"{name}: {row.epoch}/{row.seq} counts, {least * 1000:.0f} ms outside its section"
            ledger.look("H6", least <= EPSILON, what)
        elif row.reason == "section":
            within = -outside(row.item, nearest)
            what = f"{name}: {row.epoch}/{row.seq} is kept for its section, {within * 1000:.0f} ms within it"
            ledger.look("H6", within <= EPSILON, what)
        elif row.reason == "late":
            early = limit(row.committed - GRANT_MARGIN) - nearest
            ledger.look(
                "H6", early <= EPSILON, f"{name}: {row.epoch}/{row.seq} is kept as late, {early * 1000:.0f} ms in time"
            )
    for ack in history.acks("save", "submit"):
        crossed = [crossing.wall for crossing in history.crossings[ack.request] if not crossing.replay]
        if crossed and any(reason == "late" for _, reason in ack.kept):
            early = limit(crossed[0] - GRANT_MARGIN) - crossed[0]
            ledger.look(
                "H6", early <= EPSILON, f"{name}: {ack.request} was refused as late, {early * 1000:.0f} ms in time"
            )


def _ends(ledger: Ledger, name: str, held: Held, history: History, public: bytes) -> None:
    ended = held.state not in ("prepared", "started")
    ledger.look("H7", len(held.submissions) == ended, f"{name}: {held.state}, with {len(held.submissions)} submissions")
    ledger.look("H8", held.state != "started", f"{name}: it was never ended")
    receipts = [event.receipt for event in history.results.values() if event.receipt]
    for submission in held.submissions[:1]:
        counted = finals(Row(row.item, row.epoch, row.seq, row.response) for row in held.rows if not row.reason)
        computed = digest(held.form, submission.salt, counted)
        ledger.look("H4", submission.digest == computed, f"{name}: the receipt is not over what counts")
        ledger.look(
            "H4", _signed(public, submission.digest, submission.signature), f"{name}: the signature does not hold"
        )
        answered = sum(row.response != "null" for row in counted.values())
        ledger.look("H4", submission.answered == answered, f"{name}: {submission.answered} answered, not {answered}")
        for receipt in receipts:
            same = (receipt["digest"], receipt["salt"], receipt["code"], receipt["form"]) == (
                submission.digest, submission.salt, code_of(submission.digest or "00" * 32), held.form)  # fmt: skip
            ledger.look("H7", same, f"{name}: a receipt {receipt['code']} that is not the submission's")
        for row in held.rows:
            after = "candidate" in submission.ended_by and not row.reason and row.committed > submission.ended_at
            ledger.look("H7", not after, f"{name}: {row.epoch}/{row.seq} was accepted after the submission")
        for event in history.acks("sitting"):
            if event.state not in ("prepared", "started"):
                shown = {(item, epoch, seq, response) for item, epoch, seq, response in event.answers}
                ledger.look(
                    "H4", shown == set(counted.values()), f"{name}: {event.request} shows other answers than count"
                )
        one = len(held.results) == 1
        what = f"{name}: {held.state}, {len(held.results)} results, {submission.tries} tries {submission.failure}"
        ledger.look("H8", one and held.state in ("graded", "released"), what)
        ledger.look("H8", held.stored <= 1, f"{name}: its result was stored {held.stored} times")


def _signed(public: bytes, digest_hex: str, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, bytes.fromhex(digest_hex))
    except (InvalidSignature, ValueError):
        return False
    return True


def _marks(ledger: Ledger, name: str, held: Held, form: Form) -> None:
    if not held.results:
        return
    counted = finals(Row(row.item, row.epoch, row.seq, row.response) for row in held.rows if not row.reason)
    wanted = mark(form.paper, form.keys, form.scheme, counted)
    for result in held.results:
        right = Fraction(result.total) == Fraction(wanted.rounded)
        # A maximum that never ends as a decimal is stored as it is shown.
        right &= Fraction(result.maximum) in (wanted.maximum, Fraction(wanted.rounded_maximum))
        ledger.look("H9", right, f"{name}: {result.total} of {result.maximum}, the reference says {wanted.rounded}")
        ledger.look("H9", [Fraction(item) for item in result.items] == wanted.items, f"{name}: items {result.items}")
        ledger.look("H9", result.unmarked == wanted.unmarked, f"{name}: {result.unmarked} wait, not {wanted.unmarked}")


def _epochs(ledger: Ledger, name: str, held: Held, history: History) -> None:
    committed: dict[int, list[float]] = defaultdict(list)
    for row in held.rows:
        if not row.reason:
            committed[row.epoch].append(row.committed)
    epochs = sorted(committed)
    for before, after in pairwise(epochs):
        ordered = max(committed[before]) <= min(committed[after])
        ledger.look("H10", ordered, f"{name}: a row of epoch {before} was accepted after one of {after}")
    begun = {event.epoch: event.monotonic for event in reversed(history.acks("takeover"))}
    for row in held.rows:
        later = [moment for epoch, moment in begun.items() if epoch > row.epoch]
        if row.reason or not later:
            continue
        carriers = history.carriers.get((row.epoch, row.seq, row.digest), [])
        before_it = any(history.asked[one].monotonic <= min(later) for one in carriers)
        ledger.look(
            "H10", before_it or not carriers, f"{name}: {row.epoch}/{row.seq} was sent after a later epoch had begun"
        )


def _deadline(ledger: Ledger, name: str, held: Held, history: History) -> None:
    if held.state == "prepared":
        return
    # A grant to a whole slot reaches who has not ended; about one that came in the same moment nothing can be said.
    first, last = float("inf"), float("inf")
    for one in held.submissions:
        if one.ended_by == "candidate":
            first, last = one.ended_at - GRANT_MARGIN, one.ended_at + GRANT_MARGIN
        else:
            first, last = held.deadline, (one.graded_at or float("inf")) + GRANT_MARGIN
    sure = sum(seconds for at, seconds, whole in held.grants if not whole or at < first)
    possible = sum(seconds for at, seconds, whole in held.grants if not whole or at < last)
    ledger.look(
        "H11",
        sure <= held.grant_s <= possible,
        f"{name}: {held.grant_s} s were given, on record are {sure} to {possible}",
    )
    wrong = held.deadline - held.started_at - held.duration_s - held.grant_s - held.delay_s
    ledger.look("H11", abs(wrong) < 0.002, f"{name}: the deadline is {wrong:+.3f} s off")
    _sections(ledger, name, held)
    starts = [
        crossing.wall
        for one, event in history.asked.items()
        if event.op == "start"
        for crossing in history.crossings[one]
    ]
    if held.by_code:  # its time has run since the opening, whenever the service heard of it
        at_opening = held.started_at == held.opens_at and bool(starts) and min(starts) >= held.opens_at - EPSILON
        off = held.started_at - held.opens_at
        ledger.look("H11", at_opening, f"{name}: it began by code {off:+.3f} s from the opening, or without a start")
        return
    apart = min((abs(held.started_at - wall) for wall in starts), default=float("inf"))
    ledger.look("H11", apart < 1, f"{name}: it started {apart:.3f} s away from every start that arrived")


def _sections(ledger: Ledger, name: str, held: Held) -> None:
    ordered = all(before < after for before, after in pairwise([held.started_at, *held.section_ends]))
    ended = not held.section_ends or abs(held.section_ends[-1] - held.deadline) < 0.002
    same = len(held.section_ends) == len(held.section_s)
    ledger.look("H11", ordered and ended and same, f"{name}: its sections end at {held.section_ends}")
    given = [(at, seconds) for at, seconds, _ in held.grants if at > held.started_at]
    # Of a grant in the moment of the start or of an end nothing can be said, nor of one before the start was heard of.
    near = any(abs(at - end) < GRANT_MARGIN for at, _ in given for end in held.section_ends)
    near = near or held.by_code or any(at < held.started_at + held.delay_s + GRANT_MARGIN for at, _ in given)
    if same and held.section_s and not near and sum(seconds for _, seconds, _ in held.grants) == held.grant_s:
        wanted = section_ends(held.started_at, held.deadline, held.section_s, given)
        apart = max(abs(one - other) for one, other in zip(held.section_ends, wanted, strict=True))
        ledger.look("H11", apart < 0.002, f"{name}: its sections end up to {apart:.3f} s off")


def check_skews(ledger: Ledger) -> None:
    """The service's clock is the witness's: half of all arrivals differ by less than EPSILON."""
    skews = sorted(abs(skew) for skew in ledger.skews)
    if skews:
        middle = skews[len(skews) // 2]
        ledger.look(
            "H6", middle <= EPSILON, f"arrivals differ from the witness by {middle * 1000:.0f} ms, half of them more"
        )


def table(checks: Mapping[str, Check]) -> Iterable[str]:
    """The checks as lines of text."""
    for name, check in checks.items():
        wrong = len(check.violations)
        yield f"{name:>5} {check.looked:>8} looked at  {f'{wrong} WRONG' if wrong else 'all well':<12} {check.rule}"
        for violation in check.violations[:3]:
            yield f"      ! {violation}"
