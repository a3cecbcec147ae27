"""Navigation rules: sections with their own time, judged by the server row by row; what staff see of forward only."""

import datetime as dt
import random
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from exam.answers import Line, Save, Saved
from exam.db import Again
from exam.exams import ExamDraft, create_exam, freeze_exam
from exam.grants import grant_time
from exam.hall import Hall
from exam.papers import compose
from exam.slots import SlotDraft, book_batch, create_slot, pin
from grading.forms import Blueprint, BlueprintSection, FormPlace
from loadtest.reference import section_ends
from tests.cast import ITEMS, MUMBAI, Candidate, Cast, Slot, begin, log_in, row, save
from tests.exam.desk import Desk, staffed
from tests.web.test_staff_pages import staff, words

Device = Callable[[], httpx.AsyncClient]
MINUTE = 60_000
HALVES = [(msgspec.structs.replace(item, section="one" if item.code < "q3" else "two"), key) for item, key in ITEMS]
TIMED: dict[str, Any] = {"items": HALVES, "minutes": 60, "timed": {"one": 20, "two": 40}}
"""Questions 1 and 2 in the first section, 3 to 5 in the second."""


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


@pytest.fixture
async def om(cast: Cast) -> Candidate:
    return await cast.candidate("om")


async def move(owner: asyncpg.Connection, *ends: float) -> None:
    """Lets the sections of every running attempt end so many seconds from now, negative: ago."""
    at = [dt.datetime.now(dt.UTC) + dt.timedelta(seconds=end) for end in ends]
    await owner.execute(
        "UPDATE attempt SET section_ends = $1, deadline = $2, started_at = least(started_at, $3) "
        "WHERE state = 'started'",
        at,
        at[-1],
        at[0] - dt.timedelta(minutes=20),
    )


async def counted(owner: asyncpg.Connection) -> list[int]:
    return [found["seq"] for found in await owner.fetch("SELECT seq FROM answer ORDER BY epoch, seq")]


def kept(answer: httpx.Response) -> list[tuple[int, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["seq"], one["reason"]) for one in answer.json().get("kept", [])]


# When sections are open ---------------------------------------------------------------------------------------------


async def test_sections_share_the_whole_time_and_never_overlap(owner: asyncpg.Connection) -> None:
    draw = random.Random(7)
    for _ in range(300):
        begins = dt.datetime(2026, 3, 2, tzinfo=dt.UTC) + dt.timedelta(microseconds=draw.randrange(10**13))
        whole = dt.timedelta(microseconds=draw.randrange(10**6, 2 * 10**11))
        lengths = [60 * draw.randint(1, 600) for _ in range(draw.randint(1, 12))]
        ends = await owner.fetchval("SELECT share_out($1, $2, $3)", begins, begins + whole, lengths)
        assert len(ends) == len(lengths) and ends[-1] == begins + whole, "the last one ends with the attempt"
        assert all(before < after for before, after in zip([begins, *ends], ends, strict=False)), "one after the other"
        span = (ends[-1] - begins).total_seconds()
        wanted = section_ends(0.0, span, lengths, [])
        assert all(
            abs((end - begins).total_seconds() - place) < 1e-5 for end, place in zip(ends, wanted, strict=True)
        ), "each by its length"


async def test_untimed_exams_know_nothing_of_it(client: Device, cast: Cast, om: Candidate) -> None:
    await cast.slot(om)
    device = client()
    sitting = await log_in(device, om)
    assert sitting["exam"]["navigation"] == "free" and sitting["exam"]["sections"] is None  # type: ignore[index]
    assert "section_ends" not in await begin(device, om)
    assert set((await save(device, row(1, 1, "b"))).json()) == {"now", "watermark", "deadline", "notices"}
    assert "section_ends" not in (await device.get("/api/sitting")).json()["attempt"]


async def test_the_waiting_room_hears_the_rules_and_the_paper_holds_them(
    client: Device, cast: Cast, om: Candidate
) -> None:
    nutan = await cast.candidate("nutan", extra_time_pct=25)
    slot = await cast.slot(om, nutan, navigation="forward", **TIMED)
    exam = (await log_in(client(), om))["exam"]
    assert exam["navigation"] == "forward"  # type: ignore[index]
    assert [one["seconds"] for one in exam["sections"]] == [1200, 2400]  # type: ignore[index]
    device = client()
    assert [one["seconds"] for one in (await log_in(device, nutan))["exam"]["sections"]] == [1500, 3000]  # type: ignore[index]
    await device.post("/api/start", json={})
    paper = (await device.get(f"/api/papers/{slot.forms[0].hex()}")).json()
    assert paper["navigation"] == "forward"
    assert [(one["items"], one["minutes"]) for one in paper["sections"]] == [([1, 2], 20), ([3, 4, 5], 40)]


def test_free_papers_are_the_bytes_that_they_always_were() -> None:
    places = [FormPlace(1, "main", "q1", "1")]
    items = {item.code: item for item, _ in ITEMS}
    free = Blueprint([BlueprintSection("main", 1)])
    paper = compose("5a", {"en": "x"}, {}, places, items, free)
    assert paper == compose("5a", {"en": "x"}, {}, places, items)
    assert b"minutes" not in paper and b"navigation" not in paper
    timed = Blueprint([BlueprintSection("main", 1, minutes=5)], navigation="forward")
    assert compose("5a", {"en": "x"}, {}, places, items, timed) != paper


async def test_an_allowance_makes_every_section_longer(client: Device, cast: Cast) -> None:
    nutan = await cast.candidate("nutan", extra_time_pct=50)
    await cast.slot(nutan, **TIMED)
    started = await begin(client(), nutan)
    since = [end - started["started_at"] for end in started["section_ends"]]  # type: ignore[attr-defined]
    assert since == [30 * MINUTE, 90 * MINUTE]


async def test_a_common_end_leaves_latecomers_a_share_of_each(client: Device, cast: Cast, om: Candidate) -> None:
    await cast.slot(om, opens_in=-1800, closes_in=60, ends_in=1800, **TIMED)
    started = await begin(client(), om)
    whole = started["deadline"] - started["started_at"]  # type: ignore[operator]
    first, last = started["section_ends"]  # type: ignore[misc]
    assert last == started["deadline"]
    assert abs((first - started["started_at"]) - whole / 3) <= 1  # type: ignore[has-type]


async def test_the_pin_prepares_them_for_everybody(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, om: Candidate, client: Device
) -> None:
    bank_id = await cast.bank(HALVES)
    draft = ExamDraft("Parts", "", bank_id, 30, {"one": (2, "1"), "two": (2, "1")}, {"one": 10, "two": 20}, "forward")
    exam_id = await desk.act("asha", create_exam, draft)
    await desk.act("asha", freeze_exam, exam_id, 1)
    now = dt.datetime.now(dt.UTC)
    planned = SlotDraft(exam_id, "Hall 1", now - dt.timedelta(minutes=1), 60, 10)
    slot_id = await desk.act("asha", create_slot, planned, "Asia/Kolkata", now)
    batch_id = await owner.fetchval("SELECT batch_id FROM batch")
    await desk.act("asha", book_batch, slot_id, batch_id)
    assert await desk.act("asha", pin, slot_id) == 1
    assert await owner.fetchval("SELECT section_s FROM attempt") == [600, 1200]
    started = await begin(client(), om)
    assert [end - started["started_at"] for end in started["section_ends"]] == [10 * MINUTE, 30 * MINUTE]  # type: ignore[attr-defined]


# The server judges --------------------------------------------------------------------------------------------------


async def test_each_row_is_judged_by_the_time_of_its_section(
    client: Device, cast: Cast, owner: asyncpg.Connection, om: Candidate
) -> None:
    await cast.slot(om, **TIMED)
    device = client()
    started = await begin(device, om)
    answer = await save(device, row(1, 1, "b"), row(2, 3, "Mumbai"), row(3, 0, None), row(4, 2, ["a"]))
    assert kept(answer) == [(2, "section")], "the second section is not open yet; a void row has no section"
    assert answer.json()["watermark"] == 4 and answer.json()["section_ends"] == started["section_ends"]
    assert "section" in answer.json()["message"]
    await move(owner, -5, 2400)  # within the grace of the first one
    assert kept(await save(device, row(5, 2, ["c"]), row(6, 4, "3.14"))) == []
    await move(owner, -21, 2400)
    assert kept(await save(device, row(7, 1, "a"), row(8, 5, {"a": "a"}))) == [(7, "section")]
    await move(owner, -1000, -21)
    assert kept(await save(device, row(9, 1, "a"), row(10, 5, {"a": "b"}))) == [(9, "late"), (10, "late")]
    assert await counted(owner) == [1, 3, 4, 5, 6, 8]
    attempt = (await device.get("/api/sitting")).json()["attempt"]
    assert attempt["kept"] == 4 and {one["item"]: one["response"] for one in attempt["answers"]} == {
        1: "b",
        2: ["c"],
        4: "3.14",
        5: {"a": "a"},
    }


async def test_a_verdict_stays_when_the_row_comes_again(
    client: Device, cast: Cast, owner: asyncpg.Connection, om: Candidate
) -> None:
    await cast.slot(om, **TIMED)
    device = client()
    await begin(device, om)
    rows = [row(1, 3, "Pune"), row(2, 1, "b"), row(3, 4, "3")]
    assert kept(await save(device, *rows)) == [(1, "section"), (3, "section")]
    await move(owner, -60, 2400)
    assert kept(await save(device, *rows)) == [(1, "section"), (3, "section")], "open by now, but it came before"
    assert kept(await save(device, row(4, 3, "Pune"))) == [], "sent anew it counts"
    assert await counted(owner) == [2, 4]


async def test_a_submit_carries_rows_that_are_judged_alike(
    client: Device, cast: Cast, owner: asyncpg.Connection, om: Candidate
) -> None:
    await cast.slot(om, **TIMED)
    device = client()
    await begin(device, om)
    await move(owner, -60, 2400)
    body = {"epoch": 1, "last_seq": 2, "answers": [row(1, 1, "b"), row(2, 3, "Mumbai")]}
    answer = await device.post("/api/submit", json=body)
    assert kept(answer) == [(1, "section")]
    assert (answer.json()["state"], answer.json()["receipt"]["answered"]) == ("submitted", 1)


async def test_while_one_row_is_to_come_again_none_of_its_request_is_kept(
    client: Device, cast: Cast, owner: asyncpg.Connection, om: Candidate, hall: Hall
) -> None:
    """A row in quarantine passes for the end of what is held: what is below it could never be taken any more."""
    slot = await cast.slot(om, **TIMED)
    await begin(client(), om)
    lines = [Line(1, 1, '"b"', False, 0, 1), Line(2, 3, '"x"', False, 0, 2), Line(3, 2, '["a"]', False, 0, 1)]
    asked = Save(MUMBAI, slot.exam_day, slot.attempts["om"], 1, lines, time.time(), time.time())
    async with hall.db.saves.connection() as connection:
        (found,) = (await hall.answers._look_again(connection, [asked])).values()
    assert isinstance(found, Again) and await owner.fetchval("SELECT count(*) FROM quarantine") == 0
    saved = await hall.answers.save(asked)
    assert isinstance(saved, Saved) and (saved.watermark, saved.kept) == (3, [(2, "section")])
    assert await counted(owner) == [1, 3]


# Time given ---------------------------------------------------------------------------------------------------------


async def give(desk: Desk, slot: Slot, minutes: int = 5) -> None:
    await desk.act("asha", grant_time, slot.slot_id, slot.attempts["om"], minutes * 60, "Power cut")


async def test_time_given_goes_to_the_section_that_is_open(
    desk: Desk, client: Device, cast: Cast, owner: asyncpg.Connection, om: Candidate
) -> None:
    slot = await cast.slot(om, **TIMED)
    device = client()
    started = await begin(device, om)
    await give(desk, slot)
    saved = (await save(device, row(1, 1, "b"))).json()
    assert saved["section_ends"] == [end + 5 * MINUTE for end in started["section_ends"]]  # type: ignore[attr-defined]
    assert saved["deadline"] == saved["section_ends"][-1]
    await move(owner, -60, 2400)
    before = (await device.get("/api/sitting")).json()["attempt"]["section_ends"]
    await give(desk, slot)
    assert (await device.get("/api/sitting")).json()["attempt"]["section_ends"] == [before[0], before[1] + 5 * MINUTE]
    assert kept(await save(device, row(2, 1, "a"), row(3, 3, "Mumbai"))) == [(2, "section")], "what is over stays so"


async def test_time_given_after_the_last_moment_opens_the_last_section_again(
    desk: Desk, client: Device, cast: Cast, owner: asyncpg.Connection, om: Candidate
) -> None:
    slot = await cast.slot(om, **TIMED)
    device = client()
    await begin(device, om)
    await move(owner, -60, -25)
    assert kept(await save(device, row(1, 3, "Mumbai"))) == [(1, "late")]
    await give(desk, slot)
    assert kept(await save(device, row(2, 3, "Mumbai"), row(3, 1, "b"))) == [(3, "section")]


async def test_time_given_before_the_start_is_shared_by_all(
    desk: Desk, client: Device, cast: Cast, om: Candidate
) -> None:
    slot = await cast.slot(om, **TIMED)
    await give(desk, slot, 30)
    started = await begin(client(), om)
    since = [end - started["started_at"] for end in started["section_ends"]]  # type: ignore[attr-defined]
    assert since == [30 * MINUTE, 90 * MINUTE]


# Forward only -------------------------------------------------------------------------------------------------------


async def test_staff_see_who_answered_again_after_a_later_question(
    desk: Desk, client: Device, cast: Cast, owner: asyncpg.Connection, om: Candidate
) -> None:
    nutan = await cast.candidate("nutan")
    slot = await cast.slot(om, nutan, navigation="forward")
    device, other = client(), client()
    await begin(device, om)
    await begin(other, nutan)
    first = [row(1, 1, "a", at=1000), row(2, 2, ["a"], at=2000), row(3, 1, "b", at=3000), row(4, 1, "c", at=4000)]
    await save(device, *first)
    await device.post("/api/takeover", json={})
    again = [row(seq, one["item"], one["response"], at=one["at"]) for seq, one in enumerate(first, start=1)]
    await save(device, *again, row(5, 3, "Pune", at=5000), epoch=2)  # the same answers under other numbers
    await save(other, row(1, 1, "a", at=1000), row(2, 1, "b", at=2000), row(3, 4, "3.14", at=3000))
    iqbal = await staff(client, "iqbal")
    page = words(await iqbal.get(f"/staff/slots/{slot.slot_id}/people/{slot.attempts['om']}"))
    assert "Answers after a later question 2 " in page and "nothing follows from it by itself" in page
    page = words(await iqbal.get(f"/staff/slots/{slot.slot_id}/people/{slot.attempts['nutan']}"))
    assert "Answers after a later question none" in page
    await owner.execute("UPDATE exam SET blueprint = blueprint - 'navigation'")
    page = words(await iqbal.get(f"/staff/slots/{slot.slot_id}/people/{slot.attempts['om']}"))
    assert "after a later question" not in page
