"""Lists of candidates: every line taken or named, whatever wrote the file."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exam.imports.candidates import CandidateRow, read_candidates
from exam.imports.report import Report, Unreadable

HEAD = "registration_no,name,district,school,batch,language\n"
WIDE = "registration_no,name,district,school,batch,language,name_mr,extra_time_pct\n"
LINE = "MH-1,Asha Patil,PUN,ZP School 4,B1,mr\n"


def read(text: str) -> tuple[list[CandidateRow], Report]:
    rows, report = read_candidates(text.encode(), "list.csv")
    assert report.items == report.taken + report.lossy + report.refused == len(report.entries)
    assert len(rows) == report.taken + report.lossy
    return rows, report


def refusal(line: str, head: str = WIDE) -> str:
    """Why `line` between two good ones is refused; the good ones are taken."""
    good = [f"MH-{number},Asha,PUN,School,B1,mr" + "," * (head.count(",") - 5) for number in (901, 902)]
    rows, report = read(head + good[0] + "\n" + line + "\n" + good[1] + "\n")
    assert [row.line for row in rows] == [2, 4]
    assert report.entries[1].source == "list.csv:3" and report.entries[1].status == "refused"
    return " ".join(report.entries[1].reasons)


@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_is_read_whatever_wrote_it(encode: str, end: str, delimiter: str) -> None:
    text = WIDE + 'MH/12-a,"Asha ""Tai""  Patil",PUN,ZP School,B1,mr,आशा पाटील,25\n\nMH-2,José,MUM,S,B2,English,,\n'
    data = text.replace(",", delimiter).replace("\n", end).encode(encode)
    rows, report = read_candidates(data, "list.csv")
    assert rows == [
        CandidateRow(2, "MH/12-a", 'Asha "Tai" Patil', "PUN", "ZP School", "B1", "mr", "आशा पाटील", 25),
        CandidateRow(4, "MH-2", "José", "MUM", "S", "B2", "en"),
    ]
    assert (report.items, report.taken) == (2, 2)
    assert report.entries[0].source == "list.csv:2" and report.entries[0].id == "MH/12-a"


def test_windows_1252() -> None:
    rows, _ = read_candidates((HEAD + "MH-2,José Núñez,MUM,S,B2,en\n").encode("cp1252"), "list.csv")
    assert rows[0].name == "José Núñez"


def test_columns_may_stand_in_any_order_and_dress() -> None:
    rows, report = read("Language, Batch ,SCHOOL,District,Name,Registration No\nhi,B,S,NAG,Ravi,7\n")
    assert rows == [CandidateRow(2, "7", "Ravi", "NAG", "S", "B", "hi")]
    assert report.taken == 1


@pytest.mark.parametrize(
    ("written", "language"),
    [
        ("en", "en"),
        ("EN", "en"),
        (" English ", "en"),
        ("Marathi", "mr"),
        ("मराठी", "mr"),
        ("हिंदी", "hi"),
        ("हिन्दी", "hi"),
    ],
)
def test_languages_by_code_or_name(written: str, language: str) -> None:
    assert read(HEAD + f"1,A,P,S,B,{written}\n")[0][0].language == language


@pytest.mark.parametrize(
    ("written", "per_cent"), [("", 0), ("0", 0), ("25", 25), ("25%", 25), ("५० %", 50), (" 33 ", 33), ("300", 300)]
)
def test_extra_time(written: str, per_cent: int) -> None:
    assert read(WIDE + f"1,A,P,S,B,en,,{written}\n")[0][0].extra_time_pct == per_cent


@pytest.mark.parametrize(
    "name",
    [
        "=2+5",
        "+91",
        "-x",
        "@SUM(A1)",
        "O'Neil-Łukasz",
        "ज्ञानेश्वर सावर्‍या",
        "محمد",
        "陳大文",
        "x" * 200,
        "<b>Asha</b>",
        "Asha 😀",
    ],
)
def test_names_are_text_in_any_script(name: str) -> None:
    rows, report = read(HEAD + f"1,{name},P,S,B,en\n")
    assert rows[0].name == name
    assert report.taken == 1


def test_texts_are_tidied_into_one_form() -> None:
    rows, _ = read(HEAD + "१२３,  Jose\u0301 \u00a0 Rao\t,P,S,B,en\n")
    assert (rows[0].registration_no, rows[0].name) == ("123", "Jos\u00e9 Rao")


def test_invisible_characters_are_taken_out_and_named() -> None:
    rows, report = read(HEAD + "1,As\u200bha,P,S,B,en\n")
    assert rows[0].name == "Asha"
    assert report.entries[0].reasons == ["An invisible character in name was taken out."]


def test_unknown_columns_are_named_where_they_hold_something() -> None:
    rows, report = read(HEAD.strip() + ",Phone\n1,A,P,S,B,en,98\n2,A,P,S,B,en,\n3,A,P,S,B,en\n")
    assert len(rows) == 3
    assert [entry.reasons for entry in report.entries] == [['The column "Phone" is not read.'], [], []]
    assert (report.lossy, report.taken) == (1, 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("MH-1,Asha,PUN,School,B1", "5 cells where the first line has 8"),
        ("MH-1,Asha,PUN,School,B1,mr,,,x", "9 cells where the first line has 8"),
        ('"MH-1,Asha,PUN,School,B1,mr,,', "quotation mark"),
        ('MH-1,"As"ha,PUN,School,B1,mr,,', "quotation mark"),
        (",Asha,PUN,School,B1,mr,,", "The registration number is missing"),
        ("MH-1, ,PUN,School,B1,mr,,", "The name is missing"),
        ("MH-1,Asha,,School,B1,mr,,", "The district is missing"),
        ("MH-1,Asha,PUN,,B1,mr,,", "The school is missing"),
        ("MH-1,Asha,PUN,School,,mr,,", "The batch is missing"),
        ("MH-1,Asha,PUN,School,B1,,,", "The language is missing"),
        ("MH-1,Asha,PUN,School,B1,fr,,", '"fr" is not one of en, mr, hi'),
        ("MH 1,Asha,PUN,School,B1,mr,,", "Latin letters"),
        ("-MH1,Asha,PUN,School,B1,mr,,", "Latin letters"),
        ("=MH1,Asha,PUN,School,B1,mr,,", "Latin letters"),
        ("मह1,Asha,PUN,School,B1,mr,,", "Latin letters"),
        ("x" * 41 + ",Asha,PUN,School,B1,mr,,", "Latin letters"),
        ("1.20E+11,Asha,PUN,School,B1,mr,,", "spreadsheet"),
        ("MH-1," + "x" * 201 + ",PUN,School,B1,mr,,", "name is longer than 200"),
        ("MH-1,Asha,PUN,School," + "x" * 121 + ",mr,,", "batch is longer than 120"),
        ("MH-1,As\u202eha,PUN,School,B1,mr,,", "U+202E"),
        ("MH-1,As\x07ha,PUN,School,B1,mr,,", "U+0007"),
        ("MH-1,Asha,PUN,Sch\u2028ool,B1,mr,,", "U+2028"),
        ("MH-1,Asha,PUN,School,B1,mr,,301", "extra time"),
        ("MH-1,Asha,PUN,School,B1,mr,,-5", "extra time"),
        ("MH-1,Asha,PUN,School,B1,mr,,2.5", "extra time"),
        ("MH-901,Asha,PUN,School,B1,mr,,", "stands in line 2 already"),
        ("mh-901,Asha,PUN,School,B1,mr,,", "stands in line 2 already"),
        ("MH-1," + "x" * 10_000, "longer than 10000"),
    ],
)
def test_a_broken_line_is_named_and_the_rest_offered(line: str, reason: str) -> None:
    assert reason in refusal(line)


def test_a_line_names_all_that_is_wrong_with_it() -> None:
    reasons = refusal("MH 1,,PUN,School,B1,fr,,x")
    assert all(part in reasons for part in ("Latin letters", "name is missing", "fr", "extra time"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("name,district\nA,B\n", "registration_no, school, batch, language"),
        (HEAD.strip() + ",name\n" + LINE, "name twice"),
        ('"registration_no,name\n', "quotation"),
        ("x" * 10_001 + "\n", "too long"),
        ("MH-1,Asha,PUN,School,B1,mr\n", "does not name the column"),
        (HEAD + "\0", "not text"),
    ],
)
def test_a_file_that_is_no_list_is_refused_whole(text: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        read_candidates(text.encode(), "list.csv")


def test_a_head_alone_is_an_empty_list() -> None:
    assert read(HEAD + "\n ,,,\n") == ([], Report())


def test_forty_thousand_lines_are_read_in_seconds() -> None:
    lines = "".join(f"MH-{number},Asha Patil {number},PUN,School {number % 400},B1,mr\n" for number in range(40_000))
    started = time.process_time()
    rows, report = read(HEAD + lines)
    assert (len(rows), report.taken) == (40_000, 40_000)
    assert time.process_time() - started < 10


@given(st.lists(st.text(alphabet="MH-1,\"';\t\u200b\u202eअ =+", max_size=40), max_size=8))
def test_no_line_breaks_the_reader_or_is_dropped(lines: list[str]) -> None:
    _, report = read(HEAD + LINE + "\n".join(lines))
    assert report.entries[0].status == "taken"
    assert report.items == 1 + sum(bool(line.strip(" \t,;")) for line in lines)
