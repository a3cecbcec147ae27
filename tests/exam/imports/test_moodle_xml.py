"""Moodle XML to items and keys: every type, every loss named, the key never told, hostile files refused."""

import os
import struct
import time
import warnings
import zlib
from base64 import b64encode
from fractions import Fraction
from hashlib import sha256
from html import escape
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exam.imports.elements import TOTAL_LIMIT
from exam.imports.gift import read_gift
from exam.imports.making import QUESTION_LIMIT
from exam.imports.moodle_xml import read_moodle_xml
from exam.imports.report import Report, Unreadable
from grading.items import Choice, Essay, InlineChoice, Item, Match, Numeric, Ordering, TextEntry
from grading.keys import (
    ChoiceKey,
    InlineKey,
    Key,
    ManualKey,
    MatchKey,
    NumericAnswer,
    NumericKey,
    OrderKey,
    TextAnswer,
    TextKey,
)
from grading.scoring import score_item

SHARED = Path(os.environ.get("EXAM_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "moodle_xml"

Pair = tuple[Item, Key]


def held(tag: str, words: str, more: str = "", attributes: str = ' format="html"') -> str:
    return f"<{tag}{attributes}><text>{escape(words)}</text>{more}</{tag}>"


def answer(fraction: object, words: str, feedback: str = "", more: str = "") -> str:
    return held("answer", words, held("feedback", feedback) + more, f' fraction="{fraction}" format="html"')


def question(kind: str, words: str, *parts: str, name: str = "Q") -> str:
    return (
        f'<question type="{kind}"><name><text>{escape(name)}</text></name>{held("questiontext", words)}'
        f"{''.join(parts)}</question>"
    )


def category(path: str, more: str = "") -> str:
    return f'<question type="category"><category><text>{escape(path)}</text></category>{more}</question>'


def quiz(*questions: str) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>\n<quiz>\n' + "\n".join(questions) + "\n</quiz>"


def read(*questions: str, pictures: dict[str, bytes] | None = None) -> tuple[list[Pair], Report]:
    taken, report = read_moodle_xml(quiz(*questions).encode(), "bank.xml", pictures=pictures)
    check(taken, report)
    return taken, report


def check(taken: list[Pair], report: Report) -> None:
    """What holds of everything that is read."""
    for item, key in taken:
        assert msgspec.json.decode(msgspec.json.encode(item), type=Item) == item
        assert msgspec.json.decode(msgspec.json.encode(key), type=Key) == key
        score_item(item.interaction, key, None)
    assert report.items == report.taken + report.lossy + report.refused == len(report.entries)
    assert len(taken) == report.taken + report.lossy
    assert len({item.code for item, _ in taken}) == len(taken)
    assert len({entry.source for entry in report.entries}) == len(report.entries)
    assert all(bool(entry.reasons) == (entry.status != "taken") for entry in report.entries)


def one(*questions: str) -> Pair:
    """The only question, taken whole."""
    taken, report = read(*questions)
    assert [entry.reasons for entry in report.entries] == [[]]
    return taken[0]


def losses(*questions: str) -> list[str]:
    _, report = read(*questions)
    assert report.lossy == report.items == 1
    return report.entries[0].reasons


def refusal(*questions: str) -> str:
    taken, report = read(*questions)
    assert taken == [] and report.refused == report.items == 1
    return " ".join(report.entries[0].reasons)


def worth(item: Item, key: Key) -> dict[str, str]:
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    return {next(iter(o.text.values())): key.weights.get(o.id, "0") for o in item.interaction.options}


def png(width: int = 2, height: int = 2) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0\0\0" * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def file(name: str, data: bytes, attributes: str = ' path="/"') -> str:
    return f'<file name="{escape(name)}"{attributes} encoding="base64">{b64encode(data).decode()}</file>'


# Question types ------------------------------------------------------------------------------------------------


def test_a_single_choice() -> None:
    item, key = one(
        question(
            "multichoice",
            "<p>Which city is the capital?</p>",
            "<single>true</single><shuffleanswers>true</shuffleanswers><answernumbering>abc</answernumbering>",
            held("generalfeedback", "See the map."),
            answer(100, "Mumbai", "Yes!"),
            answer("33.33333", "Pune"),
            answer("-25", "Nagpur", "No."),
            name="Capital",
        )
    )
    assert (item.code, item.title, item.section) == ("Capital", "Capital", "General")
    assert item.prompt == {"en": "<p>Which city is the capital?</p>"}
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    assert not item.interaction.multiple and item.interaction.shuffle
    assert worth(item, key) == {"Mumbai": "1", "Pune": "1/3", "Nagpur": "-1/4"}
    ids = {option.text["en"]: option.id for option in item.interaction.options}
    assert key.feedback == {ids["Mumbai"]: {"en": "Yes!"}, ids["Nagpur"]: {"en": "No."}}
    assert key.general == {"en": "See the map."}


def test_a_multiple_choice() -> None:
    thirds = [answer("33.33333", name) for name in ("Tapi", "Krishna", "Bhima")]
    item, key = one(question("multichoice", "Rivers?", "<single>false</single>", *thirds, answer(-100, "Sahyadri")))
    assert isinstance(item.interaction, Choice) and item.interaction.multiple
    right = [option.id for option in item.interaction.options if option.text["en"] != "Sahyadri"]
    assert score_item(item.interaction, key, right) == 1
    assert score_item(item.interaction, key, right[:1]) == Fraction(1, 3)


def test_without_shuffling_the_authors_order_stays() -> None:
    item, _ = one(
        question(
            "multichoice",
            "How often?",
            *[answer(100 if words == "daily" else 0, words) for words in ("never", "weekly", "daily")],
        )
    )
    assert isinstance(item.interaction, Choice) and not item.interaction.shuffle
    assert [(option.id, option.text["en"]) for option in item.interaction.options] == [
        ("a", "never"),
        ("b", "weekly"),
        ("c", "daily"),
    ]


@pytest.mark.parametrize("right", ["true", "false"])
def test_true_or_false(right: str) -> None:
    item, key = one(
        question(
            "truefalse",
            "The Godavari flows east.",
            "<penalty>1.0000000</penalty>",
            answer(100 if right == "true" else 0, "true", "t"),
            answer(100 if right == "false" else 0, "false"),
        )
    )
    assert isinstance(item.interaction, Choice) and isinstance(key, ChoiceKey)
    assert [option.id for option in item.interaction.options] == ["true", "false"]
    assert key.weights == {right: "1"} and key.feedback == {"true": {"en": "t"}}


def test_a_short_text() -> None:
    item, key = one(
        question(
            "shortanswer",
            "Longest river?",
            "<usecase>1</usecase>",
            answer(100, "Godavari", "Right!"),
            answer(50, "Goda*"),
            answer(0, "*", "Wrong"),
        )
    )
    assert item.interaction == TextEntry()
    assert key == TextKey(
        [
            TextAnswer("Godavari", "1", {"en": "Right!"}),
            TextAnswer("Goda*", "1/2"),
            TextAnswer("*", "0", {"en": "Wrong"}),
        ],
        case_sensitive=True,
    )
    assert score_item(item.interaction, key, "godavari") == 0
    assert one(question("shortanswer", "Q?", answer(100, "a < b")))[1] == TextKey([TextAnswer("a < b")])


def test_numbers_with_tolerance_and_a_unit() -> None:
    item, key = one(
        question(
            "numerical",
            "How far?",
            answer(100, "3.5", "Yes", "<tolerance>0.05</tolerance>"),
            answer(50, "4", "", "<tolerance>0</tolerance>"),
            answer(0, "*", "No"),
            "<unitgradingtype>0</unitgradingtype><showunits>0</showunits><unitsleft>0</unitsleft>",
            "<units><unit><multiplier>1</multiplier><unit_name>km</unit_name></unit></units>",
        )
    )
    assert item.interaction == Numeric({"en": "km"})
    assert key == NumericKey(
        [NumericAnswer("3.45", "3.55", "1", {"en": "Yes"}), NumericAnswer("4", "4", "1/2")], {"en": "No"}
    )


def test_matching() -> None:
    def pair(asked: str, chosen: str) -> str:
        return held("subquestion", asked, f"<answer><text>{escape(chosen)}</text></answer>")

    item, key = one(
        question("matching", "Match.", pair("<b>Goa</b>", "Panaji"), pair("Konkan", "R & D"), pair("", "Bhopal"))
    )
    assert isinstance(item.interaction, Match) and isinstance(key, MatchKey)
    names = {choice.id: choice.text["en"] for choice in item.interaction.choices}
    assert sorted(names.values()) == ["Bhopal", "Panaji", "R &amp; D"]
    assert [names[key.pairs[prompt.id]] for prompt in item.interaction.prompts] == ["Panaji", "R &amp; D"]


def test_the_order_of_pairs_is_no_key() -> None:
    pairs = [held("subquestion", asked, f"<answer><text>{asked} 2</text></answer>") for asked in "abcdefgh"]
    item, key = one(question("matching", "Match.", "<shuffleanswers>0</shuffleanswers>", *pairs))
    assert isinstance(item.interaction, Match) and isinstance(key, MatchKey)
    assert item.interaction.shuffle and list(key.pairs.values()) != [option.id for option in item.interaction.choices]


def test_an_essay() -> None:
    item, key = one(
        question(
            "essay",
            "Describe your class.",
            "<responseformat>editor</responseformat><responsefieldlines>15</responsefieldlines>",
            "<attachments>0</attachments>",
            held("graderinfo", "Three points."),
            held("generalfeedback", "Thanks."),
        )
    )
    assert item.interaction == Essay(rows=15)
    assert key == ManualKey({"en": "Three points."}, {"en": "Thanks."})


@pytest.mark.parametrize(
    ("written", "rule"),
    [("ALL_OR_NOTHING", "all_or_nothing"), ("-1", "all_or_nothing"), ("1", "relative_next")],
)
def test_an_order(written: str, rule: str) -> None:
    item, key = one(
        question(
            "ordering",
            "From small to large",
            f"<gradingtype>{written}</gradingtype><selecttype>ALL</selecttype><layouttype>VERTICAL</layouttype>",
            *[answer(f"{place}.0000000", words) for place, words in enumerate(("one", "two", "three"), start=1)],
        )
    )
    assert isinstance(item.interaction, Ordering) and isinstance(key, OrderKey) and key.rule == rule
    names = {option.id: option.text["en"] for option in item.interaction.options}
    assert [names[option] for option in key.order] == ["one", "two", "three"]


# Running texts -------------------------------------------------------------------------------------------------


def test_a_cloze_with_lists() -> None:
    item, key = one(
        question(
            "cloze",
            "<p>Goa: {1:MULTICHOICE:=Panaji~Pune}, MP: {3:MC:Indore~%100%Bho\\}pal~%0%Rewa &#39;x&#39;}.</p>",
            held("generalfeedback", "ok"),
        )
    )
    assert isinstance(item.interaction, InlineChoice) and isinstance(key, InlineKey)
    assert item.prompt == {"en": "Choose what belongs into each gap."}
    assert item.interaction.text == {"en": "<p>Goa: [[g1]], MP: [[g2]].</p>"}
    lists = {gap.id: {option.text["en"]: option.id for option in gap.options} for gap in item.interaction.gaps}
    assert list(lists["g1"]) == ["Panaji", "Pune"] and list(lists["g2"]) == ["Indore", "Bho}pal", "Rewa 'x'"]
    assert key.right == {"g1": lists["g1"]["Panaji"], "g2": lists["g2"]["Bho}pal"]}
    assert score_item(item.interaction, key, {"g2": key.right["g2"]}) == Fraction(3, 4)
    assert not item.interaction.shuffle
    shuffled, _ = one(question("cloze", "{:MCS:=a~b} {:MULTICHOICE_S:c~=d}"))
    assert isinstance(shuffled.interaction, InlineChoice) and shuffled.interaction.shuffle


def test_a_cloze_with_one_gap_to_type_into_is_an_ordinary_question() -> None:
    item, key = one(question("cloze", "<p>The capital is {1:SAC:=Mumbai#Yes~%50%M*}.</p>"))
    assert item.prompt == {"en": "<p>The capital is _____.</p>"} and item.interaction == TextEntry()
    assert key == TextKey([TextAnswer("Mumbai", "1", {"en": "Yes"}), TextAnswer("M*", "1/2")], case_sensitive=True)
    item, key = one(question("cloze", "<p>Pi is about {2:NUMERICAL:=3.14:0.01#ok~*#no}</p>"))
    assert item.prompt == {"en": "<p>Pi is about </p>"} and item.interaction == Numeric()
    assert key == NumericKey([NumericAnswer("3.13", "3.15", "1", {"en": "ok"})], {"en": "no"})
    item, key = one(question("cloze", "Rivers: {1:MULTIRESPONSE:%50%Tapi~%50%Bhima~%-100%Alps}"))
    assert isinstance(item.interaction, Choice) and item.interaction.multiple
    assert worth(item, key) == {"Tapi": "1/2", "Bhima": "1/2", "Alps": "-1"}


@pytest.mark.parametrize(("kind", "tag"), [("gapselect", "selectoption"), ("ddwtos", "dragbox")])
def test_words_for_places(kind: str, tag: str) -> None:
    def word(words: str, group: int) -> str:
        infinite = "<infinite/>" if tag == "dragbox" else ""
        return f"<{tag}><text>{words}</text><group>{group}</group>{infinite}</{tag}>"

    item, key = one(
        question(
            kind,
            "<p>The [[2]] sat on the [[1]]; the [[2]] [[3]].</p>",
            "<shuffleanswers>1</shuffleanswers>",
            word("mat", 1),
            word("cat", 1),
            word("slept", 2),
            word("flew", 2),
        )
    )
    assert isinstance(item.interaction, InlineChoice) and isinstance(key, InlineKey)
    assert item.interaction.text == {"en": "<p>The [[g1]] sat on the [[g2]]; the [[g3]] [[g4]].</p>"}
    lists = {gap.id: {option.id: option.text["en"] for option in gap.options} for gap in item.interaction.gaps}
    assert [sorted(words.values()) for words in lists.values()] == [["cat", "mat"]] * 3 + [["flew", "slept"]]
    assert [lists[gap][right] for gap, right in key.right.items()] == ["cat", "mat", "cat", "slept"]
    assert item.interaction.shuffle and key.weights == {}


# How it is written ---------------------------------------------------------------------------------------------


def test_categories_are_sections() -> None:
    def plain(name: str) -> str:
        return question("essay", f"{name}?", name=name)

    taken, report = read(
        plain("a"),
        category("$course$/top/Science/Physics"),
        plain("b"),
        category("Maths//1", held("info", "All of it")),
        plain("c"),
        category("$course$/top", held("info", "Empty")),
        category("$course$/top/Last", "<idnumber>7</idnumber>"),
    )
    assert [item.section for item, _ in taken] == ["General", "Science/Physics", "Maths/1"]
    assert [(entry.id, entry.status, entry.reasons) for entry in report.entries[2:]] == [
        ("c", "lossy", ['The description of the category "Maths//1" is not kept.']),
        (
            "$course$/top",
            "refused",
            [
                "The category has no questions of its own.",
                'The description of the category "$course$/top" is not kept.',
            ],
        ),
        (
            "$course$/top/Last",
            "refused",
            [
                "The category has no questions of its own.",
                'The id number 7 of the category "$course$/top/Last" is not kept.',
            ],
        ),
    ]


def test_each_text_has_its_format() -> None:
    def text(form: str, words: str) -> dict[str, str]:
        return one(f'<question type="essay">{held("questiontext", words, "", form)}</question>')[0].prompt

    assert text(' format="html"', "<p>a\nb &lt; c</p>") == {"en": "<p>a\nb &lt; c</p>"}
    assert text(' format="moodle_auto_format"', "a\nb") == {"en": "a<br>b"}
    assert text(' format="plain_text"', "a < <b>b</b>") == {"en": "a &lt; &lt;b&gt;b&lt;/b&gt;"}
    assert text(' format="markdown"', "*a* b") == {"en": "<em>a</em> b"}
    assert text("", "<i>a</i>") == {"en": "<i>a</i>"}


def test_texts_as_cdata_as_elements_and_bare() -> None:
    def text(inside: str) -> dict[str, str]:
        return one(f'<question type="essay"><questiontext format="html">{inside}</questiontext></question>')[0].prompt

    assert text("<text><![CDATA[<p>a & b</p>]]></text>") == {"en": "<p>a &amp; b</p>"}
    assert text('<text><p dir="rtl">a<br/>&lt;b&gt;</p></text>') == {"en": '<p dir="rtl">a<br>&lt;b&gt;</p>'}
    assert text("a b") == {"en": "a b"}


def test_languages() -> None:
    def both(en: str, mr: str) -> str:
        return f'<span lang="en" class="multilang">{en}</span><span lang="mr" class="multilang">{mr}</span>'

    item, key = one(
        question("multichoice", both("Which?", "कोणती?"), answer(100, both("Tapi", "तापी")), answer(0, "7"))
    )
    assert item.prompt == {"en": "Which?", "mr": "कोणती?"}
    assert worth(item, key) == {"Tapi": "1", "7": "0"}
    item, _ = one(question("essay", "{mlang en}One{mlang}{mlang mr}एक{mlang}?"))
    assert item.prompt == {"en": "One?", "mr": "एक?"}
    item, _ = one(question("essay", "गोदावरी कोठे उगम पावते?"))
    assert list(item.prompt) == ["mr"]
    taken, _ = read_moodle_xml(quiz(question("essay", "प्रश्न")).encode(), "x.xml", language="hi")
    assert list(taken[0][0].prompt) == ["hi"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str) -> None:
    text = quiz(question("essay", "Où est le café – “ici”?"))
    taken, _ = read_moodle_xml(text.encode(encoding), "x.xml")
    assert taken[0][0].prompt == {"en": "Où est le café – “ici”?"}


def test_an_id_number_is_the_code_and_the_same_question_has_the_same_code_as_from_gift() -> None:
    item, _ = one(question("essay", "Q?", "<idnumber>P-71</idnumber>", name="Planets"))
    assert (item.code, item.title) == ("P-71", "Planets")
    item, key = one(
        question(
            "multichoice",
            "Which?",
            "<shuffleanswers>1</shuffleanswers>",
            *[answer(100 * (words == "a"), words) for words in ("a", "b", "none of these")],
            name="",
        )
    )
    assert [(item, key)] == read_gift(b"Which?{=a ~b ~none of these}", "x.gift")[0]


# Pictures ------------------------------------------------------------------------------------------------------


def test_pictures_inside_the_file() -> None:
    data, other = png(), png(3, 3)
    name, second = sha256(data).hexdigest(), sha256(other).hexdigest()
    pictures: dict[str, bytes] = {}
    inline = b64encode(other).decode()
    linked = '<img src="@@PLUGINFILE@@/my%20map.png?x=1" alt="map"> <img src="@@PLUGINFILE@@/d/my%20map.png" alt="">'
    folder = file("my map.png", data, ' path="/d/"')
    taken, report = read(
        '<question type="multichoice"><questiontext format="html">'
        f"<text>{escape(linked)}</text>{file('my map.png', data)}{folder}"
        "</questiontext>"
        + answer(100, f'<img src="data:image/png;base64,{inline}" alt="b">', '<img src="@@PLUGINFILE@@/g.png" alt="g">')
        + answer(0, "x")
        + "</question>",
        pictures=pictures,
    )
    item, _ = taken[0]
    assert report.entries[0].reasons == ["The picture @@PLUGINFILE@@/g.png was not taken."]
    assert item.prompt["en"] == f'<img src="/media/{name}" alt="map"> <img src="/media/{name}" alt="">'
    assert item.media == sorted([name, second]) and pictures == {name: data, second: other}


def test_pictures_of_the_feedback_tell_nothing() -> None:
    pictures: dict[str, bytes] = {}
    feedback = (
        f'<feedback format="html"><text>&lt;img src="@@PLUGINFILE@@/a.png"></text>{file("a.png", png())}</feedback>'
    )
    taken, _ = read(
        question("multichoice", "Q", f'<answer fraction="100"><text>a</text>{feedback}</answer>', answer(0, "b")),
        pictures=pictures,
    )
    assert taken[0][0].media == [] and list(pictures.values()) == [png()]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(50_000, 50_000), "50000 × 50000 pixels"),
        (png() + b"x" * 2_100_000, "at most 2097152"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "not a PNG, JPEG, GIF or WebP"),
        (b"ID3 an mp3", "not a PNG, JPEG, GIF or WebP"),
        (b"\xff\xd8\xff\xe0", "damaged"),
    ],
)
def test_files_that_are_no_pictures_for_a_page_are_named(data: bytes, reason: str) -> None:
    pictures: dict[str, bytes] = {}
    text = held("questiontext", 'See <img src="@@PLUGINFILE@@/a.x" alt="it">', file("a.x", data))
    _, report = read(f'<question type="essay">{text}</question>', pictures=pictures)
    assert report.lossy == 1 and pictures == {}
    assert 'The file "a.x" was left out' in report.entries[0].reasons[0] and reason in report.entries[0].reasons[0]


def test_pictures_that_nobody_keeps_or_links_or_can_decode_are_named() -> None:
    def reasons(words: str, embedded: str) -> list[str]:
        return losses(f'<question type="essay">{held("questiontext", words, embedded)}</question>')

    linked = 'See <img src="@@PLUGINFILE@@/a.png">'
    assert 'The picture "a.png" was left out.' in reasons(linked, file("a.png", png()))
    assert reasons("See", file("a.png", png())) == ['The file "a.png" stands in no text and was left out.']
    assert 'The file "a.png" is damaged and was left out.' in reasons(linked, '<file name="a.png">!!</file>')


# Losses and refusals -------------------------------------------------------------------------------------------

TWO = answer(100, "a") + answer(0, "b")


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("<penalty>0.3333333</penalty>", "The penalty 0.3333333 for each further try is not kept: there is one try."),
        ("<defaultgrade>10</defaultgrade>", "The default mark 10 is not kept: the exam says how many marks"),
        ("<defaultgrade>2.5000000</defaultgrade>", "The default mark 2.5 is not kept"),
        ("<hidden>1</hidden>", "It was hidden in Moodle"),
        ("<tags><tag><text>hard</text></tag><tag><text>unit 2</text></tag></tags>", "Tags are not kept: hard, unit 2."),
        (held("hint", "Think."), "Its hints are not kept"),
        (held("correctfeedback", "Well done."), "The feedback on the answer as a whole"),
        ("<answernumbering>iii</answernumbering>", 'The numbering "iii"'),
        ("<image>old.gif</image>", "<image> in line 3 is not kept: old.gif"),
        ("<xi><y>z</y></xi>", "<xi> in line 3 is not kept: z"),
        ("stray words", '"stray words" stands in no element'),
        (held("questiontext", "Second?"), "<questiontext> in line 3 is not kept: Second?"),
        ('<answer fraction="0"><text>c</text><why>d</why></answer>', "<why> in line 3 is not kept."),
        ('<answer fraction="0"><text>c</text><text>d</text></answer>', "<text> in line 3 is not kept."),
        (
            '<answer fraction="0" format="wiki_like"><text>c</text></answer>',
            'The text format "wiki_like" is unknown',
        ),
        (answer(0, "<script>alert(1)</script>c"), "A script was taken out."),
        (answer(0, '<b onclick="x()">c</b>'), "A script (onclick) was taken out."),
        (answer(0, "b"), "Two answers read the same."),
    ],
)
def test_every_loss_has_its_sentence(part: str, reason: str) -> None:
    [named] = losses(question("multichoice", "Q?", TWO, part))
    assert named.startswith(reason)


@pytest.mark.parametrize(
    ("kind", "parts", "reason"),
    [
        ("multichoice", answer(50, "a") + answer(0, "b"), "The best answer adds up to 50.00 %"),
        ("truefalse", answer(100, "वर") + answer(0, "खाली"), "the first was taken for true"),
        ("shortanswer", answer(100, "a") + answer(-50, "b"), "A weight below 0 counts as 0"),
        ("essay", "<attachments>2</attachments>", "Files cannot be handed in"),
        ("essay", "<responseformat>editorfilepicker</responseformat>", "Files inside the answer"),
        ("essay", "<responseformat>monospaced</responseformat>", "letters of equal width"),
        ("essay", "<minwordlimit>50</minwordlimit>", "The least number of words (50)"),
        ("essay", held("responsetemplate", "Dear Sir"), "The template that the answer begins with"),
        ("ordering", answer(1, "a") + answer(2, "b"), "It is not marked by ABSOLUTE_POSITION"),
        (
            "ordering",
            answer(1, "a") + answer(2, "b") + "<gradingtype>1</gradingtype><selecttype>1</selecttype>"
            "<selectcount>2</selectcount>",
            "All entries are shown",
        ),
    ],
)
def test_losses_of_single_types(kind: str, parts: str, reason: str) -> None:
    [named] = losses(question(kind, "Q?", parts))
    assert reason in named


@pytest.mark.parametrize(
    ("units", "settings_", "reason"),
    [
        ([("1", "m"), ("0.01", "cm")], "", "The answer is asked in m; other units are not taken: cm."),
        ([("1", "m")], "<unitgradingtype>1</unitgradingtype>", "is no part of the answer"),
        ([("1", "m")], "<showunits>2</showunits>", "is no part of the answer"),
        ([("1", "$")], "<unitsleft>1</unitsleft>", "stands behind the number"),
        ([("1", "m")], "<showunits>3</showunits>", "Its units are not kept"),
    ],
)
def test_losses_of_units(units: list[tuple[str, str]], settings_: str, reason: str) -> None:
    listed = "".join(
        f"<unit><multiplier>{factor}</multiplier><unit_name>{name}</unit_name></unit>" for factor, name in units
    )
    [named] = losses(question("numerical", "Q?", answer(100, "5"), f"<units>{listed}</units>", settings_))
    assert reason in named


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{1:MC:=a~b#why}", "The feedback on single answers"),
        ("{1:MCV:=a~b}", "in a list, not each with a button"),
        ("{1:MC:=a~%50%b}", "part marks and minus marks"),
        ("{1:MC:=a~%-50%b}", "part marks and minus marks"),
        ("{1:MC:=<b>a</b>~b}", "Formatting in the answers of gap 1"),
        ("{1:MC:=a~b~b}", "read the same and are one"),
    ],
)
def test_losses_of_gaps(text: str, reason: str) -> None:
    [named] = losses(question("cloze", text))
    assert reason in named


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (question("", "Q?"), "does not say of which type"),
        (question("description", "Read this."), "a description"),
        (question("calculated", "{a} + {b}?"), "drawn anew for everybody (calculated)"),
        (question("calculatedmulti", "{a} + {b}?"), "(calculatedmulti)"),
        (question("randomsamatch", "Q?"), "other questions"),
        (question("ddmarker", "Q?"), "onto a picture (ddmarker)"),
        (question("stack", "Q?"), 'type "stack" is unknown'),
        ("<quiz/>", "<quiz> is not a question"),
        ('<question type="essay"/>', "no question text"),
        (question("essay", "  "), "no question text"),
        (question("essay", "<script>x</script>"), "No question text is left. A script"),
        (question("essay", "x" * 50_001), "longer than"),
        (question("essay", "<b>" * 60), "60 deep"),
        (question("essay", "Q?", "<x/>" * 4001), "more than 4000 elements"),
        (question("essay", "Q?", "<responseformat>noinline</responseformat>"), "files alone"),
        (question("multichoice", "Q?", answer(100, "a")), "one answer only"),
        (question("multichoice", "Q?", answer(0, "a"), answer(0, "b")), "No answer is right"),
        (question("multichoice", "Q?", answer(100, "a"), answer(0, "a")), "read the same"),
        (question("multichoice", "Q?", answer(100, "a"), answer(0, "")), "Answer 2 is empty"),
        (question("multichoice", "Q?", answer(100, "a"), answer("all", "b")), "<answer> in line 3: The weight all %"),
        (question("multichoice", "Q?", answer(100, "a"), answer(101, "b")), "not between"),
        (question("multichoice", "Q?", answer(100, "a"), "<answer><text>b</text></answer>"), "no fraction"),
        (question("multichoice", "Q?", answer(100, "a"), *[answer(0, str(n)) for n in range(64)]), "at most 64"),
        (question("truefalse", "Q?", answer(100, "true")), "1 answers"),
        (question("truefalse", "Q?", answer(100, "true"), answer(100, "false")), "Not exactly one"),
        (question("shortanswer", "Q?"), "no answer"),
        (question("shortanswer", "Q?", answer(100, " ")), "empty"),
        (question("numerical", "Q?", answer(100, "five")), '<answer> in line 3: "five" is not a number'),
        (question("numerical", "Q?", answer(100, "1,5")), "with a point"),
        (question("numerical", "Q?", answer(100, "1", "", "<tolerance>-1</tolerance>")), "below 0"),
        (question("numerical", "Q?", answer(100, "1e99")), "too large"),
        (question("numerical", "Q?", answer(0, "*")), "No answer is right"),
        (
            question(
                "numerical",
                "Q?",
                answer(100, "1"),
                "<units><unit><multiplier>100</multiplier><unit_name>cm</unit_name></unit></units>",
            ),
            "factor 1",
        ),
        (question("matching", "Q?", held("subquestion", "a", "<answer><text>b</text></answer>")), "one pair only"),
        (question("matching", "Q?", held("subquestion", "a") * 2), "empty match"),
        (question("ordering", "Q?", answer(1, "a")), "one entry only"),
        (question("ordering", "Q?", answer(1, "a"), answer(2, "a")), "read the same"),
        (question("ordering", "Q?", answer(1, "a"), answer(2, "")), "Entry 2 is empty"),
        (question("cloze", "No gap {here}."), "no gap"),
        (question("cloze", "{1:MULTICHOICE}"), "<questiontext> in line 3: The gap"),
        (question("cloze", "{1:REGEXP:=a}"), "unknown kind"),
        (question("cloze", "{1:MC:=a~b"), "never closed"),
        (question("cloze", "{1:MC:=a}"), "one answer only"),
        (question("cloze", "{1:MC:%50%a~b}"), "0 answers that are worth 100 %"),
        (question("cloze", "{1:MC:=a~=b}"), "2 answers that are worth 100 %"),
        (question("cloze", "{1:MC:=a~a} {1:MC:=a~=a}"), "read the same, but"),
        (question("cloze", "{1:MC:=a~}"), "is empty"),
        (question("cloze", "{1:MC:=x<sup>2</sup>~b}"), "raised letters"),
        (question("cloze", "{0:MC:=a~b}{0:MC:=a~b}"), "None of its gaps has a weight"),
        (question("cloze", "{1:MC:=a~b} and {1:SA:=c}"), "Gap 2 is a SA."),
        (question("cloze", "{1:NM:=c} and {1:MC:=a~b}"), "Gap 1 is a NM."),
        (question("cloze", "{1:NM:=1}"), "No question text is left."),
        (question("cloze", "How many? {1:NM:=zero}"), '"zero" is not a number'),
        (question("cloze", "\\({1:MC:=a~b}\\)"), "does not have each gap once"),
        (question("cloze", "{1:MC:=a~b}" * 65), "more than 64 gaps"),
        (question("gapselect", "No place"), "no place such as [[1]]"),
        (question("gapselect", "[[2]]", "<selectoption><text>a</text></selectoption>"), "For the place [[2]]"),
        (question("ddwtos", "[[1]]", "<dragbox><text> </text></dragbox>"), "is empty"),
    ],
)
def test_what_cannot_be_taken_says_why(body: str, reason: str) -> None:
    assert reason in refusal(body)


def test_words_that_can_be_used_once_or_never_are_named() -> None:
    def box(words: str, group: int) -> str:
        return f"<dragbox><text>{words}</text><group>{group}</group></dragbox>"

    assert losses(question("ddwtos", "[[1]] [[2]]", box("a", 1), box("b", 1), box("c", 2))) == [
        '"c" fits into no gap and is not kept.',
        "In Moodle each word can be used once; here every gap lists all words of its group.",
    ]


def test_a_group_of_one_word_is_a_list_of_one() -> None:
    item, key = one(question("ddwtos", "The [[1]] fox", "<dragbox><text>quick</text><group>1</group></dragbox>"))
    assert isinstance(item.interaction, InlineChoice) and isinstance(key, InlineKey)
    assert len(item.interaction.gaps[0].options) == 1 and key.right == {"g1": "a"}


def test_one_broken_question_takes_no_neighbour_along() -> None:
    taken, report = read(
        question("truefalse", "a?", answer(100, "true"), answer(0, "false"), name="A"),
        question("multichoice", "b?", name="B"),
        question("calculated", "c?", name=""),
        question("essay", "d?", name="A"),
    )
    assert [item.code for item, _ in taken] == ["A", "A-2"]
    assert [(entry.source, entry.id, entry.status) for entry in report.entries] == [
        ("bank.xml:3", "A", "taken"),
        ("bank.xml:4", "B", "refused"),
        ("bank.xml:5", "c?", "refused"),
        ("bank.xml:6", "A-2", "lossy"),
    ]


def test_questions_in_one_line_have_places_of_their_own() -> None:
    body = question("essay", "a?") + question("essay", "b?")
    _, report = read_moodle_xml(f"\n\n<quiz>{body}</quiz>".encode(), "x.xml")
    first, second = [entry.source for entry in report.entries]
    assert first == "x.xml:3" and second.startswith("x.xml:3:")


def test_items_that_differ_only_in_the_key_are_equal_bytes() -> None:
    def bodies(*questions: str) -> set[bytes]:
        return {msgspec.json.encode(read(one_question)[0][0][0]) for one_question in questions}

    def choice(*fractions: int) -> str:
        return question("multichoice", "Q?", *map(answer, fractions, "abcd"))

    assert len(bodies(choice(100, 0, 0, 0), choice(0, 100, 0, 0), choice(-50, 0, 50, 100))) == 1
    entries = ["one", "two", "three", "four"]
    orders = (entries, entries[::-1], entries[2:] + entries[:2])
    assert len(bodies(*[question("ordering", "Q?", *[answer(1, words) for words in order]) for order in orders])) == 1
    assert (
        len(
            bodies(
                *[question("cloze", f"{{1:MCS:{words}}} x") for words in ("=a~b~c", "b~=a~c", "c~b~%100%a", "a~=b~c")]
            )
        )
        == 1
    )
    assert len(bodies(question("numerical", "Q?", answer(100, "1")), question("numerical", "Q?", answer(50, "2")))) == 1


# Whole files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ('<!DOCTYPE q [<!ENTITY x SYSTEM "file:///etc/passwd">]><quiz>&x;</quiz>', "DOCTYPE"),
        ('<!DOCTYPE q [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><quiz>&b;</quiz>', "DOCTYPE"),
        ('<!DOCTYPE quiz SYSTEM "http://192.0.2.1/quiz.dtd"><quiz/>', "DOCTYPE"),
        ('<!DOCTYPE q [<!ENTITY % p SYSTEM "http://192.0.2.1/p"> %p;]><quiz/>', "DOCTYPE"),
        (
            '<quiz xmlns:i="http://www.w3.org/2001/XInclude">\n<question><i:include href="/etc/passwd"/></question>',
            "Line 2: the file asks for other files (XInclude)",
        ),
        ("<quiz>&nbsp;</quiz>", "undefined entity"),
        ("<quiz>\n<question>\n</quiz>", "Line 3, column 3: the XML is broken there (mismatched tag)"),
        ("\n\n<quiz>\n<question>", "Line 4, column 11: the XML is broken there (no element found)"),
        ("Is it so?{T}", "the XML is broken"),
        ("<assessmentItem/>", "outermost element is <assessmentItem>, not <quiz>"),
        ("<quiz>words</quiz>", "text outside of any question"),
        ("<quiz>" + "<question>" * 100 + "</quiz>", "60 deep"),
        ('<?xml version="1.0" encoding="koi8-r"?><quiz>\xe9</quiz>', "it is in koi8-r"),
    ],
)
def test_hostile_and_broken_files_are_refused_whole(data: str, reason: str) -> None:
    pictures: dict[str, bytes] = {}
    with pytest.raises(Unreadable) as refused:
        read_moodle_xml(data.encode("latin-1"), "x.xml", pictures=pictures)
    assert reason in str(refused.value) and "Nothing was taken." in str(refused.value)
    assert pictures == {}


def test_what_stands_before_a_break_is_not_taken_either() -> None:
    pictures: dict[str, bytes] = {}
    text = held("questiontext", '<img src="@@PLUGINFILE@@/a.png">', file("a.png", png()))
    with pytest.raises(Unreadable):
        read_moodle_xml(f'<quiz><question type="essay">{text}</question><x>'.encode(), "x.xml", pictures=pictures)
    assert pictures == {}


@pytest.mark.parametrize(
    ("piece", "count"),
    [
        ("<a>", 5_000_000),
        ("<question/>", QUESTION_LIMIT + 1),
        ("<question>" + "<a/>" * 3999 + "</question>", TOTAL_LIMIT // 4000 + 1),
        ("<!--" + "x" * 4_000_000, 1),
        ('<question a="' + ">" * 4_000_000, 1),
        ("<question " + "".join(f"a{n}='' " for n in range(400_000)), 1),
    ],
)
def test_floods_are_refused_at_once(piece: str, count: int) -> None:
    data = ("<quiz>" + piece * count).encode()
    started = time.process_time()
    with pytest.raises(Unreadable):
        read_moodle_xml(data, "x.xml")
    assert time.process_time() - started < 4


@pytest.mark.parametrize(
    "piece",
    [
        "{1:MC:",
        "{1:MC:=a~",
        "\\",
        "{mlang en}",
        "{mlang}",
        "[[1]]",
        "<b>",
        "<",
        "&",
        "\\(",
        "$$",
        "@@PLUGINFILE@@/a",
        "#",
    ],
)
def test_hostile_texts_take_no_time(piece: str) -> None:
    words = piece * (49_000 // len(piece))
    started = time.process_time()
    read(
        *[
            question(kind, words, answer(100, words), answer(0, "b"), file("a", b"") * 5)
            for kind in ("multichoice", "cloze", "shortanswer", "gapselect", "matching", "ordering", "numerical")
        ]
    )
    assert time.process_time() - started < 4


_SCRAPS = st.sampled_from(
    [
        *"{}=~#:%\\<>[]&' \n",
        "1:MC:",
        "1:SA:",
        "{1:MCS:=a~b}",
        "[[1]]",
        "%50%",
        "</p>",
        "<p>",
        "<img src=",
        "मa",
        "\\(",
        "*",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        (
            *("multichoice", "truefalse", "shortanswer", "numerical", "matching", "essay", "ordering"),
            *("cloze", "gapselect", "ddwtos"),
        )
    ),
    st.lists(st.lists(_SCRAPS, max_size=12).map("".join), min_size=3, max_size=3),
    st.lists(st.sampled_from(["100", "0", "50", "33.33333", "-100", "", "x"]), min_size=2, max_size=2),
)
def test_any_question_is_taken_or_refused_but_never_dropped(kind: str, texts: list[str], shares: list[str]) -> None:
    asked, first, second = texts
    taken, report = read(
        question("truefalse", "Q", answer(100, "true"), answer(0, "false"), name="First"),
        question(
            kind,
            asked,
            answer(shares[0], first, second),
            answer(shares[1], second),
            held("subquestion", first, held("answer", second)),
            held("subquestion", second, held("answer", first)),
            held("selectoption", first),
            held("selectoption", second),
            held("dragbox", first),
            held("dragbox", second),
        ),
    )
    assert report.items == 2 and taken[0][1] == ChoiceKey({"true": "1"})


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            (
                *("<quiz>", "</quiz>", "<question type='essay'>", "</question>", "<text>", "</text>", "a", "म", "\n"),
                *("<questiontext>", "</questiontext>", "<![CDATA[", "]]>", "<!--", "-->", "&lt;", "&#0;", "&x;"),
                *("<?p ?>", "\x0c"),
            )
        ),
        max_size=20,
    )
)
def test_any_file_is_read_or_refused(parts: list[str]) -> None:
    try:
        check(*read_moodle_xml(("<quiz>" + "".join(parts)).encode(), "x.xml"))
    except Unreadable as refused:
        assert "Nothing was taken" in str(refused)


# Files that people made ----------------------------------------------------------------------------------------


def test_moodles_own_files() -> None:
    if not SHARED.is_dir():
        warnings.warn(f"NOT CHECKED: {SHARED} is absent, so real Moodle XML was not tried.", stacklevel=2)
        return
    counts = {}
    pictures: dict[str, bytes] = {}
    for path in sorted(SHARED.glob("*.xml")):
        taken, report = read_moodle_xml(path.read_bytes(), path.name, pictures=pictures)
        check(taken, report)
        counts[path.stem] = (report.items, report.taken, report.lossy, report.refused)
        assert all(name in pictures for item, _ in taken for name in item.media)
    assert counts == {
        "broken_cloze_questions": (5, 0, 0, 5),
        "categories_reverse_order": (2, 0, 2, 0),
        "multianswer": (1, 0, 0, 1),
        "multichoice": (1, 0, 1, 0),
        "nested_categories_with_questions": (5, 1, 4, 0),
        "truefalse": (2, 0, 2, 0),
    }
    assert len(pictures) == 8
