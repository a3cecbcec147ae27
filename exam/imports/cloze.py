"""The gaps inside a Moodle cloze text: `{1:MULTICHOICE:=right#why~wrong}` and its relatives.

Written after the description of embedded answers in Moodle's manual.
"""

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from exam.imports.making import ANSWER_LIMIT, share_of
from exam.imports.report import Broken

Kind = Literal["list", "several", "text", "number"]

_KINDS: dict[str, tuple[Kind, str]] = {
    **dict.fromkeys(("MULTICHOICE", "MC"), ("list", "")),
    **dict.fromkeys(("MULTICHOICE_S", "MCS"), ("list", "s")),
    **dict.fromkeys(("MULTICHOICE_V", "MCV", "MULTICHOICE_H", "MCH"), ("list", "b")),
    **dict.fromkeys(("MULTICHOICE_VS", "MCVS", "MULTICHOICE_HS", "MCHS"), ("list", "bs")),
    **dict.fromkeys(("MULTIRESPONSE", "MR", "MULTIRESPONSE_H", "MRH"), ("several", "")),
    **dict.fromkeys(("MULTIRESPONSE_S", "MRS", "MULTIRESPONSE_HS", "MRHS"), ("several", "s")),
    **dict.fromkeys(("SHORTANSWER", "SA", "MW"), ("text", "")),
    **dict.fromkeys(("SHORTANSWER_C", "SAC", "MWC"), ("text", "c")),
    **dict.fromkeys(("NUMERICAL", "NM"), ("number", "")),
}
_START = re.compile(r"\{([0-9]{0,9}):([A-Za-z_]{1,20})\b(:?)")
# A # of a character reference such as &#39; begins no feedback.
_SIGN = re.compile(r"\\.|(?<!&)#|[~}]", re.DOTALL)
_WEIGHT = re.compile(r"\s*(?:(=)|%\s*(-?[0-9]+(?:[.,][0-9]*)?)\s*%)")
_ESCAPED = re.compile(r"\\([}#~/\"'\\])")


class Answer(NamedTuple):
    """One answer of a gap: its share of the gap's marks, its text, its feedback."""

    share: Fraction
    text: str
    feedback: str


class Gap(NamedTuple):
    """One gap: how it is asked, its weight among the gaps, its answers."""

    kind: Kind
    buttons: bool
    shuffle: bool
    case_sensitive: bool
    weight: int
    answers: list[Answer]
    name: str


def parse(text: str) -> tuple[list[str], list[Gap]]:
    """The texts around the gaps, one more than there are gaps, and the gaps; Broken where one is not well formed."""
    around: list[str] = []
    gaps: list[Gap] = []
    position = 0
    while (start := _START.search(text, position)) is not None:
        name = start[2].upper()
        if name not in _KINDS:
            raise Broken(f'The gap "{text[start.start() :][:60]}" is of an unknown kind.')
        if not start[3]:
            raise Broken(f'The gap "{start[0]}" has no answers; it is written like {{1:{name}:=right~wrong}}.')
        answers, end = _answers(text, start.end(), f"{{{start[1]}:{name}:…}}")
        kind, marks = _KINDS[name]
        around.append(text[position : start.start()])
        gaps.append(Gap(kind, "b" in marks, "s" in marks, "c" in marks, int(start[1] or 1), answers, name))
        if len(gaps) > ANSWER_LIMIT:
            raise Broken(f"It has more than {ANSWER_LIMIT} gaps.")
        position = end
    around.append(text[position:])
    return around, gaps


def _answers(text: str, position: int, name: str) -> tuple[list[Answer], int]:
    answers: list[Answer] = []
    pieces = [""]
    begun = position
    for sign in _SIGN.finditer(text, position):
        if sign[0].startswith("\\"):
            continue
        pieces[-1] += text[begun : sign.start()]
        begun = sign.end()
        if sign[0] == "#":
            if len(pieces) == 1:
                pieces.append("")
            else:
                pieces[-1] += "#"
            continue
        answers.append(_answer(pieces))
        if len(answers) > ANSWER_LIMIT:
            raise Broken(f"The gap {name} has more than {ANSWER_LIMIT} answers.")
        if sign[0] == "}":
            return answers, begun
        pieces = [""]
    raise Broken(f"The gap {name} is never closed with }}.")


def _answer(pieces: list[str]) -> Answer:
    text = pieces[0]
    share = Fraction(0)
    if found := _WEIGHT.match(text):
        share = Fraction(1) if found[1] else share_of(found[2].replace(",", ".").rstrip("."))
        text = text[found.end() :]
    return Answer(share, _ESCAPED.sub(r"\1", text).strip(), _ESCAPED.sub(r"\1", "".join(pieces[1:])).strip())
