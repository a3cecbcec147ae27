"""How many statements each request of a candidate may cost; a budget that grows is a decision, not an accident."""

import asyncio

import asyncpg
import pytest

from tests.cast import begin, log_in, row, save


@pytest.fixture
def counted(monkeypatch):
    """Statements sent, by their first words."""
    sent: list[str] = []
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        whole = getattr(asyncpg.Connection, name)

        def counting(self, query, *args, whole=whole, **kwargs):
            sent.append(query)
            return whole(self, query, *args, **kwargs)

        monkeypatch.setattr(asyncpg.Connection, name, counting)
    return sent


def spent(sent: list[str]) -> int:
    """How many since last asked, but for the looks, each second, at announcements and at who asks for which browser."""
    count = sum("max(announcement_id)" not in query and "config_keys" not in query for query in sent)
    sent.clear()
    return count


async def test_statements_per_request(client, cast, counted):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await log_in(client(), meera)  # the connections are there
    spent(counted)
    await log_in(device, meera)
    assert spent(counted) <= 6, "log-in: credential, sitting, session, its look-up, and the waiting room"
    await device.post("/api/start", json={})
    assert spent(counted) <= 2, "start: the update, and what it made"
    await save(device, row(1, 1, "a"))
    assert spent(counted) <= 2, "the first save of a worker: the paper, and the round"
    await save(device, row(2, 1, "b"))
    assert spent(counted) == 1, "save: one round"
    await save(device, row(2, 1, "b"))
    assert spent(counted) == 5, "a repeated save: the round, and in a transaction the lock and the second look"
    await device.get("/api/sitting")
    assert spent(counted) <= 4
    await device.post("/api/submit", json={"epoch": 1, "last_seq": 2})
    assert spent(counted) <= 8, "submit: begin, lock, watermark, answers, end, submission, receipt, commit"


async def test_a_round_is_one_statement_however_many_wait(client, cast, counted):
    people = [await cast.candidate(f"c{number}") for number in range(30)]
    await cast.slot(*people)
    devices = [client() for _ in people]
    for device, person in zip(devices, people, strict=True):
        await begin(device, person)
    await save(devices[0], row(1, 1, "a"))
    spent(counted)
    answers = await asyncio.gather(*(save(device, row(1 + (device is devices[0]), 1, "b")) for device in devices))
    assert all(answer.status_code == 200 for answer in answers)
    assert spent(counted) <= 4
