"""The history checker's own parts: the reference grader, each rule, the schedule, and that the defects still fit."""

import copy
import itertools
import os
import random
import subprocess
import sys
from fractions import Fraction

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exam import receipts
from grading.items import canonical as canonical_of
from grading.scoring import FormItem, FormScorer, Scheme
from loadtest.checks import History, Ledger, check_attempt
from loadtest.defects import DEFECTS
from loadtest.device import Event, Sent, digest_of
from loadtest.faulty_hall import BANK, RESPONSES
from loadtest.held import Form, Held, HeldRow, Result, Submission
from loadtest.nemesis import ACTS, schedule
from loadtest.proxy import Crossing
from loadtest.reference import Row, canonical, code_of, digest, finals, mark, section_ends

SCHEME = {"negative": "1/4", "round_to": 2}
PAPER = {
    "items": [
        {"no": no, "marks": "4/3", "interaction": msgspec.to_builtins(item.interaction)}
        for no, (item, _) in enumerate(BANK, start=1)
    ]
}
KEYS = [msgspec.to_builtins(key) for _, key in BANK]


def test_reference_and_service_agree_on_every_response():
    scorer = FormScorer(
        [FormItem("main", item.interaction, key, "4/3") for item, key in BANK], msgspec.convert(SCHEME, Scheme)
    )
    draw = random.Random(1)
    for _ in range(300):
        given = {item: draw.choice(responses) for item, responses in RESPONSES.items() if draw.random() < 0.9}
        theirs = scorer.score(given)
        ours = mark(PAPER, KEYS, SCHEME, {no: Row(no, 1, 1, canonical(response)) for no, response in given.items()})
        assert [Fraction(item.awarded) for item in theirs.items] == ours.items, given
        assert (theirs.rounded, Fraction(theirs.maximum)) == (ours.rounded, ours.maximum)
        assert theirs.unmarked == ours.unmarked


def test_reference_and_service_agree_on_text_and_receipt():
    for response in itertools.chain.from_iterable(RESPONSES.values()):
        assert canonical(response) == canonical_of(response)
    rows = [Row(2, 1, 3, '"a"'), Row(1, 1, 1, '"मुंबई"'), Row(1, 2, 1, "null"), Row(0, 2, 2, "null")]
    counted = finals(rows)
    assert counted == {1: rows[2], 2: rows[0]}
    form, salt = bytes(range(32)), bytes(16)
    theirs = receipts.digest_of(form, salt, [row._asdict() for row in counted.values()])
    assert digest(form.hex(), salt.hex(), counted) == theirs.hex()
    receipt = receipts.Receipt(form, salt, theirs, b"", "", 0)
    assert code_of(theirs.hex()) == receipt.code


# The rules --------------------------------------------------------------------------------------------------------

SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = SIGNING.public_key().public_bytes_raw()
FORM = "ab" * 32
START, DURATION, GRACE = 1000.0, 100, 2


def sent(seq, item, response):
    return Sent(seq, item, response, False, digest_of(item, response, False))


def story():
    """A sitting that is as it should be: two rows, a take-over, one row, one late, a submit; and what is held of it."""
    events, witness = [], {}
    numbers = itertools.count(1)

    def ask(op, at, *, epoch=0, rows=(), last_seq=-1, **answer):
        name = f"7.{next(numbers)}"
        said = {"epoch": epoch, "last_seq": last_seq}
        events.append(Event("invoke", name, op, 1, at, at, rows=list(rows), **said))
        witness[name] = [Crossing(name, at, at, False)]
        events.append(Event("ok", name, op, 1, at + 0.01, at + 0.01, status=200, **(said | answer)))

    deadline = int((START + DURATION) * 1000)
    one, two, three, late = sent(1, 1, '"b"'), sent(2, 1, '"a"'), sent(1, 8, '"true"'), sent(2, 8, '"false"')
    ask("start", START, epoch=1, watermark=0, deadline=deadline, form=FORM)
    ask("save", START + 5, epoch=1, rows=[one, two], watermark=2, deadline=deadline)
    ask("takeover", START + 6, epoch=2, watermark=0, deadline=deadline, form=FORM)
    ask("save", START + 7, epoch=2, rows=[three], watermark=1, deadline=deadline)
    ask("sitting", START + 8, epoch=2, watermark=1, deadline=deadline, state="started",
        answers=[(1, 1, 2, '"a"'), (8, 2, 1, '"true"')])  # fmt: skip
    ask("save", START + 103, epoch=2, rows=[late], watermark=2, deadline=deadline, kept=[(2, "late")])

    def held_row(epoch, row, at, reason=""):
        return HeldRow(epoch, row.seq, row.item, row.response, row.digest, at, at + 0.005, reason)

    rows = [held_row(1, one, START + 5), held_row(1, two, START + 5), held_row(2, three, START + 7),
            held_row(2, late, START + 103, "late")]  # fmt: skip
    counted = finals(Row(row.item, row.epoch, row.seq, row.response) for row in rows if not row.reason)
    sealed = digest(FORM, "00" * 16, counted)
    receipt = {"digest": sealed, "salt": "00" * 16, "code": code_of(sealed), "form": FORM}
    ask("submit", START + 104, epoch=2, last_seq=2, watermark=2, state="submitted", receipt=receipt)
    signature = SIGNING.sign(bytes.fromhex(sealed))
    marks = mark(PAPER, KEYS, SCHEME, counted)
    submission = Submission("candidate", START + 104, "00" * 16, sealed, signature, 2, START + 105, 1, "")
    result = Result(
        1, marks.rounded, marks.rounded_maximum, [str(item) for item in marks.items], marks.unmarked, START + 105
    )
    held = Held(
        7, 1, FORM, "graded", 2, DURATION, GRACE, 0, 0.0, START, START + DURATION, rows, [submission], [result], 1, []
    )
    return events, witness, held


def violated(events, witness, held):
    ledger = Ledger()
    check_attempt(ledger, held, History(events, witness), Form(PAPER, KEYS, SCHEME), PUBLIC)
    return {name for name, check in ledger.checks.items() if check.violations}, ledger


def test_a_right_story_breaks_no_rule_and_asks_for_all():
    found, ledger = violated(*story())
    assert found == set(), [check.violations for check in ledger.checks.values()]
    assert all(check.looked for check in ledger.checks.values())


def changed(struct, **fields):
    return msgspec.structs.replace(struct, **fields)


def edit(place, **fields):
    """A change of one held row."""

    def act(events, witness, held):
        held.rows[place] = changed(held.rows[place], **fields)

    return act


def other(**fields):
    """A change of the attempt."""

    def act(events, witness, held):
        for name, value in fields.items():
            setattr(held, name, value)

    return act


def lose_row(events, witness, held):
    del held.rows[2]


def second_row(events, witness, held):
    held.rows.append(held.rows[0])


def uncrossed(events, witness, held):
    del witness["7.4"]


def refused(events, witness, held):
    place = next(place for place, event in enumerate(events) if event.kind == "ok" and event.request == "7.4")
    events[place] = changed(events[place], kind="fail", error="gap", status=409, watermark=0)


def answer(request, **fields):
    """Another answer to a request."""

    def act(events, witness, held):
        place = next(place for place, event in enumerate(events) if event.kind == "ok" and event.request == request)
        events[place] = changed(events[place], **fields)

    return act


def submission(**fields):
    def act(events, witness, held):
        held.submissions[0] = changed(held.submissions[0], **fields)

    return act


def result(**fields):
    def act(events, witness, held):
        held.results[0] = changed(held.results[0], **fields)

    return act


def crossed(request, at):
    def act(events, witness, held):
        witness[request] = [Crossing(request, at, at, False)]

    return act


def second_submission(events, witness, held):
    held.submissions.append(held.submissions[0])


@pytest.mark.parametrize(
    ("rule", "act"),
    [
        ("H1", lose_row),
        ("H1", edit(2, reason="closed")),
        ("H1", answer("7.4", kind="fail", error="no_session", status=401)),
        ("H2", edit(2, digest="0" * 16)),
        ("H2", uncrossed),
        ("H2", refused),
        ("H3", second_row),
        ("H4", submission(signature=bytes(64))),
        ("H4", submission(answered=3)),
        ("H4", edit(2, response='"false"')),
        ("H5", answer("7.5", answers=[(1, 1, 1, '"b"'), (8, 2, 1, '"true"')])),
        ("H5", answer("7.6", watermark=0)),
        ("H6", edit(3, reason="")),
        ("H6", crossed("7.6", START + 101.9)),
        ("H7", second_submission),
        ("H7", edit(2, committed=START + 104.5)),
        ("H8", other(results=[])),
        ("H8", other(state="submitted")),
        ("H8", other(stored=2)),
        ("H9", result(total="7.00")),
        ("H10", edit(1, committed=START + 7.5)),
        ("H11", other(deadline=START + DURATION + 1)),
        ("H11", other(grant_s=60)),
        ("H11", answer("7.4", deadline=int((START + 50) * 1000))),
        ("H12", answer("7.1", form="cd" * 32)),
        ("live", answer("7.4", kind="unknown", status=500)),
    ],
)
def test_each_rule_notices(rule, act):
    events, witness, held = story()
    held = copy.deepcopy(held)
    act(events, witness, held)
    assert rule in violated(events, witness, held)[0]


def begun_by_code(started_at, opens_at):
    """The start came at START, from somebody who began by code."""
    return other(by_code=True, started_at=started_at, opens_at=opens_at, deadline=started_at + DURATION)


@pytest.mark.parametrize(
    ("act", "right"),
    [
        (begun_by_code(START - 30, START - 30), True),
        (begun_by_code(START, START - 30), False),  # its time ran from the request
        (begun_by_code(START - 30, START - 31), False),
        (begun_by_code(START + 5, START + 5), False),  # it was taken before the opening
        (other(started_at=START - 30, opens_at=START - 30, deadline=START + 70), False),  # an ordinary one
    ],
)
def test_time_of_a_start_by_code_runs_from_the_opening(act, right):
    events, witness, held = story()
    held = copy.deepcopy(held)
    act(events, witness, held)
    assert ("H11" in violated(events, witness, held)[0]) != right


# Sections with their own time: items 1 to 5 until second 40, the others from then on.
TIMED = PAPER | {
    "sections": [{"items": [1, 2, 3, 4, 5], "minutes": 2}, {"items": [6, 7, 8, 9, 10, 11, 12], "minutes": 3}]
}
ENDS = [START + 40, START + DURATION]


def timed_story():
    """As story(), but the row of item 8 came before its section was open, and there is one more, within the grace."""
    events, witness, held = story()
    grace = sent(3, 2, '"c"')
    place = next(place for place, event in enumerate(events) if event.kind == "ok" and event.request == "7.4")
    events[place] = changed(events[place], kept=[(1, "section")])
    reading = next(place for place, event in enumerate(events) if event.kind == "ok" and event.request == "7.5")
    events[reading] = changed(events[reading], answers=[(1, 1, 2, '"a"')])
    held.rows[2] = changed(held.rows[2], reason="section")
    one = Event("invoke", "7.9", "save", 1, START + 41, START + 41, rows=[grace], epoch=2, last_seq=-1)
    held.rows.append(HeldRow(2, 3, 2, grace.response, grace.digest, START + 41.5, START + 41.6, ""))
    events.append(one)
    witness["7.9"] = [Crossing("7.9", START + 41.5, START + 41.5, False)]
    held.section_s, held.section_ends = [120, 180], list(ENDS)
    return events, witness, held


def violated_in_sections(events, witness, held):
    ledger = Ledger()
    check_attempt(ledger, held, History(events, witness), Form(TIMED, KEYS, SCHEME), PUBLIC)
    found = [sentence for name in ("H6", "H11") for sentence in ledger.checks[name].violations]
    return [sentence for sentence in found if "section" in sentence]


def test_a_right_story_of_sections_is_in_its_time():
    assert violated_in_sections(*timed_story()) == []


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (edit(2, reason=""), "2/1 counts, 33000 ms outside its section"),
        (crossed("7.9", START + 42.5), "2/3 counts, 500 ms outside its section"),
        (edit(0, reason="section"), "1/1 is kept for its section, 37000 ms within it"),
        (other(section_ends=[START + 60, START + DURATION]), "its sections end up to 20.000 s off"),
        (other(section_ends=[START + 40, START + 99]), "its sections end at"),
        (other(section_ends=[START - 1, START + DURATION]), "its sections end at"),
        (other(section_ends=[]), "its sections end at"),
    ],
)
def test_what_is_outside_its_section_is_noticed(act, sentence):
    events, witness, held = timed_story()
    held = copy.deepcopy(held)
    act(events, witness, held)
    if not held.section_ends:
        held.rows = []
    assert any(sentence in one for one in violated_in_sections(events, witness, held))


def test_time_given_goes_to_the_section_that_is_open():
    assert section_ends(0.0, 110.0, [1, 1], [(30.0, 10)]) == [60.0, 110.0]
    assert section_ends(0.0, 110.0, [1, 1], [(70.0, 10)]) == [50.0, 110.0]
    assert section_ends(0.0, 110.0, [1, 1], [(101.0, 10)]) == [50.0, 110.0]
    events, witness, held = timed_story()
    held.grants, held.grant_s = [(START + 50, 10, False)], 10
    held.deadline, held.section_ends = START + 110, [START + 40, START + 110]
    assert violated_in_sections(events, witness, held) == []
    held.section_ends = [START + 44, START + 110]
    assert any("up to 4.000 s off" in one for one in violated_in_sections(events, witness, held))


# The schedule and the defects ---------------------------------------------------------------------------------------


def test_schedule_repeats_and_leaves_no_kind_out():
    first = schedule(3, 195, 3.5, tuple(ACTS))
    assert first == schedule(3, 195, 3.5, tuple(ACTS)) != schedule(4, 195, 3.5, tuple(ACTS))
    assert len(first) >= 40
    assert {strike.kind for strike in first[: len(ACTS)]} == set(ACTS)
    assert all(0 < strike.at < 195 for strike in first)


def test_every_defect_still_fits_the_service():
    """A statement that has changed must not leave a defect behind that does nothing."""
    program = "import sys; from loadtest.defects import plant; plant(sys.argv[1], 1)"
    running = [
        (name, subprocess.Popen([sys.executable, "-c", program, name], stderr=subprocess.PIPE, env=os.environ))
        for name in DEFECTS
    ]
    for name, one in running:
        assert one.wait(60) == 0, (name, one.stderr.read().decode())
