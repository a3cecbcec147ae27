"""Reads Aiken, a plain-text format for single choice: a question, its options "A) …", and "ANSWER: B".

Blank lines part questions. A question may have several lines, an option too.
"""

import html
import re
from collections.abc import Iterator
from fractions import Fraction
from string import ascii_uppercase
from typing import NamedTuple

from exam.imports.encoding import decode
from exam.imports.html import TooComplex
from exam.imports.making import (
    DEFAULT_SECTION,
    QUESTION_LIMIT,
    TEXT_LIMIT,
    choice,
    item_of,
    language_of,
    named,
)
from exam.imports.report import Broken, Report, Unreadable
from exam.imports.texts import rendered
from grading.items import Item, Text
from grading.keys import Key

LINE_LIMIT = 500

_OPTION = re.compile(r"([A-Za-z])(?:\)|\.(?=\s|$))\s*(.*)")
# "A.P.J. Kalam" begins a question; only where the next letter is due is it an option.
_TIGHT_OPTION = re.compile(r"([A-Za-z])\.(?![A-Za-z]\.)(\S.*)")
_ANSWER = re.compile(r"(?:ANSWER\s*:|(?i:ANSWER)\s*:(?=\s*[A-Za-z][).]?$))\s*(.*)")
_ONE_LETTER = re.compile(r"([A-Za-z])[).]?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")


class Block(NamedTuple):
    """One question as written: its first line, its text, its options by letter, and what stands after ANSWER."""

    line: int
    text: list[str]
    options: list[tuple[str, list[str]]]
    answer: str | None
    answer_line: int


def read_aiken(data: bytes, source: str, *, language: str = "") -> tuple[list[tuple[Item, Key]], Report]:
    """Items with their keys, and what became of each question of the file called `source`.

    `language` is as for GIFT. Unreadable where the file is not text, too large, or has too many questions.
    """
    report = Report()
    taken: list[tuple[Item, Key]] = []
    given: dict[str, int] = {}
    for block in blocks(decode(data)):
        if report.items == QUESTION_LIMIT:
            raise Unreadable(f"The file has more than {QUESTION_LIMIT} questions. Nothing was taken. Split it.")
        place = f"{source}:{block.line}"
        losses: list[str] = []
        try:
            item, key = _item(block, language, losses)
        except (Broken, TooComplex) as broken:
            report.refuse(place, _called(block), [str(broken)])
            continue
        item = named(item, given, losses)
        taken.append((item, key))
        report.accept(place, item.code, list(dict.fromkeys(losses)))
    return taken, report


def blocks(text: str) -> Iterator[Block]:
    """The questions of a file, broken ones too: no line with words is in none of them."""
    block: Block | None = None
    blank = True
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.strip()
        if not words:
            blank = True
            continue
        option = _OPTION.fullmatch(words)
        if option is None and block is not None and (tight := _TIGHT_OPTION.fullmatch(words)):
            option = tight if tight[1].upper() == chr(ord("A") + len(block.options)) else None
        letter, said = (option[1].upper(), [option[2]]) if option else ("", [])
        if answer := _ANSWER.fullmatch(words):
            block = block or Block(number, [], [], None, 0)
            yield block._replace(answer=answer[1], answer_line=number)
            block = None
        elif block is None:
            block = Block(number, [], [], None, 0)
            if letter == "A":
                block.options.append((letter, said))
            else:
                block.text.append(words)
        elif letter == "A" and block.options:
            # The question before never said what is right; what stands under its last option may be the next one.
            block, begun = _parted(block, number)
            yield block
            begun.options.append((letter, said))
            block = begun
        elif letter and (block.options or letter == "A"):
            block.options.append((letter, said))
        elif blank:
            yield block
            block = Block(number, [words], [], None, 0)
        elif block.options:
            block.options[-1][1].append(words)
        else:
            block.text.append(words)
        blank = False
    if block is not None:
        yield block


def _parted(block: Block, number: int) -> tuple[Block, Block]:
    """The unfinished question, and the one whose text had looked like more of its last option."""
    under = block.options[-1][1][1:]
    del block.options[-1][1][1:]
    return block, Block(number - len(under), under, [], None, 0)


def _called(block: Block) -> str:
    words = " ".join(" ".join(block.text or [words for _, lines in block.options for words in lines]).split())
    return (words if len(words) <= 60 else words[:59] + "…") or "question"


def _item(block: Block, language: str, losses: list[str]) -> tuple[Item, Key]:
    texts = ["\n".join(lines) for lines in [block.text, *(lines for _, lines in block.options)]]
    if sum(map(len, texts)) > TEXT_LIMIT:
        raise Broken(f"It is longer than {TEXT_LIMIT} characters.")
    if sum(text.count("\n") for text in texts) > LINE_LIMIT:
        raise Broken(f"It has more than {LINE_LIMIT} lines.")
    if not block.text:
        raise Broken("It has no question text.")
    if block.answer is None:
        raise Broken("It has no line ANSWER: with the letter of the right option.")
    if len(block.options) < 2:
        raise Broken('It needs two options or more, each in a line such as "A) words".')
    letters = [letter for letter, _ in block.options]
    if letters != list(ascii_uppercase[: len(letters)]):
        raise Broken(f"Its options are {', '.join(letters[:30])}; they have to be A, B, C and so on, each once.")
    answer = _ONE_LETTER.fullmatch(block.answer)
    if answer is None or answer[1].upper() not in letters:
        raise Broken(
            f'Line {block.answer_line}: "{block.answer[:60]}" is not the letter of one of its options ({letters[0]} to'
            f" {letters[-1]})."
        )
    cleaned = [_CONTROL.sub("", text) for text in texts]
    if cleaned != texts:
        losses.append("Control characters were taken out.")
    language = language or language_of(cleaned)

    def render(text: str) -> Text:
        # Aiken has no markup; formulas are TeX as everywhere in Moodle.
        return rendered(html.escape(text, quote=False), "moodle", language, losses)

    prompt, *shown = [render(text) for text in cleaned]
    if not any(prompt.values()):
        raise Broken("It has no question text.")
    shares = [Fraction(letter == answer[1].upper()) for letter in letters]
    interaction, key = choice(prompt, shown, shares, [None] * len(shown), losses)
    return item_of("choice", "", DEFAULT_SECTION, prompt, interaction, losses), key
