"""Exams: made by a blueprint over a bank, frozen into forms once and for all."""

import asyncio
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from exam import exams
from exam.audit import list_acts
from exam.errors import Malformed, NotAllowed, NothingHere, NotPossible
from exam.exams import ExamDraft, create_exam, exam_of, freeze_exam, list_banks, list_exams
from exam.hall import Hall
from exam.papers import warm
from tests.cast import ITEMS, MUMBAI, PUNE, Cast
from tests.exam.desk import Desk, staffed


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


@pytest.fixture
async def bank_id(cast: Cast) -> int:
    return await cast.bank()


def draft(bank_id: int, /, **changed: Any) -> ExamDraft:
    given: dict[str, Any] = {
        "title_en": "Science",
        "title_mr": "विज्ञान",
        "bank_id": bank_id,
        "minutes": 90,
        "sections": {"main": (4, "1/3")},
    }
    return ExamDraft(**(given | changed))


async def test_banks_say_what_they_hold(desk: Desk, bank_id: int) -> None:
    (bank,) = await desk.act("asha", list_banks)
    assert (bank["bank_id"], bank["name"], bank["district_id"]) == (bank_id, "Bank", None)
    assert bank["counts"] == {"main": len(ITEMS)}
    assert bank["sections"]["main"]["en"] == "Main part"
    assert await desk.act("anil", list_banks)


async def test_a_bank_of_one_district_is_nothing_to_another(
    desk: Desk, bank_id: int, owner: asyncpg.Connection
) -> None:
    await owner.execute("UPDATE bank SET district_id = $1", PUNE)
    assert await desk.act("asha", list_banks) == []
    assert [bank["bank_id"] for bank in await desk.act("prachi", list_banks)] == [bank_id]
    assert await desk.sees((MUMBAI,), "SELECT bank_id FROM bank") == []
    with pytest.raises(Malformed) as refusal:
        await desk.act("asha", create_exam, draft(bank_id))
    assert refusal.value.extra == {"field": "bank_id"}


async def test_an_exam_is_kept_as_it_was_typed(desk: Desk, bank_id: int) -> None:
    exam_id = await desk.act("asha", create_exam, draft(bank_id, grace_s=30, device_changes=0, negative="0.25"))
    exam = await desk.act("asha", exam_of, exam_id)
    assert exam["title"] == {"en": "Science", "mr": "विज्ञान"}
    assert (exam["duration_s"], exam["grace_s"], exam["device_changes"]) == (5400, 30, 0)
    section = {"section": "main", "count": 4, "marks": "1/3", "minutes": None}
    assert exam["blueprint"] == {"sections": [section], "shuffle": True, "navigation": "free"}
    assert exam["scheme"]["negative"] == "0.25"
    assert (exam["frozen_at"], exam["forms"], exam["slots"]) == (None, 0, 0)
    (act,) = await desk.act("asha", list_acts)
    assert (act["act"], act["detail"]["exam_id"]) == ("exam.created", exam_id)


async def test_tools_are_off_unless_the_exam_has_them(desk: Desk, bank_id: int) -> None:
    none = await desk.act("asha", create_exam, draft(bank_id))
    both = await desk.act("asha", create_exam, draft(bank_id, tools=("notes", "calculator", "notes")))
    assert (await desk.act("asha", exam_of, none))["tools"] == []
    assert (await desk.act("asha", exam_of, both))["tools"] == ["calculator", "notes"]


@pytest.mark.parametrize(
    ("sections", "minutes", "field", "words"),
    [
        ({"one": (1, "1"), "two": (1, "1")}, {"one": 40}, "time:two", "Give this section minutes, too"),
        ({"one": (1, "1"), "two": (0, "1")}, {"one": 80, "two": 10}, "time:two", "No question is taken"),
        ({"one": (1, "1"), "two": (1, "1")}, {"one": 40, "two": 40}, "sections", "make 80, and the exam lasts 90"),
        ({"one": (1, "1"), "two": (1, "1")}, {"one": 0, "two": 90}, "time:one", "from 1 to the 90"),
    ],
)
async def test_times_of_sections_that_make_no_sense_are_refused(
    desk: Desk, cast: Cast, sections: Any, minutes: dict[str, int], field: str, words: str
) -> None:
    halves = [(structs.replace(item, section="one" if item.code < "q3" else "two"), key) for item, key in ITEMS]
    bank_id = await cast.bank(halves)
    with pytest.raises(Malformed) as refusal:
        await desk.act("asha", create_exam, draft(bank_id, sections=sections, section_minutes=minutes))
    assert refusal.value.extra == {"field": field} and words in refusal.value.message


async def test_one_language_is_enough_for_a_title(desk: Desk, bank_id: int) -> None:
    exam_id = await desk.act("asha", create_exam, draft(bank_id, title_en=" "))
    assert (await desk.act("asha", exam_of, exam_id))["title"] == {"mr": "विज्ञान"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"title_en": "", "title_mr": " "}, "title_en"),
        ({"title_en": "x" * 201}, "title_en"),
        ({"title_mr": "a\0"}, "title_mr"),
        ({"bank_id": 10**6}, "bank_id"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 601}, "minutes"),
        ({"grace_s": -1}, "grace_s"),
        ({"grace_s": 301}, "grace_s"),
        ({"device_changes": 101}, "device_changes"),
        ({"tools": ("calculator", "abacus")}, "tools"),
        ({"negative": "-1"}, "negative"),
        ({"negative": "4/3"}, "negative"),
        ({"negative": "a third"}, "negative"),
        ({"sections": {}}, "sections"),
        ({"sections": {"main": (0, "1")}}, "sections"),
        ({"sections": {"main": (6, "1")}}, "count:main"),
        ({"sections": {"main": (-1, "1")}}, "count:main"),
        ({"sections": {"other": (1, "1")}}, "count:other"),
        ({"sections": {"main": (1, "0")}}, "marks:main"),
        ({"sections": {"main": (1, "1/0")}}, "marks:main"),
        ({"sections": {"main": (1, "")}}, "marks:main"),
    ],
)
async def test_what_makes_no_sense_is_refused_at_its_field(
    desk: Desk, bank_id: int, changed: dict[str, Any], field: str
) -> None:
    with pytest.raises(Malformed) as refusal:
        await desk.act("asha", create_exam, draft(bank_id, **changed))
    assert refusal.value.extra == {"field": field}
    assert await desk.act("asha", list_exams) == []


async def test_freezing_draws_forms_with_their_keys(desk: Desk, bank_id: int, owner: asyncpg.Connection) -> None:
    exam_id = await desk.act("asha", create_exam, draft(bank_id))
    hashes = await desk.act("asha", freeze_exam, exam_id, 3)
    assert len(set(hashes)) == 3
    exam = await desk.act("asha", exam_of, exam_id)
    assert exam["frozen_at"] is not None and exam["forms"] == 3
    assert await owner.fetchval("SELECT count(*) FROM form_key WHERE form_hash = ANY ($1)", hashes) == 3 * 4
    assert [act["act"] for act in await desk.act("asha", list_acts)] == ["exam.frozen", "exam.created"]
    async with desk.hall.db.web.connection() as connection:  # the role that delivers can read what was frozen
        await warm(connection, desk.hall.cache, hashes)
    assert await desk.hall.cache.get_many([b"p:" + form_hash for form_hash in hashes]) != [None] * 3


async def test_an_exam_is_frozen_once(desk: Desk, bank_id: int, owner: asyncpg.Connection) -> None:
    exam_id = await desk.act("asha", create_exam, draft(bank_id))
    tries = await asyncio.gather(*(desk.act("asha", freeze_exam, exam_id, 2) for _ in range(3)), return_exceptions=True)
    assert sorted(type(done).__name__ for done in tries) == ["NotPossible", "NotPossible", "list"]
    assert await owner.fetchval("SELECT count(*) FROM form") == 2


@pytest.mark.parametrize("forms", [0, -1, exams.MOST_FORMS + 1])
async def test_a_number_of_forms_beyond_reason_is_refused(desk: Desk, bank_id: int, forms: int) -> None:
    exam_id = await desk.act("asha", create_exam, draft(bank_id))
    with pytest.raises(Malformed) as refusal:
        await desk.act("asha", freeze_exam, exam_id, forms)
    assert refusal.value.extra == {"field": "forms"}


async def test_an_item_without_a_key_stops_the_freeze_and_nothing_is_frozen(
    desk: Desk, bank_id: int, owner: asyncpg.Connection
) -> None:
    await owner.execute("DELETE FROM item_key WHERE item_id = (SELECT min(item_id) FROM item)")
    exam_id = await desk.act("asha", create_exam, draft(bank_id, sections={"main": (5, "1")}))
    with pytest.raises(NotPossible, match="has no key"):
        await desk.act("asha", freeze_exam, exam_id, 2)
    assert (await desk.act("asha", exam_of, exam_id))["frozen_at"] is None
    assert await owner.fetchval("SELECT count(*) FROM form") == 0


async def test_another_districts_exam_is_nothing(desk: Desk, bank_id: int) -> None:
    exam_id = await desk.act("prachi", create_exam, draft(bank_id))
    for operation, given in ((exam_of, ()), (freeze_exam, (1,))):
        with pytest.raises(NothingHere):
            await desk.act("asha", operation, exam_id, *given)
    assert await desk.act("asha", list_exams) == []
    assert [exam["exam_id"] for exam in await desk.act("padma", list_exams)] == [exam_id]
    assert await desk.sees((MUMBAI,), "SELECT exam_id FROM exam") == []
    assert await desk.touches((MUMBAI,), "UPDATE exam SET frozen_at = now()") == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.touches(
            (MUMBAI,),
            "INSERT INTO exam (district_id, title, bank_id, duration_s, blueprint) VALUES ($1, '{}', $2, 60, '{}')",
            PUNE,
            bank_id,
        )


async def test_a_shared_exam_is_used_and_not_changed(desk: Desk, bank_id: int, owner: asyncpg.Connection) -> None:
    exam_id = await desk.act("asha", create_exam, draft(bank_id))
    await owner.execute("UPDATE exam SET district_id = NULL")
    assert (await desk.act("prachi", exam_of, exam_id))["title"]["en"] == "Science"
    with pytest.raises(NotAllowed, match="shared"):
        await desk.act("asha", freeze_exam, exam_id, 1)


@pytest.mark.parametrize("name", ["iqbal", "anil", "mohan", "padma"])
async def test_only_a_district_admin_makes_and_freezes(desk: Desk, bank_id: int, name: str) -> None:
    with pytest.raises(NotAllowed):
        await desk.act(name, create_exam, draft(bank_id))
    exam_id = await desk.act("asha", create_exam, draft(bank_id))
    with pytest.raises(NotAllowed):
        await desk.act(name, freeze_exam, exam_id, 1)


async def test_items_and_forms_have_the_second_wall_too(settings, cast, owner, hall):
    """Bare statements under another district's scope: nothing of a foreign bank, no form for a foreign exam."""
    exam_id, (form,) = await cast.exam(MUMBAI)
    await owner.execute("UPDATE bank SET district_id = 1")
    counting = (
        "SELECT (SELECT count(*) FROM item) + (SELECT count(*) FROM item_version) + (SELECT count(*) FROM form_item)"
    )
    async with hall.db.staff.transaction(scope=(MUMBAI,)) as connection:
        assert await connection.fetchval(counting) > 0
    async with hall.db.staff.transaction(scope=(PUNE,)) as connection:
        assert await connection.fetchval(counting) == 0
        assert await connection.fetchval("SELECT count(form_hash) FROM form") == 0
    for statement, values in (
        (
            "INSERT INTO form (form_hash, exam_id, form_no, paper, items) VALUES (sha256('x'), $1, 9, 'x', 1)",
            (exam_id,),
        ),
        ("INSERT INTO form_item SELECT $1, 99, 1, 1", (form,)),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with hall.db.staff.transaction(scope=(PUNE,)) as connection:
                await connection.execute(statement, *values)
