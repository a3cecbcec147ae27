"""How little comes over the line from the log-in to question 1: bytes and requests, as nginx counts them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from exam.children import free_port
from exam.nginx import Nginx, nginx_config
from exam.stack import STATIC, web_socket
from loadtest.seeding import bank
from tests.browser.test_whole_day import Phone, chromium
from tests.cast import Cast
from tests.exam.test_nginx import certificate
from tests.faults.stack import Stack, stack

MOST_BYTES = 60_000
"""Of pages, styles, modules, words and the sealed paper of fifty questions."""
MOST_REQUESTS = 12
RUNS = 5


@dataclass
class Sent:
    """One response."""

    method: str
    path: str
    status: int
    body: int
    whole: int
    """Bytes of the body, and with the headers."""
    referer: str

    @property
    def quiet(self) -> bool:
        """Whether the service worker asked, for a reload without a line."""
        return self.path == "/sw.js" or self.referer.endswith("/sw.js")


class Count:
    """What nginx sends, from `mark` on."""

    def __init__(self, hall: Stack) -> None:
        assert isinstance(hall.nginx, Nginx)
        self.log = hall.folder / "sent.log"
        config = (hall.folder / "nginx/nginx.conf").read_text()
        told = "log_format sent '$request_method $uri $status $body_bytes_sent $bytes_sent \"$http_referer\"';"
        assert config.count("access_log off;") == 1
        hall.nginx.reload(config.replace("access_log off;", f'{told}\n    access_log "{self.log}" sent;'))
        self.seen = 0

    def mark(self) -> None:
        self.seen = len(self._lines())

    def sent(self) -> list[Sent]:
        found = []
        for line in self._lines()[self.seen :]:
            method, path, status, body, whole, referer = line.split(" ", 5)
            found.append(Sent(method, path, int(status), int(body), int(whole), referer.strip('"')))
        return found

    def _lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def table(language: str, sent: list[Sent]) -> str:
    lines = [f"{language:45}body  with headers"]
    for one in sent:
        path = "/".join(part if len(part) < 20 else f"{part[:8]}…" for part in one.path.split("/"))
        lines.append(f"  {one.method:4} {path:36} {one.body:6,} {one.whole:8,}")
    files = sum(one.body for one in sent if not one.path.startswith("/api/"))
    lines.append(f"  {'all but answers of the interface':41} {files:6,}")
    total = f"{len(sent)} requests"
    return "\n".join(
        [*lines, f"  {total:41} {sum(each.body for each in sent):6,} {sum(each.whole for each in sent):8,}"]
    )


async def first_visit(hall: Stack, browser: Browser, count: Count, language: str) -> tuple[list[Sent], list[Sent]]:
    """A new profile logs in, waits, and comes to question 1: what was sent for that, and what was kept quietly."""
    owner = await hall.owner()
    cast = Cast(hall.settings, owner)
    person = await cast.candidate(f"asha-{language}")
    await owner.execute("UPDATE candidate SET language = $1 WHERE candidate_id = $2", language, person.candidate_id)
    await cast.slot(person, opens_in=12, items=bank())
    await owner.close()
    # As an old or a plain connection has it: over TLS most browsers take brotli, too, which is smaller.
    context = await browser.new_context(
        base_url=hall.address,
        locale=f"{language}-IN",
        viewport={"width": 360, "height": 740},
        extra_http_headers={"Accept-Encoding": "gzip"},
    )
    context.set_default_timeout(20_000)
    count.mark()
    page = await context.new_page()
    phone = Phone(page)
    await page.goto("/")
    await phone.at("registration").fill(person.registration)
    await phone.at("code").fill(person.code)
    await phone.at("login").click()
    await expect(phone.at("waiting")).to_be_visible()
    await expect(phone.at("question")).to_be_visible(timeout=30_000)
    assert await page.locator("html").get_attribute("lang") == language
    await asyncio.sleep(0.3)
    sent = count.sent()
    await context.close()
    return [one for one in sent if not one.quiet], [one for one in sent if one.quiet]


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[tuple[Stack, Browser, Count]]:
    async with stack(tmp_path) as hall, chromium() as browser:
        yield hall, browser, Count(hall)


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_question_1_costs_a_first_visitor_sixty_kilobytes_and_a_dozen_requests(
    counted: tuple[Stack, Browser, Count],
) -> None:
    hall, browser, count = counted
    tables = []
    for language in ("en", "mr", "hi"):
        needed, kept = await first_visit(hall, browser, count, language)
        tables.append(
            (needed, f"{table(language, needed)}\n  quietly kept for a reload without a line:\n{table('', kept)}")
        )
    print("\n\n".join(text for _, text in tables))
    for needed, text in tables:
        assert {one.status for one in needed} == {200}, text
        assert any(one.path.startswith("/papers/") for one in needed), "the paper came sealed, before the exam opened"
        assert sum(one.body for one in needed if not one.path.startswith("/api/")) <= MOST_BYTES, text
        assert len(needed) <= MOST_REQUESTS, text


# Figures of the page in motion, printed for docs/performance.md ---------------------------------------------------


FIRST_SEEN = """(() => {
  new MutationObserver(() => {
    if (!globalThis.seenAt && document.querySelector("[data-test=question]")) {
      requestAnimationFrame(() => requestAnimationFrame(() => { globalThis.seenAt ??= Date.now(); }));
    }
  }).observe(document, { childList: true, subtree: true });
})()"""
MOVE = """async (count) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(0);
  }));
  const took = [];
  for (let n = 0; n < count; n += 1) {
    const forward = Math.floor(n / 40) % 2 === 0;
    await painted();
    const began = performance.now();
    document.querySelector(`[data-test=${forward ? "next" : "previous"}]`).click();
    await painted();
    took.push(performance.now() - began);
  }
  return took;
}"""
TWO_HOURS = """async (count) => {
  for (let n = 0; n < count; n += 1) {
    const forward = Math.floor(n / 40) % 2 === 0;
    const options = document.querySelectorAll("[data-test=question] input[type=radio]");
    if (options.length) options[n % options.length].click();
    await new Promise((done) => setTimeout(done, 40));
    document.querySelector(`[data-test=${forward ? "next" : "previous"}]`).click();
  }
}"""


async def begun(hall: Stack, opens_in: float, name: str) -> tuple[str, str, float]:
    """A candidate with fifty questions: registration, code and T0 in ms."""
    owner = await hall.owner()
    cast = Cast(hall.settings, owner)
    person = await cast.candidate(name)
    await owner.execute("UPDATE candidate SET language = 'mr' WHERE candidate_id = $1", person.candidate_id)
    slot = await cast.slot(person, opens_in=opens_in, items=bank())
    opens_at = await owner.fetchval("SELECT opens_at FROM slot WHERE slot_id = $1", slot.slot_id)
    await owner.close()
    return person.registration, person.code, opens_at.timestamp() * 1000


async def enter(page: Page, registration: str, code: str) -> None:
    phone = Phone(page)
    await page.goto("/")
    await phone.at("registration").fill(registration)
    await phone.at("code").fill(code)
    await phone.at("login").click()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_figures_of_a_slow_line_and_a_slow_device(counted: tuple[Stack, Browser, Count]) -> None:
    hall, browser, _ = counted
    options: Any = {"base_url": hall.address, "locale": "mr-IN", "viewport": {"width": 360, "height": 740}}

    slow = []
    for turn in range(RUNS):
        registration, code, opens_at = await begun(hall, 25, f"slow{turn}")
        context = await browser.new_context(**options)
        page = await context.new_page()
        await page.add_init_script(FIRST_SEEN)
        line = await context.new_cdp_session(page)
        await line.send("Network.enable")
        bits = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
        await line.send("Network.emulateNetworkConditions", bits)
        await enter(page, registration, code)
        await page.wait_for_function("() => globalThis.seenAt", timeout=60_000)
        slow.append((await page.evaluate("seenAt") - opens_at) / 1000)
        await context.close()
    told("question 1 after T0, at 400 kbit/s and 400 ms, in s", slow)

    registration, code, _ = await begun(hall, -60, "mover")
    context = await browser.new_context(**options)
    page = await context.new_page()
    await enter(page, registration, code)
    await page.click("[data-test=start]")
    await page.wait_for_selector("[data-test=question]")
    device = await context.new_cdp_session(page)
    await device.send("Emulation.setCPUThrottlingRate", {"rate": 6})
    moves = [took for _ in range(RUNS) for took in await page.evaluate(MOVE, 80)]
    told("a move to the next question, on a 6 times slower processor, in ms", moves)
    await device.send("Emulation.setCPUThrottlingRate", {"rate": 1})

    await device.send("Performance.enable")
    for moved in (0, 960, 960, 960):
        await page.evaluate(TWO_HOURS, moved)
        await device.send("HeapProfiler.collectGarbage")
        metrics = {one["name"]: one["value"] for one in (await device.send("Performance.getMetrics"))["metrics"]}
        print(
            f"after {moved} more moves and answers: JS heap {metrics['JSHeapUsedSize'] / 1e6:.1f} MB, "
            f"{metrics['Nodes']:.0f} nodes, {metrics['JSEventListeners']:.0f} listeners, "
            f"renderer {private(await renderer(browser)) / 1e6:.0f} MB private"
        )
    assert metrics["JSHeapUsedSize"] < 60e6
    await context.close()

    port = free_port()
    public, key = certificate(hall.folder, "127.0.0.1")
    told_by = "log_format sent '$request_method $uri $status $request_length $bytes_sent \"$server_protocol\"';"
    upstreams = [web_socket(hall.folder, number) for number in (1, 2)]
    config = nginx_config(
        listen=[f"127.0.0.1:{port}"],
        upstreams=upstreams,
        static=STATIC,
        temp=hall.folder / "nginx",
        certificate=public,
        certificate_key=key,
        http2=True,
    )
    assert isinstance(hall.nginx, Nginx)
    log = hall.folder / "h2.log"
    hall.nginx.reload(config.replace("access_log off;", f'{told_by}\n    access_log "{log}" sent;'))
    registration, code, _ = await begun(hall, -60, "saver")
    context = await browser.new_context(
        **{**options, "base_url": f"https://127.0.0.1:{port}", "ignore_https_errors": True}
    )
    page = await context.new_page()
    await asyncio.sleep(1)
    await enter(page, registration, code)
    await page.click("[data-test=start]")
    await page.wait_for_selector("[data-test=question]")
    for _ in range(30):
        await page.evaluate(TWO_HOURS, 1)
        await asyncio.sleep(0.3)
    saves = [line.split() for line in log.read_text().splitlines() if line.startswith("PUT /api/answers 200")]
    assert {one[5] for one in saves} == {'"HTTP/2.0"'}
    told("a save over HTTP/2, bytes to the service", [float(one[3]) for one in saves])
    told("a save over HTTP/2, bytes back", [float(one[4]) for one in saves])
    await context.close()


def told(what: str, figures: list[float]) -> None:
    ordered = sorted(figures)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    print(f"{what}: median {median(ordered):.1f}, 95 % {late:.1f}, most {ordered[-1]:.1f} (of {len(ordered)})")


async def renderer(browser: Browser) -> int:
    """The process of the page: of the renderers the one that has worked most."""
    session = await browser.new_browser_cdp_session()
    found = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    return int(max((one for one in found if one["type"] == "renderer"), key=lambda one: one["cpuTime"])["id"])


def private(pid: int) -> int:
    """Bytes that this process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))
