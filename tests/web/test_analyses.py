"""The pages of analyses, from real results through a worker: what they say, and to whom."""

import datetime as dt
import random
import re
from collections.abc import Callable, Sequence

import asyncpg
import httpx
import pytest

from exam import statistics
from exam.db import Connection
from exam.hall import Hall
from exam.results import Grader
from exam.statistics import analyse
from exam.submissions import receipt_sealed, seal
from exam.worker import GradingWorker
from grading.items import Choice, Essay, Item, TextEntry
from grading.keys import ChoiceKey, Key, ManualKey, TextAnswer, TextKey
from tests.cast import MUMBAI, PUNE, Cast, Slot, both, options
from tests.web.test_staff_pages import send, staff, words

Devices = Callable[[], httpx.AsyncClient]

# Ten questions with "a" right in truth; the key of the fourth says "c".
ITEMS: list[tuple[Item, Key]] = [
    (
        Item(f"q{number}", "main", both(f"Question {number}?"), Choice(options("true <i>x</i>", "no", "never", "-"))),
        ChoiceKey({"c" if number == 4 else "a": "1"}),
    )
    for number in range(1, 10)
]
ITEMS.append((Item("word", "main", both("Capital?"), TextEntry(40)), TextKey([TextAnswer("Mumbai")])))


ANSWER = """
    INSERT INTO answer (district_id, exam_day, attempt_id, epoch, seq, item, response, flag, client_ms, arrived_at)
    SELECT district_id, exam_day, attempt_id, 1, $2::int, $2::int, $3, false, 0, now()
    FROM attempt WHERE attempt_id = $1"""
OVER = """
    UPDATE attempt SET state = 'started', epoch = 1, writer = '\\x00', started_at = now() - interval '2 hours',
      deadline = now() - interval '1 hour'"""


async def sat(cast: Cast, owner: Connection, hall: Hall, slot: Slot, names: Sequence[str], seed: int = 1) -> None:
    """Everybody answers, the better the later in `names`; the clock ends it, and all is graded."""
    dice = random.Random(seed)
    rows = []
    for place, name in enumerate(names):
        ability = place / len(names)
        for item in range(1, 10):
            right = dice.random() < ability
            rows.append((slot.attempts[name], item, '"a"' if right else f'"{dice.choice("abcd")}"'))
        rows.append((slot.attempts[name], 10, '"Mumbai"' if dice.random() < ability else '"Bombay"'))
    await owner.executemany(ANSWER, rows)
    await owner.execute(OVER)
    assert await seal(hall.db) == len(names)
    await receipt_sealed(hall.db, hall.signer)
    assert await Grader(hall.db).grade_all() == len(names)


async def an_exam(cast: Cast, owner: Connection, hall: Hall, candidates: int = 60, **more: object) -> Slot:
    await cast.staff()
    names = [f"c{number}" for number in range(candidates)]
    people = [await cast.candidate(name) for name in names]
    await owner.execute("UPDATE candidate SET language = CASE WHEN candidate_id % 3 = 0 THEN 'en' ELSE 'mr' END")
    slot = await cast.slot(*people, items=ITEMS, forms=2, **more)
    await sat(cast, owner, hall, slot, names)
    return slot


async def test_a_wrong_key_is_on_the_list_before_the_release(
    client: Devices, cast: Cast, owner: Connection, hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "BATCH", 7)
    slot = await an_exam(cast, owner, hall)
    anil, asha = await staff(client, "anil"), await staff(client, "asha")
    path = f"/staff/analyses/{slot.exam_id}"
    assert path in (await anil.get("/staff/analyses")).text
    assert path in (await asha.get(f"/staff/slots/{slot.slot_id}")).text
    before = words(await anil.get(path))
    assert "60 graded attempts" in before and "Make the figures" in before and "at a glance" not in before

    assert (await send(anil, path)).headers["location"] == f"{path}?done=asked"
    assert "New figures are being made" in words(await anil.get(path))
    assert await analyse(hall.db) == 1 and await analyse(hall.db) == 0

    page = await anil.get(path)
    said = words(page)
    assert "figures made" in said and "from 60" in said and "New figures are being made" not in said
    mean = await owner.fetchval("SELECT avg(total)::float8 FROM result")
    assert f"Mean {mean:.2f} of 20.00 marks" in said
    urgent = said.partition("To look at before the results are released")[2].partition("For the next time")[0]
    urgent = urgent.partition("All questions")[0]
    assert set(re.findall(r"\bq\d+\b|\bword\b", urgent)) == {"q4"}
    assert "“true x”, wrong by the key" in urgent and "Look at the key first" in urgent
    chosen = await owner.fetchval("SELECT count(*) FROM answer WHERE item = 4 AND response = '\"a\"'")
    fourth = said.partition("Question 4?")[2]
    assert f"true x wrong {chosen}" in fourth and "never right" in fourth
    assert "mumbai right" in said and "bombay wrong" in said
    assert "By form" in said and "By language" in said
    assert page.text.count('<svg class="curve"') > 40 and "style=" not in page.text


async def test_the_key_is_told_to_authors_alone(client: Devices, cast: Cast, owner: Connection, hall: Hall) -> None:
    slot = await an_exam(cast, owner, hall)
    anil, asha = await staff(client, "anil"), await staff(client, "asha")
    path = f"/staff/analyses/{slot.exam_id}"
    assert (await send(asha, path)).status_code == 303
    await analyse(hall.db)
    shown, hidden = await anil.get(path), await asha.get(path)
    assert "never right" in words(shown)
    said = words(hidden)
    # The list is the same, but no option and no typed answer is named in it.
    assert "an option that is wrong by the key" in said and "Question 4?" in said
    for telling in ("true x", "never", "bombay", "By the key", "right by the key"):
        assert telling not in said, telling
    async with hall.db.staff.transaction(scope=[MUMBAI]) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT options FROM analysis")


async def test_a_district_sees_its_own_results_only(client: Devices, cast: Cast, owner: Connection, hall: Hall) -> None:
    slot = await an_exam(cast, owner, hall, candidates=31)
    await owner.execute("UPDATE exam SET district_id = NULL")  # shared by all districts
    asha, prachi = await staff(client, "asha"), await staff(client, "prachi")
    path = f"/staff/analyses/{slot.exam_id}"
    await send(asha, path)
    await analyse(hall.db)
    assert "31 graded attempts" in words(await asha.get(path))
    page = words(await prachi.get(path))
    assert "0 graded attempts" in page and "at a glance" not in page
    assert path not in (await prachi.get("/staff/analyses")).text
    refused = await send(prachi, path)
    assert refused.status_code == 409 and "Nobody has a graded attempt" in words(refused)
    async with hall.db.staff.transaction(scope=[PUNE]) as connection:
        assert await connection.fetch("SELECT exam_id FROM analysis") == []
    await owner.execute("UPDATE exam SET district_id = $1", MUMBAI)
    assert (await prachi.get(path)).status_code == 404


async def test_asking_twice_makes_it_once_and_later_anew(
    client: Devices, cast: Cast, owner: Connection, hall: Hall
) -> None:
    slot = await an_exam(cast, owner, hall, candidates=31)
    asha = await staff(client, "asha")
    path = f"/staff/analyses/{slot.exam_id}"
    for _ in range(3):
        assert (await send(asha, path)).status_code == 303
    worker = GradingWorker(hall.settings)
    await worker.db.open("grading")
    await worker.analyse()
    await worker.db.close()
    assert "at a glance" in words(await asha.get(path))
    await send(asha, path)
    assert await analyse(hall.db) == 0
    await owner.execute("UPDATE analysis SET wanted_at = wanted_at - interval '1 minute'")
    made: dt.datetime = await owner.fetchval("SELECT made_at FROM analysis")
    await send(asha, path)
    # A worker died over it: the next one takes it when the lease has run out, but not for ever.
    lease = "UPDATE analysis SET leased_until = now() + $1 * interval '1 second', tries = $2"
    for left, tries, done in ((60, 1, 0), (-1, statistics.MOST_TRIES, 0), (-1, statistics.MOST_TRIES - 1, 1)):
        await owner.execute(lease, left, tries)
        assert await analyse(hall.db) == done
    assert await owner.fetchval("SELECT made_at FROM analysis") > made


async def test_who_waits_for_a_marker_is_left_out_and_a_defect_is_said(
    client: Devices, cast: Cast, owner: Connection, hall: Hall
) -> None:
    await cast.staff()
    names = ["c0", "c1", "c2"]
    people = [await cast.candidate(name) for name in names]
    essays: list[tuple[Item, Key]] = [(Item("e1", "main", both("Write"), Essay(900)), ManualKey())]
    slot = await cast.slot(*people, items=[*ITEMS, *essays])
    await owner.execute(ANSWER, slot.attempts["c0"], 1, '"Much"')
    paper = await owner.fetchval("SELECT convert_from(paper, 'UTF8') FROM form")
    assert re.search(r'"no":1,[^}]*Write', paper)  # e1 is the first by its code
    await owner.execute(OVER)
    await seal(hall.db)
    await receipt_sealed(hall.db, hall.signer)
    await Grader(hall.db).grade_all()
    asha = await staff(client, "asha")
    path = f"/staff/analyses/{slot.exam_id}"
    await send(asha, path)
    assert await analyse(hall.db) == 1
    said = words(await asha.get(path))
    assert "from 2; 1 wait for somebody to mark an essay" in said
    assert "With fewer than 30 attempts nothing is said" in said

    await owner.execute("UPDATE analysis SET wanted_at = now() + interval '1 second'")
    await owner.execute("UPDATE result SET detail = jsonb_set(detail, '{items}', '[]')")
    assert await analyse(hall.db) == 0
    failed = words(await asha.get(path))
    assert "The figures could not be made (ValueError)" in failed and "at a glance" in failed
