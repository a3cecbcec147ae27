"""Fifty candidates in real Chromium on a whole hall, with a line that does everything a line can do."""

import asyncio
import contextlib
import json
import random
import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect
from playwright.async_api import Error as Broken

from grading.items import Item, TextEntry
from grading.keys import TextAnswer, TextKey
from tests.browser.conftest import QUIET, find_chromium
from tests.cast import Candidate, Cast, both
from tests.faults.stack import Stack, stack

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

CANDIDATES = 50
AT_ONCE = 5
STEPS = 14
RIGHT = TextKey([TextAnswer("right")])
ITEMS = [(Item(f"t{no}", "main", both(f"Question {no}"), TextEntry(60)), RIGHT) for no in range(1, 6)]
SAVE = "[data-test=save-line]"


class BadLine:
    """Requests get lost, answers get lost, some arrive twice; a gateway refuses; somebody's log-in page answers."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.bad = True
        self.met: dict[str, int] = {}

    async def __call__(self, route: Route) -> None:
        luck = self.dice.random() if self.bad else 1.0
        path = route.request.url.rpartition("/api")[2]
        try:
            await asyncio.sleep(self.dice.random() * 0.3 if self.bad else 0)
            if luck < 0.08:
                self._note("lost")
                await route.abort("connectionreset")
            elif luck < 0.16:
                self._note("answer lost")
                await route.fetch()
                await route.abort("connectionreset")
            elif luck < 0.24 and path != "/takeover":
                self._note("twice")
                first = await route.fetch()
                await route.fetch()
                await route.fulfill(response=first)
            elif luck < 0.29:
                self._note("5xx")
                await route.fulfill(status=self.dice.choice([502, 503, 504]), body="<h1>Bad gateway</h1>")
            elif luck < 0.33:
                self._note("log-in page")
                await route.fulfill(status=200, content_type="text/html", body="<title>Log in to WiFi</title>")
            else:
                await route.continue_()
        except Broken:  # the page went away meanwhile
            pass

    def _note(self, what: str) -> None:
        self.met[what] = self.met.get(what, 0) + 1


class Sitter:
    """One candidate: types a new word each time, so that a word says where it went."""

    def __init__(self, hall: Stack, browser: Browser, candidate: Candidate, attempt_id: int, seed: int) -> None:
        self.hall, self.browser, self.candidate, self.attempt_id = hall, browser, candidate, attempt_id
        self.dice = random.Random(seed)
        self.line = BadLine(self.dice)
        self.typed: dict[int, list[str]] = {}
        self.unpromised: set[str] = set()
        self.claims = 0
        self.broken: list[str] = []
        self.trail: list[str] = []

    async def device(self) -> BrowserContext:
        context = await self.browser.new_context(base_url=self.hall.address, service_workers="block", locale="en-IN")
        context.set_default_timeout(40_000)
        await context.route("**/api/**", self.line)
        return context

    async def log_in(self, context: BrowserContext) -> Page:
        page = await context.new_page()
        page.on("pageerror", lambda error: self.broken.append(f"script: {error}"))
        await page.goto("/")
        await page.fill("[data-test=registration]", self.candidate.registration)
        await page.fill("[data-test=code]", self.candidate.code)
        for _ in range(20):
            if page.url.endswith("/sitting"):
                break
            with contextlib.suppress(Broken):
                await page.click("[data-test=login]", timeout=2000)
            await asyncio.sleep(0.5)
        await page.wait_for_url("**/sitting")
        return page

    async def begin(self, page: Page) -> None:
        await page.click("[data-test=start]")
        await page.wait_for_selector("[data-test=question]")

    async def answer(self, page: Page, *, promised: bool = True) -> None:
        """A new word; if `promised`, the page has called it kept or safe when this returns."""
        no = self.dice.randint(1, len(ITEMS))
        await page.click(f"aside [data-test=square][data-item='{no}']")
        field = page.locator(f"[data-test=question][data-item='{no}'] input")
        word = f"word {len(self.typed.setdefault(no, []))} of {self.candidate.name} at {no}"
        await field.fill(word)
        await field.press("Tab")  # whoever leaves the field has answered
        self.typed[no].append(word)
        await self.note(page, word)
        if promised:
            await expect(page.locator(SAVE)).to_contain_text(re.compile(r"(is|are|answers?) kept on this device|safe"))
            await self.note(page, "promised")
        else:
            self.unpromised.add(word)

    async def note(self, page: Page, what: str) -> None:
        """For whoever has to find out what went wrong."""
        self.trail.append(f"{what}: {await page.text_content(SAVE)}")

    async def look(self, page: Page) -> None:
        """Where the page calls everything safe, the last word of each question counts in the table."""
        said = {no: words[-1] for no, words in self.typed.items() if words[-1] not in self.unpromised}
        if await page.get_attribute(SAVE, "data-kind") != "safe" or not said:
            return
        counts = await self.counting()
        self.claims += 1
        for no, word in said.items():
            if counts.get(no) != word:
                self.broken.append(f"called safe and not held: {no} {word!r}, held {counts.get(no)!r}")

    async def counting(self) -> dict[int, str]:
        owner = await self.hall.owner()
        try:
            rows = await owner.fetch(
                "SELECT DISTINCT ON (item) item, response FROM answer WHERE attempt_id = $1 AND item > 0 "
                "ORDER BY item, epoch DESC, seq DESC",
                self.attempt_id,
            )
        finally:
            await owner.close()
        return {row["item"]: json.loads(row["response"]) for row in rows}

    async def everything(self) -> set[str]:
        owner = await self.hall.owner()
        try:
            rows = await owner.fetch(
                "SELECT response FROM answer WHERE attempt_id = $1 UNION ALL "
                "SELECT response FROM quarantine WHERE attempt_id = $1",
                self.attempt_id,
            )
        finally:
            await owner.close()
        return {json.loads(row["response"]) for row in rows}

    async def sit(self, other_device: bool) -> None:
        context = await self.device()
        page = await self.log_in(context)
        await self.begin(page)
        for step in range(STEPS):
            luck = self.dice.random()
            if luck < 0.12:
                await self.note(page, "reloaded")
                await page.reload()
                await page.wait_for_selector("[data-test=question]")
            elif luck < 0.22:
                page = await self.next_tab(context, page)
            elif luck < 0.32:
                await context.set_offline(True)
                await self.answer(page)
                await asyncio.sleep(self.dice.random() * 2)
                await context.set_offline(False)
            else:
                await self.answer(page)
            await asyncio.sleep(self.dice.random() * 0.6)
            await self.look(page)
            if other_device and step == STEPS // 2:
                # Everything is with the server before the device is put away: what a switched-off device keeps
                # comes when it is switched on again, which the sync runs look at.
                await self.settle(page)
                context, page = await self.change_device(context)
        await self.settle(page)
        await self.look(page)
        counts, everything = await self.counting(), await self.everything()
        for no, words in self.typed.items():
            if counts.get(no) != words[-1] and words[-1] not in self.unpromised:
                self.broken.append(f"the last word at {no} is {words[-1]!r}, what counts is {counts.get(no)!r}")
            promised = [word for word in words if word not in self.unpromised]
            self.broken += [f"nowhere: {word}" for word in promised if word not in everything]
        await context.close()

    async def next_tab(self, context: BrowserContext, page: Page) -> Page:
        """A second tab waits while the first one writes, and goes on when that is closed."""
        second = await context.new_page()
        second.on("pageerror", lambda error: self.broken.append(f"script: {error}"))
        await second.goto("/sitting")
        await asyncio.sleep(self.dice.random() * 1.5)
        # Closed in the same moment, a word may still be on its way to the disk, and nobody has called it kept.
        await self.answer(page, promised=self.dice.random() < 0.5)
        await self.note(page, "closed")
        await page.close()
        await second.wait_for_selector("[data-test=question]")
        return second

    async def change_device(self, old: BrowserContext) -> tuple[BrowserContext, Page]:
        context = await self.device()
        page = await self.log_in(context)
        await page.click("dialog[open] button >> nth=0")
        await page.wait_for_selector("[data-test=question]")
        await old.close()
        return context, page

    async def settle(self, page: Page) -> None:
        """The line is good for once, and stays so until the page has nothing left to send."""
        self.line.bad = False
        await expect(page.locator(SAVE)).to_have_attribute("data-kind", "safe", timeout=40_000)
        self.line.bad = True


async def test_nothing_called_safe_is_missing_and_all_else_arrives(tmp_path):
    async with stack(tmp_path) as hall, async_playwright() as playwright:
        owner = await hall.owner()
        cast = Cast(hall.settings, owner)
        people = [await cast.candidate(f"c{number}") for number in range(CANDIDATES)]
        slot = await cast.slot(*people, items=ITEMS)
        await owner.execute("UPDATE candidate SET language = 'en'")
        await owner.close()
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET))
        sitters = [
            Sitter(hall, browser, one, slot.attempts[one.name], seed) for seed, one in enumerate(people, start=1)
        ]
        places = asyncio.Semaphore(AT_ONCE)

        async def take_a_place(number: int, sitter: Sitter) -> None:
            async with places:
                try:
                    await sitter.sit(number % 5 == 0)
                except (Broken, AssertionError) as failure:
                    sitter.broken.append(f"stuck: {failure}")

        await asyncio.gather(*(take_a_place(number, sitter) for number, sitter in enumerate(sitters)))
        await browser.close()
    met: dict[str, int] = {}
    for sitter in sitters:
        for what, times in sitter.line.met.items():
            met[what] = met.get(what, 0) + times
    words, claims = sum(map(len, (w for s in sitters for w in s.typed.values()))), sum(s.claims for s in sitters)
    print(f"{len(sitters)} candidates, {words} words, {claims} times everything was called safe; the line: {met}")
    broken = [sitter for sitter in sitters if sitter.broken]
    for sitter in broken:
        print(sitter.candidate.name, *sitter.broken, *sitter.trail, sep="\n  ")
    assert not broken
    assert len(met) == 5 and words > 8 * CANDIDATES and claims > 2 * CANDIDATES
