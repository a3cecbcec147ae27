"""GIFT files to items and keys: the whole syntax, every loss named, the key never told."""

import json
import os
import re
import time
import warnings
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exam.imports.gift import QUESTION_LIMIT, read_gift
from exam.imports.report import Report, Unreadable
from grading.items import Choice, Essay, Item, Match, Numeric, Option, TextEntry
from grading.keys import ChoiceKey, Key, ManualKey, MatchKey, NumericAnswer, NumericKey, TextAnswer, TextKey
from grading.scoring import score_item

SHARED = Path(os.environ.get("EXAM_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "gift"


def read(text: str) -> tuple[list[tuple[Item, Key]], Report]:
    taken, report = read_gift(text.encode(), "bank.gift")
    for item, key in taken:
        assert msgspec.json.decode(msgspec.json.encode(item), type=Item) == item
        assert msgspec.json.decode(msgspec.json.encode(key), type=Key) == key
    assert report.items == report.taken + report.lossy + report.refused == len(report.entries)
    assert len(taken) == report.taken + report.lossy
    return taken, report


def one(text: str) -> tuple[Item, Key]:
    """The only question of `text`, taken whole."""
    taken, report = read(text)
    assert [entry.reasons for entry in report.entries] == [[]]
    return taken[0]


def lossy(text: str) -> tuple[Item, Key, list[str]]:
    taken, report = read(text)
    assert report.lossy == report.items == 1
    return *taken[0], report.entries[0].reasons


def refusal(text: str) -> str:
    taken, report = read(text)
    assert taken == [] and report.refused == report.items == 1
    return " ".join(report.entries[0].reasons)


def worth(item: Item, key: Key) -> dict[str, str]:
    """English text of each option with what choosing it alone earns in the key."""
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    return {option.text["en"]: key.weights.get(option.id, "0") for option in item.interaction.options}


# What is asked -------------------------------------------------------------------------------------------------


def test_a_single_choice() -> None:
    item, key = one("::Capital::Which city is the capital of Maharashtra?{\n~Pune #No.\n=Mumbai #Yes!\n~Nagpur\n}")
    assert (item.code, item.title, item.section) == ("Capital", "Capital", "General")
    assert item.prompt == {"en": "Which city is the capital of Maharashtra?"}
    assert isinstance(item.interaction, Choice)
    assert not item.interaction.multiple and item.interaction.shuffle
    assert worth(item, key) == {"Pune": "0", "Mumbai": "1", "Nagpur": "0"}
    assert isinstance(key, ChoiceKey)
    ids = {option.text["en"]: option.id for option in item.interaction.options}
    assert sorted(ids.values()) == ["a", "b", "c"]
    assert key.feedback == {ids["Pune"]: {"en": "No."}, ids["Mumbai"]: {"en": "Yes!"}}


def test_weights_of_a_single_choice() -> None:
    item, key = one(
        "Q {=right ~%50%half ~%-25%bad ~%33.333%third ~%33.3%t2 ~%16.66%sixth ~%12.5%eighth ~%7.3%odd ~none}"
    )
    assert worth(item, key) == {
        "right": "1",
        "half": "1/2",
        "bad": "-1/4",
        "third": "1/3",
        "t2": "1/3",
        "sixth": "1/6",
        "eighth": "1/8",
        "odd": "73/1000",
        "none": "0",
    }


def test_a_multiple_choice() -> None:
    item, key = one(
        "Which are rivers?{~%33.33333%Tapi ~%33.33333%Krishna ~%33.33333%Bhima ~%-100%Sahyadri ~%-100%Konkan}"
    )
    assert isinstance(item.interaction, Choice) and item.interaction.multiple
    right = [option.id for option in item.interaction.options if option.text["en"] in ("Tapi", "Krishna", "Bhima")]
    assert score_item(item.interaction, key, right) == 1
    assert score_item(item.interaction, key, [option.id for option in item.interaction.options]) == 0


@pytest.mark.parametrize(
    ("answer", "right", "feedback"),
    [
        ("{T}", "true", {}),
        ("{ TRUE }", "true", {}),
        ("{F}", "false", {}),
        ("{FALSE}", "false", {}),
        ("{true}", "true", {}),
        ("{T#no#yes}", "true", {"false": "no", "true": "yes"}),
        ("{F#no#yes}", "false", {"true": "no", "false": "yes"}),
        ("{F#no}", "false", {"true": "no"}),
        ("{T##yes}", "true", {"true": "yes"}),
        ("{T#is a = b?}", "true", {"false": "is a = b?"}),
    ],
)
def test_true_or_false(answer: str, right: str, feedback: dict[str, str]) -> None:
    item, key = one("The Godavari flows east." + answer)
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    assert [option.id for option in item.interaction.options] == ["true", "false"]
    assert item.interaction.options[0].text == {"en": "True", "mr": "बरोबर", "hi": "सही"}
    assert not item.interaction.shuffle and not item.interaction.multiple
    assert key.weights == {right: "1"}
    assert key.feedback == {option: {"en": text} for option, text in feedback.items()}


def test_a_short_text() -> None:
    item, key = one("Longest river of Maharashtra?{=Godavari#Right! =%50%Goda* =%0%*#Wrong ####See the map.}")
    assert item.interaction == TextEntry()
    assert key == TextKey(
        [
            TextAnswer("Godavari", "1", {"en": "Right!"}),
            TextAnswer("Goda*", "1/2"),
            TextAnswer("*", "0", {"en": "Wrong"}),
        ],
        general={"en": "See the map."},
    )
    assert score_item(item.interaction, key, "GODAVARI ") == 1


def test_a_short_text_without_a_mark_is_one_answer() -> None:
    _, key = one("Two plus two?{four}")
    assert key == TextKey([TextAnswer("four")])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("{#5}", NumericKey([NumericAnswer("5", "5")])),
        ("{#-5}", NumericKey([NumericAnswer("-5", "-5")])),
        ("{# 3.14 : 0.005 }", NumericKey([NumericAnswer("3.135", "3.145")])),
        ("{#3.141..3.142}", NumericKey([NumericAnswer("3.141", "3.142")])),
        ("{#-3.142..-3.141}", NumericKey([NumericAnswer("-3.142", "-3.141")])),
        ("{#-.5..5.}", NumericKey([NumericAnswer("-0.5", "5")])),
        ("{#6.02e3:1e1}", NumericKey([NumericAnswer("6010", "6030")])),
        ("{#१२:०.५}", NumericKey([NumericAnswer("11.5", "12.5")])),
        (
            "{#\n=1950:0#Yes.\n=%50%1950:2#Near.\n~#No.\n####Constitution.}",
            NumericKey(
                [
                    NumericAnswer("1950", "1950", "1", {"en": "Yes."}),
                    NumericAnswer("1948", "1952", "1/2", {"en": "Near."}),
                ],
                {"en": "No."},
                {"en": "Constitution."},
            ),
        ),
        ("{#=5 =%0%*#No}", NumericKey([NumericAnswer("5", "5")], {"en": "No"})),
    ],
)
def test_numbers(answer: str, expected: NumericKey) -> None:
    item, key = one("How many?" + answer)
    assert item.interaction == Numeric()
    assert key == expected


def test_matching() -> None:
    item, key = one(
        "Match.{\n=[html]<b>Maharashtra</b> -> Mumbai\n=Goa->Panaji\n=Konkan coast -> Mumbai\n= -> Bhopal\n####Good.}"
    )
    assert isinstance(item.interaction, Match) and isinstance(key, MatchKey)
    assert [prompt.text["en"] for prompt in item.interaction.prompts] == ["<b>Maharashtra</b>", "Goa", "Konkan coast"]
    names = {choice.id: choice.text["en"] for choice in item.interaction.choices}
    assert sorted(names.values()) == ["Bhopal", "Mumbai", "Panaji"]
    assert [names[key.pairs[prompt.id]] for prompt in item.interaction.prompts] == ["Mumbai", "Panaji", "Mumbai"]
    assert key.general == {"en": "Good."}


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("Mumbai is the {=capital ~river} of Maharashtra.", "Mumbai is the _____ of Maharashtra."),
        ("{=Mumbai ~Pune} is the capital.", "_____ is the capital."),
        ("Two and two is {#4}.", "Two and two is _____."),
        ("Two and two is? {#4}", "Two and two is?"),
        ("[markdown]The {=Tapi ~Wai} is a *river*.", "The _____ is a <em>river</em>."),
    ],
)
def test_a_gap_stands_where_the_answers_stood(text: str, prompt: str) -> None:
    assert one(text)[0].prompt == {"en": prompt}


# How it is written ---------------------------------------------------------------------------------------------


def test_escapes() -> None:
    item, key = one(
        "::A\\:\\: b::Is \\{x\\} \\= \\#1 \\~ y \\\\ z \\: q?\\nNext \\a line{=\\= 2 + 3 ~\\# ~\\{ ~\\\\ ~\\~}"
    )
    assert item.title == "A:: b"
    assert item.prompt == {"en": "Is {x} = #1 ~ y \\ z : q?<br>Next \\a line"}
    assert worth(item, key) == {"= 2 + 3": "1", "#": "0", "{": "0", "\\": "0", "~": "0"}


def test_an_escaped_backslash_does_not_escape_the_next_sign() -> None:
    item, key = one("Path C\\:\\\\new {=\\\\n ~\\\\\\\\}")
    assert item.prompt == {"en": "Path C:\\new"}
    assert worth(item, key) == {"\\n": "1", "\\\\": "0"}


def test_formulas_are_mathml_and_keep_commands_that_begin_like_a_line_break() -> None:
    item, _ = one("If \\(a \\neq \\frac\\{1\\}\\{2\\}\\), \\\\(b\\\\)?\\nSo?{T}")
    assert "<mo>≠</mo><mfrac>" in item.prompt["en"]
    assert item.prompt["en"].count("<math>") == 2
    assert item.prompt["en"].endswith("?<br>So?")


def test_formats_apply_to_their_own_text_and_default_to_the_prompt() -> None:
    item, key = one(
        "[html]<p>a\nb</p>{=<i>x</i>#<u>f</u> ~[plain]<i>y</i>#[markdown]*g* ~[moodle]l\\nm ####[plain]<h>}"
    )
    assert item.prompt == {"en": "<p>a\nb</p>"}
    assert set(worth(item, key)) == {"<i>x</i>", "&lt;i&gt;y&lt;/i&gt;", "l<br>m"}
    assert isinstance(key, ChoiceKey)
    assert {text["en"] for text in key.feedback.values()} == {"<u>f</u>", "<em>g</em>"}
    assert key.general == {"en": "&lt;h&gt;"}


def test_an_unknown_format_is_text() -> None:
    assert one("[note] Is it?{T}")[0].prompt == {"en": "[note] Is it?"}


def test_comments_titles_and_lines() -> None:
    taken, report = read(
        "// a bank\n\n// first\n::Q1::One?{T}\n\n\n  // in front\n::Q2::\n// between\nTwo\nlines?"
        "{\n// within\n=a\n~b}\n// end"
    )
    assert [(entry.source, entry.id) for entry in report.entries] == [("bank.gift:4", "Q1"), ("bank.gift:8", "Q2")]
    assert taken[1][0].prompt == {"en": "Two<br>lines?"}
    assert set(worth(*taken[1])) == {"a", "b"}


def test_categories_become_sections() -> None:
    taken, _ = read(
        "a?{T}\n\n$CATEGORY: $course$/top/Science/Physics 1\\: heat\n\nb?{T}\n\n"
        "$CATEGORY: tom/dick//harry\nc?{T}\n\n$CATEGORY: $course$/top\n\nd?{T}"
    )
    assert [item.section for item, _ in taken] == ["General", "Science/Physics 1: heat", "tom/dick/harry", "General"]


def test_html_attributes_and_references_need_no_escapes_in_answers() -> None:
    item, key = one('[html]Q{=<span lang="mr">अ</span> ~<p dir="ltr">it&#39;s</p>}')
    assert worth(item, key) == {'<span lang="mr">अ</span>': "1", '<p dir="ltr">it\'s</p>': "0"}


@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_line_ends(encode: str) -> None:
    text = "::प्र१::गोदावरी कोठे उगम पावते?{\r\n=नाशिक\r\n~पुणे}\r\n\r\nदुसरा?{T}\r\n"
    taken, report = read_gift(text.encode(encode), "m.gift")
    assert report.taken == 2
    assert taken[0][0].prompt == {"mr": "गोदावरी कोठे उगम पावते?"}
    assert {option.text["mr"] for option in taken[0][0].interaction.options} == {"नाशिक", "पुणे"}  # type: ignore[union-attr]
    assert list(taken[1][0].interaction.options[0].text) == ["mr", "en", "hi"]  # type: ignore[union-attr]


def test_windows_1252() -> None:
    taken, _ = read_gift("Où est le café – “ici”?{T}".encode("cp1252"), "w.gift", language="fr")
    assert taken[0][0].prompt == {"fr": "Où est le café – “ici”?"}
    assert taken[0][0].interaction.options[0].text["fr"] == "True"  # type: ignore[union-attr]


def test_bilingual_questions_in_multilang_spans() -> None:
    def both(en: str, mr: str) -> str:
        return f'<span lang\\="en" class\\="multilang">{en}</span><span lang\\="mr" class\\="multilang">{mr}</span>'

    item, key = one(f"[html]{both('Which?', 'कोणती?')}{{={both('Tapi', 'तापी')} ~7}}")
    assert item.prompt == {"en": "Which?", "mr": "कोणती?"}
    assert isinstance(item.interaction, Choice)
    assert {tuple(option.text.items()) for option in item.interaction.options} == {
        (("en", "Tapi"), ("mr", "तापी")),
        (("en", "7"),),
    }
    assert worth(item, key) == {"Tapi": "1", "7": "0"}


def test_pictures_of_the_hall_are_listed() -> None:
    name = "ab" * 32
    item, _ = one(f'[html]<img src\\="/media/{name}" alt\\="map">{{=<img src\\="/media/{name}" alt\\="a"> ~b}}')
    assert item.media == [name]


# Losses and refusals -------------------------------------------------------------------------------------------


def test_an_essay_is_for_people_to_mark() -> None:
    assert one("How are you?{}")[1] == ManualKey()
    item, key = one("Discuss.{####Long feedback}")
    assert item.interaction == Essay() and key == ManualKey(general={"en": "Long feedback"})


def test_an_id_number_is_the_code() -> None:
    item, _ = one("// question: 5\n// [id:P 7\\]1]\n::Planets::Q?{T}")
    assert (item.code, item.title) == ("P 7]1", "Planets")
    taken, report = read("// [id:1]\n::A::Q?{T}\n\n// [id:1]\n::B::R?{T}")
    assert [item.code for item, _ in taken] == ["1", "1-2"]
    assert report.entries[1].reasons == ['Another question of the file is called "1"; the code of this one is "1-2".']


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("// [tag:hard] [tag:unit \\]2]\nQ?{T}", "Tags are not kept: hard, unit ]2."),
        ("Q <a href='http://x.example'>here</a>?{T}", "The link to http://x.example was taken out; its words stay."),
        ("Q?{T#<script>x</script>y}", "A script was taken out."),
        ("Q?{T####<p style='color:red'>y</p>}", "Formatting (style) was taken out."),
        ("Q\x07?{T}", "Control characters were taken out."),
        ("Q \\(x^\\)?{T}", "The formula x^ is broken or unknown and stays as typed."),
        ("Q?{=a->b#why =c->d}", 'The feedback "why" of a pair is not kept: matching has none.'),
        ("Q?{=%50%a->b =c->d}", "The weight 50 % of a pair is not kept: each pair counts the same."),
        ("Q?{#5..1}", "The range 5..1 was turned round."),
        ("Q?{#5 ~4#no}", 'The wrong number "4" is not kept, its feedback is.'),
        ("Q?{=a =%-50%b}", "A weight below 0 counts as 0: only one choice among options can cost marks."),
        ("Q?{~%50%a ~b}", "The best answer adds up to 50.00 % of the marks, not to 100 %."),
        ("Q?{~%60%a ~%60%b}", "The best answer adds up to 120.00 % of the marks, not to 100 %."),
        ("Q?{=a ~b ~b}", "Two answers read the same."),
        ("$CATEGORY: " + "x" * 130 + "\n\nQ?{T}", "The category is longer than 120 characters and was cut."),
        ("::" + "x" * 130 + "::Q?{T}", "The title is longer than 120 characters; the code is its beginning."),
    ],
)
def test_every_loss_has_its_sentence(text: str, reason: str) -> None:
    _, _, reasons = lossy(text)
    assert reasons == [reason]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Read the passage below.", "description"),
        ("What?{=a ~b", "never closed"),
        ("What?}=a ~b{", "} stands before"),
        ("What? =a ~b}", "} stands before"),
        ("What?{=a\n\n~b}", "blank line"),
        ("What?{=a\n\n~b\n\n~c}", "blank line"),
        ("What?{=a}{=b}", "more than one"),
        ("Is {x} so?{T}", "more than one"),
        ("What?{=a {b}}", "more than one"),
        ("{T}", "no question text"),
        ("<script>x</script>{T}", "No question text is left. A script"),
        ("What?{~a}", "one answer only"),
        ("What?{~a ~b}", "No answer is right"),
        ("What?{=%0%a}", "No answer is right"),
        ("What?{=a ~}", "Answer 2 is empty"),
        ("What?{=a ~<img src='http://x/y.png'>}", "Answer 2 is empty. The picture"),
        ("What?{=a ~a}", "read the same"),
        ("What?{a ~b =c}", '"a" stands before'),
        ("What?{=}", "empty"),
        ("What?{=%101%a}", "not between"),
        ("What?{=%33.1234567890123%a}", "too many decimals"),
        ("What?{#}", "a number is missing"),
        ("What?{#=}", "a number is missing"),
        ("What?{#five}", '"five" is not a number'),
        ("What?{#1,5}", "with a point"),
        ("What?{#1:-1}", "below 0"),
        ("What?{#1:x}", '"x" is not a number'),
        ("What?{#..1}", '"" is not a number'),
        ("What?{#1e99}", "too large"),
        ("What?{=a->b}", "one pair only"),
        ("What?{=a->b =c}", "no ->"),
        ("What?{=a-> =c->d}", "empty match"),
        ("What?{= ->b = ->d}", "left side"),
        ("What?{" + "~%50%a" * 65 + "}", "at most 64"),
        ("x" * 50_001 + "{T}", "longer than"),
        ("[html]" + "<b>" * 60 + "{T}", "60 deep"),
    ],
)
def test_what_cannot_be_taken_says_why(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_one_broken_question_takes_no_neighbour_along() -> None:
    taken, report = read("::A::a?{T}\n\n::B::b?{=x\n\n~y}\n\n::C::c?{\n\n::D::d?{F}\n\n::E::e?{~x}\n\n::F::f?{#3}")
    assert [item.code for item, _ in taken] == ["A", "D", "F"]
    assert [(entry.id, entry.source, entry.status) for entry in report.entries] == [
        ("A", "bank.gift:1", "taken"),
        ("B", "bank.gift:3", "refused"),
        ("C", "bank.gift:7", "refused"),
        ("D", "bank.gift:9", "taken"),
        ("E", "bank.gift:11", "refused"),
        ("F", "bank.gift:13", "taken"),
    ]


def test_doubles_get_a_number_and_are_named() -> None:
    taken, report = read("::A::a?{T}\n\n::A::b?{T}\n\n::A-2::c?{T}\n\n::A::d?{T}\n\nx?{T}\n\nx?{T}")
    codes = [item.code for item, _ in taken]
    assert codes[:4] == ["A", "A-2", "A-2-2", "A-3"]
    assert re.fullmatch("q-[0-9a-f]{10}", codes[4]) and codes[5] == codes[4] + "-2"
    assert [entry.status for entry in report.entries] == ["taken", "lossy", "lossy", "lossy", "taken", "lossy"]
    assert report.entries[1].reasons == ['Another question of the file is called "A"; the code of this one is "A-2".']
    assert "reads the same" in report.entries[5].reasons[0]


# What the key must not tell ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [
        ["Which?{=a ~b ~c ~d}", "Which?{~a =b ~c ~d}", "Which?{~d ~c ~b =a}", "Which?{~b ~a =d ~c}"],
        ["Which?{~%100%a ~b ~c}", "Which?{~a ~%50%b ~%50%c}", "Which?{~%-50%c ~%100%b ~a}"],
        ["Which?{=a->x =b->y =c->z}", "Which?{=a->z =b->x =c->y}", "Which?{=a->y =b->y =c->x = ->z}"],
        ["So?{T}", "So?{F#a#b}"],
        ["So?{=a}", "So?{=b#c =d}"],
        ["So?{#1}", "So?{#2..3}"],
    ],
)
def test_items_that_differ_only_in_the_key_are_equal_bytes(texts: list[str]) -> None:
    assert len({msgspec.json.encode(read(text)[0][0][0]) for text in texts}) == 1


def test_the_right_option_may_have_any_id() -> None:
    ids: set[str] = set()
    for number in range(60):
        _, key = one(f"Question {number}?{{={number} ~{number}1 ~{number}2 ~{number}3}}")
        assert isinstance(key, ChoiceKey)
        ids |= key.weights.keys()
    assert ids == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    "last", ["None of these", "All of the above.", "<p>Both of these</p>", "वरीलपैकी नाही", "यापैकी सर्व"]
)
def test_an_option_about_the_others_stays_last(last: str) -> None:
    for number in range(8):
        item, _ = one(f"[html]Q {number}?{{=a ~b ~c ~{last}}}")
        assert isinstance(item.interaction, Choice)
        *others, final = item.interaction.options
        assert final.pinned and not any(option.pinned for option in others)
        assert unescape(next(iter(final.text.values()))) == last


def test_reading_again_gives_the_same() -> None:
    text = "a?{=1 ~2 ~3}\n\nb?{=x->1 =y->2}\n\na?{=1 ~2 ~3}"
    assert read(text) == read(text)


def test_more_than_26_options_have_ids() -> None:
    item, _ = one("Q?{=0 " + " ".join(f"~{number}" for number in range(1, 60)) + "}")
    assert isinstance(item.interaction, Choice)
    assert [option.id for option in item.interaction.options][24:29] == ["y", "z", "aa", "ab", "ac"]
    assert len({option.id for option in item.interaction.options}) == 60


# Whole files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"PK\x03\x04", b"\x00\x01\x02\x03" * 50, b"a{T}\n\n" * (QUESTION_LIMIT + 1)]
)
def test_unreadable_files_are_refused_whole(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read_gift(data, "x.gift")


def test_a_file_of_comments_holds_nothing() -> None:
    assert read("// nothing\n\n$CATEGORY: a/b\n") == ([], Report())


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "}",
        "=",
        "~",
        "\\",
        "#",
        "::",
        "//",
        "$CATEGORY:",
        "[id:",
        "// [tag:a\n",
        "%",
        "{~a =b\n\n",
        "<a b='",
        "\\(",
    ],
)
def test_hostile_files_take_no_time(piece: str) -> None:
    started = time.process_time()
    for data in (piece * 100_000, (piece * (40_000 // len(piece)) + "{T}\n\n") * 5, "a{" + piece * 10_000 + "}"):
        try:
            read_gift(data.encode(), "x.gift")
        except Unreadable as refused:
            assert "Nothing was taken" in str(refused)
    assert time.process_time() - started < 4


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"{}=~#:%\\n<>[] \n", "::", "->", "####", "%50%", "[html]", "{#", "1..2", "\n\n", "//", "a", "म", "T"]
        ),
        max_size=40,
    )
)
def test_any_text_is_taken_or_refused_but_never_dropped(parts: list[str]) -> None:
    text = "Q{T}\n\n" + "".join(parts)
    taken, report = read(text)
    assert taken[0][1] == ChoiceKey({"true": "1"})
    assert len({item.code for item, _ in taken}) == len(taken)
    words = sum(
        char in "aमT" for char in "".join(line for line in text.split("\n") if not line.strip().startswith("//"))
    )
    if words > 2:
        assert report.items >= 1


# Files that people made ----------------------------------------------------------------------------------------


def shared(name: str) -> bytes | None:
    """A file of the shared data, or None with a loud warning where the folder is absent."""
    if not SHARED.is_dir():
        warnings.warn(f"NOT CHECKED: {SHARED} is absent, so real GIFT files were not tried.", stacklevel=2)
        return None
    return (SHARED / name).read_bytes()


def test_all_43_of_moodles_examples_are_taken() -> None:
    data = shared("examples.gift")
    if data is not None:
        taken, report = read_gift(data, "examples.gift")
        assert (report.items, report.refused, len(taken)) == (43, 0, 43)
        assert all("Another question of the file" in " ".join(e.reasons) for e in report.entries if e.reasons)


@pytest.mark.parametrize(
    ("name", "items", "refused"),
    [("questions.gift", 9, 0), ("questions_encoding_windows-1252.gift", 3, 0), ("questions_in_category.gift", 4, 0)],
)
def test_moodles_fixtures_are_taken(name: str, items: int, refused: int) -> None:
    data = shared(name)
    if data is not None:
        _, report = read_gift(data, name)
        assert (report.items, report.refused) == (items, refused)


def test_windows_1252_of_a_real_file() -> None:
    data = shared("questions_encoding_windows-1252.gift")
    if data is not None:
        taken, _ = read_gift(data, "w.gift")
        matching = next(item for item, _ in taken if isinstance(item.interaction, Match))
        assert isinstance(matching.interaction, Match)
        assert "aödf" in matching.interaction.prompts[0].text["en"]
        assert matching.section == "Default for LTTEST"


def plain(fragment: str) -> str:
    """The bare words of a fragment or a source text, for comparing what two readers made of it."""
    return re.sub(r"[\s*_]+", "", unescape(re.sub(r"<!--.*?-->|</?[A-Za-z][^<>]*>", "", fragment)))


def expected_key(question: dict[str, Any]) -> object:
    """What the reference parse says is right, in the words of the source."""
    match question["type"]:
        case "Essay":
            return None
        case "TF":
            return question["isTrue"]
        case "Matching":
            return {
                plain(p["subquestion"]["text"]): plain(p["subanswer"])
                for p in question["matchPairs"]
                if p["subquestion"]["text"]
            }
        case "MC":
            return {
                plain(c["text"]["text"]): 1.0 if c["isCorrect"] else round((c["weight"] or 0) / 100, 4)
                for c in question["choices"]
            }
        case "Short":
            return [
                (plain(c["text"]["text"]), (100 if c["weight"] is None else c["weight"]) / 100)
                for c in question["choices"]
            ]
    choices = question["choices"]
    if isinstance(choices, dict):
        choices = [{"weight": None, "text": choices}]
    found = []
    for choice in choices:
        text = choice["text"]
        low = text["numberLow"] if "numberLow" in text else text["number"] - text.get("range", 0)
        high = text["numberHigh"] if "numberHigh" in text else text["number"] + text.get("range", 0)
        found.append((round(low, 6), round(high, 6), (100 if choice["weight"] is None else choice["weight"]) / 100))
    return found


def made_key(item: Item, key: Key) -> object:
    def text(option_id: str, options: list[Option]) -> str:
        return plain(next(option.text["en"] for option in options if option.id == option_id))

    def weight(written: str) -> float:
        over, _, under = written.partition("/")
        return float(over) / float(under or 1)

    match item.interaction, key:
        case Essay(), ManualKey():
            return None
        case Choice(options=options, shuffle=False), ChoiceKey(weights=weights):
            return "true" in weights
        case Choice(options=options), ChoiceKey(weights=weights):
            return {text(o.id, options): round(weight(weights.get(o.id, "0")), 4) for o in options}
        case Match(prompts=prompts, choices=choices), MatchKey(pairs=pairs):
            return {text(prompt, prompts): text(choice, choices) for prompt, choice in pairs.items()}
        case TextEntry(), TextKey(answers=texts):
            return [(plain(answer.text), weight(answer.weight)) for answer in texts]
        case Numeric(), NumericKey(answers=numbers):
            return [(float(answer.low), float(answer.high), weight(answer.weight)) for answer in numbers]
    raise AssertionError(item)


@pytest.mark.parametrize("name", sorted(path.stem for path in (SHARED / "pairs").glob("*.gift")) or ["absent"])
def test_real_files_mean_what_the_reference_parse_says(name: str) -> None:
    data = shared(f"pairs/{name}.gift") if name != "absent" else shared("")
    if data is None:
        return
    questions = [q for q in json.loads((SHARED / "pairs" / f"{name}.json").read_bytes()) if q["type"] != "Category"]
    taken, report = read_gift(data, name, language="en")
    assert report.items == len(questions)
    codes = {item.code: (item, key) for item, key in taken}
    for question, entry in zip(questions, report.entries, strict=True):
        if question["type"] == "Description":
            assert entry.status == "refused" and "description" in entry.reasons[0]
            continue
        assert entry.status != "refused", entry.reasons
        item, key = codes[entry.id]
        assert item.title == (question["title"] or "")
        assert plain(item.prompt["en"]) == plain(question["stem"]["text"])
        assert made_key(item, key) == expected_key(question)
        general = question.get("globalFeedback")
        assert plain(key.general["en"] if key.general else "") == plain(general["text"] if general else "")
