"""The code that the invigilator reads out: the exam begins without the server, and all arrives when it is back."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from exam.envelopes import LETTERS, code_of
from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import PAPER, Server
from tests.browser.test_candidate_screen import Serve, go, held, hook, no_errors, says, until
from tests.browser.test_journal import EVERYTHING, kept_by_the_browser, on_device, write

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures(no_errors.__name__)]

# Ten seconds of patience need not be sat through: both clocks of the page can be put forward together.
JUMP = """{
  let ahead = 0;
  const [monotonic, wall] = [performance.now.bind(performance), Date.now];
  performance.now = () => monotonic() + ahead;
  Date.now = () => wall() + ahead;
  globalThis.jump = (ms) => { ahead += ms; };
}"""
SOON = "Math.random = () => 0.001;"
ANSWER = f"{hook('option')}[value=p1]"


def wait(context: BrowserContext, server: Server, *, paper: bool = True) -> Page:
    """A page in the waiting room that has all it needs for the code."""
    server.hall.lay_envelope()
    context.add_init_script(JUMP + SOON)
    context.add_cookies([{"name": "exam", "value": server.hall.login(), "url": server.url}])
    page = context.new_page()
    page.goto(server.url + "/sitting")
    page.wait_for_selector(hook("waiting"))
    if paper:
        until(
            lambda: len([note for note in on_device(page)["notes"] if note["name"] == "sealed"]) == 1, "the paper waits"
        )
    kept_by_the_browser(page)
    return page


def jump(page: Page, server: Server, seconds: float) -> None:
    page.evaluate("(ms) => jump(ms)", seconds * 1000)
    server.ahead += int(seconds * 1000)


def to_the_code(page: Page, server: Server) -> None:
    """The exam has opened, nothing answers, and the field is there."""
    left = (server.hall.opens_at - server.now()) / 1000
    jump(page, server, left + 0.5)
    expect(page.locator(hook("waiting"))).to_contain_text("Starting")
    jump(page, server, 13)
    page.wait_for_selector(hook("hall-code"))


def begin(page: Page, server: Server) -> None:
    page.fill(hook("hall-code"), server.hall.hall_code)
    page.click(hook("open-paper"))
    page.wait_for_selector(hook("question"))


def starts(server: Server) -> list[Any]:
    return [body for _, path, body in server.requests if path == "/api/start"]


# ---- the code as it is typed


def test_a_code_is_understood_as_people_type_it_and_no_wrong_letter_passes(
    context: BrowserContext, serve: Serve
) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    read = """async (typed) => {
      const { readCode } = await import("/static/0/candidate/code.js");
      return typed.map(readCode);
    }"""
    codes = [code_of(b"any", slot) for slot in range(300)]
    plain = [code.replace("-", "") for code in codes]
    devanagari = str.maketrans("0123456789", "०१२३४५६७८९")
    for typed in (
        codes,
        [code.lower() for code in codes],
        [f"  {code.replace('-', ' ')}\n" for code in codes],
        [code.replace("-", "–") for code in codes],
        [code.translate(devanagari) for code in codes],
        [code.translate(str.maketrans("01", "Ol")) for code in codes],
        [code.translate(str.maketrans("01", "oI")) for code in codes],
        [code.translate(str.maketrans("ABC", "ＡＢＣ")) for code in codes],
        [". ".join(code) for code in plain],
    ):
        assert page.evaluate(read, typed) == plain
    code = plain[0]
    wrong = [code[:place] + letter + code[place + 1 :] for place in range(14) for letter in LETTERS + "U*"]
    assert {text for text in page.evaluate(read, wrong) if text} == {code}
    swapped = [code[:at] + code[at + 1] + code[at] + code[at + 2 :] for at in range(13) if code[at] != code[at + 1]]
    assert set(page.evaluate(read, [*swapped, "", code[:13], code + "0", "<b>", "अ" * 14])) == {""}


# ---- before the opening


def test_nothing_of_the_paper_can_be_read_before_the_opening(context: BrowserContext, serve: Serve) -> None:
    """Neither in what travels, nor in what is kept, nor in the page's memory: until the code is there."""
    server = serve(opens_in=120)
    travelled: list[bytes] = []
    context.on("response", lambda response: travelled.append(_body(response)))
    page = wait(context, server)
    page.wait_for_timeout(1000)
    secrets = [
        "greater solution of the equation",
        PAPER["items"][-1]["prompt"]["en"][3:40],
        server.hall.key.hex(),
        server.hall.hall_code[:9],
        server.hall.hall_code.replace("-", ""),
    ]

    def seen() -> list[str]:
        kept = json.dumps(json.loads(page.evaluate(EVERYTHING)), ensure_ascii=False)
        cached = page.evaluate(
            """async () => {
              let all = "";
              for (const name of await caches.keys()) {
                const cache = await caches.open(name);
                for (const request of await cache.keys()) all += await (await cache.match(request)).text();
              }
              return all;
            }"""
        )
        places = {"kept": kept, "cached": cached, "travelled": b"".join(travelled).decode("utf-8", "replace")}
        places["memory"] = memory(page)
        return [f"{secret} in {place}" for place, text in places.items() for secret in secrets if secret in text]

    assert seen() == []
    notes = {note["name"] for note in on_device(page)["notes"]}
    assert {"sealed", "sitting"} <= notes and on_device(page)["rows"] == []
    server.cut = True
    to_the_code(page, server)
    begin(page, server)
    assert any("greater solution" in place and "memory" in place for place in seen()), "it would have been found"


def _body(response: Any) -> bytes:
    try:
        return bytes(response.body())
    except Exception:
        return b""


def memory(page: Page) -> str:
    """Every string and name on the heap of a page."""
    session = page.context.new_cdp_session(page)
    chunks: list[str] = []
    session.on("HeapProfiler.addHeapSnapshotChunk", lambda event: chunks.append(event["chunk"]))
    session.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    session.detach()
    return "\n".join(json.loads("".join(chunks))["strings"])


# ---- without the server


def test_the_exam_begins_by_the_code_goes_on_after_a_reload_and_arrives_whole(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(opens_in=60)
    page = wait(context, server)
    server.cut = True
    to_the_code(page, server)
    expect(page.locator("#waiting-words")).to_contain_text("Your invigilator can read out a code")
    code = server.hall.hall_code
    page.fill(hook("hall-code"), code[:-1])
    page.click(hook("open-paper"))
    expect(page.locator(hook("code-message"))).to_contain_text("not the whole code")
    page.fill(hook("hall-code"), code_of(b"another hall", 1))
    page.press(hook("hall-code"), "Enter")
    expect(page.locator(hook("code-message"))).to_contain_text("does not open your paper")
    expect(page.locator(hook("hall-code"))).to_be_focused()
    page.keyboard.type(code.lower().replace("-", " "))
    page.keyboard.press("Enter")
    page.wait_for_selector(hook("question"))
    ends = page.evaluate("(ms) => Math.round((ms - Date.now()) / 1000)", server.hall.opens_at + 90 * 60_000)
    assert 5300 < ends < 5390
    expect(page.locator(hook("time"))).to_contain_text("1:29:")
    page.check(ANSWER)
    says(page, "kept on this device")
    assert {row["epoch"] for row in on_device(page)["rows"]} == {0}
    context.set_offline(True)
    page.reload()
    expect(page.locator(ANSWER)).to_be_checked(timeout=15_000)
    write(page, "in the dark")
    until(lambda: len(on_device(page)["rows"]) == 2, "both rows are on the device")
    server.cut = False
    assert not server.hall.attempt.started_at
    context.set_offline(False)
    says(page, "2 answers safe (")
    assert held(server) == {1: "p1", 3: "in the dark"} and not server.hall.attempt.kept
    assert starts(server)[-1] == {"by": "code", "key": server.hall.key.hex()}
    assert server.hall.attempt.started_at == server.hall.opens_at and server.hall.attempt.epoch == 1
    page.reload()
    page.wait_for_selector(hook("question"))
    go(page, 3)
    expect(page.locator(f"{hook('question')} input[type=text]")).to_have_value("in the dark")
    assert starts(server)[-1]["by"] == "code"
    page.click(hook("palette-review"))
    page.click(hook("submit"))
    page.click("dialog[open] button.primary")
    page.wait_for_selector(hook("receipt-code"))
    until(lambda: on_device(page)["notes"] == [] and on_device(page)["rows"] == [], "nothing of it stays")


def test_the_start_is_told_without_any_answer_and_time_that_was_given_is_heard_of(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(opens_in=60)
    page = wait(context, server)
    server.busy = 10**6
    to_the_code(page, server)
    begin(page, server)
    assert not server.hall.attempt.started_at
    server.hall.minutes += 10
    server.busy = 0
    until(lambda: server.hall.attempt.started_at == server.hall.opens_at, "the start arrives by itself", 35)
    expect(page.locator(hook("time"))).to_contain_text("1:39:")
    page.check(ANSWER)
    says(page, "1 answer safe (")


def test_a_reload_in_the_waiting_room_while_nothing_answers_still_leads_to_the_code(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(opens_in=60)
    page = wait(context, server)
    server.cut = True
    context.set_offline(True)
    page.reload()
    page.wait_for_selector(hook("waiting"), timeout=15_000)
    expect(page.locator(hook("countdown"))).to_contain_text("00:")
    to_the_code(page, server)
    begin(page, server)
    page.check(ANSWER)
    says(page, "kept on this device")
    server.cut = False
    context.set_offline(False)
    says(page, "1 answer safe (")
    assert server.hall.attempt.started_at == server.hall.opens_at


def test_the_server_comes_back_before_the_code_is_typed(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=60)
    page = wait(context, server)
    server.busy = 10**6
    to_the_code(page, server)
    page.fill(hook("hall-code"), "7QX2")
    page.click(hook("settings"))
    page.select_option(hook("language"), "mr")
    expect(page.locator(hook("hall-code"))).to_have_value("7QX2")
    server.busy = 0
    page.wait_for_selector(hook("question"), timeout=40_000)
    assert starts(server)[-1] == {} and server.hall.attempt.started_at > server.hall.opens_at + 10_000
    page.check(ANSWER)
    until(lambda: held(server) == {1: "p1"}, "saved as ever")


def test_without_the_paper_the_page_says_so_and_starts_by_itself(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=60)
    context.route("**/papers/*.*", lambda route: route.abort())
    page = wait(context, server, paper=False)
    server.busy = 10**6
    left = (server.hall.opens_at - server.now()) / 1000
    jump(page, server, left + 0.5)
    expect(page.locator(hook("waiting"))).to_contain_text("Starting")
    jump(page, server, 13)
    expect(page.locator("#waiting-words")).to_contain_text("has no paper yet")
    expect(page.locator(hook("hall-code"))).to_have_count(0)
    server.busy = 0
    page.wait_for_selector(hook("question"), timeout=40_000)
    assert f"/api/papers/{server.hall.form}" in [path for _, path, _ in server.requests]


# ---- what else may have happened meanwhile


def test_another_device_has_started_meanwhile(context: BrowserContext, serve: Serve) -> None:
    """What was written in the dark never mixes with what the other device writes: it is kept, and that is said."""
    server = serve(opens_in=60)
    page = wait(context, server)
    server.cut = True
    to_the_code(page, server)
    begin(page, server)
    page.check(ANSWER)
    write(page, "in the dark")
    says(page, "2 answers")
    other = server.hall.login()
    server.hall.call(other, "POST", "/api/start", {}, server.now())
    row = {"seq": 1, "item": 1, "response": "p2", "flag": False}
    server.hall.call(other, "PUT", "/api/answers", {"epoch": 1, "answers": [row]}, server.now())
    server.cut = False
    page.wait_for_selector(hook("stopped"), timeout=40_000)
    until(lambda: len(server.hall.attempt.kept) == 2, "handed over")
    assert held(server) == {1: "p2"}
    assert {reason for _, reason in server.hall.attempt.kept.values()} == {"stale_device"}
    says(page, "kept")


def test_the_exam_has_ended_meanwhile(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=60)
    page = wait(context, server)
    server.cut = True
    to_the_code(page, server)
    begin(page, server)
    page.check(ANSWER)
    says(page, "1 answer")
    other = server.hall.login()
    server.hall.call(other, "POST", "/api/start", {}, server.now())
    server.hall.call(other, "POST", "/api/submit", {"epoch": 1, "last_seq": 0, "answers": []}, server.now())
    server.cut = False
    page.wait_for_selector(hook("receipt"), timeout=40_000)
    until(lambda: [reason for _, reason in server.hall.attempt.kept.values()] == ["stale_device"], "handed over")
    says(page, "kept")


@pytest.mark.parametrize("reload", [False, True])
def test_the_time_is_over_when_the_line_comes_back(context: BrowserContext, serve: Serve, reload: bool) -> None:
    server = serve(opens_in=60, minutes=40, grace=5)
    page = wait(context, server)
    server.cut = True
    to_the_code(page, server)
    begin(page, server)
    page.check(ANSWER)
    says(page, "1 answer")
    jump(page, server, 41 * 60)
    expect(page.locator(hook("over"))).to_be_visible(timeout=15_000)
    server.cut = False
    if reload:
        page.reload()
    page.wait_for_selector(hook("receipt"), timeout=60_000)
    assert held(server) == {} and server.hall.attempt.state == "sealed"
    assert len(server.hall.attempt.kept) == 1 and server.hall.attempt.started_at == server.hall.opens_at
    says(page, "kept")


def test_what_was_begun_by_code_and_left_is_handed_over_by_whoever_comes_next(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(opens_in=60, minutes=1, grace=1)
    page = wait(context, server)
    server.cut = True
    to_the_code(page, server)
    begin(page, server)
    write(page, "left behind")
    until(lambda: len(on_device(page)["rows"]) > 0, "on the device")
    page.close()
    context.clear_cookies()
    server.cut = False
    server.ahead += 120_000
    another = context.new_page()
    another.goto(server.url + "/")
    until(lambda: len(server.hall.attempt.kept) == 1, "handed over at the log-in page", 15)
    until(lambda: on_device(another)["rows"] == [], "what has arrived is deleted", 5)


# ---- for everybody


@pytest.mark.parametrize(("width", "language"), [(320, "hi"), (320, "en"), (768, "mr"), (1280, "en")])
def test_the_code_for_everybody(chromium: Browser, serve: Serve, width: int, language: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    SCREENSHOTS.mkdir(exist_ok=True)
    server = serve(opens_in=60)
    context = chromium.new_context(viewport={"width": width, "height": 800})
    page = wait(context, server)
    server.busy = 10**6
    to_the_code(page, server)
    page.click(hook("settings"))
    page.select_option(hook("language"), language)
    page.keyboard.press("Escape")
    page.fill(hook("hall-code"), code_of(b"another hall", 1))
    page.click(hook("open-paper"))
    expect(page.locator(hook("code-message"))).not_to_be_empty()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for name in ("hall-code", "open-paper"):
        box = page.locator(hook(name)).bounding_box()
        assert box and box["height"] >= 44, name
    found = {}
    for colours in ("light", "dark", "contrast"):
        page.evaluate("(each) => { document.documentElement.dataset.colours = each; }", colours)
        result = Axe().run(page).response["violations"]
        found[colours] = [(each["id"], each["nodes"][0]["html"][:200]) for each in result]
        page.screenshot(path=SCREENSHOTS / f"code-{width}-{language}-{colours}.png", full_page=True)
    assert found == {"light": [], "dark": [], "contrast": []}
    context.close()
