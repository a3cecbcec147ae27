"""Essays: graded but not judged until people have marked them, and never released before."""

from collections.abc import Callable

import asyncpg
import httpx
import pytest

from exam.errors import NotPossible
from exam.hall import Hall
from exam.results import Grader, list_results
from exam.slots import release, slot_of
from grading.items import Essay, Item
from grading.keys import Key, ManualKey
from tests.cast import ITEMS, RIGHT, Candidate, Cast, begin, both, log_in, row, save
from tests.exam.desk import Desk, staffed

ESSAY = Item("q6", "main", both("What would you do?"), Essay(max_length=200))
WITH_ESSAY: list[tuple[Item, Key]] = [*ITEMS, (ESSAY, ManualKey(guide=both("Whoever names a reason")))]

Devices = Callable[[], httpx.AsyncClient]


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


async def sit(device: httpx.AsyncClient, person: Candidate, responses: dict[int, object]) -> None:
    """Begins, answers, submits."""
    await begin(device, person)
    rows = [row(seq, item, response) for seq, (item, response) in enumerate(responses.items(), start=1)]
    saved = await save(device, *rows)
    assert saved.status_code == 200, saved.text
    done = await device.post("/api/submit", json={"epoch": 1, "last_seq": len(rows)})
    assert done.status_code == 200, done.text


async def test_a_slot_waits_until_every_essay_is_marked(
    desk: Desk, cast: Cast, client: Devices, owner: asyncpg.Connection
) -> None:
    writer, silent = await cast.candidate("writer"), await cast.candidate("silent")
    slot = await cast.slot(writer, silent, items=WITH_ESSAY)
    await sit(client(), writer, {**RIGHT, 6: "मी प्रथम विचारेन."})
    await sit(client(), silent, {**RIGHT, 6: " \n"})
    assert await Grader(desk.hall.db).grade_all() == 2
    results = await owner.fetch("SELECT total, maximum, detail -> 'unmarked' AS waits FROM result ORDER BY attempt_id")
    assert [(each["total"], each["maximum"], each["waits"]) for each in results] == [(10, 12, [6]), (10, 12, None)]

    with pytest.raises(NotPossible, match=r"essay that nobody has marked: 1\. Nothing was released\."):
        await desk.act("asha", release, slot.slot_id)
    assert (await desk.act("asha", slot_of, slot.slot_id))["states"] == {"graded": 2}
    key = {"district_id": slot.district_id, "day": slot.exam_day, "slot_id": slot.slot_id}
    listed = await list_results.many(owner, **key, after="", most=9)
    assert [(each["registration"], each["total"], each["unmarked"]) for each in listed] == [
        ("REG-1-SILENT", 10, False),
        ("REG-1-WRITER", None, True),
    ]
    assert (await log_in(client(), writer))["result"] is None

    # What a newer key version says counts, not what an older one waited for.
    await owner.execute(
        "INSERT INTO result (district_id, exam_day, attempt_id, key_version, total, maximum, detail) "
        "SELECT district_id, exam_day, attempt_id, 2, 11, maximum, detail - 'unmarked' FROM result"
    )
    assert await desk.act("asha", release, slot.slot_id) == 2
    assert (await log_in(client(), writer))["result"]["total"] == "11"  # type: ignore[index]


async def test_what_waits_is_passed_by_even_if_it_came_after_the_count(
    desk: Desk, cast: Cast, client: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, silent = await cast.candidate("writer"), await cast.candidate("silent")
    slot = await cast.slot(writer, silent, items=WITH_ESSAY)
    await sit(client(), writer, {6: "A text."})
    await sit(client(), silent, {1: "b"})
    assert await Grader(desk.hall.db).grade_all() == 2

    class Earlier:
        """The count as it was before the essay came."""

        async def one(self, *_: object, **__: object) -> dict[str, int]:
            return {"started": 0, "ungraded": 0, "failed": 0, "unmarked": 0}

    monkeypatch.setattr("exam.slots.count_unfinished", Earlier())
    assert await desk.act("asha", release, slot.slot_id) == 1
    assert (await desk.act("asha", slot_of, slot.slot_id))["states"] == {"released": 1, "graded": 1}
    assert (await log_in(client(), writer))["result"] is None
