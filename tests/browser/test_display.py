"""How the candidate's screen speaks and looks: catalogues, Hindi, text size and spacing, questions in two languages."""

import copy
import gzip
import hashlib
import json
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from exam.web.files import files
from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import PAPER, ROOT, Server
from tests.browser.test_candidate_screen import Serve, go, held, hook, no_errors, says, sit, until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures(no_errors.__name__)]

CANDIDATE = ROOT / "static/candidate"
LANGUAGES = ("en", "mr", "hi")
STRINGS = re.compile(r'^(msgid|msgid_plural|msgstr|msgstr\[(?P<form>[01])\]) "(?P<text>(?:[^"\\]|\\.)*)"$')
PLURALS = {"en": "plural=(n != 1)", "mr": "plural=(n != 1)", "hi": "plural=(n > 1)"}


# ---- catalogues


def catalogue(code: str) -> dict[str, list[str]]:
    """id → its forms, read strictly: every line is known, every entry whole, nothing twice, nothing fuzzy."""
    found: dict[str, list[str]] = {}
    header = None
    text = (CANDIDATE / f"words/{code}.po").read_text(encoding="utf-8")
    for block in text.strip().split("\n\n"):
        lines = [line for line in block.split("\n") if not line.startswith("#")]
        assert "fuzzy" not in block and "#~" not in block, block
        if header is None:
            assert lines[:2] == ['msgid ""', 'msgstr ""'], "the header comes first"
            header = "".join(json.loads(line) for line in lines[2:])
            continue
        matches = [STRINGS.match(line) for line in lines]
        assert all(matches), block
        parts = [(match[1], json.loads(f'"{match["text"]}"')) for match in matches if match]
        keywords = [keyword for keyword, _ in parts]
        several = ["msgid", "msgid_plural", "msgstr[0]", "msgstr[1]"]
        assert keywords in (["msgid", "msgstr"], several), block
        key = parts[0][1]
        assert key not in found, f"{key} twice"
        assert keywords != several or parts[1][1] == key, block
        found[key] = [words for keyword, words in parts if keyword.startswith("msgstr")]
        assert all(form.strip() == form != "" for form in found[key]), block
    assert header is not None
    assert f"Language: {code}\n" in header and "charset=UTF-8\n" in header
    assert f"Plural-Forms: nplurals=2; {PLURALS[code]};\n" in header
    return found


def test_every_sentence_exists_in_every_language_with_the_same_places_to_fill() -> None:
    english = catalogue("en")
    for code in LANGUAGES[1:]:
        other = catalogue(code)
        assert english.keys() == other.keys()
        for key, forms in english.items():
            assert len(forms) == len(other[key]), key
            filled = [set(re.findall(r"{\w+}", " ".join(each))) for each in (forms, other[key])]
            assert filled[0] == filled[1], key
            # A pair has its number in the form for many, or the sentence would not say how many.
            assert len(forms) == 1 or re.search(r"{(n|list)}", other[key][1]), key
            said = re.sub(r"{\w+}|JavaScript|Safe Exam Browser", "", " ".join(other[key]))
            assert not re.search(r"[a-z]{4}", said), f"{code} {key}"


def test_every_sentence_is_said_and_every_said_one_exists() -> None:
    templates = ROOT / "exam/web/templates/candidate"
    files = [file.read_text() for file in (*CANDIDATE.glob("*.js"), *templates.glob("*.j2"))]
    keys = set(catalogue("en"))
    ours = "".join(source for source in files if not re.search(r"\bconst say\b", source))
    said = set(re.findall(r'\bsay\("([\w.]+)"', ours)) | set(re.findall(r'data-word="([\w.]+)"', ours))
    assert said - keys == set()
    source = "".join(files)
    named = set(re.findall(r'"([a-z][\w.]*)"', source))
    # Names that are put together, such as save.${trouble}.
    made = [re.split(r"\$\{[^}]*\}", each) for each in re.findall(r"`([a-z]+\.[^`\s]*\$\{[^`]*)`", source)]
    patterns = [re.compile(r"[\w.]*".join(map(re.escape, parts))) for parts in made]
    assert [key for key in keys - named if not any(pattern.fullmatch(key) for pattern in patterns)] == []


def test_the_page_gets_the_catalogues_word_for_word() -> None:
    for code in LANGUAGES:
        first, rest = (json.loads(files()[f"joined/words/{code}{part}.json"]) for part in ("", ".rest"))
        assert set(first) & set(rest) == {"hall"}
        ours = first | rest
        assert {key: [each] if isinstance(each, str) else each for key, each in ours.items()} == catalogue(code)


# ---- the language of the page


@pytest.mark.parametrize("what", ["nothing", "a log-in page", "an error"])
def test_a_language_that_does_not_come_leaves_the_one_that_is_here(chromium: Browser, serve: Serve, what: str) -> None:
    context = chromium.new_context(service_workers="block")  # or that would have kept the catalogue
    page = sit(context, serve())
    answers = {"a log-in page": (200, "<html>School network</html>"), "an error": (503, '{"hall": "?"}')}
    if what == "nothing":
        page.route("**/hi.json*", lambda route: route.abort())
    else:
        status, body = answers[what]
        page.route("**/hi.json*", lambda route: route.fulfill(status=status, body=body, content_type="text/plain"))
    page.click(hook("settings"))
    page.select_option(hook("language"), "hi")
    expect(page.locator(hook("language"))).to_have_value("en")
    expect(page.locator("#q1-title")).to_contain_text("Question 1")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.unroute("**/hi.json*")
    page.select_option(hook("language"), "hi")
    expect(page.locator("#q1-title")).to_contain_text("प्रश्न १")
    context.close()


def test_hindi_speaks_with_its_own_digits_and_plurals(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=31)
    page = sit(context, server)
    page.click(hook("settings"))
    page.select_option(hook("language"), "hi")
    page.keyboard.press("Escape")
    expect(page.locator("html")).to_have_attribute("lang", "hi")
    expect(page.locator(hook("time"))).to_have_text(re.compile(r"^(३१:००|३०:५[०-९])$"))
    page.check(f"{hook('option')}[value=p1]")
    says(page, "१ उत्तर सुरक्षित (")
    go(page, 5)
    page.check(f"{hook('option')}[value=true]")
    says(page, "सभी २ उत्तर सुरक्षित (")
    expect(page.locator(f"aside {hook('square')}").nth(1)).to_have_attribute("aria-label", "प्रश्न २, अभी नहीं देखा")
    told = page.evaluate(
        """async () => {
          const { $ } = await import("/static/0/joined/login.js"); // the page's own
          const { dayAndTime, say } = $["words.js"];
          const times = [0, 1, 2].map((n) => say("time.minutes", { n }));
          return [dayAndTime(Date.UTC(2026, 9, 26, 4)), ...times];
        }"""
    )
    assert told == ["सोमवार, २६ अक्टूबर, ०९:३०", "० मिनट बचा है।", "१ मिनट बचा है।", "२ मिनट बचे हैं।"]
    page.reload()
    expect(page.locator("#q5-title")).to_contain_text("प्रश्न ५")


# ---- text size and space between lines


def rem(page: Page) -> float:
    return float(page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)"))


def leading(field: Locator) -> float:
    """The height of a line, in letters."""
    style = "(node) => parseFloat(getComputedStyle(node).lineHeight) / parseFloat(getComputedStyle(node).fontSize)"
    return float(field.evaluate(style))


def fits(page: Page, name: str) -> None:
    """Nothing is wider than the window; keeps a picture to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"display-{name}.png")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} is {wide} px wider than the window"


def looks(page: Page, **chosen: str) -> None:
    """Choose in the settings."""
    page.click(f"{hook('settings')} summary")
    for name, value in chosen.items():
        page.select_option(f"#{name}", value)
    page.keyboard.press("Escape")


def test_text_size_and_spacing_are_chosen_and_remembered(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve())
    prompt = page.locator(hook("prompt"))
    assert rem(page) == 16
    assert leading(prompt) == pytest.approx(1.6)
    for size in ("115", "130", "150"):
        looks(page, size=size)
        assert rem(page) == pytest.approx(16 * int(size) / 100)
    looks(page, spacing="wide", colours="dark")
    assert leading(prompt) >= 2
    assert leading(page.locator(".option").first) >= 2
    page.reload()
    page.wait_for_selector(hook("question"))
    assert rem(page) == 24
    assert leading(prompt) >= 2
    expect(page.locator("html")).to_have_attribute("data-colours", "dark")
    page.click(f"{hook('settings')} summary")
    expect(page.locator("#size")).to_have_value("150")
    expect(page.locator("#spacing")).to_have_value("wide")


def test_larger_text_takes_the_room_of_the_palette_and_gives_it_back(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve())
    squares = page.locator(f"aside {hook('square')}")
    expect(squares.first).to_be_visible()
    looks(page, size="150")
    expect(squares).to_have_count(0)
    page.click(hook("open-palette"))
    page.click(f"dialog {hook('square')}[data-item='5']")
    expect(page.locator("#q5-title")).to_be_focused()
    looks(page, size="100")
    expect(squares.first).to_be_visible()
    expect(page.locator(hook("open-palette"))).to_be_hidden()


SCREENS = {"phone": (320, 640), "zoomed": (320, 200), "tablet": (768, 1024), "desktop": (1280, 800)}


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_nothing_breaks_with_the_largest_text_in_two_languages(
    context: BrowserContext, serve: Serve, screen: str, direction: str
) -> None:
    width, height = SCREENS[screen]
    server = serve()
    page = sit(context, server)
    looks(page, size="150", spacing="wide", view="all")
    page.click(hook("paper-both"))
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("(dir) => { document.documentElement.dir = dir; }", direction)
    page.check(f"#q2 {hook('option')} >> nth=1")
    says(page, "1 answer safe (")
    fits(page, f"{screen}-{direction}")
    page.click(f"{hook('settings')} summary")
    box = page.locator("#settings-body").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
    fits(page, f"{screen}-{direction}-settings")
    page.locator("#colours").scroll_into_view_if_needed()
    expect(page.locator("#colours")).to_be_in_viewport()
    page.keyboard.press("Escape")
    last = page.locator(f"{hook('question')} input").last
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    if screen == "zoomed":
        assert page.evaluate("getComputedStyle(document.getElementById('top')).position") == "static"
    for button in page.locator("button:visible").all()[:40]:
        tall = button.bounding_box()
        assert tall is not None and tall["height"] >= 44, button.inner_text()
    page.click(hook("to-review"))
    fits(page, f"{screen}-{direction}-review")


def test_forced_colours_show_what_is_pressed_and_chosen(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve())
    page.emulate_media(forced_colors="active")
    page.click(hook("paper-both"))
    page.check(f"{hook('option')}[value=p1]")
    widths = page.evaluate(
        """() => Object.fromEntries(["paper-both", "paper-en", "paper-mr"].map((id) =>
          [id, parseFloat(getComputedStyle(document.getElementById(id)).borderTopWidth)]))"""
    )
    assert widths["paper-both"] > widths["paper-mr"] > 0
    assert widths["paper-en"] > widths["paper-mr"]
    outline = "(node) => getComputedStyle(node.closest('label')).outlineStyle"
    assert page.locator(f"{hook('option')}[value=p1]").evaluate(outline) == "solid"
    fits(page, "forced")


# ---- the language of the questions


def with_hindi(server: Server) -> None:
    """Gives the hall's paper a third language, which question 2 has not; a part of question 3 is in Urdu."""
    paper = copy.deepcopy(PAPER)
    paper["languages"].append("hi")
    for item in paper["items"]:
        if item["no"] != 2:
            item["prompt"]["hi"] = f"<p>प्रश्न {item['no']} हिन्दी में</p>"
    for option in paper["items"][0]["interaction"]["options"]:
        option["text"]["hi"] = f"विकल्प {option['id']}"
    paper["items"][2]["prompt"]["en"] += '<p lang="ur">یہ اردو ہے۔</p>'
    hall = server.hall
    hall.paper = json.dumps(paper, ensure_ascii=False).encode()
    hall.form = hashlib.sha256(hall.paper).hexdigest()
    hall.sealed = AESGCM(hall.key).encrypt(bytes(12), gzip.compress(hall.paper), bytes.fromhex(hall.form))


def ids(page: Page, question: str = "") -> list[str | None]:
    """The options as they stand."""
    return [option.get_attribute("value") for option in page.locator(f"{question} {hook('option')}").all()]


def test_one_question_is_switched_by_itself(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    with_hindi(server)
    page = sit(context, server)
    order = ids(page)
    page.check(f"{hook('option')}[value=p1]")
    switch = page.locator(hook("switch"))
    prompt = page.locator(hook("prompt"))
    for lang, text, next_name in (
        ("mr", "समीकरणाची", "हिन्दी"),
        ("hi", "हिन्दी में", "English"),
        ("en", "greater", "मराठी"),
    ):
        switch.click()
        expect(prompt).to_have_attribute("lang", lang)
        expect(prompt).to_contain_text(text)
        expect(page.locator(".option-text").first).to_have_attribute("lang", lang)
        expect(switch).to_be_focused()
        expect(switch.locator("[lang]")).to_have_text(next_name)
    assert ids(page) == order
    expect(page.locator(f"{hook('option')}[value=p1]")).to_be_checked()
    switch.click()
    expect(page.locator("#live")).to_have_text("Question 1 is now in मराठी.")
    page.click(hook("next"))
    expect(prompt).to_have_attribute("lang", "en")
    page.click(hook("previous"))
    expect(prompt).to_have_attribute("lang", "mr")
    page.check(f"{hook('option')}[value=p9]")
    says(page, "1 answer safe (")
    assert held(server) == {1: "p9"}
    page.click(hook("paper-mr"))
    page.click(hook("paper-en"))
    expect(prompt).to_have_attribute("lang", "en")
    go(page, 2)  # has no Hindi
    switch.click()
    expect(prompt).to_have_attribute("lang", "mr")
    expect(switch.locator("[lang]")).to_have_text("English")


def test_a_switch_keeps_what_is_being_typed_and_what_is_locked(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    looks(page, view="all")
    page.focus(f"#q8 {hook('text')}")
    page.keyboard.type("half a sen")
    page.click(f"#q8 {hook('switch')}")
    expect(page.locator(f"#q8 {hook('text')}")).to_have_value("half a sen")
    expect(page.locator("#q8-prompt")).to_have_attribute("lang", "mr")
    expect(page.locator("#q7-prompt")).to_have_attribute("lang", "en")
    until(lambda: held(server).get(8) == "half a sen", "what was typed before the switch was not saved")
    server.hall.attempt.deadline = server.now() - 1
    page.fill(f"#q7 {hook('text')}", "open")
    expect(page.locator(f"#q8 {hook('text')}")).to_be_disabled()
    page.click(f"#q8 {hook('switch')}")
    expect(page.locator("#q8-prompt")).to_have_attribute("lang", "en")
    expect(page.locator(f"#q8 {hook('text')}")).to_be_disabled()


def places(page: Page, where: str) -> list[Any]:
    """The boxes of the fragments, one for each language."""
    boxes = [part.bounding_box() for part in page.locator(f"{where} > [lang]").all()]
    return [box for box in boxes if box]


def test_two_languages_stand_beside_each_other_over_one_set_of_inputs(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    order = ids(page)
    page.click(hook("paper-both"))
    expect(page.locator(hook("paper-both"))).to_be_focused()
    expect(page.locator(hook("paper-both"))).to_have_attribute("aria-pressed", "true")
    parts = page.locator("#q1-prompt > [lang]")
    assert [part.get_attribute("lang") for part in parts.all()] == ["en", "mr"]
    expect(parts.nth(0)).to_contain_text("greater solution")
    expect(parts.nth(1)).to_contain_text("समीकरणाची")
    assert ids(page) == order
    label = page.locator("label.option", has=page.locator("[value=p7]"))
    expect(label.locator("[lang=en]").last).to_have_text("None of these")
    expect(label.locator("[lang=mr]")).to_have_text("यांपैकी एकही नाही")
    for where in ("#q1-prompt", "label.option:has([value=p7]) .option-text"):
        left, right = places(page, where)
        assert left["x"] + left["width"] <= right["x"] and abs(left["y"] - right["y"]) < 2, where
    fits(page, "beside")
    page.set_viewport_size({"width": 360, "height": 740})
    for where in ("#q1-prompt", "label.option:has([value=p7]) .option-text"):
        first, second = places(page, where)
        assert first["y"] + first["height"] <= second["y"] and first["x"] == second["x"], where
    fits(page, "under")
    label.locator("[lang=mr]").click()
    says(page, "1 answer safe (")
    assert held(server) == {1: "p7"}
    page.reload()
    expect(parts).to_have_count(2)
    page.click(hook("paper-mr"))  # the first and the second change places
    expect(parts).to_have_count(2)
    assert [part.get_attribute("lang") for part in parts.all()] == ["mr", "en"]
    page.click(hook("paper-both"))
    expect(page.locator(hook("prompt"))).to_have_attribute("lang", "mr")
    expect(parts).to_have_count(0)


def test_two_languages_in_every_kind_of_question(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    fields = "input, select, textarea"
    before = {}
    for item in PAPER["items"]:
        go(page, item["no"])
        before[item["no"]] = page.locator(hook("question")).locator(fields).count()
    page.click(hook("paper-both"))
    for item in PAPER["items"]:
        go(page, item["no"])
        question = page.locator(hook("question"))
        assert question.locator(fields).count() == before[item["no"]], item
        assert "<div" not in question.inner_text() and "[[" not in question.inner_text(), item
        assert page.locator(f"#q{item['no']}-prompt > [lang]").count() == len(item["prompt"])
        ours = question.evaluate("(node) => [...node.querySelectorAll('[id]')].map((each) => each.id)")
        assert len(ours) == len(set(ours)), item
        fits(page, f"both-{item['no']}")
    go(page, 6)  # a list shows one language only, so it shows letters, which stand before both texts
    entries = page.locator(f"{hook('match')} >> nth=0").locator("option")
    assert entries.all_inner_texts() == ["Choose…", "A", "B", "C", "D"]
    letters = page.locator(".letters li")
    expect(letters).to_have_count(4)
    place = letters.all_inner_texts().index(next(text for text in letters.all_inner_texts() if "know already" in text))
    expect(letters.nth(place)).to_contain_text("विद्यार्थ्यांना आधीच काय माहीत आहे")
    page.select_option(f"{hook('match')}[data-prompt=q1]", "ABCD"[place])
    says(page, "1 answer safe (")
    assert held(server) == {6: {"q1": "c1"}}


def test_what_is_the_same_in_both_languages_stands_once_and_gaps_in_the_first(
    context: BrowserContext, serve: Serve
) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    text = {"en": "Water [[g1]] at [[g2]].", "mr": "[[g2]] ला पाणी [[g1]]."}
    options: list[dict[str, Any]] = [{"id": "a", "text": {"en": "boils", "mr": "उकळते"}, "pinned": False}]
    item = {
        "no": 1,
        "prompt": {"en": "<p>7</p>", "mr": "<p>7</p>"},
        "interaction": {"type": "inline", "text": text, "gaps": [{"id": "g2"}, {"id": "g1", "options": options}]},
    }
    made = page.evaluate(
        "async (item) => (await import('/static/0/candidate/markup.js')).inAll(item, ['en', 'mr'])", item
    )
    assert made["prompt"] == {"en": '<div lang="en"><p>7</p></div>'}
    assert made["interaction"]["text"]["en"] == (
        '<div lang="en">Water <b>(1)</b> [[g1]] at <b>(2)</b> [[g2]].</div> '
        '<div lang="mr"><b>(2)</b> ला पाणी <b>(1)</b>.</div>'
    )
    assert made["interaction"]["gaps"][1]["options"][0] == {
        "id": "a",
        "text": {"en": "boils / उकळते"},
        "pinned": False,
    }


def test_the_second_language_is_chosen_among_three(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    with_hindi(server)
    page = sit(context, server)
    page.click(hook("paper-both"))
    assert [part.get_attribute("lang") for part in page.locator("#q1-prompt > [lang]").all()] == ["en", "mr"]
    page.click(f"{hook('settings')} summary")
    second = page.locator(hook("second-language"))
    assert [each.get_attribute("lang") for each in second.locator("option").all()] == [None, "mr", "hi"]
    second.select_option("hi")
    expect(second).to_be_focused()
    page.keyboard.press("Escape")
    assert [part.get_attribute("lang") for part in page.locator("#q1-prompt > [lang]").all()] == ["en", "hi"]
    go(page, 2)
    expect(page.locator("#q2-prompt > [lang]")).to_have_count(0)  # has no Hindi: one language, as if nothing was chosen
    expect(page.locator("#q2-prompt")).to_have_attribute("lang", "en")
    go(page, 3)
    urdu = page.locator("#q3-prompt [lang=ur]")
    assert urdu.evaluate("(node) => getComputedStyle(node).direction") == "rtl"
    page.evaluate("() => { document.documentElement.dir = 'rtl'; }")
    english = page.locator("#q3-prompt > [lang=en]")
    assert english.evaluate("(node) => getComputedStyle(node).direction") == "ltr"
    fits(page, "three")


def test_the_candidates_own_language_stands_in_the_settings(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    sitting = server.hall.sitting

    def in_marathi(token: str, now: int) -> dict[str, Any]:
        told = sitting(token, now)
        return {**told, "candidate": {**told["candidate"], "language": "mr"}}

    server.hall.sitting = in_marathi  # type: ignore[method-assign]
    page = sit(context, server)
    expect(page.locator(hook("prompt"))).to_have_attribute("lang", "mr")
    expect(page.locator("html")).to_have_attribute("lang", "mr")
    page.click(f"{hook('settings')} summary")
    expect(page.locator(hook("paper-language"))).to_have_value("mr")
    expect(page.locator(hook("second-language"))).to_have_value("")


def test_all_this_has_no_accessibility_violation(context: BrowserContext, serve: Serve) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = sit(context, serve())
    page.click(hook("paper-both"))
    looks(page, size="130", spacing="wide", view="all", language="hi")
    page.click(f"{hook('settings')} summary")
    result = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in result] == []
