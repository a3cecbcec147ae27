"""Reads GIFT, Moodle's plain-text format for questions, into items and keys.

Multiple choice, true/false, short text, numbers, matching and essays are taken; descriptions are refused by name.
Every loss is named in the report. The same file always gives the same codes and option ids, and none of them, nor
the order of options, depends on what is right.
"""

from collections.abc import Callable
from fractions import Fraction

from exam.imports.encoding import decode
from exam.imports.gift_syntax import Answer, Question, Source, blocks, category, parse, title_of
from exam.imports.html import TooComplex
from exam.imports.making import (
    DEFAULT_SECTION,
    QUESTION_LIMIT,
    bounds,
    choice,
    item_of,
    language_of,
    matching,
    named,
    number_of,
    share_of,
    shares_of,
    text_entry,
    true_false,
)
from exam.imports.report import Broken, Report, Unreadable
from exam.imports.texts import rendered
from grading.items import Essay, Interaction, Item, Numeric, Text
from grading.keys import Key, ManualKey, NumericAnswer, NumericKey

_Render = Callable[[Source], Text]


def read_gift(data: bytes, source: str, *, language: str = "") -> tuple[list[tuple[Item, Key]], Report]:
    """Items with their keys, and what became of each question of the file called `source`.

    `language` is the BCP 47 tag of the texts; without it a question is "mr" where most of its letters are
    Devanagari, otherwise "en". Unreadable where the file is not text, too large, or has too many questions.
    """
    report = Report()
    taken: list[tuple[Item, Key]] = []
    given: dict[str, int] = {}
    section = DEFAULT_SECTION
    for block in blocks(decode(data)):
        switched = category(block)
        if switched is not None:
            section = switched or DEFAULT_SECTION
            continue
        if report.items == QUESTION_LIMIT:
            raise Unreadable(f"The file has more than {QUESTION_LIMIT} questions. Nothing was taken. Split it.")
        place = f"{source}:{block.line}"
        try:
            question = parse(block)
            item, key, losses = _item(question, section, language)
        except (Broken, TooComplex) as broken:
            report.refuse(place, title_of(block), [str(broken)])
            continue
        item = named(item, given, losses, question.code)
        taken.append((item, key))
        report.accept(place, item.code, list(dict.fromkeys(losses)))
    return taken, report


def _item(question: Question, section: str, language: str) -> tuple[Item, Key, list[str]]:
    losses = question.losses
    if question.kind == "description":
        raise Broken("It has no answers in { } and so is a description, which cannot be taken.")
    language = language or _language(question)
    prompt = rendered(question.prompt.text, question.prompt.form, language, losses)
    if not any(prompt.values()):
        raise Broken("It has no question text." if not losses else f"No question text is left. {' '.join(losses)}")

    def render(source: Source) -> Text:
        return rendered(source.text, source.form, next(iter(prompt)), losses)

    interaction, key = _BUILDERS[question.kind](question, prompt, render)
    return item_of(question.kind, question.title, section, prompt, interaction, losses), key, losses


def _language(question: Question) -> str:
    answers = [] if question.kind == "truefalse" else [answer.source.text for answer in question.answers]
    return language_of([question.prompt.text, *answers])


def _choice(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    return choice(
        prompt,
        [render(answer.source) for answer in question.answers],
        [_share(answer) for answer in question.answers],
        [_feedback(answer, render) for answer in question.answers],
        question.losses,
        multiple=all(answer.marker == "~" for answer in question.answers),
        general=_general(question, render),
    )


def _true_false(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    right = [answer.source.text for answer in question.answers if answer.marker == "="]
    feedback = {answer.source.text: render(answer.feedback) for answer in question.answers if answer.feedback}
    return true_false(prompt, right, feedback, _general(question, render))


def _text(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    answers = [
        (answer.source.text, share, _feedback(answer, render))
        for answer, share in zip(question.answers, _shares(question), strict=True)
    ]
    return text_entry(answers, _general(question, render))


def _numeric(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    answers: list[NumericAnswer] = []
    otherwise: Text | None = None
    for answer, share in zip(question.answers, _shares(question), strict=True):
        feedback = _feedback(answer, render)
        if answer.marker == "~" or (answer.source.text == "*" and not share):
            if answer.source.text not in ("", "*"):
                question.losses.append(f'The wrong number "{answer.source.text[:60]}" is not kept, its feedback is.')
            otherwise = feedback
            continue
        low, high = _range(answer.source.text, question.losses)
        answers.append(NumericAnswer(low, high, str(share), feedback))
    return Numeric(), NumericKey(answers, otherwise, _general(question, render))


def _range(text: str, losses: list[str]) -> tuple[str, str]:
    """Lower and upper bound of "3", "3:0.5" or "2.5..3.5"."""
    if ".." in text:
        first, _, second = text.partition("..")
        low, high = number_of(first), number_of(second)
        if low > high:
            losses.append(f"The range {text[:60]} was turned round.")
            low, high = high, low
    else:
        middle, colon, tolerance = text.partition(":")
        width = number_of(tolerance) if colon else Fraction(0)
        if width < 0:
            raise Broken(f'The tolerance in "{text[:60]}" is below 0.')
        low, high = number_of(middle) - width, number_of(middle) + width
    return bounds(low, high, text)


def _match(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    pairs = [
        (answer.source.text, render(answer.source), _feedback(answer, render) or {}) for answer in question.answers
    ]
    return matching(prompt, pairs, _general(question, render))


def _essay(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    return Essay(), ManualKey(general=_general(question, render))


_BUILDERS: dict[str, Callable[[Question, Text, _Render], tuple[Interaction, Key]]] = {
    "choice": _choice,
    "truefalse": _true_false,
    "text": _text,
    "numeric": _numeric,
    "match": _match,
    "essay": _essay,
}


def _general(question: Question, render: _Render) -> Text | None:
    return render(question.general) if question.general else None


def _feedback(answer: Answer, render: _Render) -> Text | None:
    return render(answer.feedback) if answer.feedback else None


def _shares(question: Question) -> list[Fraction]:
    return shares_of([_share(answer) for answer in question.answers], question.losses)


def _share(answer: Answer) -> Fraction:
    return Fraction(answer.marker == "=") if answer.weight is None else share_of(answer.weight)
