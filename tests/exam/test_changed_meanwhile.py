"""Rows that somebody changes while a statement waits for them: what is found afterwards is what is there.

PostgreSQL looks at a changed row once more, and version 18 then spoils the choice of partitions for the rest of that
statement if its plan is a generic one. So who waits for a lock must not look for anything else in the same statement.
"""

import asyncio
import contextlib
import datetime as dt
import time
import uuid
from decimal import Decimal

import pytest

from exam import db
from exam.answers import Line, Save, Saved, _arrays, save_answers
from exam.attempts import Start, _not_started
from exam.db import Again
from exam.errors import Conflict, TooEarly, TooLate
from exam.results import Grader, close_graded, store_results
from tests.cast import begin, row, save


@contextlib.asynccontextmanager
async def changing(owner, table):
    """Somebody changes every row of a table, and commits when the statement in the block has begun to wait."""
    change = owner.transaction()
    await change.start()
    await owner.execute(f"UPDATE {table} SET exam_day = exam_day")
    waiting: list[asyncio.Task[object]] = []
    yield lambda work: waiting.append(asyncio.create_task(work)) or waiting[0]
    await asyncio.sleep(0.06)  # less than a save waits for a lock
    await change.commit()
    await asyncio.wait(waiting)


async def saved_rows(client, cast, count=3):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera)
    device = client()
    await begin(device, meera)
    for seq in range(1, count + 1):
        assert (await save(device, row(seq, 1, "a"))).status_code == 200
    return slot, device


@pytest.mark.parametrize("ended", [False, True])
async def test_second_look_finds_what_is_held(client, cast, owner, hall, ended):
    slot, device = await saved_rows(client, cast)
    if ended:
        await device.post("/api/submit", json={"epoch": 1, "last_seq": 3})
    attempt_id = slot.attempts["meera"]

    async def look(seq, response):
        line = Line(seq, 1, response, False, 0)
        again = Save(slot.district_id, slot.exam_day, attempt_id, 1, [line], time.time(), time.time())
        async with hall.db.saves.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '10s'")  # a busy machine takes its time to let go
            return (await hall.answers._look_again(connection, [again]))[attempt_id]

    for seq in (1, 3):
        async with changing(owner, "attempt") as meanwhile:
            found = meanwhile(look(seq, '"a"'))
        assert isinstance(found.result(), Saved) and (found.result().watermark, found.result().kept) == (3, [])
    async with changing(owner, "attempt") as meanwhile:
        found = meanwhile(look(2, '"b"'))
    assert isinstance(found.result(), Conflict) and found.result().extra == {"watermark": 3}
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_of_two_copies_the_late_one_waits_for_the_one_in_time(client, cast, owner, hall):
    slot, _ = await saved_rows(client, cast)
    attempt_id = slot.attempts["meera"]
    await owner.execute("UPDATE attempt SET deadline = now() - interval '30 seconds', grace_s = 20")
    now = time.time()
    in_time, late = (
        Save(slot.district_id, slot.exam_day, attempt_id, 1, [Line(4, 1, '"b"', False, 0)], stamp, stamp)
        for stamp in (now - 20, now)
    )

    async def look():
        async with hall.db.saves.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '10s'")
            return (await hall.answers._look_again(connection, [late]))[attempt_id]

    async with hall.db.saves.connection() as connection:
        async with connection.transaction():
            taken = await save_answers.many(connection, **_arrays([in_time]))
            assert [row["seq"] for row in taken] == [0, 4]
            looking = asyncio.create_task(look())
            await asyncio.sleep(0.3)
            assert not looking.done()
        found = await looking
    assert isinstance(found, Saved) and (found.watermark, found.kept) == (4, [])
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0


async def test_results_are_stored_and_attempts_closed_beside_one_that_was_leased_anew(
    client, cast, owner, hall, settings
):
    people = [await cast.candidate(name) for name in ("meera", "nutan", "om")]
    slot = await cast.slot(*people)
    for person in people:
        device = client()
        await begin(device, person)
        await device.post("/api/submit", json={"epoch": 1, "last_seq": 0})
    ours, theirs = uuid.uuid4(), uuid.uuid4()
    await owner.execute("UPDATE submission SET lease = $1", ours)
    attempts = [slot.attempts[person.name] for person in people]
    grader = await db.connect(settings.url_of("grading"), role="exam_grading", plan_cache_mode="force_generic_plan")
    which = {"day": slot.exam_day, "districts": [slot.district_id] * 3, "attempts": attempts}

    async def store():
        marks = {"totals": [Decimal(1)] * 3, "maxima": [Decimal(2)] * 3, "details": [{}] * 3}
        async with grader.transaction():
            stored = await store_results.run(grader, **which, **marks, lease=ours, key_version=1)
            await close_graded.run(grader, **which)
        return stored

    async with changing(owner, "submission") as meanwhile:
        await owner.execute("UPDATE submission SET lease = $1 WHERE attempt_id = $2", theirs, attempts[0])
        stored = meanwhile(store())
    await grader.close()
    results = {found["attempt_id"] for found in await owner.fetch("SELECT attempt_id FROM result")}
    graded = {
        found["attempt_id"] for found in await owner.fetch("SELECT attempt_id FROM attempt WHERE state = 'graded'")
    }
    assert stored.result() == len(results), "what it says"
    assert attempts[0] not in results, "another grader has it now"
    assert graded == results, "whoever has a result is graded"
    # What was not stored keeps its lease and comes again.
    await owner.execute("UPDATE submission SET leased_until = now() - interval '1 second'")
    await Grader(hall.db).grade_all()
    assert await owner.fetchval("SELECT count(*) FROM attempt WHERE state = 'graded'") == 3


def test_start_of_a_prepared_attempt_that_changed_meanwhile_is_tried_again():
    """Neither too early nor too late: then somebody changed the row, or two clocks differ by a moment."""
    now = dt.datetime.now(dt.UTC)
    start = Start(1, now.date(), 1, b"w", time.time(), False)
    by_code = Start(1, now.date(), 1, b"w", time.time() - 20, True)
    proved = Start(1, now.date(), 1, b"w", time.time() - 20, True, True)

    def prepared(opens_in, closes_in):
        return {
            "state": "prepared",
            "opens_at": now + dt.timedelta(seconds=opens_in),
            "closes_at": now + dt.timedelta(seconds=closes_in),
        }

    assert isinstance(_not_started(prepared(-60, 60), start), Again)
    assert isinstance(_not_started(prepared(60, 90), start), TooEarly)
    assert isinstance(_not_started(prepared(-90, -60), start), TooLate)
    assert isinstance(_not_started(prepared(60, 90), by_code), TooEarly)
    assert isinstance(_not_started(prepared(-90, -60), by_code), TooLate)
    assert isinstance(_not_started(prepared(60, 90), proved), TooEarly)
    assert isinstance(_not_started(prepared(-90, -60), proved), Again)


async def test_late_row_stays_kept_when_time_is_given_afterwards(client, cast, owner):
    """A save repeated is the same save: it does not begin to count because of what happened in between."""
    _, device = await saved_rows(client, cast, 2)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '1 minute'")
    late = (await save(device, row(3, 1, "b"), row(4, 1, "c"))).json()
    assert late["kept"] == [{"seq": 3, "reason": "late"}, {"seq": 4, "reason": "late"}] and late["watermark"] == 4
    await owner.execute("UPDATE attempt SET deadline = now() + interval '1 hour', grant_s = 3660")
    for rows in ([row(3, 1, "b")], [row(4, 1, "c")], [row(3, 1, "b"), row(4, 1, "c")]):
        again = (await save(device, *rows)).json()
        assert again["kept"] == [{"seq": one["seq"], "reason": "late"} for one in rows] and again["watermark"] == 4
    after = (await save(device, row(4, 1, "c"), row(5, 1, "a"))).json()
    assert after["kept"] == [{"seq": 4, "reason": "late"}] and after["watermark"] == 5, "the one after them counts"
    assert (await save(device, row(6, 1, None))).json()["watermark"] == 6
    assert [found["seq"] for found in await owner.fetch("SELECT seq FROM answer ORDER BY seq")] == [1, 2, 5, 6]
