"""Writes items and keys as CSV, XLSX and GIFT, and the template that authors fill in.

Nothing is written on trust: every item is read back from what stands for it, and whatever came back otherwise is named
in the report.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

import msgspec

from exam.imports.columns import Column, checked, row_item
from exam.imports.gift import read_gift
from exam.imports.html import TooComplex
from exam.imports.making import item_of
from exam.imports.report import Broken, Report
from exam.imports.tables import HELP_MARK
from grading.items import Choice, Essay, InlineChoice, Item, Match, Numeric, Option, Ordering, Text, TextEntry
from grading.keys import ChoiceKey, InlineKey, Key, ManualKey, MatchKey, NumericKey, OrderKey, TextKey
from grading.scoring import exact, rounded

Pairs = Iterable[tuple[Item, Key]]

XLSX_CELL: Final = 32_767

_FIELDS: Final = (
    "kind code section title language prompt text answer multiple shuffle max_length rows case_sensitive rule weights"
    " gap option match weight feedback id pinned match_id match_pinned unit otherwise general guide media"
)
"""The order of columns; those with a number stand together, from "gap" to "match_pinned"."""
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
_PLAIN: Final = re.compile(r"-[0-9]+(\.[0-9]+)?")
_TEX: Final = re.compile(r"\\[(\[]|\$\$")
_ESCAPE: Final = re.compile(r"([~=#{}\\:])")
_XML_ESCAPE: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
_PICTURES: Final = "Its pictures are named and not contained: only this hall has them."


def export_csv(pairs: Pairs) -> tuple[bytes, Report]:
    """The items as a CSV file in UTF-8 that no spreadsheet takes for formulas, and what became of each."""
    report = Report()
    rows = list(_rows(pairs, report, None))
    columns = _columns(rows)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([column.heading() for column in columns])
    for row in rows:
        writer.writerow([harmless(row.get(column, "")) for column in columns])
    return b"\xef\xbb\xbf" + out.getvalue().encode(), report


def export_xlsx(pairs: Pairs) -> tuple[bytes, Report]:
    """The items as an XLSX workbook of text cells, and what became of each."""
    report = Report()
    rows = list(_rows(pairs, report, XLSX_CELL))
    columns = _columns(rows)
    lines = ([row.get(column, "") for column in columns] for row in rows)
    return _workbook(columns, lines, []), report


def template_csv(languages: Sequence[str]) -> bytes:
    """The headings of a table of questions in `languages`, to be filled in."""
    return b"\xef\xbb\xbf" + (",".join(column.heading() for column in template_columns(languages)) + "\r\n").encode()


def template_xlsx(languages: Sequence[str]) -> bytes:
    """The template as a workbook, with a sheet that explains it by examples."""
    return _workbook(template_columns(languages), [], HELP)


def template_columns(languages: Sequence[str]) -> list[Column]:
    """The columns of everyday questions; every other one of the table may be added."""
    texts = [("prompt", 0), *(("option", number) for number in range(1, 5)), ("general", 0)]
    named = {field: [Column(field, number, tag) for name, number in texts if name == field for tag in languages]
             for field in ("prompt", "option", "general")}  # fmt: skip
    plain = [Column(field) for field in ("kind", "code", "section")]
    return [*plain, *named["prompt"], Column("answer"), *named["option"], *named["general"]]


HELP: Final = [
    ["One row is one question. Columns may stand in any order; those you do not need may be left out."],
    ["Further options: option_5_en, option_6_en … Further languages: prompt_hi, option_1_hi …"],
    ["Right option of a choice: its number or letter under answer; several like 1; 3. Exact shares: weight_1 …"],
    ["No formulas, no dates, no merged cells, no pictures; H<sub>2</sub>O, <b>bold</b> and \\(x^2\\) are understood."],
    [],
    ["kind", "what stands where", "prompt_en", "answer", "option_1_en", "option_2_en", "option_3_en", "more"],
    ["choice", "the right option's number", "Capital of Maharashtra?", "2", "Pune", "Mumbai", "Nagpur", ""],
    ["choice", "several right options", "Which are rivers?", "1; 3", "Tapi", "Sahyadri", "Krishna", ""],
    ["truefalse", "true or false", "Three is odd.", "true", "", "", "", ""],
    ["text", "an accepted text; further ones under answer_2, …", "Who wrote Gitai?", "Vinoba*", "", "", "", ""],
    ["numeric", "3, 2.5..3.5 or 3:0.5", "Half of seven?", "3.5", "", "", "", "unit_en: metres"],
    ["match", "each match_1_en belongs to option_1_en", "Where is it?", "", "Gateway of India", "Shaniwar Wada", "",
     "match_1_en: Mumbai; match_2_en: Pune; match_3_en: one that fits nothing"],
    ["order", "the options in their right order", "From small to large", "", "Village", "Taluka", "District", ""],
    ["inline", "gap_1 names the gap of option_1; a mark [[1]] in text_en", "Choose.", "1=b", "north", "west", "",
     "text_en: The sun sets in the [[1]].; gap_1: 1; gap_2: 1"],
    ["essay", "marked by people; guide_en tells them how", "Describe your class.", "", "", "", "", "max_length: 2000"],
]  # fmt: skip


def harmless(cell: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula; the reader takes the quote off again."""
    return f"'{cell}" if _FORMULA.match(cell) and not _PLAIN.fullmatch(cell) else cell


def _columns(rows: Iterable[dict[Column, str]]) -> list[Column]:
    places = {field: place for place, field in enumerate(_FIELDS.split())}
    body = places["gap"], places["match_pinned"]

    def place(column: Column) -> tuple[int, int, int]:
        at = places[column.field]
        numbered = body[0] <= at <= body[1]
        return (body[0] if numbered else at, column.number, at)

    used: dict[Column, None] = {}
    for row in rows:
        used.update(dict.fromkeys(row))
    return sorted(used, key=place) or [Column("kind"), Column("prompt")]


def _rows(pairs: Pairs, report: Report, longest: int | None) -> Iterator[dict[Column, str]]:
    """The rows of all items that can be written, the others refused in the report."""
    for item, key in pairs:
        try:
            row = {column: cell for column, cell in _row(item, key).items() if cell}
            if longest is not None and (long := [column for column, cell in row.items() if len(cell) > longest]):
                raise Broken(f"{long[0].heading()} is longer than the {longest} characters of a spreadsheet's cell.")
            again, same_key, losses = row_item(row, "")
            losses = losses + _differences((item, key), checked(again, same_key))
        except (Broken, TooComplex) as broken:
            report.refuse(item.section, item.code, [str(broken)])
            continue
        report.accept(item.section, item.code, losses + [_PICTURES] * bool(item.media))
        yield row


def _row(item: Item, key: Key) -> dict[Column, str]:
    """The cells of an item and its key, as `row_item` reads them."""
    row = {Column("code"): item.code, Column("title"): item.title, Column("section"): item.section}
    row[Column("language")] = next(iter(item.prompt), "")
    put = _Put(row)
    put.text("prompt", item.prompt)
    put.text("general", key.general)
    interaction: Any = item.interaction
    if not getattr(interaction, "shuffle", True):
        row[Column("shuffle")] = "no"
    match item.interaction, key:
        case Choice(options=options, multiple=multiple), ChoiceKey(weights=weights, feedback=feedback):
            row[Column("kind")] = "choice"
            row[Column("multiple")] = "yes" if multiple else "no"
            put.options(options)
            for number, option in enumerate(options, start=1):
                row[Column("weight", number)] = weights.get(option.id, "")
                put.text("feedback", feedback.get(option.id), number)
        case TextEntry(max_length=limit), TextKey(answers=answers, case_sensitive=exactly):
            row |= {Column("kind"): "text", Column("max_length"): str(limit)}
            row[Column("case_sensitive")] = "yes" if exactly else ""
            for number, answer in enumerate(answers, start=1):
                row[Column("answer", number)] = answer.text
                row[Column("weight", number)] = "" if answer.weight == "1" else answer.weight
                put.text("feedback", answer.feedback, number)
        case Numeric(unit=unit), NumericKey(answers=numbers, otherwise=otherwise):
            row[Column("kind")] = "numeric"
            put.text("unit", unit)
            put.text("otherwise", otherwise)
            for number, bounds in enumerate(numbers, start=1):
                alone = bounds.low == bounds.high
                row[Column("answer", number)] = bounds.low if alone else f"{bounds.low}..{bounds.high}"
                row[Column("weight", number)] = "" if bounds.weight == "1" else bounds.weight
                put.text("feedback", bounds.feedback, number)
        case Match(prompts=prompts, choices=choices), MatchKey(pairs=pairs):
            row |= {Column("kind"): "match", Column("answer"): _pairs(pairs)}
            put.options(prompts)
            put.options(choices, "match", "match_id", "match_pinned")
        case InlineChoice(text=text, gaps=gaps), InlineKey(right=right, weights=weights):
            row |= {Column("kind"): "inline", Column("answer"): _pairs(right), Column("weights"): _pairs(weights)}
            put.text("text", text)
            put.options([option for gap in gaps for option in gap.options])
            ids = [gap.id for gap in gaps for _ in gap.options]
            row |= {Column("gap", number): gap for number, gap in enumerate(ids, start=1)}
        case Ordering(options=options), OrderKey(order=order, rule=rule):
            row |= {Column("kind"): "order", Column("answer"): "; ".join(order)}
            row[Column("rule")] = "" if rule == "all_or_nothing" else rule
            put.options(options)
        case Essay(max_length=limit, rows=high), ManualKey(guide=guide):
            row |= {Column("kind"): "essay", Column("max_length"): str(limit), Column("rows"): str(high)}
            put.text("guide", guide)
        case _:
            raise Broken("Its key is not one of its kind.")
    again = item_of("", "", item.section, item.prompt, item.interaction, [])
    if item.media != again.media:
        row[Column("media")] = " ".join(item.media)
    return row


class _Put:
    """Puts texts and options into a row's cells."""

    def __init__(self, row: dict[Column, str]) -> None:
        self._row = row

    def text(self, field: str, text: Text | None, number: int = 0) -> None:
        for tag, words in (text or {}).items():
            self._row[Column(field, number, tag)] = _protected(words).replace("\n", "&#10;")

    def options(self, options: Iterable[Option], field: str = "option", ids: str = "id", pins: str = "pinned") -> None:
        for number, option in enumerate(options, start=1):
            self.text(field, option.text, number)
            self._row[Column(ids, number)] = option.id
            self._row[Column(pins, number)] = "yes" if option.pinned else ""


def _protected(fragment: str) -> str:
    """A fragment in which nothing is taken for TeX when it is read again."""
    fragment = _CONTROL.sub("", fragment)
    return fragment.replace("\\", "&#92;").replace("$", "&#36;") if _TEX.search(fragment) else fragment


def _pairs(pairs: dict[str, str]) -> str:
    return "; ".join(f"{left}={right}" for left, right in pairs.items())


def _differences(before: tuple[Item, Key], after: tuple[Item, Key]) -> list[str]:
    """A sentence for each thing that came back otherwise."""
    found = [
        change
        for name, old, new in zip(("item", "key"), before, after, strict=True)
        for change in _changes(name, msgspec.to_builtins(old), msgspec.to_builtins(new))
    ]
    if next(iter(before[0].prompt), "") != next(iter(after[0].prompt), ""):
        found.append("The language of record becomes another.")
    return found


def _changes(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from _changes(f"{path}.{name}", old.get(name), new.get(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _changes(f"{path}.{place + 1}", one, other)
    else:
        yield f"{path.removeprefix('item.').removeprefix('interaction.')}: {_shown(old)} becomes {_shown(new)}."


def _shown(value: Any) -> str:
    text = "nothing" if value in (None, "", [], {}) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:59] + "…"


def _workbook(columns: Sequence[Column], lines: Iterable[Sequence[str]], help_lines: Sequence[Sequence[str]]) -> bytes:
    """A workbook whose cells are all text, also those that are still empty."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("Questions")
    sheet.freeze_panes = "A2"
    for place, column in enumerate(columns, start=1):
        dimension = sheet.column_dimensions[get_column_letter(place)]
        dimension.number_format, dimension.width = "@", 14 if column.number == 0 and not column.language else 28

    def cell(text: str, *, bold: bool = False) -> Any:
        if not text:
            return None
        made = WriteOnlyCell(sheet, value=_XML_ESCAPE.sub("_x005F_", text))
        # A text that begins with = would be written as a formula, one like #N/A as an error.
        made.data_type = "s"
        made.number_format = "@"
        if bold:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(column.heading(), bold=True) for column in columns])
    for line in lines:
        sheet.append([cell(text) for text in line])
    if help_lines:
        sheet = workbook.create_sheet("Help")
        sheet.append([cell(HELP_MARK, bold=True)])
        for line in help_lines:
            cells = [cell(text) for text in line]
            for one in cells[1:]:
                if one is not None:
                    one.alignment = Alignment(wrap_text=True, vertical="top")
            sheet.append(cells)
        for letter in "BCDEFGH":
            sheet.column_dimensions[letter].width = 28
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


# GIFT ----------------------------------------------------------------------------------------------------------


def export_gift(pairs: Pairs) -> tuple[bytes, Report]:
    """The items as GIFT in UTF-8, and what became of each: what GIFT cannot say is named."""
    report = Report()
    written: list[str] = []
    section = ""
    for item, key in pairs:
        switch = f"$CATEGORY: {_escaped(item.section)}\n\n"
        try:
            block, losses = _best_block(item, key, switch)
        except Broken as broken:
            report.refuse(item.section, item.code, [str(broken)])
            continue
        if item.section != section:
            section = item.section
            written.append(switch)
        written.append(block)
        report.accept(item.section, item.code, losses + [_PICTURES] * bool(item.media))
    return "".join(written).encode(), report


def _best_block(item: Item, key: Key, switch: str) -> tuple[str, list[str]]:
    """The question in GIFT with the fewest losses: with its languages marked only where it has to be."""
    best: tuple[str, list[str]] | None = None
    why = ""
    for marked in (False, True):
        if not marked and any(len(text) != 1 for text in _all_texts(item, key)):
            continue
        block = _block(item, key, marked=marked)
        taken, report = read_gift((switch + block).encode(), "")
        if not taken:
            why = " ".join(reason for entry in report.entries for reason in entry.reasons)
            continue
        if type(taken[0][0].interaction) is not type(item.interaction):
            why = "It would come back as a question of another kind."
            continue
        losses = report.entries[0].reasons + _differences(_renamed(item, key), _renamed(*taken[0]))
        if best is None or len(losses) < len(best[1]):
            best = block, losses
        if not losses:
            break
    if best is None:
        raise Broken(f"GIFT cannot say it. {why}".strip())
    return best


def _all_texts(item: Item, key: Key) -> Iterator[Text]:
    yield item.prompt
    if key.general:
        yield key.general
    match item.interaction:
        case Choice(options=options) if {option.id for option in options} != {"true", "false"}:
            yield from (option.text for option in options)
        case Match(prompts=prompts, choices=choices):
            yield from (option.text for option in [*prompts, *choices])


def _block(item: Item, key: Key, *, marked: bool) -> str:
    """A question in GIFT; `marked` gives every text with its languages, as Moodle's multilang filter reads it."""

    def text(of: Text) -> str:
        words = {tag: _protected(fragment) for tag, fragment in of.items()}
        if marked:
            whole = "".join(f'<span lang="{tag}" class="multilang">{one}</span>' for tag, one in words.items())
        else:
            whole = next(iter(words.values()), "")
        return ("[html]" if whole.startswith("[") else "") + _escaped(whole)

    def remark(of: Text | None) -> str:
        return f"#{text(of)}" if of else ""

    match item.interaction, key:
        case Choice(options=options, shuffle=False), ChoiceKey(weights=weights, feedback=feedback) if [
            option.id for option in options
        ] == ["true", "false"] and list(weights.values()) == ["1"]:
            right = weights.keys() == {"true"}
            wrong_first = [feedback.get("false" if right else "true"), feedback.get("true" if right else "false")]
            lines = ["T" if right else "F"]
            lines[0] += (remark(wrong_first[0]) or "#") + remark(wrong_first[1]) if any(wrong_first) else ""
        case Choice(options=options, multiple=multiple), ChoiceKey(weights=weights, feedback=feedback):
            shares = {option.id: Fraction(weights.get(option.id, "0")) for option in options}
            # One "=" makes it a choice of one option; without any it is one of several.
            first = None if multiple else max(options, key=lambda option: shares[option.id])
            lines = [
                ("=" if option is first else "~")
                + _percent(shares[option.id], usual=Fraction(option is first))
                + text(option.text)
                + remark(feedback.get(option.id))
                for option in sorted(options, key=lambda option: option.pinned)
            ]
        case TextEntry(), TextKey(answers=answers):
            lines = [
                "=" + _percent(Fraction(answer.weight), usual=None) + _escaped(answer.text) + remark(answer.feedback)
                for answer in answers
            ]
        case Numeric(), NumericKey(answers=numbers, otherwise=otherwise):
            lines = ["#"]
            for bounds in numbers:
                span = bounds.low if bounds.low == bounds.high else f"{bounds.low}..{bounds.high}"
                lines.append(
                    "=" + _percent(Fraction(bounds.weight), usual=Fraction(1)) + span + remark(bounds.feedback)
                )
            lines += [f"~{remark(otherwise)}"] if otherwise else []
        case Match(prompts=prompts, choices=choices), MatchKey(pairs=pairs):
            chosen = {option.id: text(option.text) for option in choices}
            if pairs.keys() != {option.id for option in prompts}:
                raise Broken("GIFT cannot say it: a prompt has no match.")
            lines = [f"={text(option.text)} -> [html]{chosen[pairs[option.id]]}" for option in prompts]
            left_over = sorted((one for one in choices if one.id not in pairs.values()), key=lambda one: one.pinned)
            lines += [f"= -> [html]{chosen[option.id]}" for option in left_over]
        case Essay(), ManualKey():
            lines = []
        case _:
            raise Broken(f"GIFT has no question of this kind ({type(item.interaction).__name__}).")
    # A title alone is the code as well.
    code = "" if item.title == item.code else item.code.replace("]", "\\]")
    number = f"// [id:{code}]\n" if code else ""
    title = f"::{_escaped(item.title)}::" if item.title else ""
    general = [f"####{text(key.general)}"] if key.general else []
    inside = "\n".join([*lines, *general])
    if lines[:1] == ["#"]:
        inside = inside.replace("#\n", "#", 1)
    return f"{number}{title}[html]{text(item.prompt).removeprefix('[html]')} {{{inside}}}\n\n"


def _percent(share: Fraction, *, usual: Fraction | None) -> str:
    """The weight as GIFT writes it, "" where the marker says it already."""
    if share == usual:
        return ""
    percent = share * 100
    written = exact(percent)
    return f"%{rounded(percent, 5) if '/' in written or len(written) > 20 else written}%"


def _escaped(text: str) -> str:
    return _ESCAPE.sub(r"\\\1", text).replace("\n", "\\n")


def _renamed(item: Item, key: Key) -> tuple[Item, Key]:
    """The two with ids by content and place: what stays the same when ids and the order before shuffling change."""
    match item.interaction, key:
        case Choice(options=options, shuffle=shuffle), ChoiceKey(weights=weights, feedback=feedback) if {
            option.id for option in options
        } != {"true", "false"}:
            made, ids = _by_content(options) if shuffle else _by_place("o", options)
            key = msgspec.structs.replace(
                key,
                weights=dict(sorted((ids[one], str(Fraction(share))) for one, share in weights.items())),
                feedback=dict(sorted((ids[one], text) for one, text in feedback.items())),
            )
            item = msgspec.structs.replace(item, interaction=msgspec.structs.replace(item.interaction, options=made))
        case Match(prompts=prompts, choices=choices, shuffle=shuffle), MatchKey(pairs=pairs):
            left, lefts = _by_place("p", prompts)
            right, rights = _by_content(choices) if shuffle else _by_place("o", choices)
            key = msgspec.structs.replace(key, pairs={lefts[one]: rights[other] for one, other in pairs.items()})
            interaction = msgspec.structs.replace(item.interaction, prompts=left, choices=right)
            item = msgspec.structs.replace(item, interaction=interaction)
        case TextEntry(), TextKey(answers=answers):
            key = msgspec.structs.replace(key, answers=[_evened(answer) for answer in answers])
        case Numeric(), NumericKey(answers=numbers):
            evened = [
                msgspec.structs.replace(one, low=exact(Fraction(one.low)), high=exact(Fraction(one.high)))
                for one in numbers
            ]
            key = msgspec.structs.replace(key, answers=[_evened(answer) for answer in evened])
    return item, key


def _evened(answer: Any) -> Any:
    return msgspec.structs.replace(answer, weight=str(Fraction(answer.weight)))


def _by_content(options: Iterable[Option]) -> tuple[list[Option], dict[str, str]]:
    return _by_place("o", sorted(options, key=lambda option: (list(option.text.values()), option.id)))


def _by_place(prefix: str, options: Iterable[Option]) -> tuple[list[Option], dict[str, str]]:
    listed = list(options)
    ids = {option.id: f"{prefix}{place}" for place, option in enumerate(listed, start=1)}
    return [msgspec.structs.replace(option, id=ids[option.id]) for option in listed], ids
