"""TeX formulas inside texts, turned into presentation MathML once at import."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from latex2mathml.converter import convert

LENGTH_LIMIT = 2000
DEPTH_LIMIT = 30

_OPENERS = re.compile(r"\\\(|\\\[|\$\$")
_CLOSERS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
# Definitions can make a line of TeX expand to gigabytes, and nobody needs them in one formula.
_DEFINES = re.compile(r"\\(?:[gex]?def|let|(?:re|provide)?newcommand|renewcommand|(?:re)?newenvironment|Declare)")
_PERCENT = re.compile(r"(?<!\\)%")
_BARE_LESS = re.compile(r"<(?!/?m[a-z]+[ />])")
_BARE_AMPERSAND = re.compile(r"&(?!#x[0-9A-F]+;)")
# The converter makes an identifier of each code point, which tears Devanagari syllables apart.
_SPLIT_WORD = re.compile(r"(?:<mi>[\u0900-\u097f\u200c\u200d]</mi>)+")
_ELEMENT = re.compile(r"<(/?)(m[a-z]+)([^<>]*)>")
_ARITY = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "mroot": 2, "msubsup": 3, "munderover": 3}


class Formula(NamedTuple):
    """A formula's place in its text, delimiters included; `display` puts it on a line of its own."""

    start: int
    end: int
    tex: str
    display: bool


def formulas(text: str) -> Iterator[Formula]:
    """The formulas between \\( \\), \\[ \\] and $$ $$, in order; an opener without its closer is plain text."""
    position = 0
    hopeless: set[str] = set()
    for opener in _OPENERS.finditer(text):
        mark = opener[0]
        if opener.start() < position or mark in hopeless:
            continue
        end = text.find(_CLOSERS[mark], opener.end())
        if end < 0:
            hopeless.add(mark)
            continue
        position = end + 2
        yield Formula(opener.start(), position, text[opener.end() : end], mark != "\\(")


def mathml(tex: str, *, display: bool = False) -> str | None:
    """`tex` as a <math> element, still to be cleaned; None where it is broken, too long, or too deep."""
    tex = tex.strip()
    if not tex or len(tex) > LENGTH_LIMIT or _DEFINES.search(tex) or not _balanced(tex):
        return None
    try:
        # In a question a percent sign is a percent sign; as TeX's comment it would swallow the rest.
        element = convert(_PERCENT.sub(r"\\%", tex), display="block" if display else "inline")
    except Exception:
        # The converter answers broken TeX with its own errors, but also with IndexError, KeyError, StopIteration.
        return None
    element = element.replace(' display="inline"', "", 1)
    element = _BARE_LESS.sub("&lt;", _BARE_AMPERSAND.sub("&amp;", element))
    element = _SPLIT_WORD.sub(lambda word: f"<mtext>{re.sub('</?mi>', '', word[0])}</mtext>", element)
    return element if "<mi>\\" not in element and _complete(element) else None


def _balanced(tex: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", tex, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if not 0 <= depth <= DEPTH_LIMIT:
            return False
    return depth == 0


def _complete(element: str) -> bool:
    """Whether fractions, roots and scripts have all their parts; the converter lets "\\frac{1}" pass."""
    open_elements: list[tuple[str, int]] = []
    for closing, name, rest in _ELEMENT.findall(element):
        if closing:
            if not open_elements:
                return False
            opened, children = open_elements.pop()
            if opened != name or _ARITY.get(name, children) != children:
                return False
        else:
            if open_elements:
                parent, children = open_elements[-1]
                open_elements[-1] = (parent, children + 1)
            if not rest.endswith("/"):
                open_elements.append((name, 0))
    return not open_elements
