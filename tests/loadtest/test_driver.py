"""The driver against a tiny service that can be told to misbehave; its schedule, its histograms and its promises."""

import asyncio
import math
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from hashlib import sha256

import msgspec
import pytest

from loadtest import driver
from loadtest.driver import drive
from loadtest.histogram import Histogram, Timeline, bucket_of, top_of
from loadtest.plan import SPARE_FILES, Plan, count_processes, is_early, processes_for, shares
from loadtest.tally import Second, Tally
from loadtest.verdict import operations_of
from tests.loadtest.test_protocol import PAPER

FORM = sha256(PAPER).hexdigest()


class Service(asyncio.Protocol):
    """One connection of the fake service. `behave(path, number)` may give other bytes, seconds to wait, or cut."""

    def __init__(self, hall):
        self.hall, self.buffer = hall, b""

    def connection_made(self, transport):
        self.transport = transport
        self.hall.connections += 1

    def data_received(self, data):
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
        if not found or len(body) < length:
            return
        self.buffer = b""
        asyncio.get_running_loop().create_task(self.answer(head, body))

    async def answer(self, head, body):
        _, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        hall = self.hall
        hall.asked.append((time.time(), path))
        pause = hall.stalled_until - time.time() if path == "/api/answers" else 0
        await asyncio.sleep(max(0.0, pause))
        trouble = hall.troubles.get(path, [])
        told = trouble.pop(0) if trouble else None
        if told == "cut":
            hall.receive(head, path, body)
            self.transport.abort()
        elif told == "silence":
            pass
        elif told is not None:
            self.transport.write(told)
        else:
            answer, cookie = hall.receive(head, path, body)
            more = f"Set-Cookie: {cookie}; HttpOnly\r\n" if cookie else ""
            self.transport.write(f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(answer)}\r\n\r\n".encode() + answer)


class Hall:
    """What the fake service holds: rows by candidate."""

    def __init__(self):
        self.rows, self.sent = defaultdict(dict), Counter()
        self.asked, self.troubles = [], defaultdict(list)
        self.stalled_until = 0.0
        self.connections = 0
        self.opens_at = self.ends_at = 0.0
        self.submitted = set()

    def receive(self, head, path, body):
        times = {"now": int(time.time() * 1000), "deadline": int(self.ends_at * 1000), "notices": 0}
        slot = {"opens_at": int(self.opens_at * 1000), "closes_at": int(self.ends_at * 1000)}
        if path == "/api/login":
            who = msgspec.json.decode(body)["registration"].removeprefix("LOAD-")
            return self.json(
                {**times, "state": "prepared", "slot": slot, "attempt": None, "receipt": None}
            ), f"exam={who}"
        who = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Cookie:")).partition(b"=")[2])
        if path == "/api/sitting":
            return self.json({**times, "state": "prepared", "slot": slot, "attempt": None, "receipt": None}), ""
        if path == "/api/start":
            running = {"epoch": 1, "watermark": 0, "started_at": 1, "grace_ms": 20000, "form": FORM, "seed": 1}
            return self.json({**times, **running}), ""
        if path.startswith("/api/papers/"):
            return PAPER, ""
        asked = msgspec.json.decode(body)
        for row in asked["answers"]:
            self.sent[who, row["seq"]] += 1
            self.rows[who][row["seq"]] = (row["item"], row["response"], row["flag"])
        watermark = max(self.rows[who], default=0)
        assert sorted(self.rows[who]) == list(range(1, watermark + 1)), "the driver never leaves a gap"
        if path == "/api/answers":
            return self.json({**times, "watermark": watermark}), ""
        assert asked["last_seq"] == watermark
        self.submitted.add(who)
        receipt = {"code": "A", "digest": f"{who:02x}", "signature": "", "key_id": "k", "form": FORM, "answered": 1,
                   "ended_by": "candidate", "ended_at": 1}  # fmt: skip
        return self.json({**times, "state": "submitted", "watermark": watermark, "receipt": receipt}), ""

    json = staticmethod(msgspec.json.encode)


@pytest.fixture
async def hall():
    made = Hall()
    server = await asyncio.get_running_loop().create_server(lambda: Service(made), "127.0.0.1", 0, backlog=512)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


def plan_for(hall, candidates=40, seconds=2.5, **more):
    now = time.time()
    hall.opens_at, hall.ends_at = now + 1.0, now + 1.0 + seconds
    values = {
        "port": hall.port,
        "numbers": list(range(candidates)),
        "log_in_from": now + 0.1,
        "log_in_to": now + 0.6,
        "opens_at": hall.opens_at,
        "ends_at": hall.ends_at,
        "submit_from": hall.ends_at - 0.8,
        "submit_share": 0.5,
        "early_every": 10,
        "thinks": (0.2, 0.4),
        "press_seconds": 0.3,
    }
    return Plan(**{**values, **more})


def safe(tally):
    return {account.number: account.epochs[0][1] for account in tally.accounts if account.epochs}


# A whole sitting ------------------------------------------------------------------------------------------------


async def test_a_sitting(hall):
    plan = plan_for(hall)
    tally = await drive(plan)
    assert tally.failures == {}
    found = operations_of(tally)
    assert found["login"].total == found["start"].total + found["start at T0"].total == 40
    assert found["start"].total == sum(is_early(number, 10) for number in range(40)) == 4
    assert found["paper at T0"].total == found["question 1 at T0"].total == 36
    assert hall.connections == 40, "one connection each"
    assert found["save"].total == sum(safe(tally).values()) > 150
    assert safe(tally) == {who: max(rows) for who, rows in hall.rows.items()}
    assert set(hall.sent.values()) == {1}, "nothing was sent twice"
    assert 5 < found["submit"].total == len(hall.submitted) < 35
    assert {one.number for one in tally.accounts if one.ended == "submitted"} == hall.submitted
    assert tally.seconds[-1].answered <= sum(
        one.total for name, one in found.items() if not name.startswith("question")
    )


async def test_the_barrier_is_one(hall):
    plan = plan_for(hall, early_every=0)
    await drive(plan)
    presses = [at for at, path in hall.asked if path == "/api/start"]
    assert len(presses) == 40
    assert plan.opens_at < min(presses)
    assert max(presses) < plan.opens_at + driver.FIRST_PRESS + plan.press_seconds + 0.3
    papers = [at for at, path in hall.asked if path.startswith("/api/papers/")]
    assert min(papers) > min(presses), "nobody has the paper before the start"


async def test_nothing_happens_after_the_end(hall):
    plan = plan_for(hall, seconds=1.5)
    await drive(plan)
    assert max(at for at, path in hall.asked if path == "/api/answers") < plan.ends_at + 0.2


async def test_waiting_keeps_the_sitting_fresh(hall):
    plan = plan_for(
        hall, opens_at=time.time() + 7.0, ends_at=time.time() + 7.5, submit_from=time.time() + 7.4, look_after=0.5
    )
    tally = await drive(plan)
    assert operations_of(tally)["sitting"].total >= 36
    assert max(at for at, path in hall.asked if path == "/api/sitting") < plan.opens_at - 4.5


# A stall shows --------------------------------------------------------------------------------------------------


async def test_a_stall_shows_in_everything_that_should_have_been_sent_meanwhile(hall):
    """No coordinated omission: every answer that was due meanwhile carries its share of the wait."""
    plan = plan_for(hall, submit_share=0.0, seconds=4.0)
    driving = asyncio.create_task(drive(plan))
    await asyncio.sleep(plan.opens_at + 1.5 - time.time())
    hall.stalled_until = time.time() + 1.0
    tally = await driving
    assert tally.failures == {}
    saves = operations_of(tally)["save"]
    slow = sum(count for bucket, count in saves.counts.items() if top_of(bucket) > 500_000)
    # 40 candidates answer every 0.3 s: some 67 answers are due in the first half of the stall, one or two for each.
    assert 40 <= slow <= 110
    assert saves.largest > 900_000
    assert hall.connections == 40
    waiting = sum(
        at >= hall.stalled_until - 1.0 and at < hall.stalled_until for at, path in hall.asked if path == "/api/answers"
    )
    assert waiting <= 40, "one request in flight for each"


# Troubles -------------------------------------------------------------------------------------------------------


def refusal(status, error, more=""):
    body = f'{{"error":"{error}","message":"no"}}'
    return f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


DEFECT = refusal(500, "defect")
AWAY = refusal(503, "unavailable", "Retry-After: 0\r\n")
NO_LENGTH = b"HTTP/1.1 200 OK\r\n\r\n{}"


@pytest.mark.parametrize(
    ("path", "trouble", "operation", "why"),
    [
        ("/api/answers", DEFECT, "save", "500 defect"),
        ("/api/answers", AWAY, "save", "put off: unavailable"),
        ("/api/answers", "cut", "save", "the connection was cut"),
        ("/api/answers", NO_LENGTH, "save", "a response without its length"),
        ("/api/login", DEFECT, "login", "500 defect"),
        ("/api/start", "cut", "start", "the connection was cut"),
        ("/api/submit", "cut", "submit", "the connection was cut"),
    ],
)
async def test_a_trouble_is_counted_and_repeated(hall, path, trouble, operation, why):
    hall.troubles[path] = [trouble] * 3
    tally = await drive(plan_for(hall, 20, submit_share=1.0, seconds=2.0))
    assert tally.failures == {operation: {why: 3}}
    assert safe(tally) == {who: max(rows) for who, rows in hall.rows.items()}, "in the end everything is safe"
    assert len(hall.submitted) == 20


async def test_a_log_in_that_is_put_off_is_no_failure(hall):
    hall.troubles["/api/login"] = [AWAY] * 4
    tally = await drive(plan_for(hall, 10))
    assert (tally.failures, tally.put_off) == ({}, {"login": 4})


async def test_no_answer_at_all(hall, monkeypatch):
    monkeypatch.setattr(driver, "PATIENCE", 0.6)
    hall.troubles["/api/answers"] = ["silence"] * 2
    tally = await drive(plan_for(hall, 10, submit_share=0.0, seconds=6.0))
    assert tally.failures == {"save": {"no answer within 1 s": 2}}
    assert safe(tally) == {who: max(rows) for who, rows in hall.rows.items()}


async def test_gives_up_after_many_troubles(hall, monkeypatch):
    monkeypatch.setattr(driver, "MOST_TROUBLES", 2)
    hall.troubles["/api/login"] = [DEFECT] * 1000
    tally = await drive(plan_for(hall, 3, seconds=1.5))
    assert tally.failures == {"login": {"500 defect": 6, "gave up": 3}}


async def test_nobody_there():
    plan = Plan(1, [0, 1], time.time(), time.time() + 0.1, time.time() + 0.3, time.time() + 0.5, time.time() + 0.4)
    tally = await drive(plan)
    assert tally.failures["login"]["no connection: ConnectionRefusedError"] >= 2
    assert tally.failures["login"]["never answered"] == 2


async def test_as_a_process(hall):
    plan = plan_for(hall, 5, seconds=1.5)
    words = [sys.executable, "-m", "loadtest.driver"]
    done = await asyncio.to_thread(
        subprocess.run, words, input=msgspec.json.encode(plan), capture_output=True, check=True, timeout=60
    )
    tally = msgspec.json.decode(done.stdout, type=Tally)
    assert tally.failures == {}
    assert len(tally.accounts) == 5
    assert tally.seconds[-1].cpu > 0


# Histograms -----------------------------------------------------------------------------------------------------


def test_buckets_are_narrow_and_in_order():
    values = sorted({*range(3000), *(int(1.01**n) for n in range(600, 2000))})
    buckets = [bucket_of(value) for value in values]
    assert buckets == sorted(buckets)
    for value, bucket in zip(values, buckets, strict=True):
        assert value <= top_of(bucket) <= value * (1 + 1 / 31)
        assert bucket_of(top_of(bucket)) == bucket
        assert bucket_of(top_of(bucket) + 1) == bucket + 1


def test_merged_is_as_if_it_had_been_one():
    dice = random.Random(4)
    seconds = [dice.expovariate(30) for _ in range(5000)]
    whole, parts = Histogram(), [Histogram() for _ in range(3)]
    for place, one in enumerate(seconds):
        whole.add(one)
        parts[place % 3].add(one)
    for part in parts[1:]:
        parts[0].merge(msgspec.json.decode(msgspec.json.encode(part), type=Histogram))
    assert (parts[0].counts, parts[0].total, parts[0].largest) == (whole.counts, whole.total, whole.largest)
    assert math.isclose(parts[0].mean, sum(seconds) / 5)
    exact = sorted(seconds)
    for share in (0.5, 0.95, 0.99):
        assert exact[math.ceil(share * 5000) - 1] * 1000 <= whole.percentile(share) * 1.001
        assert whole.percentile(share) <= exact[math.ceil(share * 5000) - 1] * 1000 * 1.04
    assert whole.percentile(1.0) == whole.largest / 1000
    assert Histogram().percentile(0.99) == 0


def test_a_timeline_is_cut_where_it_was_asked():
    timeline = Timeline()
    for second in range(-5, 5):
        timeline.add("save", second, 0.01 * (second + 6))
    assert timeline.between("save").total == 10
    assert timeline.between("save", end=0).total == 5
    assert timeline.between("save", first=0, end=2).largest == 70_000
    assert timeline.between("start").total == 0


def test_tallies_add_up():
    one, other = Tally(seconds=[Second(0, 1.0, 10, 2), Second(1, 2.0, 20, 2)]), Tally(seconds=[Second(1, 1.0, 5, 3)])
    for tally, why in ((one, "a"), (other, "a"), (other, "b")):
        tally.fail("save", why)
        tally.put_off_one("login")
    one.merge(other)
    assert one.failures == {"save": {"a": 2, "b": 1}}
    assert one.failed == 3
    assert one.put_off == {"login": 3}
    assert one.seconds == [Second(0, 1.0, 10, 2), Second(1, 3.0, 25, 5)]


# The schedule ---------------------------------------------------------------------------------------------------


def test_everybody_sits_in_exactly_one_process():
    parts = shares(range(1003), 4)
    assert sorted(number for part in parts for number in part) == list(range(1003))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_processes_fit_under_the_limit():
    assert processes_for(19_500, 20_000) == 1
    assert processes_for(19_501, 20_000) == 2
    for candidates in (1000, 40_000, 100_000):
        found = count_processes(candidates, 2000, 2, 20_000)
        assert candidates / found.driver <= 20_000 - SPARE_FILES
        assert (candidates + 2000) / found.nginx < 0.8 * 20_000
    assert count_processes(40_000, 2000, 2, 20_000).driver == 3


def test_the_early_come_from_everywhere():
    early = [number for number in range(10_000) if is_early(number, 20)]
    assert len(early) == 500
    assert max(Counter(number % 100 for number in early).values()) <= 25
    assert not any(is_early(number, 0) for number in range(100))
