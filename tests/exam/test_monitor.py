"""The board of a slot: who has started and saved, in a fixed number of statements."""

from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from exam.errors import NotAllowed, NothingHere
from exam.hall import Hall
from exam.monitor import board, counts
from tests.cast import ITEMS, PUNE, Cast, begin, log_in, row, save
from tests.exam.desk import Desk, staffed

Device = Callable[[], httpx.AsyncClient]


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


async def test_the_board_says_how_far_everybody_is(desk: Desk, cast: Cast, client: Device) -> None:
    people = {name: await cast.candidate(name) for name in ("chetan", "divya", "esha")}
    slot = await cast.slot(*people.values())
    await cast.slot(await cast.candidate("farhan"), items=ITEMS[:4])
    phone, tablet, other = client(), client(), client()
    await begin(phone, people["chetan"])
    await save(phone, row(1, 1, "b"), row(2, 3, "Mumbai"))
    await log_in(tablet, people["chetan"])
    assert (await tablet.post("/api/takeover", json={})).status_code == 200
    await save(tablet, row(1, 1, "c"), epoch=2)
    assert (await save(phone, row(3, 1, "a"))).json()["kept"] == [{"seq": 3, "reason": "stale_device"}]
    await begin(other, people["divya"])
    receipt = (await other.post("/api/submit", json={"epoch": 1, "last_seq": 1, "answers": [row(1, 1, "b")]})).json()[
        "receipt"
    ]

    rows = {found["name"]: found for found in await desk.act("iqbal", board, slot.slot_id)}
    assert list(rows) == ["Chetan", "Divya", "Esha"]
    chetan, divya, esha = rows.values()
    assert (chetan["state"], chetan["epoch"], chetan["takeovers_left"]) == ("started", 2, 1)
    assert (chetan["saved"], chetan["kept"]) == (3, 1)
    assert chetan["started_at"] < chetan["last_save"] < chetan["deadline"]
    assert (chetan["answered"], chetan["digest"]) == (None, None)
    assert (divya["state"], divya["answered"], divya["ended_by"]) == ("submitted", 1, "candidate")
    assert divya["digest"].hex() == receipt["digest"]
    assert (esha["state"], esha["saved"], esha["kept"], esha["last_save"], esha["epoch"]) == ("prepared", 0, 0, None, 0)
    assert esha["registration"] == people["esha"].registration
    assert {found["attempt_id"] for found in rows.values()} == set(slot.attempts.values())

    counted = dict(await desk.act("iqbal", counts, slot.slot_id))
    assert counted == {
        "booked": 3,
        "prepared": 1,
        "started": 1,
        "submitted": 1,
        "sealed": 0,
        "graded": 0,
        "released": 0,
    }


async def test_an_unpinned_slot_has_an_empty_board(desk: Desk, cast: Cast) -> None:
    slot = await cast.slot(await cast.candidate("chetan"), pinned=False)
    assert await desk.act("asha", board, slot.slot_id) == []
    assert (await desk.act("asha", counts, slot.slot_id))["booked"] == 1


@pytest.mark.parametrize("people", [1, 40])
async def test_the_number_of_statements_does_not_grow(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, people: int
) -> None:
    slot = await cast.slot(*[await cast.candidate(f"teacher {number}") for number in range(people)])
    staff = desk.sessions["iqbal"]
    statements: list[Any] = []
    async with desk.hall.db.staff.transaction(scope=staff.scope) as connection:
        await board(connection, staff, slot.slot_id)  # the driver asks for types of its own once
        with connection.query_logger(statements.append):
            assert len(await board(connection, staff, slot.slot_id)) == people
            await counts(connection, staff, slot.slot_id)
    assert len(statements) == 4


async def test_the_board_is_bounded(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    slot = await cast.slot(await cast.candidate("chetan"), capacity=3000)
    await owner.execute(
        "INSERT INTO candidate (district_id, candidate_id, registration, name) "
        "SELECT 1, 10000 + n, 'R' || n, 'Teacher' FROM generate_series(1, 2100) n"
    )
    await owner.execute(
        "INSERT INTO attempt (district_id, exam_day, slot_id, candidate_id, form_hash, seed, opens_at, closes_at, "
        "duration_s, grace_s, takeovers_left) SELECT a.district_id, exam_day, slot_id, c.candidate_id, form_hash, "
        "seed, opens_at, closes_at, duration_s, grace_s, takeovers_left FROM attempt a, candidate c "
        "WHERE c.candidate_id > 10000"
    )
    assert len(await desk.act("asha", board, slot.slot_id)) == 2000
    assert (await desk.act("asha", counts, slot.slot_id))["prepared"] == 2101


async def test_the_platform_watches_every_district_and_a_district_its_own(desk: Desk, cast: Cast) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    assert len(await desk.act("padma", board, slot.slot_id)) == 1
    for operation in (board, counts):
        with pytest.raises(NothingHere):
            await desk.act("prachi", operation, slot.slot_id)
        with pytest.raises(NothingHere):
            await desk.act("padma", operation, 999_999)


async def test_a_board_without_scope_meets_the_second_wall(desk: Desk, cast: Cast, client: Device) -> None:
    chetan = await cast.candidate("chetan")
    await cast.slot(chetan)
    phone = client()
    await begin(phone, chetan)
    await save(phone, row(1, 1, "b"))
    await phone.post("/api/submit", json={"epoch": 1, "last_seq": 1, "answers": []})
    await save(phone, row(2, 1, "a"))
    for table in ("attempt", "answer", "quarantine", "submission"):
        query = f"SELECT attempt_id FROM {table}"
        assert await desk.sees((PUNE,), query) == []
        assert len(await desk.sees((1,), query)) == 1


async def test_the_staff_role_cannot_read_what_somebody_answered(desk: Desk) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.sees((1,), "SELECT response FROM answer")


@pytest.mark.parametrize("name", ["anil", "mohan"])
async def test_authors_and_markers_do_not_watch(desk: Desk, cast: Cast, name: str) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    for operation in (board, counts):
        with pytest.raises(NotAllowed):
            await desk.act(name, operation, slot.slot_id)
