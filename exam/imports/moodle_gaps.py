"""The question types of Moodle XML that ask inside a running text: cloze, gapselect, ddwtos."""

import html
import re
from collections.abc import Sequence
from fractions import Fraction

from exam.imports import cloze
from exam.imports.making import (
    ANSWER_LIMIT,
    choice,
    joined,
    options_of,
    shares_of,
    some_number,
    text_entry,
    with_number,
)
from exam.imports.moodle_question import YES, Built, Question, at, plain, shortened
from exam.imports.report import Broken
from exam.imports.texts import BLANK, Format
from grading.items import Gap, InlineChoice, Numeric, Text
from grading.keys import InlineKey, NumericKey

_FILL = {
    "en": "Choose what belongs into each gap.",
    "mr": "प्रत्येक रिकाम्या जागेसाठी योग्य पर्याय निवडा.",
    "hi": "हर रिक्त स्थान के लिए सही विकल्प चुनिए।",
}
_PLACE = re.compile(r"\[\[([0-9]{1,4})\]\]")
# Fit to be left out around words; what raises, lowers or strikes them changes what they say.
_WRAPPING = re.compile(r"</?(?:b|strong|i|em|u|ins|span|small|code|samp|mark|abbr|bdi|bdo|cite|dfn|q|var)\b[^<>]*>")
_PARTING = re.compile(r"<(?:br|/?p|/?div)\b[^<>]*>")


def embedded(question: Question) -> Built:
    """A cloze text."""
    with at(question.body()):
        return _embedded(question)


def selects(question: Question) -> Built:
    """A text with lists at its places (gapselect)."""
    with at(question.body()):
        return _places(question, "selectoption")


def drags(question: Question) -> Built:
    """A text with words to drag to its places (ddwtos)."""
    with at(question.body()):
        return _places(question, "dragbox")


def _embedded(question: Question) -> Built:
    text, form = question.asked()
    around, gaps = cloze.parse(text)
    if not gaps:
        raise Broken("It has no gap such as {1:MULTICHOICE:=right~wrong}.")
    if len(gaps) == 1 and gaps[0].kind != "list":
        return _one_gap(question, around, gaps[0], form)
    for number, gap in enumerate(gaps, start=1):
        if gap.kind != "list":
            raise Broken(
                f"Gap {number} is a {gap.name}. Of texts with several gaps only those are taken where each has a list"
                " (MULTICHOICE)."
            )
        if len(gap.answers) < 2:
            raise Broken(f"Gap {number} has one answer only; a list needs two.")
    if any(gap.buttons for gap in gaps):
        question.lose("The answers of a gap are in a list, not each with a button.")
    if any(answer.feedback for gap in gaps for answer in gap.answers):
        question.lose("The feedback on single answers of gaps is not kept.")
    marked = "".join(f"{before}[[g{number}]]" for number, before in enumerate(around[:-1], start=1)) + around[-1]
    running = question.prompt(marked, form)
    made, right, weights = [], {}, {}
    for number, gap in enumerate(gaps, start=1):
        entries = [(answer.text, answer.share) for answer in gap.answers]
        one, key = _gap(question, running, number, entries, shuffle=all(gap.shuffle for gap in gaps))
        made.append(one)
        right[one.id] = key
        weights[one.id] = str(gap.weight)
    if not any(gap.weight for gap in gaps):
        raise Broken("None of its gaps has a weight.")
    uneven = weights if len(set(weights.values())) > 1 else {}
    interaction = InlineChoice(running, made, shuffle=all(gap.shuffle for gap in gaps))
    return "inline", _fill(running), interaction, InlineKey(right, uneven, question.general())


def _one_gap(question: Question, around: list[str], gap: cloze.Gap, form: Format) -> Built:
    """A text with one gap to type into, or with boxes to tick, which is an ordinary question."""
    behind = re.sub("<[^<>]*>", "", around[1]).strip()
    prompt = question.prompt((BLANK if behind else "").join(around), form)
    feedback = [question.shown(answer.feedback, "html") or None for answer in gap.answers]
    feedback = [text if text and any(text.values()) else None for text in feedback]
    shares = [answer.share for answer in gap.answers]
    general = question.general()
    if gap.kind == "several":
        texts = [question.shown(answer.text, "html") for answer in gap.answers]
        built = choice(
            prompt, texts, shares, feedback, question.losses, multiple=True, shuffle=gap.shuffle, general=general
        )
        return "choice", prompt, *built
    shares = shares_of(shares, question.losses)
    typed = [" ".join(html.unescape(answer.text).split()) for answer in gap.answers]
    if gap.kind == "text":
        accepted = zip(typed, shares, feedback, strict=True)
        return "text", prompt, *text_entry(accepted, general, case_sensitive=gap.case_sensitive)
    key = NumericKey([], None, general)
    for written, share, text in zip(typed, shares, feedback, strict=True):
        middle, _, tolerance = written.partition(":")
        key = with_number(key, middle, tolerance or "0", share, text)
    return "numeric", prompt, Numeric(), some_number(key)


def _gap(
    question: Question, running: Text, number: int, entries: Sequence[tuple[str, Fraction]], *, shuffle: bool
) -> tuple[Gap, str]:
    """A gap with its list, and the id of what is right; Broken."""
    worth: dict[str, tuple[Text, Fraction]] = {}
    for source, share in entries:
        words = _listed(question.shown(source, "moodle"), number, question)
        if worth.setdefault(joined(words), (words, share))[1] != share:
            raise Broken(f"Two answers of gap {number} read the same, but one is worth more.")
    if len(worth) < len(entries):
        question.lose(f"Two answers of gap {number} read the same and are one.")
    shares = [share for _, share in worth.values()]
    if shares.count(Fraction(1)) != 1:
        raise Broken(f"Gap {number} has {shares.count(Fraction(1))} answers that are worth 100 %; one has to be.")
    if any(share not in (0, 1) for share in shares):
        question.lose(f"An answer of gap {number} is right or wrong; part marks and minus marks are not kept.")
    options, places = options_of(running, [words for words, _ in worth.values()], shuffle=shuffle)
    return Gap(f"g{number}", options), options[places[shares.index(Fraction(1))]].id


def _listed(text: Text, number: int, question: Question) -> Text:
    """A text as a list inside a sentence can show it, as words alone; Broken where that would change it."""
    made = {}
    for language, words in text.items():
        bare = " ".join(_PARTING.sub(" ", _WRAPPING.sub("", words)).split())
        if "<" in bare:
            raise Broken(
                f"An answer of gap {number} has a formula, a picture or raised letters, which a list cannot show."
            )
        if not bare:
            raise Broken(f"An answer of gap {number} is empty.")
        if bare != words:
            question.lose(f"Formatting in the answers of gap {number} is not kept.")
        made[language] = bare
    return made


def _fill(running: Text) -> Text:
    return {language: _FILL.get(language.partition("-")[0], _FILL["en"]) for language in running}


def _places(question: Question, tag: str) -> Built:
    """A text with places such as [[1]], and words in groups that fit into them."""
    boxes = [(box, plain(box.first("group")) or "1") for box in question.several(tag)]
    text, form = question.asked()
    wanted: list[int] = []

    def mark(place: re.Match[str]) -> str:
        wanted.append(int(place[1]))
        return f"[[g{len(wanted)}]]"

    marked = _PLACE.sub(mark, text)
    if not wanted:
        raise Broken("Its text has no place such as [[1]].")
    if len(wanted) > ANSWER_LIMIT:
        raise Broken(f"It has {len(wanted)} places; at most {ANSWER_LIMIT} are taken.")
    if missing := [number for number in wanted if not 1 <= number <= len(boxes)]:
        raise Broken(f"For the place [[{missing[0]}]] there is no <{tag}>.")
    running = question.prompt(marked, form)
    shuffle = (question.setting("shuffleanswers") or "true").lower() in YES
    groups = [boxes[number - 1][1] for number in wanted]
    made, right = [], {}
    for number, (wants, group) in enumerate(zip(wanted, groups, strict=True), start=1):
        entries = [
            (question.source(other, "moodle")[0], Fraction(index == wants))
            for index, (other, its_group) in enumerate(boxes, start=1)
            if its_group == group
        ]
        one, key = _gap(question, running, number, entries, shuffle=shuffle)
        made.append(one)
        right[one.id] = key
    for box, group in boxes:
        if group not in groups:
            question.lose(f'"{shortened(plain(box.first("text")))}" fits into no gap and is not kept.')
    if tag == "dragbox" and len(set(groups)) < len(groups) and any(box.first("infinite") is None for box, _ in boxes):
        question.lose("In Moodle each word can be used once; here every gap lists all words of its group.")
    return "inline", _fill(running), InlineChoice(running, made, shuffle), InlineKey(right, {}, question.general())
