"""The candidate's screen where the exam asks for Safe Exam Browser, in one that tells its hashes and in any other."""

import hashlib

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.fake_hall import Server
from tests.browser.test_candidate_screen import Serve, held, hook, log_in, no_errors, says, sit, until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures(no_errors.__name__)]

KEY = "c0" * 32
# As Safe Exam Browser sets it up before a page's own scripts run; `when` is how its hashes come.
BROWSER = """([key, when]) => {
  const digest = async (text) => {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const security = { configKey: "", browserExamKey: "" };
  const fill = async () => { security.configKey = await digest(location.href.split("#")[0] + key); };
  if (when === "by name") security.updateKeys = (told) => fill().then(() => globalThis[told.name]());
  if (when === "by call") security.updateKeys = (told) => fill().then(told);
  globalThis.SafeExamBrowser = { version: "a fake one", security };
}"""


def opened_in(context: BrowserContext, when: str, key: str = KEY) -> None:
    """From now on pages find themselves in such a Safe Exam Browser."""
    context.add_init_script(f'({BROWSER})(["{key}", "{when}"])')


def in_headers(page: Page, server: Server, key: str = KEY) -> None:
    """What the page asks for carries the header of a Safe Exam Browser that can add one."""

    def add(route: Route) -> None:
        path = route.request.url.removeprefix(server.url)
        digest = hashlib.sha256(f"{server.url}{path}{key}".encode()).hexdigest()
        route.continue_(headers={**route.request.headers, "x-safeexambrowser-configkeyhash": digest})

    page.route("**/api/**", add)


@pytest.mark.parametrize("when", ["by name", "by call"])
def test_a_page_in_safe_exam_browser_shows_its_hashes_all_the_way(
    context: BrowserContext, serve: Serve, when: str
) -> None:
    server = serve()
    server.hall.config_key = KEY
    opened_in(context, when)
    page = log_in(context, server)
    expect(page.locator(hook("waiting"))).to_contain_text("Safe Exam Browser only")
    page.click(hook("start"))
    page.wait_for_selector(hook("question"))
    page.locator(f"{hook('question')} input").first.check()
    says(page, "safe")
    assert len(held(server)) == 1
    page.goto(f"{server.url}/sitting#main")  # a place in the page does not belong to the address
    page.reload()
    page.wait_for_selector(hook("question"))
    page.locator(f"{hook('question')} input").nth(1).check()
    until(lambda: len(server.hall.attempt.counted) == 2, "the second answer is there")


def test_a_browser_that_adds_the_headers_needs_nothing_of_the_page(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    server.hall.config_key = KEY
    page = context.new_page()
    in_headers(page, server)
    page.goto(server.url + "/")
    page.fill(hook("registration"), server.hall.registration)
    page.fill(hook("code"), server.hall.code)
    page.click(hook("login"))
    page.click(hook("start"))
    page.wait_for_selector(hook("question"))
    page.locator(f"{hook('question')} input").first.check()
    says(page, "safe")


@pytest.mark.parametrize("when", ["never", "by name"])
def test_any_other_browser_is_told_at_the_log_in(context: BrowserContext, serve: Serve, when: str) -> None:
    server = serve()
    server.hall.config_key = KEY
    if when != "never":
        opened_in(context, when, key="0e" * 32)  # opened with the file of another exam
    page = context.new_page()
    page.goto(server.url + "/")
    page.fill(hook("registration"), server.hall.registration)
    page.fill(hook("code"), server.hall.code)
    page.click(hook("login"))
    expect(page.locator(hook("login-message"))).to_contain_text("has to be opened in Safe Exam Browser")
    expect(page.locator(hook("registration"))).to_have_value(server.hall.registration)


def test_answers_wait_on_the_device_until_the_hall_is_freed(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.locator(f"{hook('question')} input").first.check()
    says(page, "safe")
    server.hall.config_key = KEY
    page.locator(f"{hook('question')} input").nth(1).check()
    says(page, "has to be opened in Safe Exam Browser", "1 answer is kept on this device")
    page.reload()
    expect(page.locator("h1")).to_have_text("This exam has to be opened in Safe Exam Browser")
    assert len(server.hall.attempt.counted) == 1
    server.hall.config_key = ""
    page.click(hook("again"))
    page.wait_for_selector(hook("question"))
    until(lambda: len(server.hall.attempt.counted) == 2, "what was kept is handed in")
    says(page, "safe")


def test_an_ordinary_browser_loads_nothing_of_this(chromium: Browser, serve: Serve) -> None:
    server = serve()
    context = chromium.new_context(service_workers="block")  # that one keeps everything, for a page without a line
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = sit(context, server)
    page.locator(f"{hook('question')} input").first.check()
    says(page, "safe")
    assert any("exam.js" in url for url in asked) and not any("proof" in url for url in asked)
    context.close()
