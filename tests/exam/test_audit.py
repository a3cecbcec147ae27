"""The log of acts: in the same transaction as the act, and only of one's own district."""

from typing import Any

import asyncpg
import pytest

from exam.audit import list_acts, plain_text, record
from exam.auth import StaffSession
from exam.db import Connection
from exam.errors import Malformed, NotAllowed
from exam.hall import Hall
from tests.cast import MUMBAI, PUNE, Cast
from tests.exam.desk import Desk, staffed


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


async def act(connection: Connection, staff: StaffSession, /, what: str, district_id: int, **detail: Any) -> None:
    await record(connection, what, staff=staff, district_id=district_id, **detail)


async def test_an_act_is_listed_with_who_did_it(desk: Desk) -> None:
    await desk.act("asha", act, "slot.created", MUMBAI, slot_id=7, hall="मुख्य सभागृह")
    (row,) = await desk.act("asha", list_acts)
    assert (row["act"], row["staff_name"], row["district_id"]) == ("slot.created", "Asha", MUMBAI)
    assert row["detail"] == {"slot_id": 7, "hall": "मुख्य सभागृह"}


async def test_an_act_that_fails_leaves_no_row(desk: Desk) -> None:
    async def fails(connection: Connection, staff: StaffSession) -> None:
        await act(connection, staff, "slot.created", MUMBAI)
        raise RuntimeError("the act itself fails after its row")

    with pytest.raises(RuntimeError):
        await desk.act("asha", fails)
    assert await desk.act("asha", list_acts) == []


async def test_each_district_sees_its_own_acts_and_the_platform_sees_all(desk: Desk) -> None:
    await desk.act("asha", act, "in.mumbai", MUMBAI)
    await desk.act("prachi", act, "in.pune", PUNE)
    assert [row["act"] for row in await desk.act("asha", list_acts)] == ["in.mumbai"]
    assert [row["act"] for row in await desk.act("prachi", list_acts)] == ["in.pune"]
    assert [row["act"] for row in await desk.act("padma", list_acts)] == ["in.pune", "in.mumbai"]
    assert await desk.sees((PUNE,), "SELECT act FROM audit") == ["in.pune"]
    assert await desk.sees((), "SELECT act FROM audit") == []


async def test_nobody_writes_an_act_into_another_district(desk: Desk) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.act("asha", act, "in.pune", PUNE)
    assert await desk.act("padma", list_acts) == []


@pytest.mark.parametrize("statement", ["UPDATE audit SET act = 'other'", "DELETE FROM audit"])
async def test_the_log_cannot_be_changed(desk: Desk, statement: str) -> None:
    await desk.act("asha", act, "in.mumbai", MUMBAI)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.touches((MUMBAI,), statement)


async def test_the_list_goes_on_before_a_number(desk: Desk) -> None:
    async def many(connection: Connection, staff: StaffSession) -> None:
        for number in range(130):
            await act(connection, staff, "slot.created", MUMBAI, number=number)

    await desk.act("asha", many)
    first = await desk.act("asha", list_acts)
    rest = await desk.act("asha", list_acts, first[-1]["audit_id"])
    assert [row["detail"]["number"] for row in [*first, *rest]] == list(range(129, -1, -1))
    assert len(first) == 100


@pytest.mark.parametrize("name", ["iqbal", "anil", "mohan"])
async def test_the_log_is_for_admins(desk: Desk, name: str) -> None:
    with pytest.raises(NotAllowed):
        await desk.act(name, list_acts)


def test_texts_are_kept_as_people_mean_them() -> None:
    assert plain_text("  Hall 1 \r\n left\t", "hall", 20) == "Hall 1 \n left"
    assert plain_text("ना\u0928\u093c", "hall", 20) == "ना\u0929"  # one spelling of the same letters
    assert plain_text("   ", "hall", 20, required=False) == ""


@pytest.mark.parametrize("text", ["", " \n ", "x" * 21, "a\0b", "a\x1bb", "\ud800"])
def test_texts_that_cannot_be_kept_are_refused_at_their_field(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        plain_text(text, "hall", 20)
    assert refusal.value.extra == {"field": "hall"}
