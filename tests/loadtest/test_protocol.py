"""Requests as the document has them; nothing that comes back otherwise than promised goes through."""

import msgspec
import pytest

from exam.papers import compose
from grading.forms import FormPlace
from grading.items import response_fits
from loadtest import protocol
from loadtest.protocol import PutOff, Reply, Unexpected, read_reply
from loadtest.seeding import bank
from loadtest.sitter import Sitter, line_of

ITEMS = {item.code: item for item, _ in bank()}
PAPER = compose("00", {"en": "Load"}, {}, [FormPlace(n, "main", code, "1") for n, code in enumerate(ITEMS, 1)], ITEMS)
SHEET = protocol.sheet_of(PAPER)


def reply(body, status=200, **headers):
    head = "".join(f"\r\n{name.replace('_', '-')}: {value}" for name, value in headers.items())
    return Reply(status, f"HTTP/1.1 {status} X{head}\r\n".encode(), msgspec.json.encode(body))


def refusal(status, error, **headers):
    return reply({"error": error, "message": "…"}, status, **headers)


def ack(watermark, **more):
    return reply({"now": 1, "watermark": watermark, "deadline": 5000, "notices": 0, **more})


def running(epoch=1, watermark=0):
    times = {"now": 1, "started_at": 1, "deadline": 5000, "grace_ms": 20000}
    return reply({**times, "epoch": epoch, "watermark": watermark, "form": "ab", "seed": 1, "notices": 0})


def sitting(answers, watermark=0, epoch=1, writer=True, **more):
    attempt = {"writer": writer, "epoch": epoch, "watermark": watermark, "deadline": 5000, "grace_ms": 20000}
    attempt |= {"form": "ab", "takeovers_left": 2, "answers": answers, "kept": 0}
    slot = {"opens_at": 1000, "closes_at": 2000}
    return reply({"now": 1, "state": "started", "slot": slot, "attempt": attempt, "receipt": None, **more})


def held(sitter, seq, epoch=1):
    line = line_of(sitter.number, epoch, seq, SHEET)
    response = msgspec.json.decode(line.response)
    return {"item": line.item, "epoch": epoch, "seq": seq, "response": response, "flag": line.flag}


def finals(sitter, upto):
    """What the service holds after so many answers: for each item the last."""
    return list({one["item"]: one for one in (held(sitter, seq) for seq in range(1, upto + 1))}.values())


@pytest.fixture
def sitter():
    """A candidate who has started and has the paper."""
    made = Sitter(7)
    made.took(protocol.START, running())
    made.sheet = SHEET
    return made


def saved(sitter, answers):
    for _ in range(answers):
        sitter.write()
    sitter.save()
    sitter.took(protocol.SAVE, ack(answers))


# Requests -------------------------------------------------------------------------------------------------------


def test_bytes_of_a_save(sitter):
    sitter.write()
    call = sitter.save()
    wire = call.wire(b"127.0.0.1:80", b"exam=ff")
    head, _, body = wire.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /api/answers HTTP/1.1\r\nHost: 127.0.0.1:80\r\nCookie: exam=ff\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    sent = msgspec.json.decode(body)
    assert sent["epoch"] == 1
    assert [list(row) for row in sent["answers"]] == [["seq", "item", "response", "flag", "at"]]
    assert call.keywords()["data"] == body, "Locust sends the very same"


def test_a_save_of_one_answer_is_small():
    longest = max((response for responses in SHEET for response in responses), key=len)
    assert len(protocol.save(999, [protocol.row(999_999, 999, longest, False, 2**52)]).body) <= protocol.LARGEST_SAVE
    with pytest.raises(ValueError, match="a save of"):
        protocol.save(1, [protocol.row(1, 1, b'"' + b"x" * 200 + b'"', False, 0)])


def test_a_save_repeats_what_is_not_safe(sitter):
    saved(sitter, 2)
    sitter.write()
    sitter.save()
    with pytest.raises(PutOff):
        sitter.took(protocol.SAVE, refusal(503, "unavailable", retry_after=2))
    sitter.write()
    assert [row["seq"] for row in msgspec.json.decode(sitter.save().body)["answers"]] == [3, 4]
    sitter.took(protocol.SAVE, ack(4))
    assert sitter.unsafe == 0


# What a candidate does ------------------------------------------------------------------------------------------


def test_answers_fit_the_paper_and_are_always_the_same():
    interactions = [item.interaction for item in ITEMS.values()]
    lines = [line_of(number, 1, seq, SHEET) for number in range(40) for seq in range(1, 76)]
    assert lines == [line_of(number, 1, seq, SHEET) for number in range(40) for seq in range(1, 76)]
    for line in lines:
        assert response_fits(interactions[line.item - 1], msgspec.json.decode(line.response))
    flags = sum(line.flag for line in lines) / len(lines)
    cleared = sum(line.response == b"null" for line in lines) / len(lines)
    revised = sum(line.item != (seq - 1) % 50 + 1 for line, seq in zip(lines, [*range(1, 76)] * 40, strict=True))
    assert 0.07 < flags < 0.13
    assert 0.01 < cleared < 0.03
    assert 0.18 < revised / len(lines) < 0.3


def test_thinks_for_as_long_as_was_said(sitter):
    pauses = [sitter.think() for _ in range(500) if sitter.write()]
    assert all(20 <= pause <= 40 for pause in pauses)
    assert 28 < sum(pauses) / 500 < 32


# What comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}"])
def test_an_incomplete_response_is_none(data):
    assert read_reply(data) is None


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length"])
def test_a_response_is_read(name):
    found = read_reply(b"HTTP/1.1 429 Too Many\r\nSet-Cookie: a=B\r\n" + name + b": 2\r\n\r\n{}")
    assert (found.status, found.body, found.header(b"set-cookie")) == (429, b"{}", b"a=B")
    assert found.header(b"retry-after") == b""


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK",
        b"nonsense\r\n\r\n",
    ],
)
def test_a_response_of_another_kind_is_an_error(data):
    with pytest.raises(ValueError):
        read_reply(data)


@pytest.mark.parametrize(
    ("operation", "answer", "why"),
    [
        (protocol.SAVE, refusal(409, "gap", watermark=1), "409 gap"),
        (protocol.SAVE, refusal(500, "defect"), "500 defect"),
        (protocol.SAVE, refusal(503, "unavailable"), "503 unavailable"),
        (protocol.SAVE, Reply(502, b"HTTP/1.1 502\r\n", b"<html>"), "502 without a refusal"),
        (protocol.SAVE, reply({"now": 1, "watermark": "1"}), "200 with another body"),
        (protocol.SAVE, reply({}, 204), "204 without a refusal"),
        (protocol.SAVE, ack(0), "another watermark"),
        (protocol.SAVE, ack(2), "another watermark"),
        (protocol.SAVE, ack(1, kept=[{"seq": 1, "reason": "late"}]), "kept: late"),
        (protocol.START, refusal(409, "other_device"), "409 other_device"),
        (protocol.START, running(epoch=2), "another epoch"),
        (protocol.LOGIN, refusal(401, "wrong_login"), "401 wrong_login"),
        (protocol.TAKEOVER, running(epoch=1), "no new epoch"),
        (protocol.SUBMIT, refusal(409, "stale_device"), "409 stale_device"),
        (protocol.PAPER, Reply(200, b"HTTP/1.1 200\r\n", PAPER), "other bytes than its name"),
    ],
)
def test_what_was_not_promised_is_a_failure(sitter, operation, answer, why):
    sitter.write()
    sitter.save()
    with pytest.raises(Unexpected, match=why):
        sitter.took(operation, answer)
    assert (sitter.epoch, sitter.watermark) == (1, 0)


@pytest.mark.parametrize(
    ("operation", "answer", "seconds"),
    [
        (protocol.LOGIN, refusal(503, "unavailable", retry_after=3), 3),
        (protocol.LOGIN, refusal(429, "wait", retry_after=1), 1),
        (protocol.START, refusal(409, "too_early", opens_at=1), protocol.SOON),
    ],
)
def test_what_may_be_put_off(sitter, operation, answer, seconds):
    with pytest.raises(PutOff) as later:
        sitter.took(operation, answer)
    assert later.value.seconds == seconds


# A reload sees what was lost --------------------------------------------------------------------------------------


def test_a_sitting_that_holds_everything(sitter):
    saved(sitter, 60)
    sitter.took(protocol.SITTING, sitting(finals(sitter, 60), 60))


def test_a_sitting_that_has_lost_an_answer(sitter):
    saved(sitter, 60)
    with pytest.raises(Unexpected, match="an acknowledged answer is missing"):
        sitter.took(protocol.SITTING, sitting(finals(sitter, 60)[1:], 60))


def test_a_sitting_with_an_older_answer(sitter):
    saved(sitter, 60)
    answers = finals(sitter, 60)
    newest = max(answers, key=lambda one: one["seq"])
    earlier = next(seq for seq in range(1, newest["seq"]) if held(sitter, seq)["item"] == newest["item"])
    answers[answers.index(newest)] = held(sitter, earlier)
    with pytest.raises(Unexpected, match="an older answer"):
        sitter.took(protocol.SITTING, sitting(answers, 60))


def test_a_sitting_with_another_answer(sitter):
    saved(sitter, 60)
    answers = finals(sitter, 60)
    answers[0]["flag"] = not answers[0]["flag"]
    with pytest.raises(Unexpected, match="another answer than was sent"):
        sitter.took(protocol.SITTING, sitting(answers, 60))


def test_a_sitting_below_the_watermark(sitter):
    saved(sitter, 5)
    with pytest.raises(Unexpected, match="below what was acknowledged"):
        sitter.took(protocol.SITTING, sitting(finals(sitter, 5), 4))


def test_another_device_counts_anew_and_remembers(sitter):
    saved(sitter, 5)
    sitter.took(protocol.TAKEOVER, running(epoch=2))
    assert (sitter.epoch, sitter.seq) == (2, 0)
    sitter.write()
    sitter.save()
    sitter.took(protocol.SAVE, ack(1))
    assert sitter.account().epochs == [(1, 5, 5), (2, 1, 1)]
    with pytest.raises(Unexpected, match="missing"):
        sitter.took(protocol.SITTING, sitting([held(sitter, 1, epoch=2)], 1, epoch=2))


def test_a_receipt_does_not_change(sitter):
    receipt = {"code": "A", "digest": "aa", "signature": "bb", "key_id": "k", "form": "ab", "answered": 1,
               "ended_by": "candidate", "ended_at": 1}  # fmt: skip
    sitter.write()
    assert msgspec.json.decode(sitter.submit().body)["last_seq"] == 1
    sitter.took(protocol.SUBMIT, reply({"now": 1, "state": "submitted", "watermark": 1, "receipt": receipt}))
    assert (sitter.ended, sitter.digest, sitter.unsafe) == ("submitted", "aa", 0)
    with pytest.raises(Unexpected, match="another receipt"):
        sitter.took(
            protocol.SITTING, sitting([held(sitter, 1)], 1, state="graded", receipt={**receipt, "digest": "cc"})
        )
