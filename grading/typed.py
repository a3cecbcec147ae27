"""Numbers and texts as people type them: any script's digits, either decimal mark, stray spaces."""

import re
import unicodedata
from fractions import Fraction

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_MARKS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\ufe63": "-",
        "\uff0d": "-",
        "\uff0b": "+",
        "\u066b": ".",
        "\uff0e": ".",
        "\uff0c": ",",
        "\u066c": "'",
        "\u2019": "'",
    }
)
_NUMBER = re.compile(r"([+-]?) ?([0-9.,' ]+)(?:[eE]([+-]?[0-9]{1,3}))?", re.ASCII)
_WESTERN = re.compile(r"[1-9][0-9]{0,2}(?:[.,' ][0-9]{3})+", re.ASCII)
_INDIAN = re.compile(r"[1-9][0-9]?(?:[, ][0-9]{2})+[, ][0-9]{3}", re.ASCII)


def parse_number(text: str) -> Fraction | None:
    """The exact number that `text` writes, or None; up to 100 characters, exponents of up to three digits.

    Digits of any script, a leading sign (also U+2212), comma or point as decimal mark, `e` and an exponent.
    A lone comma or point is always the decimal mark: 1,234 is a little more than one. Thousands are taken
    only where they can be nothing else: the mark repeats (1,234,567 or 12,34,567), another mark follows as
    the decimal one (1.234,5), or a space or an apostrophe separates; every group must be complete.
    """
    if len(text) > 100:
        return None
    if not text.isascii():
        text = text.translate(_INVISIBLE).translate(_MARKS)
        text = "".join(str(unicodedata.decimal(char, char)) for char in text)
    found = _NUMBER.fullmatch(" ".join(text.split()))
    if found is None:
        return None
    whole, decimals = _split_decimal(found[2].strip())
    if not (whole + decimals).isdigit():
        return None
    value = Fraction(int(whole + decimals), 10 ** len(decimals)) * Fraction(10) ** int(found[3] or 0)
    return -value if found[1] == "-" else value


def _split_decimal(body: str) -> tuple[str, str]:
    """Digits before and after the decimal mark; two empty strings where the marks make no number."""
    marks = [char for char in body if not char.isdigit()]
    if not marks:
        return body, ""
    last = marks[-1]
    if last in ".," and marks.count(last) == 1:
        whole, _, decimals = body.rpartition(last)
        marks.pop()
    else:
        whole, decimals = body, ""
    if not marks:
        return whole, decimals
    if len(set(marks)) > 1 or not (_WESTERN.fullmatch(whole) or _INDIAN.fullmatch(whole)):
        return "", ""
    return whole.replace(marks[0], ""), decimals


def folded(text: str, *, case_sensitive: bool = False) -> str:
    """`text` as it is compared: Unicode NFC, no invisible joiners, one space for a run of them, case folded.

    Joiners go because phone keyboards put them into Devanagari words where nobody can see them.
    """
    text = " ".join(unicodedata.normalize("NFC", text).translate(_INVISIBLE).split())
    if not case_sensitive:
        text = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", text)


def segments(pattern: str) -> list[str]:
    """The literal runs between the wildcards of `pattern`; `\\*` is a star."""
    return [run.replace("\0", "*") for run in pattern.replace("\0", "").replace("\\*", "\0").split("*")]


def holds(segments: list[str], text: str) -> bool:
    """Whether `text` is the segments of a pattern in order with any characters between them.

    Taking the leftmost place for each segment is enough, so nothing is ever tried twice.
    """
    if len(segments) == 1:
        return text == segments[0]
    first, last = segments[0], segments[-1]
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for segment in segments[1:-1]:
        found = text.find(segment, at, end)
        if found < 0:
            return False
        at = found + len(segment)
    return True
