"""Reads items from CSV and XLSX, a row for each, with the columns of `exam.imports.columns`.

openpyxl is imported when a workbook comes and not before, so that no web worker carries it. What a workbook may cost is
counted on its raw parts first: a bomb is refused before anything is built from it.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from exam.imports.columns import Column, checked, column_of, row_item
from exam.imports.encoding import SIZE_LIMIT, decode
from exam.imports.html import TooComplex
from exam.imports.making import QUESTION_LIMIT, named
from exam.imports.report import Broken, Report, Unreadable
from grading.items import Item
from grading.keys import Key

HELP_MARK: Final = "How this template is filled in"
"""Stands first on the template's sheet of explanations, which holds no questions."""

UNPACKED_LIMIT: Final = 64 * 1024 * 1024
CELL_COUNT_LIMIT: Final = 1_000_000
ROW_COUNT_LIMIT: Final = 200_000
COLUMN_LIMIT: Final = 600
SHEET_LIMIT: Final = 100
ELEMENT_LIMIT: Final = 60_000
TEXT_LIMIT: Final = 40_000_000
LINE_LIMIT: Final = 500_000
CELLS_A_LINE: Final = 10_000

# As `exam.exports` writes them: a quote before what a spreadsheet would compute.
_QUOTED = re.compile(r"'+[=+\-@\t\r＝＋－＠]")
_PLAIN_NUMBER = re.compile(r"General|@|0|0\.0+|#,##0(\.0+)?")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_SEPARATOR = re.compile(r"sep=(.)\n", re.IGNORECASE)
_AROUND = re.compile(rb"<(?:\w+:)?(row|c)[ >/]")
_LETTERS = re.compile(rb'<(?:\w+:)?c [^<>]*?\br="([A-Z]{1,9})[0-9]')
_ROW_NUMBER = re.compile(rb'<(?:\w+:)?row [^<>]*?\br="([0-9]+)')
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell ref="([A-Z]+)([0-9]+)(?::([A-Z]+)([0-9]+))?"')
_RICH_INLINE = re.compile(rb"<(?:\w+:)?is>\s*<(?:\w+:)?r[ >]")
_ENCODING = re.compile(rb"""<\?xml[^>]*encoding=["']([^"']*)""")


class _Reader:
    """What the rows of a file have given so far."""

    def __init__(self, language: str) -> None:
        self.taken: list[tuple[Item, Key]] = []
        self.report = Report()
        self._language = language
        self._derived: dict[str, int] = {}
        self._places: dict[str, str] = {}

    def row(
        self, place: str, line: dict[int, str], header: "_Header", reasons: Iterable[str], losses: list[str]
    ) -> None:
        """Takes or refuses a row; `line` holds its filled cells by the place of their column."""
        cells = {column: line[at] for at, column in header.columns.items() if at in line}
        own = " ".join(cells.get(Column("code"), "").split())
        called = own or " ".join(cells.get(Column("title"), "").split()) or _first_words(cells)
        refused = list(reasons)
        if own in self._places:
            refused.append(f'The code "{own[:120]}" stands in {self._places[own]} already.')
        if refused:
            self.report.refuse(place, called, refused)
            return
        try:
            item, key, lost = row_item(cells, self._language)
            item, key = checked(item, key)
        except (Broken, TooComplex) as broken:
            self.report.refuse(place, called, [str(broken)])
            return
        losses = losses + lost
        for at, cell in line.items():
            if at not in header.columns:
                name = f'The column "{header.unknown[at]}"' if at in header.unknown else f"Column {_letters(at)}"
                losses.append(f'{name} is not known and not kept: "{cell[:60]}".')
        if own:
            self._derived.setdefault(own, 2)
        else:
            item = named(item, self._derived, losses)
        self._places[item.code] = place
        self.taken.append((item, key))
        self.report.accept(place, item.code, list(dict.fromkeys(losses)))


class _Header:
    """Which column each place of a row is, and the headings that mean nothing."""

    def __init__(self, line: dict[int, str]) -> None:
        self.columns: dict[int, Column] = {}
        self.unknown: dict[int, str] = {}
        for at, heading in line.items():
            column = column_of(heading)
            if column is None:
                self.unknown[at] = heading.strip()[:60]
            elif column in self.columns.values():
                raise Unreadable(f'Two columns are headed "{column.heading()}" or mean it. Nothing was taken.')
            else:
                self.columns[at] = column

    def asks(self) -> bool:
        """Whether this is the heading of questions at all."""
        return any(column.field == "prompt" for column in self.columns.values())


def heads_items(data: bytes) -> bool:
    """Whether the CSV file `data` begins with the headings of questions."""
    return _sniffed(decode(data))[1]


def read_csv(data: bytes, source: str, *, language: str = "") -> tuple[list[tuple[Item, Key]], Report]:
    """Items with their keys, and what became of each row of the file called `source`; blank rows are passed over.

    Parted by comma, semicolon or tab, whichever the headings show; cells may be quoted and hold line breaks.
    `language` is that of texts whose column names none. Unreadable where there are no headings, or the quotes do
    not close.
    """
    text = decode(data)
    delimiter, asks = _sniffed(text)
    if not asks:
        raise Unreadable(
            "The first line has no column called prompt or question. Nothing was taken. `exam template` writes a file "
            "with all columns."
        )
    lines: list[tuple[int, dict[int, str]]] = []
    for number, row in _rows(text, delimiter):
        line = {at: cell[1:] if _QUOTED.match(cell) else cell for at, cell in enumerate(row, start=1) if cell.strip()}
        if line:
            lines.append((number, line))
            _check_count(len(lines) - 1)
    reader = _Reader(language)
    header = _Header(lines[0][1])
    for number, line in lines[1:]:
        reader.row(f"{source}:{number}", line, header, [], [])
    if not reader.report.items:
        raise Unreadable("The file has no rows with questions. Nothing was taken.")
    return reader.taken, reader.report


def _check_count(questions: int) -> None:
    """Unreadable beyond the limit, before the first of them is looked at."""
    if questions > QUESTION_LIMIT:
        raise Unreadable(f"The file has more than {QUESTION_LIMIT} questions. Nothing was taken. Split it.")


def _sniffed(text: str) -> tuple[str, bool]:
    """The delimiter of a CSV text, and whether its headings are those of questions."""
    told = _SEPARATOR.match(text)
    best, most, asks = ",", -1, False
    for delimiter in told[1] if told else ",;\t":
        row = next((row for _, row in _rows(text[:100_000], delimiter, strict=False) if any(row)), [])
        columns = [column_of(cell) for cell in row]
        known = sum(column is not None for column in columns)
        if known > most:
            best, most = delimiter, known
            asks = any(column is not None and column.field == "prompt" for column in columns)
    return best, asks


def _rows(text: str, delimiter: str, *, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV text, each with the number of its first line."""
    first = 1
    if told := _SEPARATOR.match(text):
        text, first = text[told.end() :], 2
    lines = csv.reader(_lines(text, delimiter), delimiter=delimiter, strict=strict)
    while True:
        number = lines.line_num + first
        try:
            row = next(lines)
        except StopIteration:
            return
        except csv.Error as wrong:
            raise Unreadable(
                f"The quotes of the row that begins in line {number} do not fit ({wrong}). Nothing was taken."
            ) from None
        yield number, row


def _lines(text: str, delimiter: str) -> Iterator[str]:
    """The lines of a text, one at a time; Unreadable for more or longer ones than a table of questions has."""
    start = count = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        count += 1
        if count > LINE_LIMIT or text.count(delimiter, start, end) > CELLS_A_LINE:
            raise Unreadable(f"Line {count} is more than a table of questions has. Nothing was taken. Split the file.")
        yield text[start:end]
        start = end


def read_xlsx(data: bytes, source: str, *, language: str = "") -> tuple[list[tuple[Item, Key]], Report]:
    """Items with their keys, and what became of each row of each sheet of the workbook called `source`.

    A row with a formula, a date, an error or a merged cell is refused: what its author saw cannot be known.
    Bold, italics, raised and lowered characters of a part of a cell are kept. Unreadable where the file is no
    workbook, is protected by a password, or costs more than a list of questions does.
    """
    parts = _parts(data)
    workbook = _opened(data)
    if len(workbook.worksheets) > SHEET_LIMIT:
        raise Unreadable(f"The workbook has more than {SHEET_LIMIT} sheets. Nothing was taken. Split it.")
    reader = _Reader(language)
    # Everything is counted before anything is made of it: a text that is told once may be shown in every cell.
    for sheet, rows in list(_gathered(workbook, parts)):
        header: _Header | None = None
        for number, line, reasons, losses in rows:
            place = f"{source}:{sheet}:{number}"
            if header is not None:
                reader.row(place, line, header, reasons, losses)
                continue
            if line.get(1) == HELP_MARK:
                break
            header = _Header(line)
            if not header.asks():
                why = "Its first row has no column called prompt or question, so nothing of it was taken."
                reader.report.refuse(place, f"sheet {sheet}", [why])
                break
    if not reader.report.items:
        raise Unreadable("The workbook has no rows with questions. Nothing was taken.")
    return reader.taken, reader.report


_Line = tuple[int, dict[int, str], list[str], list[str]]


def _gathered(workbook: Any, parts: dict[str, bytes]) -> Iterator[tuple[str, list[_Line]]]:
    """The name of each sheet with its filled rows: number, cells, reasons to refuse it, losses."""
    room, questions = TEXT_LIMIT, 0
    for sheet in workbook.worksheets:
        path = sheet._worksheet_path
        if path not in parts or not path.startswith("xl/worksheets/"):
            raise Unreadable(f'The sheet "{sheet.title}" is not where sheets are. Nothing was taken.')
        beside = _beside(parts, path)
        lines: list[_Line] = []
        blank = None
        for number, row in enumerate(_sheet_rows(sheet), start=1):
            # Missing rows are all the same tuple: of a gap only the first one is looked at.
            if row is blank:
                continue
            line, reasons, losses = _cells(row)
            if not line and not reasons:
                blank = row
                continue
            room -= sum(map(len, line.values()))
            if room < 0:
                raise Unreadable("The workbook holds more text than questions need. Nothing was taken. Split it.")
            refusals, more = beside.get(number, ([], []))
            lines.append((number, line, reasons + refusals, losses + more))
            questions += 1
            _check_count(questions - SHEET_LIMIT)
        if not lines and b"<row" in parts[path]:
            raise Unreadable(f'The rows of the sheet "{sheet.title}" could not be read. Nothing was taken.')
        yield sheet.title, lines


def _parts(data: bytes) -> dict[str, bytes]:
    """The parts of a workbook that matter here, unpacked within bounds; Unreadable for anything suspicious."""
    if len(data) > SIZE_LIMIT:
        raise Unreadable("The file is larger than 20 MB. Nothing was taken. Split it and bring the parts.")
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable(
            "The workbook is protected by a password, or an old .xls. Nothing was taken. Save it as .xlsx without one."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if any(entry.flag_bits & 1 for entry in entries):
                raise Unreadable("The workbook is protected by a password. Nothing was taken. Save it without one.")
            if "xl/workbook.xml" not in archive.namelist():
                raise Unreadable("The file is a ZIP but no XLSX workbook. Nothing was taken.")
            names = [entry.filename for entry in entries]
            if sum(entry.file_size for entry in entries) > UNPACKED_LIMIT or len(entries) > 10_000:
                raise Unreadable(
                    f"The workbook unpacks to more than {UNPACKED_LIMIT >> 20} MB. Nothing was taken. Split it, or "
                    "delete rows that are only formatted."
                )
            if len(set(names)) < len(names):
                raise Unreadable("The workbook has a part twice. Nothing was taken.")
            parts = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError, RuntimeError) as broken:
        if isinstance(broken, Unreadable):
            raise
        raise Unreadable("The workbook is damaged. Nothing was taken. Save it again and try once more.") from None
    # Whatever is parsed stands outside of xl/media, as UTF-8 and without entities.
    for name, part in parts.items():
        told = _ENCODING.match(part)
        if (
            (b"<!DOCTYPE" in part and not name.startswith("xl/media/"))
            or part.startswith((b"\xfe\xff", b"\xff\xfe", b"<\0", b"\0<"))
            or (told and told[1].lower() not in (b"utf-8", b"us-ascii"))
            or (name == "[Content_Types].xml" and b"/xl/media" in part)
        ):
            raise Unreadable(f"The workbook's part {name[:80]} is not what a spreadsheet writes. Nothing was taken.")
        if not name.startswith("xl/media/"):
            _check_elements(part, name)
    if b"purl.oclc.org/ooxml" in parts["xl/workbook.xml"]:
        raise Unreadable("The workbook is of the kind Strict Open XML. Nothing was taken. Save it as ordinary .xlsx.")
    return parts


def _check_elements(part: bytes, name: str) -> None:
    """Unreadable where parsing the part would take more time or memory than questions do."""
    elements = part.count(b"<") - part.count(b"</")
    usual = ELEMENT_LIMIT
    if name.startswith("xl/worksheets/"):
        found = {b"row": 0, b"c": 0}
        for element in _AROUND.findall(part):
            found[element] += 1
        if found[b"row"] > ROW_COUNT_LIMIT or found[b"c"] > CELL_COUNT_LIMIT:
            raise Unreadable(
                f"A sheet has {found[b'row']} rows and {found[b'c']} cells, more than questions need. Nothing was "
                "taken. Delete rows that are only formatted, or split it."
            )
        usual += 5 * (found[b"row"] + found[b"c"])
        _check_places(part)
    elif b"<sst" in part[:2000]:
        usual += 20 * part.count(b"</si>")
    if elements > usual:
        raise Unreadable(f"The workbook's part {name[:80]} is larger than questions need. Nothing was taken.")


def _check_places(sheet: bytes) -> None:
    if any(_place(letters) > COLUMN_LIMIT for letters in set(_LETTERS.findall(sheet))):
        raise Unreadable(f"A sheet has cells beyond its {COLUMN_LIMIT}th column. Nothing was taken. Delete those.")
    if any(len(row) > 7 or int(row) > ROW_COUNT_LIMIT for row in _ROW_NUMBER.findall(sheet)):
        raise Unreadable(f"A sheet has rows beyond its {ROW_COUNT_LIMIT}th. Nothing was taken. Delete those.")
    if _RICH_INLINE.search(sheet):
        raise Unreadable("A sheet has formatted text inside its cells in a form that is not read. Nothing was taken. "
                         "Open it in a spreadsheet, save it as .xlsx and try again.")  # fmt: skip


def _opened(data: bytes) -> Any:
    import warnings

    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_workbook(io.BytesIO(data), read_only=True, keep_links=False, rich_text=True)
    except Exception:
        # A broken part shows as any of a dozen exceptions; for the author it is one.
        raise Unreadable("The workbook is damaged. Nothing was taken. Save it again and try once more.") from None


def _sheet_rows(sheet: Any) -> Iterator[Any]:
    rows = sheet.iter_rows(min_row=1, max_row=ROW_COUNT_LIMIT, min_col=1, max_col=COLUMN_LIMIT)
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except Exception:
            raise Unreadable(f'The sheet "{sheet.title}" is damaged. Nothing was taken. Save it again.') from None


def _cells(row: Any) -> tuple[dict[int, str], list[str], list[str]]:
    """The filled cells of a row as text by their place, the reasons to refuse it, and its losses."""
    line: dict[int, str] = {}
    reasons: list[str] = []
    losses: list[str] = []
    for cell in row:
        value = cell.value
        if value is None or value == "":
            continue
        name = f"Cell {_letters(cell.column)}{cell.row}"
        match cell.data_type:
            case "s":
                text = value if isinstance(value, str) else _rich(value, name, losses)
                line[cell.column] = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
            case "f":
                reasons.append(f"{name} holds a formula; put its value there, as text.")
            case "d":
                reasons.append(f"{name} holds a date or a time; format the cell as text and type it anew.")
            case "e":
                reasons.append(f"{name} holds the error {value}.")
            case "b":
                line[cell.column] = "true" if value else "false"
            case "n" if _PLAIN_NUMBER.fullmatch(cell.number_format or "General"):
                line[cell.column] = _number(value)
            case _:
                reasons.append(f"{name} holds a number that is shown in another way; format the cell as text.")
    return {at: text for at, text in line.items() if text.strip()}, reasons, losses


def _number(value: float) -> str:
    """4.0 as 4, and others as short as they can be without loss."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value!r}"


def _rich(runs: Any, name: str, losses: list[str]) -> str:
    """A cell of several fonts: what they mean becomes HTML, colours and sizes are decoration."""
    made = []
    for run in runs:
        text = run if isinstance(run, str) else run.text or ""
        font = None if isinstance(run, str) else run.font
        if font is not None and text.strip():
            for tag, wanted in (
                ("b", font.b),
                ("i", font.i),
                ("u", font.u),
                ("s", font.strike),
                ("sub", font.vertAlign == "subscript"),
                ("sup", font.vertAlign == "superscript"),
            ):
                if wanted:
                    text = f"<{tag}>{text}</{tag}>"
        made.append(text)
    return "".join(made)


def _beside(parts: dict[str, bytes], path: str) -> dict[int, tuple[list[str], list[str]]]:
    """What lies over the cells of a sheet, by row: reasons to refuse it, and losses (pictures, notes)."""
    found: dict[int, tuple[list[str], list[str]]] = {}
    marks = 0
    for left, top, right, bottom in _MERGED.findall(parts[path]):
        area = f"{left.decode()}{top.decode()}:{(right or left).decode()}{(bottom or top).decode()}"
        rows = range(int(top[:8]), int((bottom or top)[:8]) + 1)
        marks += len(rows)
        if marks > ROW_COUNT_LIMIT:
            raise Unreadable(f"The cells {area} are merged. Nothing was taken. Take merged cells apart and try again.")
        for number in rows:
            found.setdefault(number, ([], []))[0].append(f"The cells {area} are merged; take them apart.")
    folder, _, name = path.rpartition("/")
    for target in re.findall(rb'Target="([^"]+)"', parts.get(f"{folder}/_rels/{name}.rels", b"")):
        words = target.decode(errors="replace")
        part = parts.get(words.lstrip("/") if words.startswith("/") else f"xl/{words.removeprefix('../')}", b"")
        if b"wsDr" in part:
            for row in re.findall(rb"<(?:\w+:)?from>.{0,300}?<(?:\w+:)?row>([0-9]{1,7})<", part, re.DOTALL):
                found.setdefault(int(row) + 1, ([], []))[1].append("A picture or drawing on it was not taken.")
        for row in re.findall(rb'<(?:\w+:)?comment [^<>]*?ref="[A-Z]+([0-9]{1,7})"', part):
            found.setdefault(int(row), ([], []))[1].append("A note on one of its cells is not kept.")
    return found


def _place(letters: bytes) -> int:
    place = 0
    for letter in letters:
        place = place * 26 + letter - 64
    return place


def _letters(place: int) -> str:
    head, tail = divmod(place - 1, 26)
    return (_letters(head) if head else "") + chr(65 + tail)


def _first_words(cells: dict[Column, str]) -> str:
    words = " ".join(next((cell for column, cell in cells.items() if column.field == "prompt"), "").split())
    return words if len(words) <= 60 else words[:59] + "…"
