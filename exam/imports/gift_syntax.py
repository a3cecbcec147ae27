"""The grammar of GIFT: from a file's text to questions as written, before anything is made of them.

Written after the format's description in Moodle's manual and the behaviour of its reader. Escaped characters are
swapped for control characters first, which a text cannot hold, so that every later split is a plain search.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from exam.imports.making import ANSWER_LIMIT, section_of
from exam.imports.maths import formulas
from exam.imports.report import Broken
from exam.imports.texts import BLANK, Format

Kind = Literal["choice", "truefalse", "text", "numeric", "match", "essay", "description"]

BLOCK_LIMIT = 50_000

_ESCAPED = {":": "\x10", "#": "\x11", "=": "\x12", "{": "\x13", "}": "\x14", "~": "\x15", "\\": "\x16", "n": "\x17"}
_UNESCAPED = str.maketrans({mask: char for char, mask in _ESCAPED.items() if char != "n"})
_NEWLINE = _ESCAPED["n"]
_ESCAPE = re.compile(r"\\([:#={}~\\n])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
_BRACE = re.compile(r"\\.|([{}])|[^\\{}]+|\\$", re.DOTALL)
_FORMAT = re.compile(r"\s*\[(html|moodle|plain|markdown)\]", re.IGNORECASE)
# Attributes and character references hold signs of GIFT that nobody thinks of escaping.
_MARKUP = re.compile(r"<[A-Za-z][^<>=]*=\s*[\"'][^<>]*>|&#[0-9xX]")
_IN_MARKUP = str.maketrans({char: _ESCAPED[char] for char in "=#~"})
_WEIGHT = re.compile(r"%\s*(-?[0-9]{1,3}(?:[.,][0-9]{1,20})?)\s*%")
_MARKER = re.compile(r"([=~])")
_TRUE_FALSE = re.compile(r"(T|F|TRUE|FALSE)\s*(?:#|$)", re.IGNORECASE)
_ID = re.compile(r"\[id:((?:\\\]|[^\[\]\\])+)\]")
_TAG = re.compile(r"\[tag:((?:\\\]|[^\[\]\\])+)\]")


class Block(NamedTuple):
    """The lines between two blank ones, without comments: where the first stands, and what the comments said."""

    line: int
    text: str
    comments: str


class Source(NamedTuple):
    """A text as its author meant it, with the format it is written in."""

    text: str
    form: Format


class Answer(NamedTuple):
    """One answer: right is "=", wrong or weighted is "~"; the weight is per cent as written."""

    marker: str
    weight: str | None
    source: Source
    feedback: Source | None


class Question(NamedTuple):
    """One question as written. In matching, `answers` are the prompts and their feedback the choices.

    `code` is the id number that Moodle writes into a comment before the question.
    """

    title: str
    prompt: Source
    kind: Kind
    answers: list[Answer]
    general: Source | None
    losses: list[str]
    code: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a file; a $CATEGORY line is a block of its own even without a blank line behind it.

    Blocks that only a stray blank line inside braces has parted are one again (with that line in it), so that
    they are named as one broken question.
    """
    waiting: list[Block] = []
    for block in _paragraphs(text):
        braces = _BRACE.sub(r"\1", block.text)
        if waiting and (braces[:1] == "}" or (not braces and len(waiting) < 5)):
            waiting.append(block)
            if braces:
                yield Block(
                    waiting[0].line,
                    "\n\n".join(part.text for part in waiting),
                    "\n".join(part.comments for part in waiting),
                )
                waiting = []
            continue
        yield from waiting
        waiting = [block] if braces.endswith("{") else []
        if not waiting:
            yield block
    yield from waiting


def _paragraphs(text: str) -> Iterator[Block]:
    lines: list[str] = []
    comments: list[str] = []
    first = 0
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if bare.startswith("//"):
            comments.append(bare)
            continue
        category = bare.startswith("$CATEGORY:") and not lines
        if bare:
            first = first or number
            lines.append(line)
        if lines and (not bare or category):
            yield Block(first, "\n".join(lines), "\n".join(comments))
        if not bare or category:
            lines, comments, first = [], [], 0
    if lines:
        yield Block(first, "\n".join(lines), "\n".join(comments))


def category(block: Block) -> str | None:
    """The bank section that a $CATEGORY block switches to ("Science/Physics"), or None for a question."""
    text = block.text.strip()
    if not text.startswith("$CATEGORY:"):
        return None
    return section_of(_plain(_masked(_CONTROL.sub(" ", text.removeprefix("$CATEGORY:")))))


def title_of(block: Block) -> str:
    """What the question may be called in a report, also where it is broken: its title or its first words."""
    text = _masked(_CONTROL.sub(" ", block.text.strip()[:1000]))
    title, text = _title(text)
    return title or _bare(text)


def parse(block: Block) -> Question:
    """The question of `block`; Broken where it does not follow the grammar."""
    if len(block.text) > BLOCK_LIMIT:
        raise Broken(f"It is longer than {BLOCK_LIMIT} characters.")
    losses = []
    number = _ID.search(block.comments)
    code = " ".join(number[1].replace("\\]", "]").split()) if number else ""
    if tags := _TAG.findall(block.comments):
        losses.append(f"Tags are not kept: {', '.join(_bare(tag) for tag in tags)}.")
    if "\n\n" in block.text:
        raise Broken("A blank line stands between { and }. Take it out.")
    text, controls = _CONTROL.subn("", block.text)
    if controls:
        losses.append("Control characters were taken out.")
    title, text = _title(_masked(text.strip()))
    opening, closing = text.find("{"), text.find("}")
    if opening < 0 and closing < 0:
        return Question(title, _source(text, "moodle"), "description", [], None, losses, code)
    if opening < 0 or 0 <= closing < opening:
        raise Broken("A } stands before any {. Write \\} where a brace is part of the text.")
    if closing < 0:
        raise Broken("The { is never closed. Close it with }; no blank line may stand between the two.")
    before, inside, after = text[:opening], text[opening + 1 : closing], text[closing + 1 :]
    if "{" in inside or "{" in after or "}" in after:
        raise Broken("There is more than one { or }. Write \\{ and \\} where a brace is part of the text.")
    prompt = _source(before + BLANK + after if after.strip() else before, "moodle")
    inside = _MARKUP.sub(lambda found: found[0].translate(_IN_MARKUP), inside.strip())
    general = None
    if (cut := inside.rfind("####")) >= 0:
        general = _feedback(inside[cut + 4 :], prompt.form)
        inside = inside[:cut].rstrip()
    kind, answers = _answers(inside, prompt.form, losses)
    return Question(title, prompt, kind, answers, general, losses, code)


def _masked(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], text)


def _title(text: str) -> tuple[str, str]:
    if not text.startswith("::") or (end := text.find("::", 2)) < 0:
        return "", text
    return " ".join(_plain(text[2:end]).split()), text[end + 2 :].strip()


def _answers(inside: str, form: Format, losses: list[str]) -> tuple[Kind, list[Answer]]:
    if not inside:
        return "essay", []
    if inside.startswith("#"):
        return "numeric", _numeric_answers(inside[1:], form)
    if found := _TRUE_FALSE.match(inside):
        feedback = [_feedback(text, form) for text in inside.split("#", 2)[1:]]
        return "truefalse", _true_false(found[1].upper().startswith("T"), feedback)
    if "~" in inside:
        return "choice", [_answer(marker, text, form) for marker, text in _marked(inside)]
    if "=" in inside and "->" in inside:
        return "match", [_pair(text, form, losses) for _, text in _marked(inside)]
    return "text", [_answer("=", text, form) for _, text in _marked(inside if "=" in inside else "=" + inside)]


def _marked(inside: str) -> Iterator[tuple[str, str]]:
    """The answers with the marker before each."""
    before, *parts = _MARKER.split(inside)
    if before.strip():
        raise Broken(f'"{_bare(before)}" stands before the first answer; each answer begins with = or ~.')
    if len(parts) // 2 > ANSWER_LIMIT:
        raise Broken(f"It has {len(parts) // 2} answers; at most {ANSWER_LIMIT} are taken.")
    yield from zip(parts[::2], parts[1::2], strict=True)


def _answer(marker: str, text: str, form: Format) -> Answer:
    text = text.strip()
    weight = None
    if found := _WEIGHT.match(text):
        weight = found[1].replace(",", ".")
        text = text[found.end() :]
    answer, hash_mark, feedback = text.partition("#")
    return Answer(marker, weight, _source(answer, form), _feedback(feedback, form) if hash_mark else None)


def _true_false(right: bool, feedback: list[Source | None]) -> list[Answer]:
    """The answers true and false; the first feedback is for who is wrong, the second for who is right."""
    wrong_text, right_text, *_ = [*feedback, None, None]
    return [
        Answer("=" if right else "~", None, Source("true", "plain"), right_text if right else wrong_text),
        Answer("~" if right else "=", None, Source("false", "plain"), wrong_text if right else right_text),
    ]


def _numeric_answers(inside: str, form: Format) -> list[Answer]:
    """The accepted numbers ("="), and at the end one "~" whose feedback is for every other number."""
    right, tilde, wrong = inside.partition("~")
    answers = [
        _answer("=", text, form) for _, text in _marked(right if right.lstrip().startswith("=") else "=" + right)
    ]
    if not answers or any(not answer.source.text for answer in answers):
        raise Broken("After {# a number is missing.")
    return [*answers, _answer("~", wrong, form)] if tilde else answers


def _pair(text: str, form: Format, losses: list[str]) -> Answer:
    text = text.strip()
    if found := _WEIGHT.match(text):
        losses.append(f"The weight {found[1]} % of a pair is not kept: each pair counts the same.")
        text = text[found.end() :]
    prompt, arrow, choice = text.partition("->")
    if not arrow:
        raise Broken(f'"{_bare(prompt)}" has no -> and so no match.')
    match_text, _, feedback = choice.partition("#")
    if feedback.strip():
        losses.append(f'The feedback "{_bare(feedback)}" of a pair is not kept: matching has none.')
        choice = match_text
    return Answer("=", None, _source(prompt, form), _source(choice, "moodle"))


def _feedback(text: str, form: Format) -> Source | None:
    source = _source(text, form)
    return source if source.text else None


def _source(text: str, form: Format) -> Source:
    if found := _FORMAT.match(text):
        names: dict[str, Format] = {"html": "html", "moodle": "moodle", "plain": "plain", "markdown": "markdown"}
        form, text = names[found[1].lower()], text[found.end() :]
    return Source(_plain(text).strip(), form)


def _plain(text: str) -> str:
    """`text` with its escapes resolved.

    GIFT has no escape but \\n for a line break; in a formula \\neq or \\nu is still meant as TeX.
    """
    text = text.translate(_UNESCAPED)
    if _NEWLINE not in text:
        return text
    kept, position = [], 0
    for formula in formulas(text):
        inner = re.sub(_NEWLINE + "(?=[a-z])", r"\\n", text[formula.start : formula.end])
        kept += [text[position : formula.start], inner]
        position = formula.end
    return "".join([*kept, text[position:]]).replace(_NEWLINE, "\n")


def _bare(text: str) -> str:
    words = " ".join(_plain(text).replace("\\]", "]").split())
    return words if len(words) <= 60 else words[:59] + "…"
