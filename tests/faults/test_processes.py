"""Real processes, killed in the middle of the work: nothing that was acknowledged is lost, one result per attempt."""

import asyncio
import contextlib
import os
import signal
import time
from hashlib import sha256

from redis.asyncio import Redis

from tests.faults.stack import Sitter, lost, scene, stack


@contextlib.asynccontextmanager
async def sitting(hall, candidates=20):
    """Candidates who answer all the time while the block runs, and submit after it."""
    people, slot = await scene(hall, candidates)
    sitters = [Sitter(hall, person, seed) for seed, person in enumerate(people)]
    await asyncio.gather(*(sitter.begin() for sitter in sitters))
    stop = asyncio.Event()
    tasks = [asyncio.create_task(sitter.sit(stop)) for sitter in sitters]
    try:
        yield sitters, slot
        await asyncio.sleep(0.5)
    finally:
        stop.set()
    await asyncio.gather(*tasks)
    assert await lost(hall, slot, sitters) == []
    await asyncio.gather(*(sitter.submit() for sitter in sitters))
    for sitter in sitters:
        await sitter.http.aclose()


async def results(hall, wanted, seconds=30):
    """Waits until so many attempts are graded; then one result for each, and none twice."""
    owner = await hall.owner()
    try:
        deadline = time.monotonic() + seconds
        while await owner.fetchval("SELECT count(*) FROM submission WHERE graded_at IS NOT NULL") < wanted:
            assert time.monotonic() < deadline, "grading did not come to an end"
            await asyncio.sleep(0.1)
        assert await owner.fetchval("SELECT count(*) FROM result") == wanted
        assert await owner.fetchval("SELECT count(*) FROM submission") == wanted
    finally:
        await owner.close()


async def progress(sitters, before, seconds=10):
    """Waits until something more is acknowledged than before."""
    async with asyncio.timeout(seconds):
        while acknowledged(sitters) <= before:
            await asyncio.sleep(0.05)


def acknowledged(sitters):
    return sum(len(sitter.acknowledged) for sitter in sitters)


async def test_web_worker_killed_in_mid_save(tmp_path):
    async with stack(tmp_path) as hall:
        async with sitting(hall) as (sitters, _):
            for web in (*hall.webs, *hall.webs):
                await asyncio.sleep(0.4)
                before = acknowledged(sitters)
                web.kill()
                await progress(sitters, before)  # the other worker goes on
                await asyncio.to_thread(web.start)
        assert acknowledged(sitters) > 100
        await results(hall, len(sitters))


async def test_web_worker_asked_to_stop_answers_what_it_took(tmp_path):
    """SIGTERM under load: nothing in flight is cut without an answer, and the other worker serves meanwhile."""
    async with stack(tmp_path) as hall:
        async with sitting(hall) as (sitters, _):
            for web in hall.webs:
                await asyncio.sleep(0.4)
                await asyncio.to_thread(web.stop)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(web.start)
        troubles = [trouble for sitter in sitters for trouble in sitter.troubles]
        assert not troubles, troubles
        assert acknowledged(sitters) > 100


async def test_postgresql_killed_in_mid_batch(tmp_path):
    async with stack(tmp_path) as hall:
        async with sitting(hall) as (sitters, _):
            await asyncio.sleep(0.5)
            hall.postgres.kill()
            await asyncio.sleep(1.5)
            troubles = {trouble for sitter in sitters for trouble in sitter.troubles}
            assert troubles == {"503"}, "while it is away everybody is told so, and nobody is cut off"
            await asyncio.to_thread(hall.postgres.start)
            back = time.monotonic()
            before = acknowledged(sitters)
            while acknowledged(sitters) < before + 100:
                assert time.monotonic() - back < 15
                await asyncio.sleep(0.05)
        await results(hall, len(sitters))


async def test_valkey_emptied_killed_and_hanging_in_mid_exam(tmp_path):
    """Running attempts notice latency and nothing else."""
    async with stack(tmp_path, durable=False) as hall:
        async with sitting(hall) as (sitters, _):
            await asyncio.sleep(0.3)
            redis = Redis.from_url(hall.settings.redis_state_url)
            await redis.flushall()
            await redis.aclose()
            await asyncio.sleep(0.5)
            hall.valkey.kill()
            before = acknowledged(sitters)
            await asyncio.sleep(1.5)
            assert acknowledged(sitters) > before + 20
            await asyncio.to_thread(hall.valkey.start)
            await asyncio.sleep(1.2)
            os.kill(hall.valkey.pid, signal.SIGSTOP)
            before = acknowledged(sitters)
            await asyncio.sleep(2)
            assert acknowledged(sitters) > before + 20
            os.kill(hall.valkey.pid, signal.SIGCONT)
        assert [trouble for sitter in sitters for trouble in sitter.troubles] == []
        await results(hall, len(sitters))


async def test_valkey_away_at_log_in_start_and_submit(tmp_path):
    async with stack(tmp_path) as hall:
        hall.valkey.kill()
        async with sitting(hall, 5) as (sitters, _):
            await asyncio.sleep(0.5)
        assert acknowledged(sitters) > 20
        await results(hall, 5)


async def test_grading_worker_killed_in_mid_grade(tmp_path):
    async with stack(tmp_path) as hall:
        async with sitting(hall, 30):
            await asyncio.sleep(0.2)
        # Killed while it holds leases: they run out, and another worker does the work.
        owner = await hall.owner()
        await owner.execute(
            "UPDATE submission SET graded_at = NULL, tries = 1, lease = gen_random_uuid(), "
            "leased_until = now() + interval '1 second'"
        )
        await owner.execute("UPDATE attempt SET state = 'submitted'; DELETE FROM result")
        await owner.close()
        for _ in range(3):
            hall.worker.kill()
            await asyncio.to_thread(hall.worker.start)
            await asyncio.sleep(0.4)
        await results(hall, 30, seconds=40)


async def test_balancer_reloaded_and_restarted(tmp_path):
    async with stack(tmp_path) as hall:
        async with sitting(hall) as (sitters, _):
            await asyncio.sleep(0.3)
            hall.nginx.reload()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(hall.nginx.restart)
        await results(hall, len(sitters))


async def test_commit_without_an_answer_is_acknowledged_by_the_retry(tmp_path):
    """The worker dies between commit and answer: what the client then repeats stands once."""
    async with stack(tmp_path) as hall:
        people, slot = await scene(hall, 1)
        sitter = Sitter(hall, people[0], 1)
        await sitter.begin()
        owner = await hall.owner()
        try:
            # A trigger holds the commit's answer up: the row is durable before the worker hears of it.
            for _ in range(3):
                asking = asyncio.create_task(sitter.answer())
                while await owner.fetchval("SELECT count(*) FROM answer") < sitter.seq:
                    await asyncio.sleep(0)
                for web in hall.webs:
                    web.kill()
                for web in hall.webs:
                    await asyncio.to_thread(web.start)
                await asking
            assert await owner.fetchval("SELECT count(*) FROM answer") == 3
        finally:
            await owner.close()
        assert await lost(hall, slot, [sitter]) == []
        await sitter.http.aclose()


async def test_workers_stop_within_seconds(tmp_path):
    async with stack(tmp_path) as hall:
        began = time.monotonic()
        await asyncio.to_thread(hall.worker.stop)
        await asyncio.to_thread(hall.webs[0].stop)
        assert time.monotonic() - began < 8


async def test_paper_comes_from_the_balancers_cache_for_those_who_have_begun(tmp_path):
    """One load for a whole hall; and no way to it but through the door that looks who asks."""
    async with stack(tmp_path) as hall:
        people, slot = await scene(hall, 3)
        sitters = [Sitter(hall, person, seed) for seed, person in enumerate(people)]
        address = f"/api/papers/{slot.forms[0].hex()}"
        body = {"registration": people[0].registration, "code": people[0].code}
        assert (await sitters[0].http.post("/api/login", json=body)).status_code == 200
        assert (await sitters[0].http.get(address)).status_code == 404, "not before the start"
        bodies = set()
        for sitter in sitters:
            await sitter.begin()
            answer = await sitter.http.get(address)
            assert answer.status_code == 200 and answer.headers["cache-control"].startswith("private")
            assert "x-accel-redirect" not in answer.headers
            bodies.add(answer.content)
        (paper,) = bodies
        assert sha256(paper).digest() == slot.forms[0]
        for web in hall.webs:
            os.kill(web.pid, signal.SIGSTOP)
        try:
            cached = list((tmp_path / "nginx").rglob("cache/*/*/*"))
            assert len(cached) == 1, "nginx keeps one copy"
        finally:
            for web in hall.webs:
                os.kill(web.pid, signal.SIGCONT)
        for outside in ("/internal/papers/", "/_papers/"):
            assert (await sitters[0].http.get(f"{outside}{slot.forms[0].hex()}")).status_code == 404
        for sitter in sitters:
            await sitter.http.aclose()
