"""Modules joined into few files: what they come to in a real browser, and what stops the start."""

import re

import pytest
from playwright.sync_api import BrowserContext, Route

from exam.web.files import ENTRIES, files
from exam.web.joining import Unjoinable, join

TRICKY = r"""// import { nothing } from "./nothing.js";
import { add as plus, Count, each } from "./sums.js"; /* and a comment */
import "./beside.js";
export const words = ["// no comment", '/* nor "this" */', `a ${`b ${plus(1, 1)} // c`} /* d */ #one`];
const half = (n) => n / 2 / 1; // 4 / 2
const signs = /[/"'`]\/(?:\/\/)?/g.test("//") || /x/.test("x");
export class Secret {
  #one = 1
  #other = half(8);
  get sum() { return `${this.#one + this.#other}`; }
  has(it) { return #one in it; }
}
export async function told() {
  const { late } = await import("./late.js");
  return [...words, half(3), signs, new Secret().sum, new Secret().has(new Secret()), - -1, late, Count.made, each()];
}
let later = 1
;[later] = [2];
export const kept = { later, three: 3 .toFixed(1) };
"""
SUMS = """let sum = 0;
export function add(a, b) { sum += 1; return a + b; }
export class Count { static made = "made"; }
export async function* each() { yield 1; }
"""
SOURCES = {
    "base.js": 'import { add } from "./sums.js";\nexport const one = add(1, 0);\n',
    "sums.js": SUMS,
    "beside.js": "globalThis.beside = (globalThis.beside ?? 0) + 1;\n",
    "tricky.js": TRICKY,
    "page.js": """import { told } from "./tricky.js";
globalThis.said = await told();
globalThis.again = (await import(`./late.js${"?2"}`)).late;
""",
    "late.js": """import { Count } from "./sums.js";
import { deep } from "./parts/deep.js";
export const late = [Count.made, deep];
""",
    "parts/deep.js": 'import { one } from "../base.js";\nexport const deep = one;\n',
}


def test_joined_modules_do_what_they_did_and_there_is_one_of_each(context: BrowserContext) -> None:
    joined = join(SOURCES, {"base.js": None, "page.js": "base.js"})
    assert set(joined) == {"base.js", "page.js", "late.js"}
    assert "no comment" in joined["page.js"] and "and a comment" not in joined["page.js"]
    assert "made" not in joined["late.js"].replace("Count.made", ""), "what the base has is not sent again"

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix("http://joined.test/").partition("?")[0]
        if name in joined:
            route.fulfill(body=joined[name], content_type="text/javascript")
        else:
            route.fulfill(body='<script type="module" src="/page.js"></script>', content_type="text/html")

    context.route("http://joined.test/**", answer)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("http://joined.test/")
    page.wait_for_function("globalThis.again")
    said = page.evaluate("[said.slice(0, -1), again, beside]")
    texts = ["// no comment", '/* nor "this" */', "a b 2 // c /* d */ #one"]
    assert said == [[*texts, 1.5, True, "5", True, 1, ["made", 1], "made"], ["made", 1], 1]
    assert errors == []


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('import sums from "./sums.js";', "page.js:1: this import is not understood"),
        ('\nimport { add } from "lodash";', "page.js:2: this import is not understood"),
        ('import { nothing } from "./sums.js";', "page.js imports nothing, which sums.js does not export"),
        ('import { x } from "./gone.js";', "page.js imports gone.js, which is not there"),
        ('import { page } from "./ring.js";\nexport const page = 1;', "page.js → ring.js → page.js: modules that need"),
        ("export default 1;", "what is exported is a function, a class or a const"),
        ("export let sum = 0;", "what is exported is a function, a class or a const"),
        ("export const a = 1, b = 2;", "one exported const at a time"),
        ("const name = 1;\nexport { name };", "page.js:2: what is exported"),
        ("const part = import(name);", "the address of a dynamic import"),
        ("if (x) {} /y/.test(x);", "may divide or begin a regular expression"),
        ("const $ = 1;", "is the name of the registry"),
        ("const text = `never ends;", "what begins here is not understood"),
        ("const text = (1;", "a bracket too many or too few"),
        ("await 1;\nexport const x = 1;", "page.js awaits something at its top, but others need it"),
    ],
)
def test_what_is_not_understood_stops_the_start_and_says_where(source: str, why: str) -> None:
    ring = {"ring.js": 'import { page } from "./page.js";\nexport const ring = page;\n'} if "ring.js" in source else {}
    with pytest.raises(Unjoinable, match=re.escape(why)):
        join({"sums.js": SUMS, "page.js": source + "\n", **ring}, {"page.js": None})


def test_the_screen_is_a_few_files_and_each_part_that_comes_later_brings_its_words() -> None:
    joined = {path.removeprefix("joined/"): text.decode() for path, text in files().items() if path.endswith(".js")}
    assert set(ENTRIES) < set(joined)
    assert joined["ending.js"].startswith('import{$}from"./login.js";await $["words.js"].speakWhole();')
    assert "speakWhole();" not in joined["handover.js"], "it says nothing"
