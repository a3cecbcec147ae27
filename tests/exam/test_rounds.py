"""Group commit by itself: who shares a round, when it begins, and what each hears of it."""

import asyncio
import time

import pytest

from exam.db import ENOUGH, Again, Group, parse_blocks
from exam.errors import Unavailable


async def test_a_round_waits_for_company_but_not_when_enough_have_come():
    sizes = []

    async def run(entries):
        sizes.append(len(entries))
        return entries

    group = Group(run, gather=5.0)
    began = time.monotonic()
    assert await asyncio.gather(*(group.add(number) for number in range(ENOUGH))) == list(range(ENOUGH))
    assert time.monotonic() - began < 4 and sizes == [ENOUGH]
    quick = Group(run, gather=0.05)
    assert await asyncio.gather(quick.add("a"), quick.add("b")) == ["a", "b"]
    assert sizes == [ENOUGH, 2]


async def test_what_comes_during_a_round_shares_the_next():
    sizes = []

    async def run(entries):
        sizes.append(len(entries))
        await asyncio.sleep(0.05)
        return entries

    group = Group(run, gather=0.001)
    first = asyncio.create_task(group.add(0))
    await asyncio.sleep(0.02)
    await asyncio.gather(first, *(group.add(number) for number in range(1, 6)))
    assert sizes == [1, 5]


async def test_entries_of_one_key_never_share_a_round():
    rounds = []

    async def run(entries):
        rounds.append([number for _, number in entries])
        return entries

    group = Group(run, key=lambda entry: entry[0], gather=0.001)
    await asyncio.gather(*(group.add((name, number)) for number, name in enumerate("aabca")))
    assert rounds == [[0, 2, 3], [1], [4]]


async def test_an_outage_is_told_to_each_by_himself():
    async def run(entries):
        raise Unavailable

    group = Group(run, gather=0.001)
    told = await asyncio.gather(*(group.add(number) for number in range(20)), return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in told) and len({id(one) for one in told}) == 20
    assert len({one.retry_after for one in told}) > 1, "they do not all come again in the same second"


async def test_who_is_asked_again_and_again_is_put_off_at_the_end_of_patience():
    async def run(entries):
        return [Again()] * len(entries)

    group = Group(run, gather=0.001, patience=0.1)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await group.add(1)
    assert 0.1 <= time.monotonic() - began < 2


async def test_a_client_that_went_away_stops_nobody():
    async def run(entries):
        await asyncio.sleep(0.02)
        return entries

    group = Group(run, gather=0.001)
    gone = asyncio.create_task(group.add("gone"))
    stays = asyncio.create_task(group.add("stays"))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert await stays == "stays" and await group.add("next") == "next"


def test_a_statement_for_one_district_names_it_at_every_join():
    (whole,) = parse_blocks(
        "-- name: both\n-- Joins.\nSELECT FROM r JOIN attempt a ON a.district_id = r.district_id AND a.x = :x\n"
        "JOIN answer p ON p.district_id = a.district_id"
    ).values()
    only = whole.within(3)
    assert (
        only.text.count("district_id = 3") == 2 and "a.district_id = r.district_id AND a.district_id = 3" in only.text
    )
    assert only.names == whole.names and whole.text.count("= 3") == 0
