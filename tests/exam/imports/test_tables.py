"""CSV and XLSX to items and keys: what a teacher's table may look like, and what is refused before it costs much."""

import datetime as dt
import io
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import openpyxl
import pytest
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment

from exam.imports.columns import Column, column_of
from exam.imports.report import Report, Unreadable
from exam.imports.tables import HELP_MARK, heads_items, read_csv, read_xlsx
from grading.items import Choice, Essay, InlineChoice, Item, Match, Numeric, Ordering, TextEntry
from grading.keys import ChoiceKey, InlineKey, Key, ManualKey, MatchKey, NumericKey, OrderKey, TextKey
from grading.scoring import score_item

HEAD = "kind,code,section,prompt_en,answer,option_1_en,option_2_en,option_3_en\n"


def read(text: str, **how: str) -> tuple[list[tuple[Item, Key]], Report]:
    taken, report = read_csv(text.encode(), "bank.csv", **how)
    assert report.items == report.taken + report.lossy + report.refused == len(report.entries)
    assert len(taken) == report.taken + report.lossy
    return taken, report


def one(text: str, **how: str) -> tuple[Item, Key]:
    taken, report = read(text, **how)
    assert [entry.reasons for entry in report.entries] == [[]]
    return taken[0]


def row(**cells: str) -> str:
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells.values()]
    return ",".join(cells) + "\n" + ",".join(quoted)


def workbook(*rows: list[object], title: str = "Questions") -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.active.title = title
    for cells in rows:
        book.active.append(cells)
    return book


def saved(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def refusals(data: bytes) -> dict[str, str]:
    _, report = read_xlsx(data, "bank.xlsx")
    return {entry.source: " ".join(entry.reasons) for entry in report.entries if entry.status == "refused"}


# Columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "column"),
    [
        ("prompt_en", Column("prompt", 0, "en")),
        (" Question (Marathi) ", Column("prompt", 0, "mr")),
        ("Option B", Column("option", 2)),
        ("option_2_mr", Column("option", 2, "mr")),
        ("OPTION 12 pt-BR", Column("option", 12, "pt-BR")),
        ("Correct Answer", Column("answer")),
        ("answer_2", Column("answer", 2)),
        ("Explanation:हिंदी", Column("general", 0, "hi")),
        ("weight_3", Column("weight", 3)),
        ("Topic", Column("section")),
        ("weight", None),
        ("weight_3_en", None),
        ("option_en", None),
        ("kind_2", None),
        ("prompt_notes", None),
        ("Remarks", None),
    ],
)
def test_headings(heading: str, column: Column | None) -> None:
    assert column_of(heading) == column
    if column is not None:
        assert column_of(column.heading()) == column


# What a row says -----------------------------------------------------------------------------------------------------


def test_a_choice_in_the_words_of_a_teacher() -> None:
    text = "Question;Option A;Option B;Option C;Option D;Correct Answer;Topic;Explanation\n"
    item, key = one(text + "2 < 3 & 4?;yes;no;both;None of these;B;Sums;Because.\n")
    assert item.prompt == {"en": "2 &lt; 3 &amp; 4?"} and item.section == "Sums"
    assert isinstance(item.interaction, Choice) and not item.interaction.multiple
    said = {option.id: option.text["en"] for option in item.interaction.options}
    assert sorted(said) == ["a", "b", "c", "d"] and said["d"] == "None of these"
    assert item.interaction.options[-1].pinned
    assert isinstance(key, ChoiceKey) and [said[one] for one in key.weights] == ["no"]
    assert key.general == {"en": "Because."}


@pytest.mark.parametrize("answer", ["1", "a", "A", "१", "1;", " 1 "])
def test_the_right_option_is_named_by_number_or_letter(answer: str) -> None:
    item, key = one(HEAD + f"choice,,,Q?,{answer},north,south,\n")
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    assert {o.text["en"] for o in item.interaction.options if o.id in key.weights} == {"north"}


def test_neither_ids_nor_order_tell_the_answer() -> None:
    def shown(rows: str) -> Item:
        return one(HEAD + rows)[0]

    assert shown("choice,x,,Q?,1,a,b,c\n") == shown("choice,x,,Q?,3,a,b,c\n") == shown("choice,x,,Q?,1,c,a,b\n")
    assert shown("order,x,,Q?,,a,b,c\n") == shown("order,x,,Q?,,c,b,a\n")
    head = "kind,prompt_en,option_1_en,option_2_en,match_1_en,match_2_en\n"
    assert one(head + "match,Q?,a,b,x,y\n")[0] == one(head + "match,Q?,a,b,y,x\n")[0]


def test_several_answers_are_worth_equal_parts_and_wrong_ones_cost_as_much() -> None:
    item, key = one(HEAD + "choice,,,Q?,1; 3,Tapi,Sahyadri,Krishna\n")
    assert isinstance(item.interaction, Choice) and item.interaction.multiple
    right = [o.id for o in item.interaction.options if o.text["en"] != "Sahyadri"]
    assert score_item(item.interaction, key, right) == 1
    assert score_item(item.interaction, key, [o.id for o in item.interaction.options]) < 1


def test_weights_and_feedback() -> None:
    item, key = one(
        "prompt_en,option_1_en,weight_1,feedback_1_en,option_2_en,weight_2,option_3_en,weight_3\n"
        "Q?,a,100%,Yes.,b,50 %,c,-1/4\n"
    )
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    said = {option.text["en"]: option.id for option in item.interaction.options}
    assert key.weights == {said["a"]: "1", said["b"]: "1/2", said["c"]: "-1/4"}
    assert key.feedback == {said["a"]: {"en": "Yes."}}


def test_every_other_kind() -> None:
    item, key = one(HEAD + "true/false,,,Three is odd.,True,,,\n")
    assert isinstance(key, ChoiceKey) and key.weights == {"true": "1"}
    item, key = one("kind,prompt_en,answer,answer_2,weight_2,case_sensitive\ntext,Who?,Vinoba*,Bhave,1/2,yes\n")
    assert item.interaction == TextEntry(200) and isinstance(key, TextKey)
    assert [(a.text, a.weight) for a in key.answers] == [("Vinoba*", "1"), ("Bhave", "1/2")] and key.case_sensitive
    item, key = one('kind,prompt_en,answer,answer_2,answer_3,unit_en\nnumeric,N?,3:0.5,१०..12,"-1,5",m\n')
    assert item.interaction == Numeric({"en": "m"}) and isinstance(key, NumericKey)
    assert [(a.low, a.high) for a in key.answers] == [("2.5", "3.5"), ("10", "12"), ("-1.5", "-1.5")]
    item, key = one(
        "kind,prompt_en,option_1_en,match_1_en,option_2_en,match_2_en,match_3_en\nmatch,Where?,Gateway,Mumbai,Wada,Pune,Nashik\n"
    )
    assert isinstance(item.interaction, Match) and isinstance(key, MatchKey)
    said = {option.id: option.text["en"] for option in item.interaction.choices}
    assert [said[key.pairs[o.id]] for o in item.interaction.prompts] == ["Mumbai", "Pune"] and len(said) == 3
    item, key = one(HEAD + "order,,,From small,,village,taluka,district\n")
    assert isinstance(item.interaction, Ordering) and isinstance(key, OrderKey)
    said = {option.id: option.text["en"] for option in item.interaction.options}
    assert [said[name] for name in key.order] == ["village", "taluka", "district"]
    item, key = one(
        "kind,prompt_en,text_en,option_1_en,gap_1,option_2_en,gap_2,answer\n"
        "inline,Q,Sun in the [[1]].,east,1,west,1,1=b\n"
    )
    assert isinstance(item.interaction, InlineChoice) and key == InlineKey({"1": "b"})
    item, key = one("kind,prompt_en,guide_en,max_length,rows\nessay,Describe.,Look for care.,500,5\n")
    assert item.interaction == Essay(500, 5) and key == ManualKey({"en": "Look for care."})


def test_three_languages_and_the_language_of_record() -> None:
    head = "prompt_en,prompt_mr,prompt_hi,answer,option_1_en,option_1_mr,option_2_en,option_2_mr"
    item, _ = one(f"{head},language\nWhen?,केव्हा?,कब?,1,now,आता,never,कधीच नाही,mr\n")
    assert list(item.prompt) == ["mr", "en", "hi"]
    assert isinstance(item.interaction, Choice) and {"en": "now", "mr": "आता"} in [
        option.text for option in item.interaction.options
    ]
    plain = "question,answer,option 1,option 2\n"
    assert list(one(plain + "केव्हा होते?,1,आता,मग\n")[0].prompt) == ["mr"]
    assert list(one(plain + "केव्हा होते?,1,आता,मग\n", language="hi")[0].prompt) == ["hi"]


def test_line_breaks_html_and_formulas_in_cells() -> None:
    item, _ = one(row(prompt_en="First\nH<sub>2</sub>O and \\(x^2\\)", answer="1", option_1_en="a", option_2_en="b"))
    assert item.prompt["en"].startswith("First<br>H<sub>2</sub>O and <math>")
    _, report = read(row(prompt_en="Q<script>x</script>", answer="1", option_1_en="a", option_2_en="b"))
    assert report.entries[0].reasons == ["prompt_en: A script was taken out."]


def test_codes() -> None:
    head = "code,title,prompt_en,answer,option_1_en,option_2_en\n"
    rows = "c1,,Q?,1,a,b\n,Named,Q?,1,a,b\n,Named,R?,1,a,b\n,,S?,1,a,b\nc1,,T?,1,a,b\n"
    taken, report = read(head + rows)
    assert [item.code for item, _ in taken][:3] == ["c1", "Named", "Named-2"]
    assert report.entries[2].status == "lossy" and "Named-2" in report.entries[2].reasons[0]
    assert report.entries[4].status == "refused" and "stands in bank.csv:2" in report.entries[4].reasons[0]
    assert [item.code for item, _ in read(head + rows)[0]] == [item.code for item, _ in taken]


# What is lost or refused is named -----------------------------------------------------------------------------------


def test_what_no_column_takes_is_named() -> None:
    _, report = read("prompt_en,answer,option_1_en,option_2_en,Difficulty,unit_en\nQ?,1,a,b,hard,km,stray\n")
    assert report.lossy == 1
    assert report.entries[0].reasons == [
        'unit_en means nothing for choice and is not kept: "km".',
        'The column "Difficulty" is not known and not kept: "hard".',
        'Column G is not known and not kept: "stray".',
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("choice,,,,1,a,b,", "no question text"),
        ("choice,,,Q?,4,a,b,c", '"4" is none of the options'),
        ("choice,,,Q?,,a,b,c", "No option is right"),
        ("choice,,,Q?,1,a,,", "two options"),
        ("riddle,,,Q?,1,a,b,", '"riddle"'),
        (",,,Q?,42,,,", "kind is missing"),
        ("numeric,,,Q?,many,,,", '"many" is not a number'),
        ("numeric,,,Q?,5..1,,,", "above the upper"),
        ("text,,,Q?,,,,", "no answer"),
        ("truefalse,,,Q?,maybe,,,", "not true or false"),
        ("order,,,Q?,a;b,x,y,z", "each option once"),
        ("match,,,Q?,,x,y,", "match_1"),
        ("inline,,,Q?,1=a,x,y,", "gap_1"),
        (f"choice,{'c' * 121},,Q?,1,a,b,", "longer than 120"),
        ("choice,,,Q?,1,a,<script>x</script>,", "option_2 is empty"),
        ("choice,,,Q?,1," + "<b>" * 60 + "a,b,", "deep"),
    ],
)
def test_what_cannot_be_taken_says_why_and_where(line: str, why: str) -> None:
    taken, report = read(HEAD + "choice,first,,Q?,1,a,b,\n" + line + "\n")
    assert len(taken) == 1 and report.refused == 1
    assert report.entries[1].source == "bank.csv:3" and why in " ".join(report.entries[1].reasons)


def test_lines_are_counted_as_an_editor_does() -> None:
    _, report = read(HEAD + '\nchoice,,,"Two\nlines",1,a,b,\n,,,,,,,\nchoice,,,,1,a,b,\n')
    assert [entry.source for entry in report.entries] == ["bank.csv:3", "bank.csv:6"]


@pytest.mark.parametrize(
    "data",
    [
        ("prompt;answer;option_1;option_2\nWährung?;1;€;£\n").encode("cp1252"),
        ("sep=|\nprompt|answer|option_1|option_2\nWährung?|1|€|£\n").encode(),
        ("prompt\tanswer\toption_1\toption_2\nWährung?\t1\t€\t£\n").encode("utf-16"),
        ('\ufeff"prompt","answer","option_1","option_2"\r\n"Währung?","1","€","£"\r\n').encode(),
    ],
    ids=["windows-1252, semicolons", "told", "utf-16, tabs", "bom, quotes"],
)
def test_whatever_a_spreadsheet_saves(data: bytes) -> None:
    taken, report = read_csv(data, "bank.csv")
    assert report.taken == 1 and taken[0][0].prompt == {"en": "Währung?"}


def test_which_csv_holds_questions() -> None:
    assert heads_items(b"kind;prompt_en;answer\n") and heads_items(b"Question,Answer\n")
    assert not heads_items(b"registration_no,name,district,school,batch,language\n")


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "prompt,answer\n",
        "prompt,question\nx,y\n",
        'prompt,answer\n"never closed,1\n',
        'prompt,answer\n"a"b,1\n',
    ],
)
def test_a_csv_that_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(Unreadable, match=r"Nothing was taken\."):
        read_csv(text.encode(), "bank.csv")


@pytest.mark.parametrize(
    "text",
    [
        "," * 19_000_000,
        "\n" * 19_000_000,
        "Q?,1\n" * 3_000_000,
        '"' + "\n" * 3_000_000,
        ",\n" * 60_000 + "Q?\n" * 60_000,
    ],
    ids=["one long line", "empty lines", "too many questions", "a quote that stays open", "more than can be"],
)
def test_a_huge_csv_is_refused_before_its_rows_are_looked_at(text: str) -> None:
    data = ("prompt,answer\n" + text).encode()
    began = time.process_time()
    with pytest.raises(Unreadable, match=r"Nothing was taken\."):
        read_csv(data, "bank.csv")
    assert time.process_time() - began < 2


# Workbooks ------------------------------------------------------------------------------------------------------------

COLUMNS = ["prompt_en", "answer", "option_1_en", "option_2_en"]


def test_a_workbook_with_numbers_and_several_sheets() -> None:
    book = workbook(COLUMNS, ["2 + 2?", 1, 4.0, 0.1], [], ["3 + 3?", "b", True, 6])
    book.create_sheet("Empty")
    more = book.create_sheet("मराठी")
    more.append(["prompt_mr", "answer", "option_1_mr", "option_2_mr"])
    more.append(["दोन?", 2, "एक", "दोन"])
    book.create_sheet("Help").append([HELP_MARK])
    taken, report = read_xlsx(saved(book), "bank.xlsx")
    assert [entry.source for entry in report.entries] == [
        "bank.xlsx:Questions:2",
        "bank.xlsx:Questions:4",
        "bank.xlsx:मराठी:2",
    ]
    assert report.taken == 3
    first = taken[0][0].interaction
    assert isinstance(first, Choice) and {option.text["en"] for option in first.options} == {"4", "0.1"}


def test_cells_whose_author_saw_something_else_refuse_their_row() -> None:
    book = workbook(
        COLUMNS,
        ["Formula?", 1, "=1+1", "b"],
        ["Date?", 1, dt.date(2026, 1, 2), "b"],
        ["Error?", 1, "#N/A", "b"],
        ["Share?", 1, 0.065, "b"],
        ["Merged?", 1, "a", "b"],
        ["Fine?", 1, "a", "b"],
    )
    book.active["C5"].number_format = "0.0%"
    book.active.merge_cells("C6:D6")
    found = refusals(saved(book))
    assert {place.rpartition(":")[2] for place in found} == {"2", "3", "4", "5", "6"}
    assert "C2 holds a formula" in found["bank.xlsx:Questions:2"]
    assert "C3 holds a date" in found["bank.xlsx:Questions:3"]
    assert "C4 holds the error #N/A" in found["bank.xlsx:Questions:4"]
    assert "C5 holds a number that is shown in another way" in found["bank.xlsx:Questions:5"]
    assert "C6:D6 are merged" in found["bank.xlsx:Questions:6"]


def test_notes_pictures_and_other_sheets_are_named() -> None:
    book = workbook(COLUMNS, ["Q?", 1, "a", "b"], ["R?", 1, "a", "b"])
    book.active["C2"].comment = Comment("easy", "Anil")
    book.create_sheet("Marks").append(["name", "marks"])
    data = saved(book)
    drawing = (
        b'<xdr:wsDr xmlns:xdr="x"><xdr:oneCellAnchor><xdr:from><xdr:col>1</xdr:col><xdr:row>2</xdr:row></xdr:from>'
    )
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "xl/worksheets/_rels/sheet1.xml.rels":
                more = b'<Relationship Id="d" Type="t" Target="../drawings/drawing1.xml"/></Relationships>'
                part = part.replace(b"</Relationships>", more)
            new.writestr(name, part)
        new.writestr("xl/drawings/drawing1.xml", drawing)
    _, report = read_xlsx(out.getvalue(), "bank.xlsx")
    assert [(entry.status, entry.reasons) for entry in report.entries] == [
        ("lossy", ["A note on one of its cells is not kept."]),
        ("lossy", ["A picture or drawing on it was not taken."]),
        ("refused", ["Its first row has no column called prompt or question, so nothing of it was taken."]),
    ]
    assert report.entries[2].id == "sheet Marks"


def test_parts_of_a_cell_keep_what_they_mean() -> None:
    rich = CellRichText(
        "H", TextBlock(InlineFont(vertAlign="subscript"), "2"), "O is ", TextBlock(InlineFont(b=True), "wet")
    )
    book = workbook(COLUMNS, ["", 1, "a", "b"])
    book.active["A2"] = rich
    data = saved(book)
    with pytest.raises(Unreadable, match="formatted text inside"):
        read_xlsx(data, "bank.xlsx")
    # A spreadsheet puts such texts into the table of shared strings.
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read(SHEET)
    text = sheet[sheet.rindex(b"<is>", 0, sheet.index(b"wet")) + 4 : sheet.index(b"</is>", sheet.index(b"wet"))]
    sheet = sheet.replace(b't="inlineStr"><is>' + text + b"</is>", b't="s"><v>0</v>')
    taken, report = read_xlsx(changed({SHEET: sheet, STRINGS: SST % text}), "bank.xlsx")
    assert report.taken == 1 and taken[0][0].prompt == {"en": "H<sub>2</sub>O is <b>wet</b>"}


def test_a_workbook_without_questions() -> None:
    for book in (workbook(), workbook(COLUMNS)):
        with pytest.raises(Unreadable, match="no rows with questions"):
            read_xlsx(saved(book), "bank.xlsx")


# What only wants to do harm -------------------------------------------------------------------------------------------


SHEET, STRINGS, TYPES = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "[Content_Types].xml"
MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SST = b'<sst xmlns="' + MAIN + b'"><si>%s</si></sst>'
START = b'<worksheet xmlns="' + MAIN + b'"><sheetData>'
END = b"</sheetData></worksheet>"
FIRST = b'<row r="1">%s</row>' % b"".join(
    b'<c t="inlineStr" r="%s1"><is><t>%s</t></is></c>' % (letter, name.encode())
    for letter, name in zip((b"A", b"B", b"C", b"D"), COLUMNS, strict=True)
)
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha">%s]>' % b"".join(
    b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 20) for n in range(9)
)


def changed(parts: dict[str, bytes | None]) -> bytes:
    """A good workbook with some parts in place of its own, or without them."""
    shared = (
        b'<Override PartName="/xl/sharedStrings.xml" ContentType='
        b'"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
    )
    good = io.BytesIO(saved(workbook(COLUMNS, ["Q?", 1, "a", "b"])))
    out = io.BytesIO()
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        whole: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
        manifest = whole[TYPES]
        if STRINGS in parts and manifest is not None:
            whole[TYPES] = manifest.replace(b"</Types>", shared)
        for name, part in (whole | parts).items():
            if part is not None:
                new.writestr(name, part)
    return out.getvalue()


def sheet(rows: bytes) -> bytes:
    return changed({SHEET: START + rows + END})


def bombs() -> dict[str, bytes]:
    good = saved(workbook(COLUMNS, ["Q?", 1, "a", "b"]))
    echoes = b"".join(b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (n, n) for n in range(2, 40_000))
    merged = b"".join(b'<mergeCell ref="A%d:D1048576"/>' % n for n in range(1, 2000))
    return {
        "zip bomb": sheet(b" " * 100_000_000),
        "a million rows": sheet(b"<row/>" * 1_048_576),
        "a million cells": sheet(b"<row>%s</row>" % (b"<c/>" * 1_200_000)),
        "a far column": sheet(b'<row r="1"><c r="XFD1" t="inlineStr"><is><t>x</t></is></c></row>'),
        "a far row": sheet(FIRST + b'<row r="99999999999"/>'),
        "a rather far row": sheet(FIRST + b'<row r="199999"/>'),
        "a long text again and again": changed(
            {SHEET: START + FIRST + echoes + END, STRINGS: SST % (b"<t>%s</t>" % (b"y" * 32_000))}
        ),
        "merged to the end": changed({SHEET: START + FIRST + b"</sheetData>%s</worksheet>" % merged}),
        "entities": changed(
            {SHEET: LAUGHS + START + b'<row r="1"><c t="inlineStr"><is><t>&i;</t></is></c></row>' + END}
        ),
        "entities in utf-16": changed({SHEET: (LAUGHS + START + END).decode().encode("utf-16")}),
        "entities in another script": changed({SHEET: b'<?xml version="1.0" encoding="cp037"?>' + START + END}),
        "entities elsewhere": changed({"xl/workbook.xml": LAUGHS + b"<workbook/>"}),
        "a file of the machine": changed(
            {SHEET: b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + START + END}
        ),
        "tags without end": changed({SHEET: START + b"<c " * 5_000_000}),
        "deep": changed({SHEET: START + b"<a>" * 1_000_000}),
        "cut off": good[: len(good) // 2],
        "no workbook": changed({"xl/workbook.xml": None}),
        "a workbook that is none": changed({"xl/workbook.xml": b"x"}),
        "a document": changed({"xl/workbook.xml": None, "word/document.xml": b"<w/>"}),
        "broken sheet": changed({SHEET: b"<worksheet"}),
        "strict": changed({"xl/workbook.xml": b'<workbook xmlns="http://purl.oclc.org/ooxml/spreadsheetml/main"/>'}),
        "a password": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100_000),
        "too large": b"PK\x03\x04" + bytes(21 * 1024 * 1024),
    }


PROBE = """
import json, re, sys, time
from pathlib import Path
import openpyxl
from exam.imports.report import Unreadable
from exam.imports.tables import read_xlsx
data = Path(sys.argv[1]).read_bytes()
began = time.process_time()
try:
    _, report = read_xlsx(data, "bomb.xlsx")
    said = [" ".join(entry.reasons) for entry in report.entries if entry.status == "refused"][:1]
except Unreadable as refusal:
    said = [str(refusal)]
seconds = time.process_time() - began
status = Path("/proc/self/status")
most = re.search(r"VmHWM:\\s*([0-9]+)", status.read_text())[1] if status.exists() else 0
print(json.dumps([said, seconds, int(most) // 1024]))
"""


def test_bombs_are_refused_within_a_second_and_300_mb(tmp_path: Path) -> None:
    for name, data in bombs().items():
        file = tmp_path / "bomb.xlsx"
        file.write_bytes(data)
        root = Path(__file__).parents[3]
        done = subprocess.run([sys.executable, "-c", PROBE, file], capture_output=True, text=True, cwd=root)
        assert done.returncode == 0, (name, done.stderr)
        said, seconds, megabytes = json.loads(done.stdout)
        print(f"{name}: {seconds:.2f} s, {megabytes} MB, {said}")
        assert said and said[0].endswith("."), name
        assert seconds < 2 and megabytes < 300, (name, seconds, megabytes)
