"""Reads the bilingual JSON of study portals: a list of multiple-choice questions with every text by language.

{"id", "question": {"en", "mr"}, "options": {"en": [], "mr": []}, "correctAnswer": 0, "explanation": {}, "topic": {}};
difficulty and marks may be there and are named as lost.
"""

import re
from fractions import Fraction
from pathlib import PurePath
from typing import Any

import msgspec

from exam.imports.encoding import decode
from exam.imports.html import TooComplex
from exam.imports.making import ANSWER_LIMIT, DEFAULT_SECTION, QUESTION_LIMIT, choice, item_of, language_of, named
from exam.imports.report import Broken, Report, Unreadable
from exam.imports.texts import rendered
from grading.items import Item, Text
from grading.keys import Key

VALUE_LIMIT = 2_000_000
TEXT_LIMIT = 50_000

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")
_FIELDS = frozenset(["id", "question", "options", "correctAnswer", "explanation", "topic"])


def read_bilingual(data: bytes, source: str, *, language: str = "") -> tuple[list[tuple[Item, Key]], Report]:
    """Items with their keys, and what became of each question of the file called `source`.

    A code is the file's name with the question's id, so that the same file brought again makes no doubles.
    `language` is that of texts given without one; "" is judged by their letters. Unreadable where the file is no JSON
    list of questions.
    """
    questions = _list(decode(data))
    stem = PurePath(source).stem[:80] or "question"
    report = Report()
    taken: list[tuple[Item, Key]] = []
    given: dict[str, int] = {}
    for number, question in enumerate(questions, start=1):
        place = f"{source}:question {number}"
        if not isinstance(question, dict):
            report.refuse(place, f"question {number}", ["It is not an object with a question and its options."])
            continue
        own = question.get("id")
        called = f"{stem}-{own}" if _is_id(own) else ""
        losses: list[str] = []
        try:
            item, key = _item(question, language, losses)
        except (Broken, TooComplex) as broken:
            report.refuse(place, called or f"question {number}", [str(broken)])
            continue
        if called and called not in given:
            item = msgspec.structs.replace(item, code=called)
        elif called:
            losses.append(f"Another question of the file has the id {own}; this one has its code from its content.")
        item = named(item, given, losses)
        taken.append((item, key))
        report.accept(place, item.code, list(dict.fromkeys(losses)))
    return taken, report


def _list(text: str) -> list[Any]:
    if sum(map(text.count, "[{,")) > VALUE_LIMIT:
        raise Unreadable("The file has more values than questions need. Nothing was taken. Split it.")
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise Unreadable(f"The file is not JSON: {wrong}. Nothing was taken.") from None
    if isinstance(found, dict):
        found = found.get("questions")
    if not isinstance(found, list) or not found:
        raise Unreadable("The file is JSON, but not a list of questions. Nothing was taken.")
    if len(found) > QUESTION_LIMIT:
        raise Unreadable(f"The file has more than {QUESTION_LIMIT} questions. Nothing was taken. Split it.")
    return found


def _is_id(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and re.fullmatch(r"[\w./-]{1,30}", value) is not None
    )


def _item(question: dict[str, Any], language: str, losses: list[str]) -> tuple[Item, Key]:
    prompt_words = _by_language(question.get("question"), "question", language)
    prompt = _rendered(prompt_words, losses)
    if not any(prompt.values()):
        raise Broken(f"It has no question text. {' '.join(losses)}".strip())
    record = next(iter(prompt))
    texts = [_rendered(words, losses) for words in _options(question.get("options"), record)]
    right = _right(question.get("correctAnswer"), texts)
    shares = [Fraction(place in right, len(right)) for place in range(len(texts))]
    if len(right) > 1:
        # Choosing everything must not earn everything.
        shares = [share or -Fraction(1, len(right)) for share in shares]
    explanation = question.get("explanation")
    general = _rendered(_by_language(explanation, "explanation", record), losses) if explanation else None
    section = _section(question.get("topic"), record, losses)
    _name_the_rest(question, losses)
    interaction, key = choice(
        prompt, texts, shares, [None] * len(texts), losses, multiple=len(right) > 1, general=general or None
    )
    return item_of("choice", "", section, prompt, interaction, losses), key


def _by_language(value: object, field: str, language: str) -> dict[str, str]:
    """The source texts by language; empty ones are left out."""
    if isinstance(value, str):
        value = {language or language_of([value]): value}
    if not isinstance(value, dict) or not all(isinstance(words, str) for words in value.values()):
        raise Broken(f"Its {field} is not a text for each language.")
    for tag, words in value.items():
        if not _TAG.fullmatch(tag):
            raise Broken(f'Its {field} names the language "{tag[:60]}", which is no tag such as en or mr.')
        if len(words) > TEXT_LIMIT:
            raise Broken(f"Its {field} is longer than {TEXT_LIMIT} characters.")
    return {tag: words for tag, words in value.items() if words.strip()}


def _rendered(words: dict[str, str], losses: list[str]) -> Text:
    text: Text = {}
    for tag, source in words.items():
        clean, controls = _CONTROL.subn("", source)
        if controls:
            losses.append("Control characters were taken out.")
        made = rendered(clean, "moodle", tag, losses)
        text |= made if len(made) == 1 else {tag: next(iter(made.values())), **made}
    return text


def _options(value: object, record: str) -> list[dict[str, str]]:
    """The options, each with its source texts by language; Broken where the languages have unequal numbers."""
    if isinstance(value, list):
        lists = [_by_language(one, "option", record) for one in value]
    elif isinstance(value, dict) and all(isinstance(one, list) for one in value.values()) and value:
        counts = {tag: len(one) for tag, one in value.items() if one}
        if len(set(counts.values())) != 1:
            told = ", ".join(f"{count} in {tag}" for tag, count in counts.items())
            raise Broken(f"Its options are not equally many in each language: {told or 'none'}.")
        lists = [
            _by_language({tag: one[place] for tag, one in value.items() if one}, "option", record)
            for place in range(next(iter(counts.values())))
        ]
    else:
        raise Broken("Its options are not a list for each language.")
    if len(lists) > ANSWER_LIMIT:
        raise Broken(f"It has {len(lists)} options; at most {ANSWER_LIMIT} are taken.")
    return lists


def _right(value: object, texts: list[Text]) -> list[int]:
    """The places of the right options, counted from 0 as the file does."""
    right: list[int] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            found = [place for place, text in enumerate(texts) if one in text.values()]
            one = found[0] if len(found) == 1 else None
        if not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < len(texts):
            raise Broken(
                f"Its correctAnswer is {msgspec.json.encode(value).decode()[:60]}, which is none of its "
                f"{len(texts)} options (they count from 0)."
            )
        right.append(one)
    if not right:
        raise Broken("It has no correctAnswer.")
    return sorted(set(right))


def _section(value: object, record: str, losses: list[str]) -> str:
    if value is None:
        return DEFAULT_SECTION
    names = _by_language(value, "topic", record)
    section = names.get("en") or next(iter(names.values()), DEFAULT_SECTION)
    for tag, name in names.items():
        if name != section:
            losses.append(f'The topic\'s name in {tag} ("{name[:60]}") is not kept; a section has one name.')
    return " ".join(_CONTROL.sub("", section).split()) or DEFAULT_SECTION


def _name_the_rest(question: dict[str, Any], losses: list[str]) -> None:
    for field, value in question.items():
        if field in _FIELDS or value in (None, "", [], {}):
            continue
        told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        why = "; the exam says what a question is worth" if field == "marks" else ""
        losses.append(f'"{field[:60]}" ({told[:60]}) is not kept{why}.')
