"""From submission to result: sealing by the clock, receipts in bulk, grading with leases."""

import asyncio
import datetime as dt

import pytest
from redis.asyncio import Redis

from exam import submissions
from exam.results import MOST_TRIES, Grader, Mismatch, claim_submissions, score_of, store_results
from exam.worker import GradingWorker
from tests.cast import RIGHT, begin, log_in, row, save


async def sat(client, cast, *names, responses=RIGHT, submit=True):
    """Candidates who answered everything, and submitted."""
    people = [await cast.candidate(name) for name in names]
    slot = await cast.slot(*people)
    devices = []
    for person in people:
        device = client()
        await begin(device, person)
        rows = [row(seq, item, response) for seq, (item, response) in enumerate(responses.items(), start=1)]
        assert (await save(device, *rows)).status_code == 200
        if submit:
            done = await device.post("/api/submit", json={"epoch": 1, "last_seq": len(rows)})
            assert done.status_code == 200, done.text
        devices.append(device)
    return slot, devices


async def test_submission_is_graded_and_seen_only_after_the_release(client, cast, owner, hall):
    _, (device,) = await sat(client, cast, "meera")
    assert await Grader(hall.db).grade_all() == 1
    result = await owner.fetchrow("SELECT * FROM result")
    assert (result["total"], result["maximum"], result["key_version"]) == (10, 10, 1)
    sitting = (await device.get("/api/sitting")).json()
    assert sitting["state"] == "graded" and sitting["result"] is None
    await owner.execute("UPDATE attempt SET state = 'released'")
    shown = (await device.get("/api/sitting")).json()["result"]
    assert (shown["total"], shown["maximum"]) == ("10.00", "10")
    title = {"en": "Main part", "mr": "Main part (मराठी)"}
    assert shown["sections"] == [{"section": "main", "title": title, "total": "10", "maximum": "10"}]


async def test_what_counts_is_the_last_answer_of_the_last_epoch(client, cast, owner, hall):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    phone, desk = client(), client()
    await begin(phone, meera)
    await save(phone, row(1, 1, "a"), row(2, 3, "Mumbai"), row(3, 1, "b"))
    await log_in(desk, meera)
    await desk.post("/api/takeover", json={})
    await save(desk, row(1, 3, "Pune"), epoch=2)
    await desk.post("/api/submit", json={"epoch": 2, "last_seq": 1})
    await Grader(hall.db).grade_all()
    assert await owner.fetchval("SELECT total FROM result") == 2  # item 1 is right, item 3 no longer


async def test_clock_seals_in_bulk_and_receipts_follow(client, cast, owner, hall):
    _, devices = await sat(client, cast, *(f"c{n}" for n in range(8)), submit=False)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '49 seconds'")
    assert await submissions.seal(hall.db) == 0  # grace and the greatest age are not over yet
    await owner.execute("UPDATE attempt SET deadline = now() - interval '51 seconds'")
    assert await submissions.seal(hall.db) == 8
    first = (await devices[0].get("/api/sitting")).json()
    assert first["state"] == "sealed" and first["receipt"] is None
    assert await submissions.receipt_sealed(hall.db, hall.signer) == 8
    receipt = (await devices[0].get("/api/sitting")).json()["receipt"]
    assert receipt["ended_by"] == "clock" and receipt["answered"] == 5
    again = (await devices[0].post("/api/submit", json={"epoch": 1, "last_seq": 5})).json()
    assert again["state"] == "sealed" and again["receipt"] == receipt
    assert await Grader(hall.db).grade_all() == 8
    assert await owner.fetchval("SELECT count(*) FROM result WHERE total = 10") == 8


async def test_whoever_never_started_is_not_sealed(client, cast, owner, hall):
    await cast.slot(await cast.candidate("absent"), opens_in=-7200, closes_in=-3600)
    assert await submissions.seal(hall.db) == 0
    assert await owner.fetchval("SELECT state FROM attempt") == "prepared"


async def test_seal_and_submit_at_once_leave_one_submission(client, cast, owner, hall):
    names = [f"c{n}" for n in range(12)]
    _, devices = await sat(client, cast, *names, submit=False)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '60 seconds'")
    body = {"epoch": 1, "last_seq": 5}
    await asyncio.gather(
        submissions.seal(hall.db),
        *(device.post("/api/submit", json=body) for device in devices),
        submissions.seal(hall.db),
    )
    await submissions.seal(hall.db)
    await submissions.receipt_sealed(hall.db, hall.signer)
    assert await owner.fetchval("SELECT count(*) FROM submission WHERE digest IS NOT NULL") == 12
    assert await Grader(hall.db).grade_all() == 12


async def test_graders_at_once_give_one_result_each(client, cast, owner, hall):
    await sat(client, cast, *(f"c{n}" for n in range(20)))
    graded = await asyncio.gather(*(Grader(hall.db).grade_all() for _ in range(4)))
    assert sum(graded) == 20 and await owner.fetchval("SELECT count(*) FROM result") == 20


async def test_grader_given_up_for_dead_changes_nothing(client, cast, owner, hall):
    """The first lease runs out, a second grader finishes; what the first one stores then finds no lease of its own."""
    await sat(client, cast, "meera")
    import uuid

    lost = uuid.uuid4()
    async with hall.db.grading.connection() as connection:
        claimed = await claim_submissions.many(connection, lease=lost, seconds=0, most=10, most_tries=MOST_TRIES)
        assert len(claimed) == 1
        await asyncio.sleep(0.05)
        assert await Grader(hall.db).grade_all() == 1
        stored = await store_results.run(
            connection,
            day=claimed[0]["exam_day"],
            lease=lost,
            key_version=1,
            districts=[claimed[0]["district_id"]],
            attempts=[claimed[0]["attempt_id"]],
            totals=[0],
            maxima=[10],
            details=[{}],
        )
    assert stored == 0 and await owner.fetchval("SELECT total FROM result") == 10


async def test_bad_attempt_fails_alone_and_waits_for_a_person(client, cast, owner, hall):
    await sat(client, cast, "bad", "good", "fine")
    bad = await owner.fetchval("SELECT attempt_id FROM attempt JOIN candidate USING (district_id, candidate_id) "
                               "WHERE name = 'Bad'")  # fmt: skip
    await owner.execute("UPDATE answer SET response = '\"a\"' WHERE attempt_id = $1 AND item = 1", bad)  # tampered with
    grader = Grader(hall.db)
    assert await grader.grade_all() == 2
    for _ in range(MOST_TRIES + 2):
        await owner.execute("UPDATE submission SET leased_until = NULL")
        await grader.grade_all()
    left = await owner.fetchrow("SELECT attempt_id, tries, failure, graded_at FROM submission WHERE graded_at IS NULL")
    assert left["attempt_id"] == bad and left["tries"] == MOST_TRIES
    assert left["failure"] == "the answers differ from the receipt"
    worker = GradingWorker(hall.settings)
    await worker.db.open("grading")
    try:
        await worker.look()
        text = {metric.name: metric.samples[0].value for metric in worker.metrics.collect()}
        assert text["exam_grading_needs_attention"] == 1 and text["exam_grading_waiting"] == 0
    finally:
        await worker.db.close()
        await worker.state.close()


async def test_what_was_tried_before_comes_in_smaller_rounds(client, cast, owner, hall):
    await sat(client, cast, *(f"c{n}" for n in range(10)))
    await owner.execute("UPDATE submission SET tries = 2")
    assert (await Grader(hall.db).grade_round())[0] == 8
    await owner.execute("UPDATE submission SET tries = 3, leased_until = NULL WHERE graded_at IS NULL")
    assert (await Grader(hall.db).grade_round())[0] == 1


def test_score_of_refuses_answers_that_are_not_those_of_the_receipt():
    with pytest.raises(Mismatch):
        score_of({"form_hash": b"f", "salt": b"s", "digest": b"other"}, [], None)


async def test_worker_grades_on_a_knock_and_without_one(client, cast, owner, hall, monkeypatch):
    monkeypatch.setattr("exam.worker.GRADE_EVERY", 60)
    worker, stop = GradingWorker(hall.settings), asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        await asyncio.sleep(0.5)
        await sat(client, cast, "meera")
        assert await within(10, owner, "SELECT count(*) = 1 FROM result")
    finally:
        stop.set()
        await running
    monkeypatch.setattr("exam.worker.GRADE_EVERY", 0.5)
    slot, _ = await sat(client, cast, "ravi")
    redis = Redis.from_url(hall.settings.redis_state_url)
    await redis.flushall()  # the knock is lost
    await redis.aclose()
    worker, stop = GradingWorker(hall.settings), asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        assert await within(10, owner, "SELECT count(*) = 2 FROM result")
    finally:
        stop.set()
        await running
    assert slot.attempts


async def test_job_in_pickle_is_refused_and_not_run(hall, tmp_path, monkeypatch):
    import pickle
    import time

    from exam.jobs import QUEUE

    target = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(target), "w"))

    redis = Redis.from_url(hall.settings.redis_state_url)
    await redis.set("arq:job:evil", pickle.dumps({"t": 1, "f": "grade", "a": (Evil(),), "k": {}, "et": 0}))
    await redis.zadd(QUEUE, {"evil": time.time() * 1000})
    worker, stop = GradingWorker(hall.settings), asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    try:
        async with asyncio.timeout(10):
            while await redis.zcard(QUEUE):
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await running
        await redis.aclose()
    assert not target.exists()


async def within(seconds, owner, question):
    deadline = dt.datetime.now() + dt.timedelta(seconds=seconds)
    while dt.datetime.now() < deadline:
        if await owner.fetchval(question):
            return True
        await asyncio.sleep(0.05)
    return False
