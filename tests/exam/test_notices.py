"""Announcements: in one language or two, to one slot, seen there and nowhere else."""

from collections.abc import Callable

import asyncpg
import httpx
import pytest

from exam.audit import list_acts
from exam.errors import Malformed, NotAllowed, NothingHere
from exam.hall import Hall
from exam.notices import announce, list_announcements
from tests.cast import ITEMS, MUMBAI, PUNE, Cast, begin, row, save
from tests.exam.desk import Desk, staffed


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


async def test_an_announcement_reaches_its_slot_with_the_next_save(
    desk: Desk, cast: Cast, client: Callable[[], httpx.AsyncClient]
) -> None:
    chetan, divya = await cast.candidate("chetan"), await cast.candidate("divya")
    slot = await cast.slot(chetan)
    await cast.slot(divya, items=ITEMS[:4])
    here, elsewhere = client(), client()
    await begin(here, chetan)
    await begin(elsewhere, divya)
    number = await desk.act("iqbal", announce, slot.slot_id, " Water is outside. ", "पाणी बाहेर आहे.")
    await desk.hall.notices.refresh()
    assert (await save(here, row(1, 1, "b"))).json()["notices"] == number
    assert (await save(elsewhere, row(1, 0, None))).json()["notices"] == 0
    (notice,) = (await here.get("/api/notices", params={"after": 0})).json()["notices"]
    assert notice["text"] == {"en": "Water is outside.", "mr": "पाणी बाहेर आहे."}
    assert (await elsewhere.get("/api/notices", params={"after": 0})).json()["notices"] == []


async def test_announcements_are_listed_newest_first_with_who_made_them(desk: Desk, cast: Cast) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    await desk.act("iqbal", announce, slot.slot_id, "First", "")
    await desk.act("asha", announce, slot.slot_id, "", "दुसरे")
    listed = await desk.act("padma", list_announcements, slot.slot_id)
    assert [(notice["staff_name"], notice["text"]) for notice in listed] == [
        ("Asha", {"mr": "दुसरे"}),
        ("Iqbal", {"en": "First"}),
    ]
    assert [act["act"] for act in await desk.act("asha", list_acts)] == ["notice.announced"] * 2


@pytest.mark.parametrize(
    ("text_en", "text_mr", "field"),
    [
        ("", " \n", "text_en"),
        ("x" * 501, "", "text_en"),
        ("Water", "क" * 501, "text_mr"),
        ("a\0b", "", "text_en"),
    ],
)
async def test_what_cannot_be_announced_is_refused_at_its_field(
    desk: Desk, cast: Cast, text_en: str, text_mr: str, field: str
) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    with pytest.raises(Malformed) as refusal:
        await desk.act("asha", announce, slot.slot_id, text_en, text_mr)
    assert refusal.value.extra == {"field": field}
    assert await desk.act("asha", list_announcements, slot.slot_id) == []


async def test_another_districts_slot_hears_nothing(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    for slot_id in (slot.slot_id, 999_999):
        with pytest.raises(NothingHere):
            await desk.act("prachi", announce, slot_id, "Water", "")
        with pytest.raises(NothingHere):
            await desk.act("prachi", list_announcements, slot_id)
    assert await owner.fetchval("SELECT count(*) FROM announcement") == 0
    await desk.act("asha", announce, slot.slot_id, "Water", "")
    assert await desk.sees((PUNE,), "SELECT announcement_id FROM announcement") == []
    insert = "INSERT INTO announcement (district_id, slot_id, text, staff_id) VALUES ($1, $2, '{}', $3)"
    staff_id = desk.sessions["prachi"].staff_id
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.touches((PUNE,), insert, MUMBAI, slot.slot_id, staff_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await desk.touches((PUNE,), insert, PUNE, slot.slot_id, staff_id)


@pytest.mark.parametrize("name", ["anil", "mohan", "padma"])
async def test_only_the_hall_and_the_district_announce(desk: Desk, cast: Cast, name: str) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    with pytest.raises(NotAllowed):
        await desk.act(name, announce, slot.slot_id, "Water", "")
