"""Sickness and malice: a stuck partition, a slow and a full database, a slow-loris, a flood. Others do not notice.

Latencies are compared with those of the minutes before, in the same test, with room for a busy machine.
"""

import asyncio
import contextlib
import shutil
import statistics
import subprocess
import time

import httpx
import pytest

from loadtest.machine import usage_of
from tests.cast import MUMBAI, PUNE, Cast, row
from tests.faults.stack import Sitter, lost, stack


@contextlib.asynccontextmanager
async def two_districts(hall, each=12, idle=0):
    """Candidates of two districts who answer all the time; at the end nothing that was acknowledged is missing.

    The last so many of each district have begun and do nothing by themselves.
    """
    owner = await hall.owner()
    try:
        cast = Cast(hall.settings, owner)
        groups = []
        for district in (MUMBAI, PUNE):
            people = [await cast.candidate(f"d{district}c{number}", district) for number in range(each)]
            groups.append((people, await cast.slot(*people)))
    finally:
        await owner.close()
    sitters = [[Sitter(hall, person, place) for place, person in enumerate(people)] for people, _ in groups]
    await asyncio.gather(*(sitter.begin() for group in sitters for sitter in group))
    stop = asyncio.Event()
    tasks = [asyncio.create_task(sitter.sit(stop)) for group in sitters for sitter in group[: each - idle]]
    try:
        yield sitters
    finally:
        stop.set()
    await asyncio.gather(*tasks)
    for group, (_, slot) in zip(sitters, groups, strict=True):
        assert await lost(hall, slot, group) == []
        for sitter in group:
            await sitter.http.aclose()


def now():
    return asyncio.get_running_loop().time()


def took(sitters, first, last):
    """Seconds of all requests that were sent in a span."""
    return [seconds for one in sitters for sent, seconds, _ in one.requests if first <= sent < last]


def p99(seconds):
    return statistics.quantiles(seconds, n=100)[98]


async def before(sitters, seconds=4):
    """The usual p99 of these sitters."""
    await asyncio.sleep(1)  # the first round plans its statements
    began = now()
    await asyncio.sleep(seconds)
    return p99(took(sitters, began, now()))


def unharmed(usual, seen):
    """Half as much again, or some milliseconds; the machine of the tests has other work beside it."""
    assert seen <= max(usual * 1.5, usual + 0.04), (usual, seen)


async def acknowledged_again(sitters, within):
    """Every sitter has something acknowledged anew within so many seconds."""
    counts = [len(one.acknowledged) for one in sitters]
    began = now()
    while any(len(one.acknowledged) <= count for one, count in zip(sitters, counts, strict=True)):
        assert now() - began < within, "the service was not itself again in time"
        await asyncio.sleep(0.05)


@pytest.mark.slow  # compares latencies, so nothing else may run beside it
async def test_a_stuck_partition_holds_up_its_own_district_only(tmp_path):
    async with stack(tmp_path) as hall, two_districts(hall) as (stuck, others):
        usual = await before(others)
        owner = await hall.owner()
        partition = await owner.fetchval(
            "SELECT relname FROM pg_class WHERE relname LIKE 'answer_d1_20%' AND relkind = 'r'"
        )
        async with owner.transaction():
            await owner.execute(f"LOCK TABLE {partition} IN ACCESS EXCLUSIVE MODE")
            began = now()
            await asyncio.sleep(25)  # the round in which it is noticed is less than one in a hundred of these
            over = now()
        await owner.close()
        await acknowledged_again(stuck, 5)
        unharmed(usual, p99(took(others, began, over)))
        assert all(status == 200 for one in others for sent, _, status in one.requests if began <= sent < over)
        waited = [
            (seconds, status) for one in stuck for sent, seconds, status in one.requests if began <= sent < over - 2
        ]
        assert {status for _, status in waited} == {503}
        assert max(seconds for seconds, _ in waited) < 2, "told within a second, and some for a busy machine"


@pytest.mark.slow  # compares latencies, so nothing else may run beside it
async def test_a_slow_database_slows_saves_and_fails_none(tmp_path):
    async with stack(tmp_path) as hall, two_districts(hall, 6) as groups:
        sitters = [one for group in groups for one in group]
        usual = await before(sitters, 2)
        owner = await hall.owner()
        await owner.execute(
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'"
        )
        await owner.execute(
            "CREATE TRIGGER slowly BEFORE INSERT ON answer FOR EACH STATEMENT EXECUTE FUNCTION slowly()"
        )
        began = now()
        await asyncio.sleep(5)
        over = now()
        await owner.execute("DROP TRIGGER slowly ON answer")
        await owner.close()
        seen = took(sitters, began + 0.5, over)
        assert statistics.median(seen) > 0.4 and max(seen) < 2.5
        await asyncio.sleep(2)
        began = now()
        await asyncio.sleep(3)
        unharmed(usual, p99(took(sitters, began, now())))
        assert all(status == 200 for one in sitters for _, _, status in one.requests)


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own at a folder; skips, and says so, where this user may not mount one."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(
            f"a full disk needs a file system of its own, and this user may not mount one: {done.stderr.strip()}"
        )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


async def test_a_full_disk_is_told_at_once_and_is_over_when_there_is_room(tmp_path):
    with small_disk(tmp_path / "postgres", "150m"):
        async with stack(tmp_path) as hall, two_districts(hall, 5) as groups:
            sitters = [one for group in groups for one in group]
            await before(sitters, 2)
            memory = [usage_of(web.pid).rss for web in hall.webs]
            ballast = tmp_path / "postgres" / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(bytes(1 << 16))
            assert shutil.disk_usage(ballast.parent).free < 1 << 17
            owner = await hall.owner()
            with contextlib.suppress(Exception):  # fill what it has allocated, too, until it has to ask for more
                await owner.execute("CREATE TABLE more AS SELECT repeat('x', 1000) FROM generate_series(1, 200000)")
            with contextlib.suppress(Exception):
                await owner.close()
            began = now()
            await asyncio.sleep(6)
            over = now()
            told = [
                (seconds, status)
                for one in sitters
                for sent, seconds, status in one.requests
                if began < sent < over - 2
            ]
            assert max(seconds for seconds, _ in told) < 3
            ballast.unlink()
            if hall.postgres.poll() is not None:  # its supervisor's part
                await asyncio.to_thread(hall.postgres.start)
            await acknowledged_again(sitters, 15)
            assert all(usage_of(web.pid).rss < held + 30 for web, held in zip(hall.webs, memory, strict=True))


@pytest.mark.slow  # compares latencies, so nothing else may run beside it
async def test_dribbling_connections_are_dropped_and_nobody_notices(tmp_path):
    async with stack(tmp_path) as hall, two_districts(hall, 6) as groups:
        sitters = [one for group in groups for one in group]
        usual = await before(sitters)
        memory = [usage_of(child.pid).rss for child in (*hall.webs, hall.nginx)]
        host, port = hall.address.removeprefix("http://").split(":")
        heads = (
            b"GET /api/sitting HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            b"PUT /api/answers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{",
        )

        async def dribble(number):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(heads[number % 2])
            began = now()
            with contextlib.suppress(OSError):
                while not reader.at_eof() and now() - began < 30:
                    writer.write(b"x")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            if not await reader.read(1000):
                                break
            writer.close()
            return now() - began

        began = now()
        lasted = await asyncio.gather(*(dribble(number) for number in range(200)))
        unharmed(usual, p99(took(sitters, began, now())))
        # nginx counts a header as a whole, and of a body the time between two reads: the server's bound is the sum.
        assert max(lasted[::2]) < 20, "a header may take ten seconds"
        grown = [usage_of(child.pid).rss - held for child, held in zip((*hall.webs, hall.nginx), memory, strict=True)]
        assert max(grown) < 30, grown
        assert all(status == 200 for one in sitters for _, _, status in one.requests)


@pytest.mark.slow  # compares latencies, so nothing else may run beside it
async def test_a_flood_of_one_candidate_is_told_to_wait_and_others_do_not_notice(tmp_path):
    async with stack(tmp_path) as hall, two_districts(hall, 6, idle=1) as groups:
        sitters = [one for group in groups for one in group[:-1]]
        villain = groups[0][-1]
        usual = await before(sitters)
        memory = [usage_of(web.pid).rss for web in hall.webs]
        statuses = []

        async def flood(until):
            cookies = {"exam": villain.http.cookies["exam"]}
            async with httpx.AsyncClient(base_url=hall.address, cookies=cookies, timeout=10) as http:
                while now() < until:
                    body = {"epoch": 1, "answers": [row(1, 1, "a")]}
                    statuses.append((await http.put("/api/answers", json=body)).status_code)
                    await asyncio.sleep(0.01)  # the test's own core is not what is tested

        began = now()
        await asyncio.gather(*(flood(began + 5) for _ in range(4)))
        over = now()
        unharmed(usual, p99(took(sitters, began, over)))
        assert statuses.count(429) > len(statuses) / 3 and set(statuses) <= {200, 409, 429}
        assert all(usage_of(web.pid).rss < held + 30 for web, held in zip(hall.webs, memory, strict=True))
        assert all(status == 200 for one in sitters for _, _, status in one.requests)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * 200_000, 413),
        (b'{"epoch":1,"answers":' + b"[" * 60_000, 400),
        (b'{"epoch":1,"answers":[{"seq":1,"item":3,"response":"a\\u0000b"}]}', 422),
        (b'{"epoch":1,"answers":[{"seq":1,"item":3,"response":"\\ud800"}]}', 400),
        (b"\xff\xfe" + b"\x00" * 40, 400),
    ],
    ids=["huge", "deep", "nul", "surrogate", "no text"],
)
async def test_a_monstrous_body_gets_one_sentence_within_a_second(tmp_path, body, status):
    async with stack(tmp_path) as hall, two_districts(hall, 1) as ((sitter,), _):
        began = time.monotonic()
        told = await sitter.http.put("/api/answers", content=body, headers={"Content-Type": "application/json"})
        assert told.status_code == status and told.json()["message"].endswith("."), told.text
        assert time.monotonic() - began < 1.5


async def test_after_a_fault_the_service_is_itself_again_in_time(tmp_path):
    async with stack(tmp_path) as hall, two_districts(hall, 6) as groups:
        sitters = [one for group in groups for one in group]
        await asyncio.sleep(1)
        hall.webs[0].kill()
        await acknowledged_again(sitters, 2)
        await asyncio.to_thread(hall.webs[0].start)
        hall.valkey.kill()
        await acknowledged_again(sitters, 5)
        await asyncio.to_thread(hall.valkey.start)
        await acknowledged_again(sitters, 5)
        hall.postgres.kill()
        await asyncio.sleep(1)
        await asyncio.to_thread(hall.postgres.start)
        await acknowledged_again(sitters, 15)
