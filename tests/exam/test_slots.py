"""Slots: booked without a double seat, pinned once and for all, released when everything is graded."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import pytest

from exam.audit import list_acts
from exam.db import Pool
from exam.errors import Malformed, NotAllowed, NothingHere, NotPossible
from exam.exams import ExamDraft, create_exam, freeze_exam
from exam.hall import Hall
from exam.results import Grader
from exam.settings import Settings
from exam.slots import (
    Booked,
    SlotDraft,
    book_batch,
    create_slot,
    list_batches,
    list_slots,
    pin,
    release,
    slot_of,
)
from exam.submissions import receipt_sealed, seal
from exam.timing import allowed_seconds
from tests.cast import MUMBAI, PUNE, RIGHT, Cast, begin, log_in, row, save
from tests.exam.desk import Desk, staffed, until_somebody_waits

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


@pytest.fixture
async def crowd(desk: Desk, settings: Settings) -> AsyncIterator[Desk]:
    """The desk with so many open connections and so much patience that everybody really is there at once."""
    pool, desk.hall.db.staff = desk.hall.db.staff, Pool(settings.url_of("staff"), "staff", 50, lock_timeout="20000")
    await desk.hall.db.staff.open()
    async with AsyncExitStack() as held:
        for _ in range(50):
            await held.enter_async_context(desk.hall.db.staff.connection())
    yield desk
    await desk.hall.db.staff.close()
    desk.hall.db.staff = pool


async def new_slot(desk: Desk, exam_id: int, name: str = "asha", **changed: Any) -> int:
    """A slot that opened a minute ago for an hour, with 100 seats, unless something else is said."""
    given: dict[str, Any] = {
        "exam_id": exam_id,
        "hall": "Hall 1",
        "opens_at": dt.datetime.now(dt.UTC) - MINUTE,
        "start_minutes": 60,
        "capacity": 100,
    }
    now = dt.datetime.now(dt.UTC)
    return await desk.act(name, create_slot, SlotDraft(**(given | changed)), "UTC", now)


async def crowd_of(owner: asyncpg.Connection, people: int, *, batches: int, district_id: int = MUMBAI) -> list[int]:
    """So many candidates, spread over so many batches; the batches' numbers."""
    ids = [
        await owner.fetchval(
            "INSERT INTO batch (district_id, name) VALUES ($1, $2) RETURNING batch_id", district_id, f"Batch {number}"
        )
        for number in range(batches)
    ]
    await owner.execute(
        "INSERT INTO candidate (district_id, registration, name, batch_id) "
        "SELECT $1, 'R' || n, 'Teacher ' || n, ($2::int[])[1 + n % $3] FROM generate_series(1, $4) n",
        district_id,
        ids,
        batches,
        people,
    )
    return ids


async def batch_of(owner: asyncpg.Connection, name: str, district_id: int = MUMBAI) -> int:
    batch_id: int = await owner.fetchval(
        "SELECT batch_id FROM batch WHERE name = $1 AND district_id = $2", name, district_id
    )
    return batch_id


# Making ---------------------------------------------------------------------------------------------------------------


async def test_a_slot_is_kept_as_it_was_typed(desk: Desk, cast: Cast) -> None:
    exam_id, hashes = await cast.exam(forms=1)
    opens_at = (dt.datetime.now(dt.UTC) + dt.timedelta(days=30)).replace(hour=18, minute=29, second=0, microsecond=0)
    draft = SlotDraft(exam_id, " सभागृह १ ", opens_at, 15, 40, opens_at + 65 * MINUTE)
    slot_id = await desk.act("asha", create_slot, draft, "Asia/Kolkata", dt.datetime.now(dt.UTC))
    slot = await desk.act("asha", slot_of, slot_id)
    assert (slot["hall"], slot["capacity"], slot["booked"], slot["district_id"]) == ("सभागृह १", 40, 0, MUMBAI)
    assert (slot["opens_at"], slot["closes_at"]) == (opens_at, opens_at + 15 * MINUTE)
    assert slot["ends_at"] == opens_at + 65 * MINUTE
    assert slot["exam_day"] == opens_at.date()  # 23:59 in India
    assert slot["title"]["en"] == "Exam 1"
    assert (slot["forms"], slot["prepared"], slot["states"]) == (len(hashes), 0, {})
    (act,) = await desk.act("asha", list_acts)
    assert (act["act"], act["detail"]["slot_id"]) == ("slot.created", slot_id)

    after_midnight = await desk.act(
        "asha",
        create_slot,
        SlotDraft(exam_id, "Hall 1", opens_at + MINUTE, 15, 40),
        "Asia/Kolkata",
        dt.datetime.now(dt.UTC),
    )
    listed = await desk.act("asha", list_slots, opens_at.date() + dt.timedelta(days=1))
    assert [found["slot_id"] for found in listed] == [after_midnight]
    assert [found["slot_id"] for found in await desk.act("iqbal", list_slots)] == [slot_id, after_midnight]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"hall": " "}, "hall"),
        ({"hall": "x" * 121}, "hall"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": 10**9}, "capacity"),
        ({"start_minutes": -1}, "start_minutes"),
        ({"start_minutes": 721}, "start_minutes"),
        ({"opens_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "opens_at"),
        ({"opens_at": dt.datetime(9999, 1, 1, tzinfo=dt.UTC)}, "opens_at"),
        ({"ends_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "ends_at"),
    ],
)
async def test_what_makes_no_sense_is_refused_at_its_field(
    desk: Desk, cast: Cast, changed: dict[str, Any], field: str
) -> None:
    exam_id, _ = await cast.exam()
    with pytest.raises(Malformed) as refusal:
        await new_slot(desk, exam_id, **changed)
    assert refusal.value.extra == {"field": field}
    assert await desk.act("asha", list_slots) == []


async def test_an_exam_without_forms_gets_no_slot(desk: Desk, cast: Cast) -> None:
    draft = ExamDraft("Science", "", await cast.bank(), 60, {"main": (4, "1")})
    exam_id = await desk.act("asha", create_exam, draft)
    with pytest.raises(NotPossible, match="Freeze it first"):
        await new_slot(desk, exam_id)


async def test_another_districts_exam_gets_no_slot(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    exam_id, _ = await cast.exam(PUNE)
    with pytest.raises(NothingHere):
        await new_slot(desk, exam_id)
    await owner.execute("UPDATE exam SET district_id = NULL")
    slot_id = await new_slot(desk, exam_id)  # shared now: the slot is Mumbai's, the exam everybody's
    assert (await desk.act("asha", slot_of, slot_id))["district_id"] == MUMBAI
    with pytest.raises(NothingHere):
        await desk.act("prachi", slot_of, slot_id)


# Booking --------------------------------------------------------------------------------------------------------------


async def test_a_batch_is_booked_and_counted(desk: Desk, cast: Cast) -> None:
    await cast.candidate("chetan")
    await cast.candidate("divya")
    await cast.candidate("esha", batch="B")
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id)
    batches = await desk.act("asha", list_batches)
    assert [(batch["name"], batch["candidates"]) for batch in batches] == [("A", 2), ("B", 1)]
    assert await desk.act("asha", book_batch, slot_id, batches[0]["batch_id"]) == Booked(2, [])
    assert (await desk.act("asha", slot_of, slot_id))["booked"] == 2
    assert (await desk.act("asha", list_acts))[0]["act"] == "batch.booked"


async def test_a_batch_larger_than_the_room_is_refused_whole(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    first, second = await crowd_of(owner, 6, batches=2)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id, capacity=5)
    await desk.act("asha", book_batch, slot_id, first)
    with pytest.raises(NotPossible, match=r'"Batch 1" needs 3 seats, and 2 of 5 are free\. Nobody was booked'):
        await desk.act("asha", book_batch, slot_id, second)
    assert await owner.fetchval("SELECT count(*) FROM booking") == 3


async def test_who_is_booked_already_is_left_out_by_name(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    for name in ("chetan", "divya"):
        await cast.candidate(name)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id)
    batch_id = await batch_of(owner, "A")
    await desk.act("asha", book_batch, slot_id, batch_id)
    await cast.candidate("esha")
    again = await desk.act("asha", book_batch, slot_id, batch_id)
    assert again.booked == 1
    assert [(left.name, left.reason) for left in again.left_out] == [
        ("Chetan", "is booked in this slot already"),
        ("Divya", "is booked in this slot already"),
    ]
    assert (await desk.act("asha", slot_of, slot_id))["booked"] == 3
    third = await desk.act("asha", book_batch, slot_id, batch_id)
    assert (third.booked, len(third.left_out)) == (0, 3)


async def test_who_still_sits_elsewhere_is_left_out(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    """The first slot takes starts until 10:15 and lasts 60 minutes; Divya has half the time on top."""
    await cast.candidate("chetan")
    await cast.candidate("divya", extra_time_pct=50)
    exam_id, _ = await cast.exam()
    batch_id = await batch_of(owner, "A")
    ten = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    first = await new_slot(desk, exam_id, opens_at=ten, start_minutes=15, hall="Hall 9")
    assert (await desk.act("asha", book_batch, first, batch_id)).booked == 2
    eleven = await new_slot(desk, exam_id, opens_at=ten + 74 * MINUTE)
    assert [left.name for left in (await desk.act("asha", book_batch, eleven, batch_id)).left_out] == [
        "Chetan",
        "Divya",
    ]
    later = await new_slot(desk, exam_id, opens_at=ten + 75 * MINUTE)
    booked = await desk.act("asha", book_batch, later, batch_id)
    assert booked.booked == 1
    (left,) = booked.left_out
    assert (left.name, left.registration) == ("Divya", "REG-1-DIVYA")
    assert left.reason == f'is booked at that time in "Hall 9" (slot {first})'


async def test_nobody_is_booked_into_a_pinned_or_a_past_slot(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan)
    batch_id = await batch_of(owner, "A")
    with pytest.raises(NotPossible, match="cannot be undone"):
        await desk.act("asha", book_batch, slot.slot_id, batch_id)
    past = await new_slot(desk, slot.exam_id)
    await owner.execute("UPDATE slot SET closes_at = now() - interval '1 second' WHERE slot_id = $1", past)
    with pytest.raises(NotPossible, match="has passed"):
        await desk.act("asha", book_batch, past, batch_id)
    with pytest.raises(NotPossible, match="has passed"):
        await desk.act("asha", pin, past)


async def test_fifty_requests_for_ten_seats_fill_exactly_ten(
    crowd: Desk, cast: Cast, owner: asyncpg.Connection
) -> None:
    batches = await crowd_of(owner, 50, batches=50)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(crowd, exam_id, capacity=10)
    tries = await asyncio.gather(
        *(crowd.act("asha", book_batch, slot_id, batch_id) for batch_id in batches), return_exceptions=True
    )
    assert Counter(type(done) for done in tries) == {Booked: 10, NotPossible: 40}
    assert await owner.fetchval("SELECT count(DISTINCT candidate_id) FROM booking") == 10
    assert (await crowd.act("asha", slot_of, slot_id))["booked"] == 10


async def test_fifty_clicks_on_one_batch_book_it_once(crowd: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    (batch_id,) = await crowd_of(owner, 10, batches=1)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(crowd, exam_id, capacity=10)
    tries = await asyncio.gather(*(crowd.act("asha", book_batch, slot_id, batch_id) for _ in range(50)))
    assert sorted(done.booked for done in tries) == [0] * 49 + [10]
    assert (await crowd.act("asha", slot_of, slot_id))["booked"] == 10


async def test_one_batch_in_many_slots_at_once_sits_in_one(crowd: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    (batch_id,) = await crowd_of(owner, 5, batches=1)
    exam_id, _ = await cast.exam()
    slots = [await new_slot(crowd, exam_id, hall=f"Hall {number}") for number in range(20)]
    tries = await asyncio.gather(*(crowd.act("asha", book_batch, slot_id, batch_id) for slot_id in slots))
    assert sorted(done.booked for done in tries) == [0] * 19 + [5]
    assert await owner.fetchval("SELECT count(DISTINCT slot_id) FROM booking") == 1


# Pinning --------------------------------------------------------------------------------------------------------------


async def test_pinning_prepares_everybody(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    for number in range(6):
        await cast.candidate(f"teacher {number}")
    slow = await cast.candidate("slow", extra_time_pct=33)
    slowest = await cast.candidate("slowest", extra_time_pct=10)
    exam_id = await desk.act(
        "asha", create_exam, ExamDraft("Science", "", await cast.bank(), 61, {"main": (4, "1")}, device_changes=4)
    )
    hashes = await desk.act("asha", freeze_exam, exam_id, 3)
    slot_id = await new_slot(desk, exam_id)
    await desk.act("asha", book_batch, slot_id, await batch_of(owner, "A"))
    await owner.execute("UPDATE booking SET extra_time_pct = 50 WHERE candidate_id = $1", slowest.candidate_id)

    assert await desk.act("asha", pin, slot_id) == 8

    slot = await desk.act("asha", slot_of, slot_id)
    assert slot["pinned_at"] is not None
    assert (slot["prepared"], slot["states"]) == (8, {"prepared": 8})
    attempts = {found["candidate_id"]: found for found in await owner.fetch("SELECT * FROM attempt")}
    assert sorted(Counter(found["form_hash"] for found in attempts.values()).values()) == [2, 3, 3]
    assert {found["form_hash"] for found in attempts.values()} == set(hashes)
    assert len({found["seed"] for found in attempts.values()}) == 8
    for candidate_id, found in attempts.items():
        extra = {slow.candidate_id: 33, slowest.candidate_id: 50}.get(candidate_id, 0)
        assert found["duration_s"] == allowed_seconds(61 * 60, extra)
        assert (found["opens_at"], found["closes_at"], found["ends_at"]) == (slot["opens_at"], slot["closes_at"], None)
        assert (found["grace_s"], found["takeovers_left"], found["grant_s"]) == (20, 4, 0)
    act = (await desk.act("asha", list_acts))[0]
    assert (act["act"], act["detail"]) == ("slot.pinned", {"slot_id": slot_id, "attempts": 8, "forms": 3})


async def test_an_allowance_also_moves_a_common_end(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    chetan = await cast.candidate("chetan")
    divya = await cast.candidate("divya", extra_time_pct=25)
    exam_id, _ = await cast.exam()
    ends_at = dt.datetime.now(dt.UTC) + 70 * MINUTE
    slot_id = await new_slot(desk, exam_id, start_minutes=30, ends_at=ends_at)
    await desk.act("asha", book_batch, slot_id, await batch_of(owner, "A"))
    await desk.act("asha", pin, slot_id)
    ends = dict(await owner.fetch("SELECT candidate_id, ends_at FROM attempt"))
    assert ends == {chetan.candidate_id: ends_at, divya.candidate_id: ends_at + 15 * MINUTE}


async def test_who_is_dealt_which_form_is_not_the_order_of_the_roll(
    desk: Desk, cast: Cast, owner: asyncpg.Connection
) -> None:
    (batch_id,) = await crowd_of(owner, 60, batches=1)
    exam_id = await desk.act("asha", create_exam, ExamDraft("Science", "", await cast.bank(), 60, {"main": (4, "1")}))
    await desk.act("asha", freeze_exam, exam_id, 2)
    dealt = []
    for _ in range(2):
        slot_id = await new_slot(desk, exam_id)
        await owner.execute("DELETE FROM booking")
        await desk.act("asha", book_batch, slot_id, batch_id)
        await desk.act("asha", pin, slot_id)
        rows = await owner.fetch(
            "SELECT form_hash, seed FROM attempt WHERE slot_id = $1 ORDER BY candidate_id", slot_id
        )
        assert set(Counter(found["form_hash"] for found in rows).values()) == {30}
        dealt.append(([found["form_hash"] for found in rows], {found["seed"] for found in rows}))
    assert dealt[0][0] != dealt[1][0]
    assert not dealt[0][1] & dealt[1][1]


async def test_a_prepared_candidate_can_start(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Callable[[], httpx.AsyncClient]
) -> None:
    chetan = await cast.candidate("chetan")
    exam_id, _ = await cast.exam(minutes=30)
    slot_id = await new_slot(desk, exam_id)
    await desk.act("asha", book_batch, slot_id, await batch_of(owner, "A"))
    await desk.act("asha", pin, slot_id)
    started = await begin(client(), chetan)
    assert started["deadline"] - started["started_at"] == 30 * 60 * 1000  # type: ignore[operator]
    assert (await desk.act("asha", slot_of, slot_id))["states"] == {"started": 1}


async def test_a_slot_is_pinned_once(crowd: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    (batch_id,) = await crowd_of(owner, 20, batches=1)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(crowd, exam_id)
    await crowd.act("asha", book_batch, slot_id, batch_id)
    tries = await asyncio.gather(*(crowd.act("asha", pin, slot_id) for _ in range(10)), return_exceptions=True)
    assert sorted(type(done).__name__ for done in tries) == ["NotPossible"] * 9 + ["int"]
    with pytest.raises(NotPossible, match="pinned already"):
        await crowd.act("asha", pin, slot_id)
    assert await owner.fetchval("SELECT count(*) FROM attempt") == 20
    assert await owner.fetchval("SELECT count(*) FROM audit WHERE act = 'slot.pinned'") == 1


async def test_whoever_comes_during_a_pin_waits_for_it(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    first, second = await crowd_of(owner, 20, batches=2)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id)
    await desk.act("asha", book_batch, slot_id, first)
    staff = desk.sessions["asha"]
    for operation, given, words in ((pin, (), "pinned already"), (book_batch, (second,), "cannot be undone")):
        await owner.execute("UPDATE slot SET pinned_at = NULL")
        await owner.execute("DELETE FROM attempt")
        async with desk.hall.db.staff.transaction(scope=staff.scope) as connection:
            assert await pin(connection, staff, slot_id) == 10
            other = asyncio.create_task(desk.act("asha", operation, slot_id, *given))
            await until_somebody_waits(owner)
        with pytest.raises(NotPossible, match=words):
            await other
        assert await owner.fetchval("SELECT count(*) FROM attempt") == 10


async def test_booking_and_pinning_at_once_forget_nobody(crowd: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    batches = await crowd_of(owner, 20, batches=20)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(crowd, exam_id)
    await crowd.act("asha", book_batch, slot_id, batches[0])
    tries = await asyncio.gather(
        *(crowd.act("asha", book_batch, slot_id, batch_id) for batch_id in batches[1:10]),
        crowd.act("asha", pin, slot_id),
        *(crowd.act("asha", book_batch, slot_id, batch_id) for batch_id in batches[10:]),
        return_exceptions=True,
    )
    assert {type(done) for done in tries} <= {Booked, NotPossible, int}
    booked = await owner.fetchval("SELECT count(*) FROM booking")
    assert await owner.fetchval("SELECT count(*) FROM attempt") == booked
    assert (await crowd.act("asha", slot_of, slot_id))["booked"] == booked


async def test_a_whole_district_is_pinned_in_one_go(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    """The largest district in one slot, right after its import: the statement time-out of 5 s is far away."""
    batches = await crowd_of(owner, 12_000, batches=4)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id, capacity=12_000)
    for batch_id in batches:
        assert (await desk.act("asha", book_batch, slot_id, batch_id)).booked == 3000
    assert await desk.act("asha", pin, slot_id) == 12_000
    assert (await desk.act("asha", slot_of, slot_id))["states"] == {"prepared": 12_000}


async def test_an_empty_slot_is_not_pinned(desk: Desk, cast: Cast) -> None:
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id)
    with pytest.raises(NotPossible, match="Nobody is booked"):
        await desk.act("asha", pin, slot_id)
    assert (await desk.act("asha", slot_of, slot_id))["pinned_at"] is None


async def test_a_slot_without_forms_is_not_pinned(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan, pinned=False)
    unfrozen = await desk.act(
        "asha", create_exam, ExamDraft("Science", "", await cast.bank(name="Other"), 60, {"main": (4, "1")})
    )
    await owner.execute("UPDATE slot SET exam_id = $1", unfrozen)
    with pytest.raises(NotPossible, match="no forms"):
        await desk.act("asha", pin, slot.slot_id)


async def test_a_slot_without_partitions_is_not_pinned(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    await cast.candidate("chetan")
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id, opens_at=dt.datetime.now(dt.UTC) + dt.timedelta(days=90))
    await desk.act("asha", book_batch, slot_id, await batch_of(owner, "A"))
    day = (await desk.act("asha", slot_of, slot_id))["exam_day"]
    with pytest.raises(NotPossible, match=f"attempt_d1_{day:%Y_%m}.*exam migrate"):
        await desk.act("asha", pin, slot_id)
    assert await owner.fetchval("SELECT count(*) FROM attempt") == 0
    await owner.fetchval("SELECT create_partitions(1::smallint, $1, 1)", day)
    assert await desk.act("asha", pin, slot_id) == 1


# Releasing ------------------------------------------------------------------------------------------------------------


async def submit(device: httpx.AsyncClient, last_seq: int) -> None:
    answer = await device.post("/api/submit", json={"epoch": 1, "last_seq": last_seq})
    assert answer.status_code == 200, answer.text


async def test_results_are_released_when_everything_is_graded(
    desk: Desk, cast: Cast, client: Callable[[], httpx.AsyncClient]
) -> None:
    chetan, divya, esha = [await cast.candidate(name) for name in ("chetan", "divya", "esha")]
    slot = await cast.slot(chetan, divya, esha)
    with pytest.raises(NotPossible, match="no result in this slot"):
        await desk.act("asha", release, slot.slot_id)

    phones = {person.name: client() for person in (chetan, divya, esha)}
    await begin(phones["chetan"], chetan)
    await begin(phones["divya"], divya)
    assert (await save(phones["chetan"], row(1, 1, RIGHT[1]))).status_code == 200
    await submit(phones["chetan"], 1)
    with pytest.raises(NotPossible, match=r"Still working: 1\. Ended and not graded: 1,"):
        await desk.act("asha", release, slot.slot_id)

    await submit(phones["divya"], 0)
    with pytest.raises(NotPossible, match=r"Still working: 0\. Ended and not graded: 2,.* Nothing was released\."):
        await desk.act("asha", release, slot.slot_id)
    assert (await desk.act("asha", slot_of, slot.slot_id))["states"] == {"submitted": 2, "prepared": 1}

    assert await Grader(desk.hall.db).grade_all() == 2
    sitting = await log_in(phones["chetan"], chetan)
    assert sitting.get("result") is None
    assert await desk.act("asha", release, slot.slot_id) == 2
    assert (await log_in(client(), chetan))["result"]["maximum"] == "10"  # type: ignore[index]
    assert (await desk.act("asha", slot_of, slot.slot_id))["states"] == {"released": 2, "prepared": 1}
    with pytest.raises(NotPossible, match="released already"):
        await desk.act("asha", release, slot.slot_id)

    # Somebody who was still allowed to start is released when their turn comes.
    await begin(phones["esha"], esha)
    with pytest.raises(NotPossible, match="Still working: 1"):
        await desk.act("asha", release, slot.slot_id)
    await submit(phones["esha"], 0)
    await Grader(desk.hall.db).grade_all()
    first = (await desk.act("asha", slot_of, slot.slot_id))["released_at"]
    assert await desk.act("asha", release, slot.slot_id) == 1
    assert (await desk.act("asha", slot_of, slot.slot_id))["released_at"] == first
    acts = [act["detail"]["results"] for act in await desk.act("asha", list_acts) if act["act"] == "slot.released"]
    assert acts == [1, 2]


async def test_what_could_not_be_graded_keeps_the_release_back(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Callable[[], httpx.AsyncClient]
) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan, minutes=5)
    await begin(client(), chetan)
    await owner.execute("UPDATE attempt SET started_at = now() - interval '1 day', deadline = now() - interval '2 min'")
    assert await seal(desk.hall.db) == 1
    await receipt_sealed(desk.hall.db, desk.hall.signer)
    await owner.execute("UPDATE submission SET digest = sha256('altered')")
    assert await Grader(desk.hall.db).grade_all() == 0
    with pytest.raises(NotPossible, match=r"not graded: 1, of which the grading failed for 1\."):
        await desk.act("asha", release, slot.slot_id)
    assert (await desk.act("asha", slot_of, slot.slot_id))["states"] == {"sealed": 1}


# Whose it is ----------------------------------------------------------------------------------------------------------


async def test_another_districts_slots_are_nothing(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan)
    batch_id = await batch_of(owner, "A")
    acts: list[tuple[Any, tuple[int, ...]]] = [(slot_of, ()), (book_batch, (batch_id,)), (pin, ()), (release, ())]
    for operation, given in acts:
        with pytest.raises(NothingHere):
            await desk.act("prachi", operation, slot.slot_id, *given)
        with pytest.raises(NothingHere):
            await desk.act("prachi", operation, 999_999, *given)
    assert await desk.act("prachi", list_slots) == []
    assert await desk.act("prachi", list_batches) == []
    assert [found["slot_id"] for found in await desk.act("padma", list_slots)] == [slot.slot_id]


async def test_another_districts_batch_is_nothing(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    await cast.candidate("chetan", PUNE)
    exam_id, _ = await cast.exam()
    slot_id = await new_slot(desk, exam_id)
    with pytest.raises(NothingHere):
        await desk.act("asha", book_batch, slot_id, await batch_of(owner, "A", PUNE))
    assert await owner.fetchval("SELECT count(*) FROM booking") == 0


async def test_a_statement_without_scope_meets_the_second_wall(desk: Desk, cast: Cast) -> None:
    """What a mistake in our own SQL could do: the database lets a connection of Pune see and change nothing."""
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan)
    for table in ("slot", "booking", "batch", "candidate", "attempt"):
        query = f"SELECT district_id FROM {table}"
        assert await desk.sees((PUNE,), query) == []
        assert await desk.sees((), query) == []
        assert await desk.sees((MUMBAI, PUNE), query) == [MUMBAI]
    for statement in (
        "UPDATE slot SET booked = 0, pinned_at = NULL, released_at = now()",
        "UPDATE attempt SET grant_s = 3600, takeovers_left = 9",
        "UPDATE attempt SET state = 'released', ended_at = now()",
    ):
        assert await desk.touches((PUNE,), statement) == 0
    insert = (
        "INSERT INTO slot (district_id, exam_id, hall, opens_at, closes_at, exam_day, capacity) "
        "VALUES ($1, $2, 'Hall', now(), now(), current_date, 1)"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.touches((PUNE,), insert, MUMBAI, slot.exam_id)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.touches((PUNE,), "INSERT INTO booking VALUES ($1, $2, 1)", MUMBAI, slot.slot_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):  # nor does a row of one's own reach into a foreign slot
        await desk.touches((PUNE,), "INSERT INTO booking VALUES ($1, $2, 1)", PUNE, slot.slot_id)


@pytest.mark.parametrize("name", ["iqbal", "anil", "mohan", "padma"])
async def test_only_a_district_admin_plans(desk: Desk, cast: Cast, owner: asyncpg.Connection, name: str) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan, pinned=False)
    with pytest.raises(NotAllowed):
        await new_slot(desk, slot.exam_id, name)
    for operation, given in ((book_batch, (await batch_of(owner, "A"),)), (pin, ()), (release, ())):
        with pytest.raises(NotAllowed):
            await desk.act(name, operation, slot.slot_id, *given)
    assert await owner.fetchval("SELECT count(*) FROM attempt") == 0
    assert await owner.fetchval("SELECT count(*) FROM audit") == 0


@pytest.mark.parametrize("name", ["anil", "mohan"])
async def test_authors_and_markers_see_no_slots(desk: Desk, cast: Cast, name: str) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    with pytest.raises(NotAllowed):
        await desk.act(name, list_slots)
    with pytest.raises(NotAllowed):
        await desk.act(name, slot_of, slot.slot_id)
