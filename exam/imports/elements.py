"""From an XML file to the elements under its root, one at a time, safely.

No document types, so no entities and nothing from outside; bounds on size, depth and number, so that a file costs no
more than it is worth.
"""

import re
from collections.abc import Iterator
from xml.parsers import expat

from exam.imports.report import Unreadable

DEPTH_LIMIT = 60
ELEMENT_LIMIT = 4000
TEXT_LIMIT = 4_000_000
TOTAL_LIMIT = 500_000
TAG_LIMIT = 1_000_000
_CHUNK = 1 << 16

_XINCLUDE = "http://www.w3.org/2001/XInclude"
_DECLARED = re.compile(r"""<\?xml\b[^<>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})""")
# What `decode` tells apart by itself.
_ENCODINGS = frozenset(
    (
        *("utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "ascii", "us-ascii"),
        *("iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252"),
    )
)


class Element:
    """An element with its line; `parts` are its texts and elements in order. `cut`: it had more than it may have."""

    __slots__ = ("attributes", "column", "cut", "line", "parts", "tag")

    def __init__(self, tag: str, attributes: dict[str, str], line: int, column: int) -> None:
        self.tag, self.attributes, self.line, self.column = tag, attributes, line, column
        self.parts: list[str | Element] = []
        self.cut = False

    def __iter__(self) -> Iterator["Element"]:
        return (part for part in self.parts if isinstance(part, Element))

    def all(self, tag: str) -> list["Element"]:
        return [child for child in self if child.tag == tag]

    def first(self, tag: str) -> "Element | None":
        return next((child for child in self if child.tag == tag), None)

    def own_text(self) -> str:
        """Its text without that of its elements."""
        return "".join(part for part in self.parts if isinstance(part, str))


def elements(text: str, root: str) -> Iterator[Element]:
    """The elements right under the outermost one, which has to be called `root`; Unreadable for anything else.

    Those that are read already were whole when the rest turns out to be broken: take them back then.
    """
    _check_declared(text)
    ahead = len(text) - len(text.lstrip())
    return _Reader(root, text.count("\n", 0, ahead)).read(text, ahead)


def _check_declared(text: str) -> None:
    declared = _DECLARED.match(text[:400].lstrip())
    if declared and declared[1].lower() not in _ENCODINGS and not text.isascii():
        raise Unreadable(
            f"The file says it is in {declared[1]}; only UTF-8, UTF-16 and Windows-1252 are read. Nothing was taken."
            " Save it as UTF-8 and try again."
        )


class _Reader:
    """Builds the elements from the parser's events."""

    def __init__(self, root: str, lines_ahead: int) -> None:
        self._root, self._lines_ahead = root, lines_ahead
        self._open: list[Element] = []
        self._done: list[Element] = []
        self._total = self._inside = self._characters_inside = 0
        # The names of namespaces come before the local ones, parted by a space.
        parser = self._parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.buffer_size = _CHUNK
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.EntityDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def read(self, text: str, position: int) -> Iterator[Element]:
        fed = 0
        while True:
            piece = text[position : position + _CHUNK].encode()
            position += _CHUNK
            try:
                self._parser.Parse(piece, position >= len(text))
            except expat.ExpatError as broken:
                what = expat.ErrorString(broken.code)
                raise Unreadable(
                    f"Line {broken.lineno + self._lines_ahead}, column {broken.offset + 1}: the XML is broken there"
                    f" ({what}). Nothing was taken."
                ) from None
            yield from self._done
            self._done.clear()
            if position >= len(text):
                return
            fed += len(piece)
            # A tag or comment without an end would be read from its start again with each piece.
            if fed - self._parser.CurrentByteIndex > TAG_LIMIT:
                raise Unreadable(f"{self._here()}: a tag or comment has more than 1 MB. Nothing was taken.")

    def _here(self) -> str:
        return f"Line {self._parser.CurrentLineNumber + self._lines_ahead}"

    def _refuse_doctype(self, *_: object) -> None:
        raise Unreadable(
            f"{self._here()}: the file has a document type (DOCTYPE), which can reach for other files. Nothing was"
            " taken. Take it out and try again."
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, tag = name.rpartition(" ")
        if space == _XINCLUDE:
            raise Unreadable(f"{self._here()}: the file asks for other files (XInclude). Nothing was taken.")
        self._total += 1
        if self._total > TOTAL_LIMIT:
            raise Unreadable(f"The file has more than {TOTAL_LIMIT} elements. Nothing was taken. Split it.")
        depth = len(self._open)
        if depth >= DEPTH_LIMIT:
            raise Unreadable(f"{self._here()}: elements stand more than {DEPTH_LIMIT} deep. Nothing was taken.")
        if not depth and tag != self._root:
            raise Unreadable(
                f"The file is XML, but its outermost element is <{tag[:60]}>, not <{self._root}>. Nothing was taken."
            )
        line = self._parser.CurrentLineNumber + self._lines_ahead
        element = Element(tag, attributes, line, self._parser.CurrentColumnNumber + 1)
        if depth > 1:
            self._inside += 1
            if self._inside > ELEMENT_LIMIT:
                self._open[1].cut = True
            else:
                self._open[-1].parts.append(element)
        else:
            self._inside = self._characters_inside = 0
        self._open.append(element)

    def _end(self, name: str) -> None:
        element = self._open.pop()
        if len(self._open) == 1:
            self._done.append(element)

    def _characters(self, text: str) -> None:
        if len(self._open) > 1:
            # Embedded files are bounded by the size of the whole file.
            if self._open[-1].tag != "file":
                self._characters_inside += len(text)
            if self._characters_inside > TEXT_LIMIT:
                self._open[1].cut = True
            else:
                self._open[-1].parts.append(text)
        elif text.strip():
            raise Unreadable(f"{self._here()}: there is text outside of any question. Nothing was taken.")
