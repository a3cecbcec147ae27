"""The server is dark from before the opening until after it: a hall begins by the code all the same, on a whole hall.

Time is compressed: what stands for five minutes before the opening and after it are twelve and thirty seconds. The last
moment for a start passes in the dark, too.
"""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from loadtest import protocol
from loadtest.protocol import Call, PutOff, Reply
from loadtest.sitter import Sitter, line_of
from tests.browser.test_journal import EVERYTHING
from tests.browser.test_whole_day import RADIO, chromium
from tests.cast import Candidate, Cast
from tests.faults.stack import Stack, stack

CROWD, SCREENS = 120, 3
BEFORE, AFTER = 12.0, 30.0
"""Seconds for which the server is dark, before the opening and after it."""


@dataclass
class Seat:
    """One of the crowd: the protocol's own client, patient as a page is."""

    candidate: Candidate
    sitter: Sitter
    http: httpx.AsyncClient
    began: float | None = None
    """When the paper was open, by the wall clock."""
    troubles: list[str] = field(default_factory=list)

    async def ask(self, call: Call) -> None:
        """One request; HTTPError, PutOff or Unexpected if it was not answered as it should be."""
        headers = {"cookie": self.sitter.cookie.decode()} if self.sitter.cookie else {}
        if call.body is not None:
            headers["content-type"] = "application/json"
        answer = await self.http.request(call.method, call.path, content=call.body, headers=headers)
        head = b"".join(b"%b: %b\r\n" % pair for pair in answer.headers.raw)
        self.sitter.took(call.operation, Reply(answer.status_code, b"HTTP/1.1 \r\n" + head, answer.content))

    async def insist(self, call: Call, seconds: float) -> None:
        """The request, repeated until it is answered."""
        end = time.monotonic() + seconds
        while True:
            try:
                return await self.ask(call)
            except (httpx.HTTPError, PutOff) as trouble:
                self.troubles.append(type(trouble).__name__)
                assert time.monotonic() < end, (call.operation, self.troubles[-3:])
            await asyncio.sleep(random.uniform(0.2, 2))

    async def wait(self) -> None:
        """Comes in, and fetches the sealed paper."""
        await self.insist(protocol.log_in(self.candidate.registration, self.candidate.code), 30)
        await self.insist(self.sitter.sealed_paper(), 30)

    async def sit(self, code: str, opens_at: float) -> None:
        """Presses Start in vain, hears the code, writes in the dark, and sends it when the line is back."""
        await asyncio.sleep(max(0.0, opens_at - time.time()) + random.uniform(0, 2))
        with pytest.raises(httpx.HTTPError):
            await self.ask(self.sitter.start())
        await asyncio.sleep(random.uniform(1, 8))
        self.sitter.open(code)
        self.began = time.time()
        for _ in range(3):
            self.sitter.write()
            await asyncio.sleep(random.uniform(0.5, 3))
        await self.insist(self.sitter.start(), 90)
        await self.insist(self.sitter.save(), 60)
        self.sitter.write()
        await self.insist(self.sitter.save(), 60)
        await self.insist(protocol.READ_SITTING, 60)


async def come_in(browser: Browser, hall: Stack, candidate: Candidate) -> Page:
    """A browser of one's own in the waiting room, until the paper is on the device."""
    context = await browser.new_context(base_url=hall.address)
    context.set_default_timeout(20_000)
    await context.add_init_script("{ const real = Math.random; Math.random = () => real() / 50; }")  # soon
    page = await context.new_page()
    await page.goto("/")
    await page.fill("[data-test=registration]", candidate.registration)
    await page.fill("[data-test=code]", candidate.code)
    await page.click("[data-test=login]")
    await page.wait_for_selector("[data-test=waiting]")
    await page.evaluate("() => navigator.serviceWorker.ready")
    async with asyncio.timeout(20):
        while not any(note["name"] == "sealed" for note in json.loads(await page.evaluate(EVERYTHING))["notes"]):
            await asyncio.sleep(0.2)
    return page


async def begin(page: Page, code: str, *, reload: bool) -> float:
    """Types the code into the waiting page, answers in the dark; when the paper was open."""
    await page.fill("[data-test=hall-code]", code.lower(), timeout=60_000)
    await page.click("[data-test=open-paper]")
    await page.wait_for_selector("[data-test=question]")
    began = time.time()
    while not await page.locator(RADIO).count():
        await page.click("[data-test=next]")
    await page.locator(RADIO).nth(1).check()
    await expect(page.locator("[data-test=save-line]")).to_contain_text("kept on this device", timeout=15_000)
    if reload:
        await page.reload()
        await expect(page.locator(f"{RADIO}:checked")).to_have_count(1, timeout=20_000)
    return began


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_a_hall_begins_by_the_code_while_the_server_is_dark(tmp_path):
    async with (
        stack(tmp_path) as hall,
        chromium() as browser,
        httpx.AsyncClient(base_url=hall.address, timeout=10, limits=httpx.Limits(max_connections=200)) as http,
    ):
        owner = await hall.owner()
        cast = Cast(hall.settings, owner)
        people = [await cast.candidate(f"c{number}") for number in range(CROWD + SCREENS)]
        await owner.execute("UPDATE candidate SET language = 'en'")
        opens_at = time.time() + 60
        slot = await cast.slot(
            *people,
            opens_in=opens_at - time.time(),
            closes_in=opens_at + 15 - time.time(),
            capacity=200,
            envelopes=True,
        )
        opening = await owner.fetchval("SELECT opens_at FROM slot")
        opens_at, code = opening.timestamp(), cast.code(slot)

        seats = [Seat(person, Sitter(number), http) for number, person in enumerate(people[:CROWD])]
        pages = await asyncio.gather(*(come_in(browser, hall, person) for person in people[CROWD:]))
        await asyncio.gather(*(seat.wait() for seat in seats))
        assert opens_at - time.time() > BEFORE, "this machine was too slow to get everybody in"
        await asyncio.sleep(opens_at - BEFORE - time.time())
        for child in (hall.nginx, *hall.webs):
            child.kill()

        async def back() -> None:
            await asyncio.sleep(opens_at + AFTER - time.time())
            assert await owner.fetchval("SELECT count(*) FROM attempt WHERE state <> 'prepared'") == 0
            for child in (*hall.webs, hall.nginx):
                await asyncio.to_thread(child.start)

        screens = (begin(page, code, reload=place == 0) for place, page in enumerate(pages))
        _, began, *_ = await asyncio.gather(
            back(), asyncio.gather(*screens), *(seat.sit(code, opens_at) for seat in seats)
        )
        for page in pages:
            await expect(page.locator("[data-test=save-line]")).to_contain_text("1 answer safe", timeout=60_000)

        # On time: before the server was back, and by a clock that has run since the opening.
        moments = [*began, *(seat.began for seat in seats)]
        in_time = sum(moment is not None and moment < opens_at + AFTER for moment in moments)
        assert in_time >= 0.99 * (CROWD + SCREENS)
        attempts = await owner.fetch(
            "SELECT attempt_id, state, by_code, started_at, delay_s, epoch, deadline - started_at AS has FROM attempt"
        )
        by_code = [row for row in attempts if row["by_code"]]
        assert len(by_code) == in_time and len(attempts) == CROWD + SCREENS
        for row in by_code:
            assert (row["started_at"], row["delay_s"], row["has"].total_seconds()) == (opening, 0, 3600)
            assert (row["state"], row["epoch"]) == ("started", 1)
        answers = await owner.fetch("SELECT attempt_id, seq, item, response, flag FROM answer ORDER BY attempt_id, seq")
        held: dict[int, list[tuple[int, str, bool]]] = {}
        for row in answers:
            held.setdefault(row["attempt_id"], []).append((row["item"], row["response"], row["flag"]))
        for seat in seats:
            lines = [line_of(seat.sitter.number, 1, seq, seat.sitter.sheet) for seq in range(1, 5)]
            wanted = [(line.item, line.response.decode(), line.flag) for line in lines]
            assert held[slot.attempts[seat.candidate.name]] == wanted
        for person in people[CROWD:]:
            assert len(held[slot.attempts[person.name]]) == 1
        assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
        await owner.close()
