"""The whole day in a real Chromium on a whole hall: an admin plans, a teacher sits, the admin releases."""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import QUIET, SCREENSHOTS, find_chromium
from tests.browser.test_events import FOCUS
from tests.browser.test_rescue import LATER
from tests.browser.test_safe_browser import BROWSER, KEY
from tests.cast import PASSWORD, Candidate, Cast
from tests.faults.stack import Stack, stack

RADIO = '[data-test="question"] input[type="radio"]'


async def shot(page: Page, name: str) -> None:
    """Keeps what is seen, at a desk's and a phone's width."""
    SCREENSHOTS.mkdir(exist_ok=True)
    size = page.viewport_size
    for width in (1280, 360):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.screenshot(path=SCREENSHOTS / f"day-{name}-{width}.png", full_page=True)
    if size:
        await page.set_viewport_size(size)


async def until(hall: Stack, question: str, seconds: float) -> None:
    """Waits until the database says yes; it may be away meanwhile."""
    async with asyncio.timeout(seconds):
        while True:
            owner = await hall.owner()
            try:
                if await owner.fetchval(question):
                    return
            finally:
                await owner.close()
            await asyncio.sleep(0.1)


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=re.compile(name)).first.click()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET))
        try:
            yield browser
        finally:
            await browser.close()


class Desk:
    """Asha at her desk: the district admin's pages."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def log_in(self) -> None:
        await self.page.goto("/staff/login")
        await self.page.get_by_label("E-mail").fill("asha@hall.test")
        await self.page.get_by_label("Password").fill(PASSWORD)
        await press(self.page, "Log in")
        await expect(self.page.get_by_text("Asha").first).to_be_visible()
        await shot(self.page, "01-staff")

    async def plan(self) -> str:
        """An exam by a blueprint, its forms, a slot, a batch, the pin; the slot's path."""
        page = self.page
        await page.goto("/staff/exams/new")
        await page.get_by_label("Bank").select_option(label="Bank (5 questions)")
        await press(page, "Continue")
        await page.get_by_label("Title in English").fill("Spring examination")
        await page.get_by_label("Title in Marathi").fill("वसंत परीक्षा")
        await page.get_by_label("Questions in each form").first.fill("5")
        await page.get_by_label("Marks for each question").first.fill("2")
        await shot(page, "02-exam-new")
        await press(page, "Make the exam")
        await press(page, "Freeze …")
        await shot(page, "03-freeze")
        await press(page, r"Freeze \d+ form")
        await page.get_by_role("link", name="New slot with this exam").click()
        now = dt.datetime.now(ZoneInfo("Asia/Kolkata"))
        await page.get_by_label("Hall").fill("Hall 1")
        await page.get_by_label("Opens at").fill(f"{now:%Y-%m-%dT%H:%M}")
        await page.get_by_label("Seats").fill("10")
        await shot(page, "04-slot-new")
        await press(page, "Make the slot")
        await page.get_by_label("Batch").select_option(index=1)
        await press(page, "Book the batch")
        await shot(page, "05-booked")
        await page.get_by_role("link", name="Pin …").click()
        await shot(page, "06-pin")
        await press(page, "Pin, preparing")
        path = re.search(r"/staff/slots/\d+", page.url)
        assert path is not None, page.url
        return path[0]

    async def act(self, slot: str) -> None:
        """On the day: looks, gives ten minutes, announces."""
        page = self.page
        await page.goto(f"{slot}/day")
        await expect(page.get_by_text("Meera").first).to_be_visible()
        await shot(page, "20-board")
        await page.goto(f"{slot}/grant")
        await page.get_by_label("Minutes").fill("10")
        await page.get_by_label("Reason").fill("The electricity was away")
        await press(page, "Continue")
        await shot(page, "21-grant")
        await page.locator("form button.main").click()
        await page.goto(f"{slot}/announce")
        await page.locator("textarea").first.fill("The lights are on again. Ten minutes were added.")
        await page.locator("form button.main").click()
        await shot(page, "22-announced")

    async def release(self, slot: str) -> None:
        page = self.page
        await page.goto(f"{slot}/quarantine")
        await shot(page, "40-quarantine")
        await page.goto(f"{slot}/release")
        await shot(page, "41-release")
        await page.locator("form button.main").click()
        await page.goto(f"{slot}/results")
        await shot(page, "42-results")


class Phone:
    """Meera's phone."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def at(self, name: str):  # type: ignore[no-untyped-def]
        return self.page.locator(f'[data-test="{name}"]')

    async def log_in(self, candidate: Candidate) -> None:
        await self.page.goto("/")
        await shot(self.page, "10-login")
        await self.at("registration").fill(candidate.registration)
        await self.at("code").fill("WRONG-CODE")
        await self.at("login").click()
        await expect(self.at("login-message")).not_to_be_empty()
        await self.at("code").fill(candidate.code)
        await self.at("login").click()
        await expect(self.at("waiting")).to_be_visible()
        await shot(self.page, "11-waiting")

    async def to_the_choice(self) -> None:
        """Turns the pages up to the question with one choice; the order was drawn."""
        while not await self.page.locator(RADIO).count():
            await self.at("next").click()

    async def to_the_review(self) -> None:
        while await self.at("next").text_content() != "Review":
            await self.at("next").click()
        await self.at("next").click()

    async def choose(self, place: int) -> None:
        await self.page.locator(RADIO).nth(place).check()

    async def chosen(self) -> str | None:
        return await self.page.locator(f"{RADIO}:checked").get_attribute("value")


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_an_admin_plans_a_teacher_sits_and_sees_the_result(tmp_path):
    async with stack(tmp_path) as hall, chromium() as browser:
        owner = await hall.owner()
        cast = Cast(hall.settings, owner)
        await cast.staff()
        meera = await cast.candidate("meera")
        await owner.execute("UPDATE candidate SET language = 'en'")
        await cast.bank()
        await owner.close()
        problems: list[str] = []
        pages = []
        for width, height in ((1280, 900), (360, 740)):
            context = await browser.new_context(base_url=hall.address, viewport={"width": width, "height": height})
            context.set_default_timeout(15_000)
            page = await context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
            pages.append(page)
        desk, phone = Desk(pages[0]), Phone(pages[1])

        await desk.log_in()
        slot = await desk.plan()
        await until(hall, "SELECT count(*) = 1 FROM attempt WHERE state = 'prepared'", 5)

        # Log in, start, answer; each change is with the server within two seconds.
        await phone.log_in(meera)
        await phone.at("start").click()
        await expect(phone.at("question").first).to_be_visible()
        await phone.to_the_choice()
        await phone.choose(0)
        await until(hall, "SELECT count(*) = 1 FROM answer", 2.5)
        await expect(phone.at("save-line")).to_contain_text("safe")
        await shot(phone.page, "12-question")

        # The line is cut: the page says so, keeps the answer, and brings it when the line is back.
        await phone.page.context.set_offline(True)
        await phone.choose(1)
        await expect(phone.at("save-line")).to_contain_text("kept on this device", timeout=10_000)
        await shot(phone.page, "13-offline")
        await asyncio.sleep(20)
        await until(hall, "SELECT count(*) = 1 FROM answer", 1)
        await phone.page.context.set_offline(False)
        await until(hall, "SELECT count(*) = 2 FROM answer", 40)

        # A reload resumes exactly.
        before = await phone.chosen()
        await phone.page.reload()
        await expect(phone.page.locator(f"{RADIO}:checked")).to_have_count(1)
        assert await phone.chosen() == before

        # PostgreSQL falls, then Valkey forgets everything. Nothing is lost; of Valkey nobody hears.
        hall.postgres.kill()
        await phone.choose(2)
        await expect(phone.at("save-line")).to_contain_text("kept on this device", timeout=10_000)
        await shot(phone.page, "14-database-away")
        await asyncio.to_thread(hall.postgres.start)
        await until(hall, "SELECT count(*) = 3 FROM answer", 40)
        hall.valkey.kill()
        await phone.choose(0)
        await until(hall, "SELECT count(*) = 4 FROM answer", 10)
        await asyncio.to_thread(hall.valkey.start)

        # Extra time and an announcement ride on the next save.
        await desk.act(slot)
        await asyncio.sleep(1.5)
        await phone.choose(1)
        await expect(phone.page.get_by_text("Ten minutes were added").first).to_be_visible()
        await shot(phone.page, "15-announcement")

        # Submit: what is unanswered is named; then the receipt.
        reads = phone.at("notice-read")
        while await reads.count():
            await reads.first.click()
        await phone.to_the_review()
        await expect(phone.at("review")).to_be_visible()
        await shot(phone.page, "16-review")
        await phone.at("submit").click()
        confirm = phone.page.locator("dialog[open] button.primary")
        if await confirm.count():
            await shot(phone.page, "17-sure")
            await confirm.click()
        await expect(phone.at("receipt-code")).to_have_text(re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}"))
        await shot(phone.page, "18-receipt")
        await until(hall, "SELECT count(*) = 1 FROM result", 20)

        # Nothing of the result before the release; then all of it.
        await phone.page.reload()
        await expect(phone.at("receipt")).to_be_visible()
        assert await phone.at("score").count() == 0
        await desk.release(slot)
        await phone.page.reload()
        await expect(phone.at("score")).to_be_visible()
        await expect(phone.at("sections")).to_contain_text("Main part")
        await shot(phone.page, "19-result")
        assert problems == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_answers_that_cannot_be_sent_arrive_in_a_file(tmp_path):
    async with stack(tmp_path) as hall, chromium() as browser:
        owner = await hall.owner()
        cast = Cast(hall.settings, owner)
        await cast.staff()
        meera = await cast.candidate("meera")
        await owner.execute("UPDATE candidate SET language = 'en'")
        slot = await cast.slot(meera)
        problems: list[str] = []
        contexts = [await browser.new_context(base_url=hall.address) for _ in range(2)]
        await contexts[0].add_init_script(LATER)
        pages = []
        for context in contexts:
            context.set_default_timeout(15_000)
            page = await context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
            pages.append(page)
        phone, desk = Phone(pages[0]), Desk(pages[1])

        # One answer arrives, then the line goes for good: three more are on the phone alone.
        await phone.log_in(meera)
        async with phone.page.expect_response(lambda reply: reply.url.endswith("/rescue.js"), timeout=40_000):
            await phone.at("start").click()
            await expect(phone.at("question").first).to_be_visible(timeout=15_000)
            await phone.to_the_choice()
            await phone.choose(0)
            await until(hall, "SELECT count(*) = 1 FROM answer", 20)
        await phone.page.context.set_offline(True)
        await phone.choose(1)
        await phone.choose(2)
        while not await phone.at("text").count():
            await phone.at("next").click()
        await phone.at("text").first.fill("Mumbai by the sea")
        await expect(phone.at("save-line")).to_contain_text("kept on this device", timeout=15_000)
        await phone.page.wait_for_timeout(1500)
        await phone.page.evaluate("later(121_000)")
        await expect(phone.at("rescue")).to_be_visible(timeout=15_000)
        async with phone.page.expect_download() as waiting:
            await phone.at("rescue-save").click()
        download = await waiting.value
        file = tmp_path / download.suggested_filename
        await download.save_as(file)
        assert file.name == "exam-rescue-REG-1-MEERA.json" and "Mumbai by" not in file.read_text("utf-8")
        await shot(phone.page, "50-rescue")
        await contexts[0].clear_cookies()  # what a closing page sends comes through as the line is mended by its end
        await contexts[0].close()  # and the phone falls into the sea

        # The staff upload it: whatever was written is there, and a second time changes nothing.
        await desk.log_in()
        await desk.page.goto(f"/staff/slots/{slot.slot_id}/day")
        await desk.page.get_by_role("link", name="Rescue files").click()
        sayings = []
        for _ in range(2):
            await desk.page.get_by_label("Rescue files").set_input_files(file)
            await press(desk.page, "Upload")
            sayings.append(await desk.page.locator("[data-test=brought]").inner_text())
        await shot(desk.page, "51-brought")
        assert "Meera" in sayings[0] and re.search(r"(\d+) answers taken now", sayings[0])
        assert "1 answer had already arrived" in sayings[0] and "0 answers taken now" in sayings[1]
        rows = await owner.fetch("SELECT seq, response FROM answer ORDER BY seq")
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        said = [row["response"] for row in rows]
        assert len(set(said[:3])) == 3 and said[-1] == '"Mumbai by the sea"'
        assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
        await owner.close()

        # What is too much is refused by the balancer, in words.
        async with httpx.AsyncClient(base_url=hall.address, timeout=30) as device:
            answer = await device.post(f"/staff/slots/{slot.slot_id}/rescue", files={"files": b" " * (26 * 2**20)})
        assert answer.status_code == 413 and "Nothing was taken" in answer.text
        assert problems == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_an_exam_in_safe_exam_browser_whose_record_the_staff_read(tmp_path):
    async with stack(tmp_path) as hall, chromium() as browser:
        owner = await hall.owner()
        cast = Cast(hall.settings, owner)
        await cast.staff()
        meera = await cast.candidate("meera")
        await owner.execute("UPDATE candidate SET language = 'en'")
        slot = await cast.slot(meera)
        contexts = [await browser.new_context(base_url=hall.address, color_scheme="light") for _ in range(3)]
        await contexts[2].add_init_script(f'({BROWSER})(["{KEY}", "by call"])')
        for context in contexts:
            context.set_default_timeout(15_000)
        desk, other, phone = Desk(await contexts[0].new_page()), *[Phone(await c.new_page()) for c in contexts[1:]]

        # The admin gives the exam a key; from then on it opens in Safe Exam Browser only, through nginx and all.
        await desk.log_in()
        await desk.page.goto(f"/staff/exams/{slot.exam_id}")
        await desk.page.get_by_label("Config Keys").fill(KEY)
        await press(desk.page, "Set the keys")
        await expect(desk.page.get_by_text("in Safe Exam Browser only, with a file")).to_be_visible()
        await shot(desk.page, "60-keys")
        await asyncio.sleep(2.5)
        await other.page.goto("/")
        await other.at("registration").fill(meera.registration)
        await other.at("code").fill(meera.code)
        await other.at("login").click()
        await expect(other.at("login-message")).to_contain_text("has to be opened in Safe Exam Browser")
        await shot(other.page, "61-another-browser")
        body = {"registration": meera.registration, "code": meera.code}
        address = f"{hall.address}/api/login"
        proof = {"X-SafeExamBrowser-ConfigKeyHash": sha256((address + KEY).encode()).hexdigest()}
        async with httpx.AsyncClient() as classic:
            assert (await classic.post(address, json=body, headers=proof)).status_code == 200
            assert (await classic.post(address, json=body)).json()["error"] == "safe_browser"

        await phone.log_in(meera)
        await expect(phone.at("noted")).to_contain_text("When you leave this page")
        async with phone.page.expect_response(re.compile(r"/events\.js")):
            await phone.at("start").click()
        await phone.to_the_choice()
        await phone.choose(0)
        await until(hall, "SELECT count(*) = 1 FROM answer", 5)
        await phone.page.evaluate(FOCUS, "away")
        await phone.page.wait_for_timeout(1500)
        await phone.page.evaluate(FOCUS, "here")

        # A wrong key in mid-exam stops the hall and loses nothing; without keys it goes on.
        await owner.execute("UPDATE exam SET config_keys = $1", ["0e" * 32])
        await asyncio.sleep(2.5)
        await phone.choose(1)
        await expect(phone.at("save-line")).to_contain_text("1 answer is kept on this device")
        await shot(phone.page, "62-refused")
        await desk.page.get_by_label("Config Keys").fill("")
        await press(desk.page, "Set the keys")
        await until(hall, "SELECT count(*) = 2 FROM answer", 60)

        # The rest of the record comes after the submit; the staff read it on the page of the person.
        await phone.to_the_review()
        await phone.at("submit").click()
        await phone.page.locator("dialog[open] button.primary").click()
        await expect(phone.at("receipt-code")).to_be_visible()
        await until(hall, "SELECT count(*) = 1 FROM event WHERE kind = 'away' AND span_ms BETWEEN 1400 AND 9000", 20)
        await owner.close()
        await desk.page.goto(f"/staff/slots/{slot.slot_id}/people/{slot.attempts['meera']}")
        await expect(desk.page.get_by_text("Left the window, which stayed in sight")).to_be_visible()
        await shot(desk.page, "63-person")
