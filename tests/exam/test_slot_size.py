"""How big a slot may be: everybody who sits at the same time, in whatever district, counts against the deployment."""

import asyncio
import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from exam import migrations
from exam.audit import list_acts
from exam.db import Pool
from exam.errors import Malformed, NotPossible
from exam.hall import Hall
from exam.settings import Settings
from exam.slots import SlotDraft, book_batch, create_slot, pin
from tests.cast import MUMBAI, PASSWORD, PUNE, Cast
from tests.exam.desk import Desk, staffed, until_somebody_waits

HOUR = dt.timedelta(hours=1)
NINE = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).replace(hour=3, minute=30, second=0, microsecond=0)
"""Nine in the morning in India, tomorrow."""


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


@pytest.fixture
async def exam_id(cast: Cast, owner: asyncpg.Connection) -> int:
    """An exam of an hour, of all districts, with room for it beyond the end of this month."""
    await migrations.make_partitions(owner, dt.date.today(), 1)
    number, _ = await cast.exam(minutes=60)
    await owner.execute("UPDATE exam SET district_id = NULL")
    return number


class Planner:
    """Books slots of some size in Mumbai and Pune, each with a batch of its own."""

    def __init__(self, desk: Desk, owner: asyncpg.Connection, exam_id: int) -> None:
        self.desk, self.owner, self.exam_id = desk, owner, exam_id
        self.batches = 0

    async def slot(self, people: int, opens_at: dt.datetime, *, name: str = "asha", extra: int = 0, **more: Any) -> int:
        """A booked slot that takes starts for half an hour; so the last of them ends 90 minutes after its opening."""
        district_id = MUMBAI if name == "asha" else PUNE
        self.batches += 1
        batch_id = await self.owner.fetchval(
            "INSERT INTO batch (district_id, name) VALUES ($1, $2) RETURNING batch_id", district_id, f"{self.batches}"
        )
        await self.owner.execute(
            "INSERT INTO candidate (district_id, registration, name, batch_id, extra_time_pct) "
            "SELECT $1, 'B' || $2::int || '-' || n, 'Teacher', $2, $3 FROM generate_series(1, $4) n",
            district_id,
            batch_id,
            extra,
            people,
        )
        draft = SlotDraft(self.exam_id, "Hall 1", opens_at, 30, max(people, 1), **more)
        slot_id = await self.desk.act(name, create_slot, draft, "Asia/Kolkata", dt.datetime.now(dt.UTC))
        if people:
            await self.desk.act(name, book_batch, slot_id, batch_id)
        return slot_id

    async def pin(self, slot_id: int, max_candidates: int, *, name: str = "asha", override: str = "") -> int:
        return await self.desk.act(name, pin, slot_id, max_candidates=max_candidates, override=override)


@pytest.fixture
def planner(desk: Desk, owner: asyncpg.Connection, exam_id: int) -> Planner:
    return Planner(desk, owner, exam_id)


async def test_as_many_as_were_measured_may_sit_and_not_one_more(planner: Planner, owner: asyncpg.Connection) -> None:
    slot_id = await planner.slot(5, NINE)
    with pytest.raises(
        NotPossible, match=r"make 5 candidates at once, and this deployment is measured for 4\. Nothing"
    ) as no:
        await planner.pin(slot_id, 4)
    assert no.value.extra == {"field": "override"}
    assert await owner.fetchval("SELECT count(*) FROM attempt") == 0
    assert await owner.fetchval("SELECT pinned_at FROM slot") is None
    assert await planner.pin(slot_id, 5) == 5


async def test_what_was_not_measured_is_not_checked(planner: Planner) -> None:
    assert await planner.pin(await planner.slot(5, NINE), 0) == 5


async def test_other_districts_count_although_nobody_sees_them(planner: Planner) -> None:
    assert await planner.pin(await planner.slot(4, NINE, name="prachi"), 6, name="prachi") == 4
    mine = await planner.slot(3, NINE + HOUR / 2)
    with pytest.raises(
        NotPossible, match=r"with the 4 pinned at the same time in all districts, the 3 of this slot make 7 .* for 6"
    ):
        await planner.pin(mine, 6)
    seen = await planner.desk.sees((MUMBAI,), "SELECT count(*) FROM attempt")
    assert seen == [0]
    assert await planner.pin(mine, 7) == 3


@pytest.mark.parametrize(
    ("later", "overlaps"),
    [
        (dt.timedelta(minutes=89), True),  # the last starter of the first slot still has a minute
        (dt.timedelta(minutes=90), False),
        (dt.timedelta(minutes=-89), True),
        (dt.timedelta(minutes=-90), False),
        (dt.timedelta(days=1), False),
        (dt.timedelta(days=-1), False),
    ],
)
async def test_only_what_runs_at_the_same_time_counts(planner: Planner, later: dt.timedelta, overlaps: bool) -> None:
    day_after = NINE + dt.timedelta(days=1)
    await planner.pin(await planner.slot(3, day_after), 3)
    other = await planner.slot(1, day_after + later)
    if overlaps:
        with pytest.raises(NotPossible):
            await planner.pin(other, 3)
    else:
        assert await planner.pin(other, 3) == 1


async def test_extra_time_of_either_side_lengthens_the_overlap(planner: Planner) -> None:
    await planner.pin(await planner.slot(1, NINE, extra=50), 9)  # its last starter ends two hours after nine
    with pytest.raises(NotPossible):
        await planner.pin(await planner.slot(1, NINE + dt.timedelta(minutes=119)), 1)
    assert await planner.pin(await planner.slot(1, NINE + 2 * HOUR), 1) == 1
    before = await planner.slot(1, NINE - 2 * HOUR + dt.timedelta(minutes=1), extra=50)
    with pytest.raises(NotPossible):
        await planner.pin(before, 1)


async def test_a_common_end_and_a_grant_are_counted_with(planner: Planner, owner: asyncpg.Connection) -> None:
    await planner.pin(await planner.slot(1, NINE, ends_at=NINE + dt.timedelta(minutes=70)), 1)
    late = NINE + dt.timedelta(minutes=70)
    assert await planner.pin(await planner.slot(1, late), 1) == 1
    await owner.execute("UPDATE attempt SET grant_s = 60 WHERE ends_at IS NOT NULL")
    with pytest.raises(NotPossible):
        await planner.pin(await planner.slot(1, late), 2)


async def test_who_has_finished_does_not_count(planner: Planner, owner: asyncpg.Connection) -> None:
    await planner.pin(await planner.slot(3, NINE), 3)
    await owner.execute(
        "UPDATE attempt SET state = 'submitted', epoch = 1, writer = 'w', started_at = now(), deadline = now(), "
        "ended_at = now() WHERE candidate_id IN (SELECT candidate_id FROM attempt LIMIT 2)"
    )
    assert await planner.pin(await planner.slot(2, NINE), 3) == 2


async def test_a_reason_lets_it_through_and_stays_on_record(planner: Planner) -> None:
    await planner.pin(await planner.slot(2, NINE), 4)
    slot_id = await planner.slot(3, NINE)
    with pytest.raises(NotPossible):
        await planner.pin(slot_id, 4, override="   ")
    assert await planner.pin(slot_id, 4, override=" Rehearsed with 10 on Friday, ticket 12. ") == 3
    act = (await planner.desk.act("asha", list_acts))[0]
    assert act["act"] == "slot.pinned"
    told = {name: act["detail"][name] for name in ("override", "at_once", "max_candidates", "attempts")}
    assert told == {
        "override": "Rehearsed with 10 on Friday, ticket 12.",
        "at_once": 5,
        "max_candidates": 4,
        "attempts": 3,
    }


async def test_a_reason_that_was_not_needed_is_not_recorded_as_an_override(planner: Planner) -> None:
    await planner.pin(await planner.slot(2, NINE), 4, override="just in case")
    assert "override" not in (await planner.desk.act("asha", list_acts))[0]["detail"]


async def test_a_reason_has_to_be_text(planner: Planner) -> None:
    slot_id = await planner.slot(2, NINE)
    for reason in ("a\0b", "x" * 501):
        with pytest.raises(Malformed) as refusal:
            await planner.pin(slot_id, 1, override=reason)
        assert refusal.value.extra == {"field": "override"}


async def test_an_empty_slot_is_refused_as_empty(planner: Planner) -> None:
    with pytest.raises(NotPossible, match="Nobody is booked"):
        await planner.pin(await planner.slot(0, NINE), 1)


async def test_of_two_districts_that_pin_at_once_the_second_counts_the_first(
    planner: Planner, owner: asyncpg.Connection, settings: Settings
) -> None:
    mine, theirs = await planner.slot(3, NINE), await planner.slot(3, NINE, name="prachi")
    pool = Pool(settings.url_of("staff"), "staff", 2, lock_timeout="20000")
    await pool.open()
    try:
        asha, prachi = planner.desk.sessions["asha"], planner.desk.sessions["prachi"]

        async def second() -> int:
            async with pool.transaction(scope=prachi.scope) as connection:
                return await pin(connection, prachi, theirs, max_candidates=5)

        async with pool.transaction(scope=asha.scope) as connection:
            assert await pin(connection, asha, mine, max_candidates=5) == 3
            waiting = asyncio.create_task(second())
            await until_somebody_waits(owner)
        with pytest.raises(NotPossible, match="make 6 candidates at once"):
            await waiting
    finally:
        await pool.close()
    assert await owner.fetchval("SELECT count(*) FROM attempt") == 3


async def test_the_number_is_for_the_staff_only(planner: Planner, hall: Hall) -> None:
    await planner.pin(await planner.slot(2, NINE), 2)
    count = "SELECT count_overlapping($1, $2)"
    assert await planner.desk.sees((PUNE,), count, NINE, NINE + HOUR) == [2]
    async with hall.db.web.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval(count, NINE, NINE + HOUR)


async def test_the_page_asks_for_the_reason_and_keeps_what_was_typed(
    planner: Planner, hall: Hall, client: Callable[[], httpx.AsyncClient]
) -> None:
    hall.settings = msgspec.structs.replace(hall.settings, max_candidates=2)
    address = f"/staff/slots/{await planner.slot(3, NINE)}"
    asha = client()
    await asha.post("/staff/login", data={"email": "asha@hall.test", "password": PASSWORD})
    asked = await asha.get(f"{address}/pin")
    assert 'name="override"' not in asked.text  # nobody is led to give reasons for what needs none
    form = {"token": re.findall(r'name="token" value="([0-9a-f]{64})"', asked.text)[-1], "sure": "true"}

    refused = await asha.post(f"{address}/pin", data=form)
    assert refused.status_code == 409
    assert "make 3 candidates at once, and this deployment is measured for 2" in refused.text
    assert '<textarea id="override" name="override"' in refused.text and 'aria-invalid="true"' in refused.text
    long = await asha.post(f"{address}/pin", data=form | {"override": "&" * 501})
    assert long.status_code == 400 and "at most 500 characters" in long.text and "&amp;" * 501 in long.text

    pinned = await asha.post(f"{address}/pin", data=form | {"override": "Rehearsed on Friday"})
    assert (pinned.status_code, pinned.headers["location"]) == (303, f"{address}?done=pinned")
    act = (await planner.desk.act("asha", list_acts))[0]
    assert (act["act"], act["detail"]["override"]) == ("slot.pinned", "Rehearsed on Friday")
