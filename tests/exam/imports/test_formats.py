"""Which format a file is: by its bytes and its name, and a sentence for all others."""

import pytest

from exam.imports.formats import READERS, format_of, read_items
from exam.imports.report import Unreadable

AIKEN = b"Which?\nA. one\nB) two\nANSWER: B\n"
GIFT = b"Which?{=one ~two}\n"


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (GIFT, "bank.gift", "gift"),
        (GIFT, "bank.TXT", "gift"),
        (AIKEN, "bank.txt", "aiken"),
        (b"{=a}\n\n" + AIKEN, "bank.txt", "gift"),
        (b"<?xml version='1.0'?><quiz/>", "bank.txt", "moodle_xml"),
        (b"<quiz/>", "bank.xml", "moodle_xml"),
        (b"[]", "bank.json", "json"),
        (b"prompt", "bank.csv", "csv"),
        (b"PK\x03\x04", "bank.csv", "xlsx"),
        (b"\xd0\xcf\x11\xe0", "bank.xls", "xlsx"),
    ],
)
def test_the_format_of_a_file(data: bytes, name: str, kind: str) -> None:
    assert format_of(data, name) == kind


@pytest.mark.parametrize("name", ["bank.docx", "bank.pdf", "bank.gift.exe"])
def test_other_files_are_refused(name: str) -> None:
    with pytest.raises(Unreadable, match=r"Nothing was taken\."):
        format_of(b"x", name)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("gift", GIFT),
        ("aiken", AIKEN),
        ("csv", b"prompt,answer,option_1,option_2\nWhich?,1,one,two\n"),
        ("json", b'[{"question": "Which?", "options": ["one", "two"], "correctAnswer": 0}]'),
        (
            "moodle_xml",
            b"<quiz><question type='multichoice'><name><text>n</text></name><questiontext><text>Which?</text>"
            b"</questiontext><single>true</single><answer fraction='100'><text>one</text></answer>"
            b"<answer fraction='0'><text>two</text></answer>"
            b"</question></quiz>",
        ),
    ],
)
def test_each_reader_is_found(kind: str, data: bytes) -> None:
    taken, report = read_items(
        data, f"bank.{kind if kind != 'moodle_xml' else 'xml'}" if kind != "aiken" else "bank.txt"
    )
    assert kind in READERS and report.items == 1 and len(taken) == 1
    assert taken[0][0].prompt == {"en": "Which?"}
