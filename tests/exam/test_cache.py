"""The gate to Redis: an outage is a miss, and a busy process is no outage."""

import asyncio
import time

import pytest

from exam.cache import Store
from exam.settings import Settings


@pytest.fixture
async def store(settings: Settings):
    made = Store(settings.redis_state_url, "a Redis")
    yield made
    await made.close()


async def test_values_come_back_in_order_and_new_ones_only_where_nothing_was(store):
    await store.put_many({b"a": b"1", b"b": b"2"}, 60)
    await store.put_many({b"a": b"other", b"c": b"3"}, 60, only_new=True)
    assert await store.get_many([b"c", b"x", b"a"]) == [b"3", None, b"1"]
    await store.forget(b"a")
    assert await store.look_up([b"a", b"b"], 10) == [(None, 1), (b"2", 1)]
    assert await store.look_up([b"b"], 10) == [(b"2", 2)]


async def test_server_that_is_away_or_hangs_is_a_miss_within_a_moment_and_then_left_alone():
    async def silent(reader, writer):
        await asyncio.sleep(30)

    hanging = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    for url in ("unix:///nowhere.sock", f"redis://127.0.0.1:{port}"):
        store = Store(url, "a Redis that is away")
        began = time.monotonic()
        assert await store.get_many([b"a"]) == [None]
        assert time.monotonic() - began < 1
        assert store.resting and store.outages == 1
        assert await store.look_up([b"a"], 10) == [(None, 0)]
        assert store.outages == 1, "it is not asked again at once"
        assert not await store.ping()
        await store.close()
    hanging.close()


async def test_process_that_is_busy_itself_does_not_take_that_for_an_outage(store):
    await store.put_many({b"a": b"1"}, 60)
    asking = asyncio.create_task(store.get_many([b"a"]))
    await asyncio.sleep(0)
    for _ in range(3):
        time.sleep(0.3)
        await asyncio.sleep(0)
    assert await asking == [b"1"] and not store.resting
