"""Aiken files to items and keys: each question taken whole or refused with its line."""

import os
import time
import warnings
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exam.imports.aiken import read_aiken
from exam.imports.making import QUESTION_LIMIT
from exam.imports.report import Report, Unreadable
from grading.items import Choice, Item
from grading.keys import ChoiceKey, Key

SHARED = Path(os.environ.get("EXAM_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "aiken"
GOOD = "Which city is the capital of Maharashtra?\nA) Pune\nB) Mumbai\nC) Nagpur\nANSWER: B\n"


def read(text: str) -> tuple[list[tuple[Item, Key]], Report]:
    taken, report = read_aiken(text.encode(), "bank.txt")
    for item, key in taken:
        assert msgspec.json.decode(msgspec.json.encode(item), type=Item) == item
        assert msgspec.json.decode(msgspec.json.encode(key), type=Key) == key
    assert report.items == report.taken + report.lossy + report.refused == len(report.entries)
    assert len(taken) == report.taken + report.lossy
    return taken, report


def worth(item: Item, key: Key) -> dict[str, str]:
    """First-language text of each option with what choosing it earns."""
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    return {next(iter(o.text.values())): key.weights.get(o.id, "0") for o in item.interaction.options}


def test_a_question() -> None:
    [(item, key)], report = read(GOOD)
    assert report.entries[0].source == "bank.txt:1" and report.entries[0].reasons == []
    assert item.prompt == {"en": "Which city is the capital of Maharashtra?"}
    assert item.section == "General" and item.code.startswith("q-")
    assert isinstance(item.interaction, Choice)
    assert not item.interaction.multiple and item.interaction.shuffle
    assert worth(item, key) == {"Pune": "0", "Mumbai": "1", "Nagpur": "0"}


@pytest.mark.parametrize(
    "text",
    [
        "Q?\nA. x\nB. y\nANSWER: B",
        "Q?\nA)x\nB)y\nANSWER:B",
        "Q?\nA.x\nB.y\nANSWER: B",
        "Q?\r\na) x\r\nb) y\r\nAnswer: b\r\n",
        "\n\n  Q?  \n\nA)  x\n\nB)\ty\n\n ANSWER : B) \n",
        "\ufeffQ?\nA) x\nB) y\nANSWER: B",
    ],
)
def test_ways_to_write_it(text: str) -> None:
    [(item, key)], _ = read(text)
    assert item.prompt == {"en": "Q?"}
    assert worth(item, key) == {"x": "0", "y": "1"}


def test_questions_and_options_may_have_lines() -> None:
    [(item, key)], _ = read("First line\nAnswer: which one?\nA.P.J. Kalam\nA) one\ntwo\nB) three\nANSWER: A")
    assert item.prompt == {"en": "First line<br>Answer: which one?<br>A.P.J. Kalam"}
    assert worth(item, key) == {"one<br>two": "1", "three": "0"}


def test_signs_of_html_are_text_and_formulas_are_mathml() -> None:
    [(item, key)], _ = read("Is 1 < 2 & <b>x</b> \\(x^2\\)?\nA) a &amp; b\nB) no\nANSWER: A")
    assert item.prompt["en"].startswith("Is 1 &lt; 2 &amp; &lt;b&gt;x&lt;/b&gt; <math>")
    assert worth(item, key) == {"a &amp;amp; b": "1", "no": "0"}


@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "utf-16"])
def test_marathi_in_its_encodings(encode: str) -> None:
    text = "गोदावरी कोठे उगम पावते?\nA) नाशिक\nB) पुणे\nC) वरीलपैकी नाही\nANSWER: A"
    taken, report = read_aiken(text.encode(encode), "m.txt")
    assert report.taken == 1 and taken[0][0].prompt == {"mr": "गोदावरी कोठे उगम पावते?"}
    assert isinstance(taken[0][0].interaction, Choice)
    assert taken[0][0].interaction.options[-1].pinned
    assert read_aiken(text.encode(encode), "m.txt", language="hi")[0][0][0].prompt.keys() == {"hi"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Q?\nA) x\nANSWER: A", "two options"),
        ("A) x\nB) y\nANSWER: A", "no question text"),
        ("ANSWER: A", "no question text"),
        ("Q?", "no line ANSWER"),
        ("Q?\nA) x\nB) y", "no line ANSWER"),
        ("Q?\nA) x\nB) y\nANSWER: C", 'Line 4: "C" is not the letter'),
        ("Q?\nA) x\nB) y\nANSWER: A, B", '"A, B" is not the letter'),
        ("Q?\nA) x\nB) y\nANSWER:", '"" is not the letter'),
        ("Q?\nA) x\nC) y\nANSWER: A", "options are A, C"),
        ("Q?\nA) x\nB) y\nB) z\nANSWER: A", "options are A, B, B"),
        ("Q?\nA) x\nB)\nANSWER: A", "Answer 2 is empty"),
        ("Q?\nA) x\nB) x\nANSWER: A", "read the same"),
        ("x" * 50_001 + "\nA) x\nB) y\nANSWER: A", "longer than"),
        ("x\n" * 600 + "A) x\nB) y\nANSWER: A", "500 lines"),
    ],
)
def test_what_cannot_be_taken_says_why(text: str, reason: str) -> None:
    taken, report = read(text)
    assert taken == [] and report.refused == report.items == 1
    assert reason in report.entries[0].reasons[0]


def test_one_broken_question_takes_no_neighbour_along() -> None:
    taken, report = read(
        "One?\nA) x\nB) y\nTwo?\nA) x\nB) z\nANSWER: A\n\nThree?\n\nFour?\nA) x\n\nFive?\nA) x\nB) w\nANSWER: B\n"
    )
    assert [(e.source, e.id, e.status) for e in report.entries if e.status == "refused"] == [
        ("bank.txt:1", "One?", "refused"),
        ("bank.txt:9", "Three?", "refused"),
        ("bank.txt:11", "Four?", "refused"),
    ]
    assert [item.prompt["en"] for item, _ in taken] == ["Two?", "Five?"]
    assert [worth(item, key) for item, key in taken] == [{"x": "1", "z": "0"}, {"x": "0", "w": "1"}]


def test_the_key_stands_in_no_item() -> None:
    assert len({msgspec.json.encode(read(GOOD.replace(": B", f": {right}"))[0][0][0]) for right in "ABC"}) == 1


def test_doubles_and_control_characters_are_named() -> None:
    _, report = read(GOOD + "\n" + GOOD + "\nBell\x07?\nA) x\nB) y\nANSWER: A")
    assert [entry.status for entry in report.entries] == ["taken", "lossy", "lossy"]
    assert "reads the same" in report.entries[1].reasons[0]
    assert report.entries[2].reasons == ["Control characters were taken out."]


@pytest.mark.parametrize("data", [b"", b"\n \n", b"%PDF-1.4", b"x\nANSWER: A\n" * (QUESTION_LIMIT + 1)])
def test_unreadable_files_are_refused_whole(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_aiken(data, "x.txt")


@pytest.mark.parametrize("piece", ["A) x\n", "x\n\n", "x", "ANSWER: A\n", "x\nA) a\nB) b\nANSWER: A\n", "A)", "\\("])
def test_hostile_files_take_no_time(piece: str) -> None:
    started = time.process_time()
    try:
        read_aiken((piece * 100_000)[:300_000].encode(), "x.txt")
    except Unreadable as refused:
        assert "Nothing was taken" in str(refused)
    assert time.process_time() - started < 4


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["A) ", "B) ", "C. ", "ANSWER: ", "A", "B", "\n", "\n\n", "म", "<b>", "\\(", " "]), max_size=40
    )
)
def test_any_text_is_taken_or_refused_but_never_dropped(parts: list[str]) -> None:
    text = "Q?\nA) a\nB) b\nANSWER: A\n" + "".join(parts)
    taken, report = read(text)
    assert isinstance(taken[0][1], ChoiceKey)
    lines = {int(entry.source.rpartition(":")[2]) for entry in report.entries}
    if "".join(parts).strip():
        assert max(lines) > 1 and len(lines) == report.items


def test_moodles_own_files() -> None:
    if not SHARED.is_dir():
        warnings.warn(f"NOT CHECKED: {SHARED} is absent, so real Aiken files were not tried.", stacklevel=2)
        return
    counts = {}
    for path in sorted(SHARED.iterdir()):
        _, report = read_aiken(path.read_bytes(), path.name)
        counts[path.name] = (report.items, report.taken, report.lossy, report.refused)
    assert counts == {"aiken_errors.txt": (6, 3, 0, 3), "questions.aiken.txt": (2, 2, 0, 0)}
