"""Reads Moodle XML into items and keys.

What each question type becomes, and what is refused by name, stands in docs/interchange.md. As with GIFT every loss is
named, and no id and no order of what is shuffled depends on what is right.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from exam.imports.elements import ELEMENT_LIMIT, TEXT_LIMIT, Element, elements
from exam.imports.encoding import decode
from exam.imports.html import TooComplex
from exam.imports.making import (
    DEFAULT_SECTION,
    QUESTION_LIMIT,
    choice,
    item_of,
    joined,
    matching,
    named,
    number_of,
    options_of,
    section_of,
    shares_of,
    some_number,
    text_entry,
    true_false,
    with_number,
)
from exam.imports.moodle_gaps import drags, embedded, selects
from exam.imports.moodle_question import YES, Built, Question, at, plain, shortened
from exam.imports.report import Broken, Report, Unreadable
from grading.items import Essay, Item, Numeric, Ordering, Text
from grading.keys import Key, ManualKey, NumericKey, OrderKey

_CALCULATED = "Its numbers are drawn anew for everybody ({type}); such questions cannot be taken."
_DRAWN = "It draws on other questions when it is shown ({type}); such questions cannot be taken."
_ON_PICTURE = "It asks to drag something onto a picture ({type}); such questions cannot be taken yet."
_REFUSED = {
    "": "The question does not say of which type it is.",
    "description": "It is a description, a text that asks nothing; such texts cannot be taken yet.",
    "calculated": _CALCULATED,
    "calculatedsimple": _CALCULATED,
    "calculatedmulti": _CALCULATED,
    "random": _DRAWN,
    "randomsamatch": _DRAWN,
    "ddimageortext": _ON_PICTURE,
    "ddmarker": _ON_PICTURE,
}
_ORDER_RULES = {
    "-1": "all_or_nothing",
    "ALL_OR_NOTHING": "all_or_nothing",
    "1": "relative_next",
    "RELATIVE_NEXT_EXCLUDE_LAST": "relative_next",
}


def read_moodle_xml(
    data: bytes, source: str, *, language: str = "", pictures: dict[str, bytes] | None = None
) -> tuple[list[tuple[Item, Key]], Report]:
    """Items with their keys, and what became of each question of the file called `source`.

    `language` is as for GIFT. Embedded pictures are put into `pictures` by their SHA-256 in hex, for
    `items.keep_picture`; without it each is a loss. Unreadable where the file is too large, is not well-formed Moodle
    XML, or has a document type.
    """
    report = Report()
    taken: list[tuple[Item, Key]] = []
    given: dict[str, int] = {}
    found: dict[str, bytes] = {}
    places: set[str] = set()
    section = DEFAULT_SECTION
    # The category that no question has followed yet: what is lost of it is named with the first one.
    fresh: Element | None = None
    for element in elements(decode(data), "quiz"):
        if len(places) >= QUESTION_LIMIT:
            raise Unreadable(f"The file has more than {QUESTION_LIMIT} questions. Nothing was taken. Split it.")
        if element.attributes.get("type") == "category":
            _refuse_category(fresh, source, places, report)
            fresh = element
            section = section_of(plain(element.first("category"))) or DEFAULT_SECTION
            continue
        place = _place(element, source, places)
        question = Question(element, language, _category_losses(fresh), keeps_pictures=pictures is not None)
        try:
            item, key = _read(question, section)
        except (Broken, TooComplex) as broken:
            report.refuse(place, question.called(), [str(broken), *_category_losses(fresh)])
        else:
            item = named(item, given, question.losses, plain(element.first("idnumber")))
            taken.append((item, key))
            found |= question.pictures
            report.accept(place, item.code, list(dict.fromkeys(question.losses)))
        fresh = None
    _refuse_category(fresh, source, places, report)
    if pictures is not None:
        pictures |= found
    return taken, report


def _place(element: Element, source: str, places: set[str]) -> str:
    """Where an element stands: its line, with the column where another one stands in the same line."""
    place = f"{source}:{element.line}"
    if place in places:
        place += f":{element.column}"
    places.add(place)
    return place


def _category_losses(category: Element | None) -> list[str]:
    losses = []
    if category is not None:
        name = shortened(plain(category.first("category")))
        if plain(category.first("info")):
            losses.append(f'The description of the category "{name}" is not kept.')
        if number := plain(category.first("idnumber")):
            losses.append(f'The id number {shortened(number)} of the category "{name}" is not kept.')
    return losses


def _refuse_category(category: Element | None, source: str, places: set[str], report: Report) -> None:
    """Names what a category says about itself where no question of its own could carry that."""
    if category is not None and (losses := _category_losses(category)):
        name = shortened(plain(category.first("category"))) or "category"
        report.refuse(_place(category, source, places), name, ["The category has no questions of its own.", *losses])


def _read(question: Question, section: str) -> tuple[Item, Key]:
    kind = question.kind
    if question.element.tag != "question":
        raise Broken(f"<{shortened(question.element.tag)}> is not a question.")
    if kind not in _BUILDERS:
        why = _REFUSED.get(kind, 'Its type "{type}" is unknown here and cannot be taken.')
        raise Broken(why.format(type=shortened(kind)))
    if question.element.cut:
        raise Broken(f"It has more than {ELEMENT_LIMIT} elements or {TEXT_LIMIT} characters.")
    question.judge_language()
    try:
        name, prompt, interaction, key = _BUILDERS[kind](question)
    except (Broken, TooComplex):
        raise
    except ValueError as wrong:
        raise Broken(f"It cannot be shown: {wrong}.") from None
    question.name_settings()
    return item_of(name, plain(question.element.first("name")), section, prompt, interaction, question.losses), key


def _choice(question: Question) -> Built:
    answers = question.several("answer")
    prompt = question.prompt(*question.asked())
    interaction, key = choice(
        prompt,
        [question.text(answer, question.form()) or {} for answer in answers],
        [question.share(answer) for answer in answers],
        [question.text(answer.first("feedback")) for answer in answers],
        question.losses,
        multiple=(question.setting("single") or "true").lower() not in YES,
        # Unless it says so the order is the author's, as it is to Moodle.
        shuffle=(question.setting("shuffleanswers") or "false").lower() in YES,
        general=question.general(),
    )
    if (numbering := question.setting("answernumbering")) not in ("", "abc", "none"):
        question.lose(f'The numbering "{shortened(numbering)}" of the answers is not kept.')
    return "choice", prompt, interaction, key


def _true_false(question: Question) -> Built:
    answers = question.several("answer")
    prompt = question.prompt(*question.asked())
    if len(answers) != 2:
        raise Broken(f"It has {len(answers)} answers; true or false are two.")
    names = [question.source(answer, "plain")[0].lower() for answer in answers]
    if sorted(names) != ["false", "true"]:
        question.lose("Its answers are not called true and false; the first was taken for true.")
        names = ["true", "false"]
    shares = [question.share(answer) for answer in answers]
    if sorted(shares) != [0, 1]:
        raise Broken("Not exactly one of true and false is worth 100 %.")
    right = [name for name, share in zip(names, shares, strict=True) if share]
    feedback = {
        name: text
        for name, answer in zip(names, answers, strict=True)
        if (text := question.text(answer.first("feedback")))
    }
    return "truefalse", prompt, *true_false(prompt, right, feedback, question.general())


def _text(question: Question) -> Built:
    answers = question.several("answer")
    prompt = question.prompt(*question.asked())
    accepted = [
        (question.source(answer, "plain")[0], share, question.text(answer.first("feedback")))
        for answer, share in zip(answers, _typed_shares(question, answers), strict=True)
    ]
    sensitive = question.setting("usecase").lower() in YES
    return "text", prompt, *text_entry(accepted, question.general(), case_sensitive=sensitive)


def _typed_shares(question: Question, answers: Sequence[Element]) -> list[Fraction]:
    if not answers:
        raise Broken("It has no answer.")
    return shares_of([question.share(answer) for answer in answers], question.losses)


def _numeric(question: Question) -> Built:
    answers = question.several("answer")
    prompt = question.prompt(*question.asked())
    key = NumericKey([], None, question.general())
    for answer, share in zip(answers, _typed_shares(question, answers), strict=True):
        feedback = question.text(answer.first("feedback"))
        with at(answer):
            written = question.source(answer, "plain")[0]
            key = with_number(key, written, plain(answer.first("tolerance")) or "0", share, feedback)
    return "numeric", prompt, Numeric(_unit(question)), some_number(key)


def _unit(question: Question) -> Text | None:
    """The unit in which the answer is asked; losses for all that Moodle does with units beyond that."""
    units = [unit for listed in question.several("units") for unit in listed]
    graded, shown, left = (question.setting(tag) for tag in ("unitgradingtype", "showunits", "unitsleft"))
    named_units = [
        (plain(unit.first("unit_name")), number_of(plain(unit.first("multiplier")) or "1")) for unit in units
    ]
    if not named_units:
        return None
    if shown == "3":
        question.lose("Its units are not kept; Moodle does not ask for them either.")
        return None
    asked = next((name for name, factor in named_units if factor == 1 and name), None)
    if asked is None:
        raise Broken("None of its units has the factor 1, so the unit of the answer is unknown.")
    if others := [name for name, _ in named_units if name != asked]:
        question.lose(
            f"The answer is asked in {asked[:60]}; other units are not taken: {shortened(', '.join(others))}."
        )
    if graded not in ("", "0") or shown in ("1", "2"):
        question.lose(f"The unit {asked[:60]} stands beside the field and is no part of the answer.")
    if left in YES:
        question.lose(f"The unit {asked[:60]} stands behind the number, not before it.")
    return question.shown(asked, "plain")


def _matching(question: Question) -> Built:
    pairs = question.several("subquestion")
    prompt = question.prompt(*question.asked())
    listed = []
    for pair in pairs:
        answer = pair.first("answer")
        words = plain(pair.first("text"))
        chosen = question.text(answer, "moodle") or {}
        listed.append((words, question.text(pair, question.form()) or {}, chosen))
    # In Moodle it is about the order of what is asked; what belongs to it is shuffled always, as here.
    question.setting("shuffleanswers")
    return "match", prompt, *matching(prompt, listed, question.general())


def _essay(question: Question) -> Built:
    prompt = question.prompt(*question.asked())
    match question.setting("responseformat"):
        case "noinline":
            raise Broken("It asks for files alone, without a text; files cannot be handed in.")
        case "editorfilepicker":
            question.lose("Files inside the answer are not possible.")
        case "monospaced":
            question.lose("The answer is not written in letters of equal width.")
    if question.setting("attachments") not in ("", "0"):
        question.lose("Files cannot be handed in with the answer.")
    for tag, bound in (("minwordlimit", "least"), ("maxwordlimit", "greatest")):
        if (words := question.setting(tag)) not in ("", "0"):
            question.lose(f"The {bound} number of words ({shortened(words)}) is not kept.")
    if question.setting("responsetemplate"):
        question.lose("The template that the answer begins with is not kept.")
    lines = question.setting("responsefieldlines")
    rows = max(2, min(40, int(lines))) if re.fullmatch("[0-9]{1,4}", lines) else 12
    return "essay", prompt, Essay(rows=rows), ManualKey(question.text(question.one("graderinfo")), question.general())


def _ordering(question: Question) -> Built:
    answers = question.several("answer")
    prompt = question.prompt(*question.asked())
    texts = [question.text(answer, question.form()) or {} for answer in answers]
    if len(texts) < 2:
        raise Broken("It has one entry only; an order needs two.")
    if not all(texts):
        raise Broken(f"Entry {texts.index({}) + 1} is empty.")
    if len({joined(text) for text in texts}) < len(texts):
        raise Broken("Two entries read the same. Nobody could tell them apart.")
    rule = question.setting("gradingtype") or "0"
    if rule not in _ORDER_RULES:
        name = "ABSOLUTE_POSITION" if rule == "0" else shortened(rule)
        question.lose(f"It is not marked by {name} but by the neighbours that follow each other rightly.")
    if question.setting("selecttype") not in ("", "0", "ALL") and question.setting("selectcount") not in ("", "0"):
        question.lose("All entries are shown, not only some of them.")
    if (numbering := question.setting("numberingstyle")) not in ("", "none"):
        question.lose(f'The numbering "{shortened(numbering)}" of the entries is not kept.')
    question.setting("selectcount")
    options, places = options_of(prompt, texts)
    by_pairs = _ORDER_RULES.get(rule, "relative_next") == "relative_next"
    key = OrderKey(
        [options[place].id for place in places],
        "relative_next" if by_pairs else "all_or_nothing",
        question.general(),
    )
    return "order", prompt, Ordering(options), key


_BUILDERS: dict[str, Callable[[Question], Built]] = {
    "multichoice": _choice,
    "truefalse": _true_false,
    "shortanswer": _text,
    "numerical": _numeric,
    "matching": _matching,
    "match": _matching,
    "essay": _essay,
    "ordering": _ordering,
    "cloze": embedded,
    "multianswer": embedded,
    "gapselect": selects,
    "ddwtos": drags,
}
