"""The bilingual JSON of study portals to items and keys, and what it says that has no place here."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from exam.imports.bilingual import read_bilingual
from exam.imports.report import Report, Unreadable
from grading.items import Choice, Item
from grading.keys import ChoiceKey, Key
from grading.scoring import score_item

SHARED = Path(os.environ.get("EXAM_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "bilingual"

ONE: dict[str, Any] = {
    "id": 7,
    "question": {"en": "Is 2 < 3?", "mr": "२ < ३?"},
    "options": {"en": ["Yes", "No", "None of these"], "mr": ["होय", "नाही", "यापैकी नाही"]},
    "correctAnswer": 0,
    "explanation": {"en": "It is.", "mr": "आहे."},
    "topic": {"en": "Sums"},
}


def read(*questions: object, **how: str) -> tuple[list[tuple[Item, Key]], Report]:
    taken, report = read_bilingual(json.dumps(questions).encode(), "sums.json", **how)
    assert report.items == report.taken + report.lossy + report.refused == len(report.entries) == len(questions)
    assert len(taken) == report.taken + report.lossy
    return taken, report


def test_a_question_in_two_languages() -> None:
    [(item, key)], report = read(ONE)
    assert report.taken == 1 and report.entries[0].source == "sums.json:question 1"
    assert (item.code, item.section) == ("sums-7", "Sums")
    assert item.prompt == {"en": "Is 2 &lt; 3?", "mr": "२ &lt; ३?"}
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    said = {option.id: option.text for option in item.interaction.options}
    assert [said[one] for one in key.weights] == [{"en": "Yes", "mr": "होय"}]
    assert item.interaction.options[-1].pinned and key.general == {"en": "It is.", "mr": "आहे."}


def test_the_key_tells_nothing_and_an_id_stays() -> None:
    [(item, _)], _ = read(ONE)
    [(other, _)], _ = read(ONE | {"correctAnswer": 1})
    assert item == other
    [(edited, _)], _ = read(ONE | {"question": {"en": "Is it?"}})
    assert edited.code == item.code


def test_several_answers_an_answer_by_its_words_and_texts_of_one_language() -> None:
    [(item, key)], _ = read(ONE | {"correctAnswer": [0, 1]})
    assert isinstance(item.interaction, Choice) and item.interaction.multiple
    assert score_item(item.interaction, key, [option.id for option in item.interaction.options]) < 1
    [(item, key)], _ = read(ONE | {"correctAnswer": "नाही"})
    plain = {"question": "कोण?", "options": ["मी", "तू"], "correctAnswer": 1}
    [(item, _)], report = read(plain)
    assert list(item.prompt) == ["mr"] and item.section == "General" and report.entries[0].id.startswith("q-")
    assert list(read(plain, language="hi")[0][0][0].prompt) == ["hi"]


def test_what_has_no_place_here_is_named() -> None:
    more = {"difficulty": "Easy", "marks": 2, "topic": {"en": "Sums", "mr": "बेरीज"}, "tags": []}
    _, report = read(ONE | more, ONE)
    assert report.entries[0].reasons == [
        'The topic\'s name in mr ("बेरीज") is not kept; a section has one name.',
        '"difficulty" (Easy) is not kept.',
        '"marks" (2) is not kept; the exam says what a question is worth.',
    ]
    assert report.entries[1].reasons[0].startswith("Another question of the file has the id 7")
    assert report.entries[1].id.startswith("q-")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"question": {"en": " "}}, "no question text"),
        ({"question": 5}, "not a text for each language"),
        ({"question": {"english!": "Q"}}, '"english!"'),
        ({"options": {"en": ["a", "b"], "mr": ["a"]}}, "2 in en, 1 in mr"),
        ({"options": None}, "not a list"),
        ({"options": {"en": ["a"]}}, "one answer only"),
        ({"options": {"en": ["a", ""]}}, "Answer 2 is empty"),
        ({"correctAnswer": 3}, "none of its 3 options"),
        ({"correctAnswer": -1}, "none of its 3 options"),
        ({"correctAnswer": True}, "none of its 3 options"),
        ({"correctAnswer": None}, "none of its 3 options"),
        ({"correctAnswer": []}, "no correctAnswer"),
        ({"question": {"en": "x" * 50_001}}, "longer than 50000"),
        ({"question": {"en": "<b>" * 60 + "x"}}, "deep"),
    ],
)
def test_what_cannot_be_taken_says_why(change: dict[str, Any], why: str) -> None:
    taken, report = read(ONE | change, ONE | {"id": 8}, "no question")
    assert len(taken) == 1 and report.refused == 2
    assert why in " ".join(report.entries[0].reasons) and report.entries[2].id == "question 3"


@pytest.mark.parametrize(
    "data", [b"", b"no json", b"{}", b"[]", b"5", b'["\\ud800"]', b"[" * 100_000, b"[" + b"[]," * 3_000_000 + b"[]]"]
)
def test_a_file_that_is_no_list_of_questions(data: bytes) -> None:
    with pytest.raises(Unreadable, match=r"Nothing was taken\."):
        read_bilingual(data, "x.json")


@pytest.mark.parametrize(("name", "items"), [("economy-bilingual.json", 406), ("science-bilingual.json", 100)])
def test_real_files_are_taken_in_both_languages(name: str, items: int) -> None:
    if not SHARED.is_dir():
        warnings.warn(f"NOT CHECKED: {SHARED} is absent, so {name} was not tried.", stacklevel=1)
        return
    data = (SHARED / name).read_bytes()
    taken, report = read_bilingual(data, name)
    assert (report.items, report.refused, len(taken)) == (items, 0, items)
    assert len({item.code for item, _ in taken}) == items
    for question, (item, key) in zip(json.loads(data), taken, strict=True):
        assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
        assert list(item.prompt) == ["en", "mr"]
        right = {option.id for option in item.interaction.options if option.id in key.weights}
        [text] = [option.text for option in item.interaction.options if option.id in right]
        for tag in ("en", "mr"):
            wanted = question["options"][tag][question["correctAnswer"]]
            assert text[tag].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">") == wanted.strip()
