"""Reads the list of candidates from CSV: each line is taken or refused on its own, with its number."""

import csv
import re
import unicodedata
from typing import NamedTuple

import msgspec

from exam.imports.encoding import decode
from exam.imports.report import Report, Unreadable

REQUIRED = ("registration_no", "name", "district", "school", "batch", "language")
OPTIONAL = ("name_mr", "extra_time_pct")
ROW_LIMIT = 200_000
LINE_LIMIT = 10_000

_LENGTHS = {"name": 200, "name_mr": 200, "district": 120, "school": 200, "batch": 120}
_LANGUAGES = {
    "en": "en",
    "english": "en",
    "mr": "mr",
    "marathi": "mr",
    "मराठी": "mr",
    "hi": "hi",
    "hindi": "hi",
    "हिंदी": "hi",
    "हिन्दी": "hi",
}
_REGISTRATION_NO = re.compile(r"[A-Za-z0-9][A-Za-z0-9/._-]{0,39}")
_MANGLED_NUMBER = re.compile(r"[0-9]\.?[0-9]*[Ee]\+[0-9]+")
_PERCENT = re.compile(r"([0-9]{1,3}) ?%?")
# Devanagari and Arabic spelling need the two joiners; the others only come along when text is copied.
_JOINERS = "\u200c\u200d"
_STRAY = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))


class CandidateRow(msgspec.Struct, frozen=True):
    """One candidate as listed at `line`; texts in NFC, `language` one of en, mr, hi, extra time in per cent."""

    line: int
    registration_no: str
    name: str
    district: str
    school: str
    batch: str
    language: str
    name_mr: str = ""
    extra_time_pct: int = 0


class _Header(NamedTuple):
    """Where each known column stands, the columns that are not known, and how many there are."""

    places: dict[str, int]
    unknown: dict[int, str]
    width: int
    delimiter: str


def read_candidates(data: bytes, source: str) -> tuple[list[CandidateRow], Report]:
    """The rows of the file called `source`, and what became of each line; blank lines are passed over.

    Columns are found by their names in the first line, in any order, parted by comma, semicolon or tab. A line is
    a row: no cell may hold a line break. Unreadable where the file is not text, too large, or lacks a column.
    """
    lines = decode(data).split("\n")
    first = next(number for number, line in enumerate(lines) if line.strip())
    header = _header(lines[first])
    report = Report()
    rows: list[CandidateRow] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[first + 1 :], start=first + 2):
        if not line.strip(" \t,;"):
            continue
        if report.items == ROW_LIMIT:
            raise Unreadable(f"The file has more than {ROW_LIMIT} lines. Nothing was taken. Split it.")
        place = f"{source}:{number}"
        cells, reasons, losses = _cells(line, header)
        if not reasons:
            row = _row(number, cells, reasons, losses)
            same = seen.get(row.registration_no.casefold())
            if row.registration_no and same:
                reasons.append(f"The registration number {row.registration_no} stands in line {same} already.")
        if reasons:
            report.refuse(place, _short(cells.get("registration_no", "")) or f"line {number}", reasons)
            continue
        seen[row.registration_no.casefold()] = number
        rows.append(row)
        report.accept(place, row.registration_no, losses)
    return rows, report


def _header(line: str) -> _Header:
    if len(line) > LINE_LIMIT:
        raise Unreadable("The first line is too long to be a list of column names. Nothing was taken.")
    delimiter = max(",;\t", key=line.count)
    try:
        cells = next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        raise Unreadable("The first line has a quotation mark that is not closed. Nothing was taken.") from None
    names = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in cells]
    missing = [column for column in REQUIRED if column not in names]
    if missing:
        raise Unreadable(
            f"The first line does not name the column {', '.join(missing)}. Nothing was taken. "
            f"The columns are {', '.join(REQUIRED)}; {' and '.join(OPTIONAL)} may follow."
        )
    twice = [name for name in (*REQUIRED, *OPTIONAL) if names.count(name) > 1]
    if twice:
        raise Unreadable(f"The first line names the column {', '.join(twice)} twice. Nothing was taken.")
    known = {*REQUIRED, *OPTIONAL}
    return _Header(
        {name: place for place, name in enumerate(names) if name in known},
        {place: cells[place].strip() for place, name in enumerate(names) if name not in known},
        len(names),
        delimiter,
    )


def _cells(line: str, header: _Header) -> tuple[dict[str, str], list[str], list[str]]:
    """The line's cells by column name, why it is refused, and what is lost."""
    if len(line) > LINE_LIMIT:
        return {}, [f"The line is longer than {LINE_LIMIT} characters."], []
    try:
        cells = next(csv.reader([line], delimiter=header.delimiter, strict=True))
    except csv.Error:
        return {}, ["A quotation mark is not closed or stands in the wrong place."], []
    while len(cells) > header.width and not cells[-1].strip():
        cells.pop()
    named = {name: cells[place] for name, place in header.places.items() if place < len(cells)}
    if len(cells) > header.width or any(name not in named for name in REQUIRED):
        return named, [f"It has {len(cells)} cells where the first line has {header.width}."], []
    losses = [
        f'The column "{_short(name)}" is not read.'
        for place, name in header.unknown.items()
        if place < len(cells) and cells[place].strip()
    ]
    return named, [], losses


def _row(number: int, cells: dict[str, str], reasons: list[str], losses: list[str]) -> CandidateRow:
    """The row of these cells; where a cell cannot be taken, `reasons` says why and the row is of no use."""
    texts = {name: _text(name, cells.get(name, ""), reasons, losses) for name in _LENGTHS}
    for name in ("name", "district", "school", "batch"):
        if not texts[name] and not cells[name].strip():
            reasons.append(f"The {name} is missing.")
    return CandidateRow(
        number,
        _registration_no(cells["registration_no"], reasons),
        language=_language(cells["language"], reasons),
        extra_time_pct=_extra_time(cells.get("extra_time_pct", ""), reasons),
        **texts,
    )


def _text(column: str, cell: str, reasons: list[str], losses: list[str]) -> str:
    """`cell` in NFC with single spaces; empty where it is refused."""
    text = cell.translate(_STRAY)
    if text != cell:
        losses.append(f"An invisible character in {column} was taken out.")
    text = unicodedata.normalize("NFC", text.replace("\t", " ").strip())
    if len(text) > _LENGTHS[column]:
        reasons.append(f"The {column} is longer than {_LENGTHS[column]} characters.")
        return ""
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and char not in _JOINERS:
            reasons.append(f"The {column} holds the control character U+{ord(char):04X}.")
            return ""
    return " ".join(text.split())


def _registration_no(cell: str, reasons: list[str]) -> str:
    """ASCII letters, digits and / . _ -, digits of other scripts turned into ASCII."""
    text = unicodedata.normalize("NFKC", cell.translate(_STRAY)).strip()
    text = "".join(str(unicodedata.decimal(char, char)) for char in text)
    if not text:
        reasons.append("The registration number is missing.")
    elif _MANGLED_NUMBER.fullmatch(text):
        reasons.append(f"A spreadsheet has turned the registration number into {text}. Format the column as text.")
    elif not _REGISTRATION_NO.fullmatch(text):
        reasons.append(
            f'The registration number "{_short(text)}" is not of 1 to 40 Latin letters, digits and / . _ -, '
            "the first of them a letter or digit."
        )
    return text


def _language(cell: str, reasons: list[str]) -> str:
    language = _LANGUAGES.get(unicodedata.normalize("NFC", cell.translate(_STRAY)).strip().lower(), "")
    if not language:
        reasons.append(f'The language "{_short(cell)}" is not one of en, mr, hi.' if cell.strip() else _NO_LANGUAGE)
    return language


_NO_LANGUAGE = "The language is missing; it is one of en, mr, hi."


def _extra_time(cell: str, reasons: list[str]) -> int:
    text = "".join(str(unicodedata.decimal(char, char)) for char in cell.translate(_STRAY).strip())
    if not text:
        return 0
    found = _PERCENT.fullmatch(text)
    if not found or int(found[1]) > 300:
        reasons.append(f'The extra time "{_short(cell)}" is not a whole number of per cent from 0 to 300.')
        return 0
    return int(found[1])


def _short(text: str) -> str:
    text = " ".join("".join(char if char.isprintable() else " " for char in text[:200]).split())
    return text if len(text) <= 60 else text[:59] + "…"
