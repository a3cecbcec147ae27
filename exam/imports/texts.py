"""From a source text in its own format to the HTML fragments that items hold, one for each language in it."""

import html
import re
from typing import Literal

from markdown_it import MarkdownIt

from exam.imports.html import clean, losses, tidied
from exam.imports.maths import formulas, mathml
from grading.items import Text

Format = Literal["moodle", "html", "plain", "markdown"]
"""The text formats of Moodle: HTML with line breaks as typed, HTML, bare text, Markdown."""

BLANK = "\x04"
"""Stands for a gap to fill in until the text is rendered, because Markdown would read underscores as a mark."""

MARKDOWN_LIMIT = 5000

_MARKDOWN = MarkdownIt("commonmark", {"html": True, "maxNesting": 40}).enable(["table", "strikethrough"])
# A reference definition would vanish from the text without a trace.
_MARKDOWN.disable("reference")

_RICH = re.compile(r"[<&\\$\x02]")
_SLOT = re.compile(r"\x02(\d+)\x03")
_SLOT_OR_TAG = re.compile(r"\x02(\d+)\x03|<[^<>]*>")
_BREAK_BY_TAG = re.compile(r"(?<=>)\n|\n(?=<)")
_PARAGRAPH = re.compile(r"<p>((?:(?!</?p>).)*)</p>", re.DOTALL)
_LANGUAGE_TAG = re.compile(r"<(/?)(span|lang)\b([^<>]*)>")
_LANG = re.compile(r"""\blang\s*=\s*["']?([A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*)""")


def rendered(source: str, form: Format, language: str, lost: list[str]) -> Text:
    """`source` as clean HTML by language; what could not be kept is added to `lost`, a sentence each.

    One language, `language`, unless the source has Moodle's multilang spans; then the first of them stands
    first. `TooComplex` where the text has more or deeper elements than a question needs. `source` holds no
    control characters but BLANK and newlines.
    """
    slots: list[str] = []
    if form == "plain" or (form == "moodle" and not _RICH.search(source)):
        markup = _lines(source)
    else:
        source, slots = _without_formulas(source, lost)
        markup = tidied(_markup(source, form, lost))
    texts = _by_language(markup) or {language: markup}
    done: Text = {}
    for tag, text in texts.items():
        if slots or _RICH.search(text) or "<" in text:
            filled = _SLOT_OR_TAG.sub(lambda found: slots[int(found[1])] if found[1] else found[0], text)
            # A formula's place inside a tag is left as a number by the line above; it means nothing there.
            lost.extend(loss for loss in losses(text) if loss not in lost)
            text = clean(_SLOT.sub("", filled))
        done[tag] = text.replace(BLANK, "_____").strip()
    return done


def _without_formulas(source: str, lost: list[str]) -> tuple[str, list[str]]:
    """`source` with a numbered slot for each formula, and the MathML for the slots."""
    slots: list[str] = []
    kept, position = [], 0
    for formula in formulas(source):
        tex = html.unescape(formula.tex)
        element = mathml(tex, display=formula.display)
        if element is None:
            lost.append(f"The formula {_shortened(tex)} is broken or unknown and stays as typed.")
            typed = html.unescape(source[formula.start : formula.end])
            element = f"<code>{html.escape(typed, quote=False)}</code>"
        kept.append(source[position : formula.start] + f"\x02{len(slots)}\x03")
        slots.append(element)
        position = formula.end
    return "".join([*kept, source[position:]]), slots


def _markup(source: str, form: Format, lost: list[str]) -> str:
    match form:
        case "markdown" if len(source) > MARKDOWN_LIMIT:
            lost.append(f"Its Markdown is longer than {MARKDOWN_LIMIT} characters and is shown as plain text.")
            return _lines(source)
        case "markdown":
            markup: str = _MARKDOWN.render(source).strip()
            alone = _PARAGRAPH.fullmatch(markup)
            return alone[1] if alone else markup
        case "moodle":
            return _BREAK_BY_TAG.sub(" ", source).replace("\n", "<br>")
    return source


def _lines(source: str) -> str:
    return html.escape(source, quote=False).replace("\n", "<br>")


def _by_language(markup: str) -> Text | None:
    """`markup` once per language of its multilang spans; None where it has none.

    Spans that follow each other are the same words in several languages; the rest belongs to every language.
    """
    if "lang" not in markup:
        return None
    parts: list[str | dict[str, str]] = []
    position = opened = inside = depth = 0
    language = ""
    for tag in _LANGUAGE_TAG.finditer(markup):
        if inside:
            depth += -1 if tag[1] else 1
            if depth:
                continue
            between = markup[position:opened]
            last = parts[-1] if parts and not between.strip() else None
            if isinstance(last, dict) and language not in last:
                last[language] = markup[inside : tag.start()]
            else:
                parts += [between, {language: markup[inside : tag.start()]}]
            position, inside = tag.end(), 0
        elif not tag[1] and (found := _LANG.search(tag[3])) and (tag[2] == "lang" or "multilang" in tag[3]):
            language, opened, inside, depth = found[1], tag.start(), tag.end(), 1
    languages = dict.fromkeys(tag for part in parts if isinstance(part, dict) for tag in part)
    if not languages:
        return None
    parts.append(markup[position:])
    return {
        tag: "".join(part if isinstance(part, str) else part.get(tag, next(iter(part.values()))) for part in parts)
        for tag in languages
    }


def _shortened(tex: str) -> str:
    return tex if len(tex) <= 60 else tex[:59] + "…"
