"""Reads GIFT, Moodle's plain-text format for questions, into items and keys.

Multiple choice, true/false, short text, numbers and matching are taken; essays and descriptions are refused by name.
Every loss is named in the report. The same file always gives the same codes and option ids, and none of them, nor
the order of options, depends on what is right.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from string import ascii_lowercase

import msgspec

from exam.imports.encoding import decode
from exam.imports.gift_syntax import Answer, Broken, Question, Source, blocks, category, parse, title_of
from exam.imports.html import TooComplex
from exam.imports.report import Report, Unreadable
from exam.imports.texts import rendered
from grading.items import Choice, Interaction, Item, Match, Numeric, Option, Text, TextEntry
from grading.keys import ChoiceKey, Key, MatchKey, NumericAnswer, NumericKey, TextAnswer, TextKey
from grading.scoring import exact, rounded
from grading.typed import parse_number

QUESTION_LIMIT = 50_000
DEFAULT_SECTION = "General"
NAME_LIMIT = 120

_TRUE = {"en": "True", "mr": "बरोबर", "hi": "सही"}
_FALSE = {"en": "False", "mr": "चूक", "hi": "गलत"}
_DEVANAGARI = re.compile(r"[\u0904-\u0939\u0958-\u0961]")
_LATIN = re.compile(r"[A-Za-z]")
_MEDIA = re.compile(r'src="/media/([0-9a-f]{64})"')
_NO_WORDS = re.compile(r"<[^<>]*>|\\[A-Za-z]+|&[A-Za-z]+;")
# Such an option speaks of the others and makes sense only behind them.
_CLOSING_OPTION = re.compile(
    r"\W*(?:(?:all|none|both|neither|any) of (?:the above|these|the following|them)|वरीलपैकी|यापैकी|वरील सर्व|"
    r"उपरोक्त|उपर्युक्त|इनमें से)",
    re.IGNORECASE,
)

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
        named = category(block)
        if named is not None:
            section = named or DEFAULT_SECTION
            continue
        if report.items == QUESTION_LIMIT:
            raise Unreadable(f"The file has more than {QUESTION_LIMIT} questions. Nothing was taken. Split it.")
        place = f"{source}:{block.line}"
        try:
            item, key, losses = _item(parse(block), section, language)
        except (Broken, TooComplex) as broken:
            report.refuse(place, title_of(block), [str(broken)])
            continue
        item = _named(item, given, losses)
        taken.append((item, key))
        report.accept(place, item.code, list(dict.fromkeys(losses)))
    return taken, report


def _named(item: Item, given: dict[str, int], losses: list[str]) -> Item:
    """`item` with a code that no item before it has; `given` holds those codes with the next number to try."""
    wanted = item.title or item.code
    base = code = wanted[:NAME_LIMIT].strip()
    if base != wanted:
        losses.append(f"The title is longer than {NAME_LIMIT} characters; the code is its beginning.")
    while code in given:
        code = f"{base[: NAME_LIMIT - 7].strip()}-{given[base]}"
        given[base] += 1
    given[code] = 2
    if code != base:
        same = f'is called "{base}"' if item.title else "reads the same"
        losses.append(f'Another question of the file {same}; the code of this one is "{code}".')
    return msgspec.structs.replace(item, code=code)


def _item(question: Question, section: str, language: str) -> tuple[Item, Key, list[str]]:
    losses = question.losses
    match question.kind:
        case "essay":
            raise Broken("It is an essay: essays are marked by people, and such questions cannot be taken yet.")
        case "description":
            raise Broken("It has no answers in { } and so is a description, which cannot be taken.")
    if len(section) > NAME_LIMIT:
        losses.append(f"The category is longer than {NAME_LIMIT} characters and was cut.")
        section = section[-NAME_LIMIT:].strip()
    language = language or _language(question)
    prompt = rendered(question.prompt.text, question.prompt.form, language, losses)
    if not any(prompt.values()):
        raise Broken("It has no question text." if not losses else f"No question text is left. {' '.join(losses)}")

    def render(source: Source) -> Text:
        return rendered(source.text, source.form, next(iter(prompt)), losses)

    interaction, key = _BUILDERS[question.kind](question, prompt, render)
    shown = [*prompt.values(), *sorted(_shown_texts(interaction))]
    code = "q-" + _digest(question.kind, *shown)[:10]
    media = sorted({name for text in shown for name in _MEDIA.findall(text)})
    return Item(code, section, prompt, interaction, question.title, media), key, losses


def _language(question: Question) -> str:
    answers = [] if question.kind == "truefalse" else [answer.source.text for answer in question.answers]
    words = _NO_WORDS.sub("", " ".join([question.prompt.text, *answers]))
    return "mr" if len(_DEVANAGARI.findall(words)) > len(_LATIN.findall(words)) else "en"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _shown_texts(interaction: Interaction) -> list[str]:
    match interaction:
        case Choice(options=options):
            return [_joined(option.text) for option in options]
        case Match(prompts=prompts, choices=choices):
            return [_joined(option.text) for option in [*prompts, *choices]]
    return []


def _joined(text: Text) -> str:
    return "\x1e".join(text.values())


def _options(prompt: Text, texts: Sequence[Text]) -> tuple[list[Option], list[int]]:
    """`texts` as options in an order drawn from their content, and for each text the index of its option.

    Neither the order in the file nor the key enters, so that ids and order betray nothing and stay the same at a
    repeated import. An option about the others ("none of these") that stands last stays there, pinned.
    """
    seed = _digest(*prompt.values(), *sorted(map(_joined, texts)))
    order = sorted(range(len(texts)), key=lambda place: _digest(seed, _joined(texts[place])))
    last = len(texts) - 1
    pinned = bool(_CLOSING_OPTION.match(_NO_WORDS.sub("", next(iter(texts[last].values())))))
    if pinned:
        order.remove(last)
        order.append(last)
    options = [Option(_letters(index), texts[place], pinned and place == last) for index, place in enumerate(order)]
    return options, [order.index(place) for place in range(len(texts))]


def _letters(index: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    head, tail = divmod(index, len(ascii_lowercase))
    return (_letters(head - 1) if head else "") + ascii_lowercase[tail]


def _choice(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    if len(question.answers) < 2:
        raise Broken("It has one answer only; a choice needs two.")
    texts = [render(answer.source) for answer in question.answers]
    for number, text in enumerate(texts, start=1):
        if not any(text.values()):
            raise Broken(f"Answer {number} is empty. {' '.join(question.losses)}".strip())
    shares = [_share(answer) for answer in question.answers]
    if len({_joined(text) for text in texts}) < len(texts):
        worth: dict[str, Fraction] = {}
        for text, share in zip(texts, shares, strict=True):
            if worth.setdefault(_joined(text), share) != share:
                raise Broken("Two answers read the same, but one is worth more. Nobody could tell them apart.")
        question.losses.append("Two answers read the same.")
    multiple = all(answer.marker == "~" for answer in question.answers)
    best = sum(share for share in shares if share > 0) if multiple else max(shares)
    _check_best(Fraction(best), question.losses)
    options, places = _options(prompt, texts)
    ids = [options[place].id for place in places]
    key = ChoiceKey(
        {option: str(share) for option, share in zip(ids, shares, strict=True) if share},
        {option: render(a.feedback) for option, a in zip(ids, question.answers, strict=True) if a.feedback},
        _general(question, render),
    )
    return Choice(options, multiple), key


def _true_false(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    record = next(iter(prompt))
    options = [
        Option(name, {record: words.get(record, words["en"])} | words)
        for name, words in (("true", _TRUE), ("false", _FALSE))
    ]
    key = ChoiceKey(
        {answer.source.text: "1" for answer in question.answers if answer.marker == "="},
        {answer.source.text: render(answer.feedback) for answer in question.answers if answer.feedback},
        _general(question, render),
    )
    return Choice(options, shuffle=False), key


def _text(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    answers = []
    for answer, share in zip(question.answers, _shares(question), strict=True):
        text = " ".join(answer.source.text.split())
        if not text:
            raise Broken("An accepted answer is empty.")
        answers.append(TextAnswer(text, str(share), render(answer.feedback) if answer.feedback else None))
    longest = max(len(answer.text) for answer in answers)
    if longest > 10_000:
        raise Broken("An accepted answer is longer than 10000 characters.")
    return TextEntry(max(200, 2 * longest)), TextKey(answers, general=_general(question, render))


def _numeric(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    answers: list[NumericAnswer] = []
    otherwise: Text | None = None
    for answer, share in zip(question.answers, _shares(question), strict=True):
        feedback = render(answer.feedback) if answer.feedback else None
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
        low, high = _number(first), _number(second)
        if low > high:
            losses.append(f"The range {text[:60]} was turned round.")
            low, high = high, low
    else:
        middle, colon, tolerance = text.partition(":")
        width = _number(tolerance) if colon else Fraction(0)
        if width < 0:
            raise Broken(f'The tolerance in "{text[:60]}" is below 0.')
        low, high = _number(middle) - width, _number(middle) + width
    bounds = exact(low), exact(high)
    if max(map(len, bounds)) > 60:
        raise Broken(f'"{text[:60]}" is too large or has too many decimals.')
    return bounds


def _number(text: str) -> Fraction:
    value = None if "," in text else parse_number(text)
    if value is None:
        raise Broken(f'"{text.strip()[:60]}" is not a number. Write it in digits, with a point for decimals.')
    return value


def _match(question: Question, prompt: Text, render: _Render) -> tuple[Interaction, Key]:
    if len(question.answers) < 2:
        raise Broken("It has one pair only; matching needs two.")
    left: list[Option] = []
    right: dict[str, Text] = {}
    wanted: list[str] = []
    for answer in question.answers:
        asked, choice = render(answer.source), render(answer.feedback) if answer.feedback else {}
        if not any(choice.values()):
            raise Broken(f'"{answer.source.text[:60]}" has an empty match.')
        right.setdefault(_joined(choice), choice)
        # A pair without a left side only adds a wrong choice.
        if any(asked.values()):
            left.append(Option(f"p{len(left) + 1}", asked))
            wanted.append(_joined(choice))
    if not left:
        raise Broken("No pair has a left side.")
    choices, places = _options(prompt, list(right.values()))
    ids = {text: choices[place].id for text, place in zip(right, places, strict=True)}
    pairs = {option.id: ids[text] for option, text in zip(left, wanted, strict=True)}
    return Match(left, choices), MatchKey(pairs, _general(question, render))


_BUILDERS: dict[str, Callable[[Question, Text, _Render], tuple[Interaction, Key]]] = {
    "choice": _choice,
    "truefalse": _true_false,
    "text": _text,
    "numeric": _numeric,
    "match": _match,
}


def _general(question: Question, render: _Render) -> Text | None:
    return render(question.general) if question.general else None


def _shares(question: Question) -> list[Fraction]:
    """The weights of typed answers, between 0 and 1."""
    shares = [_share(answer) for answer in question.answers]
    if min(shares) < 0:
        question.losses.append("A weight below 0 counts as 0: only one choice among options can cost marks.")
    _check_best(max(shares), question.losses)
    return [max(share, Fraction(0)) for share in shares]


def _check_best(best: Fraction, losses: list[str]) -> None:
    if best <= 0:
        raise Broken("No answer is right. Mark the right one with = or give it a weight such as %100%.")
    if best != 1:
        losses.append(f"The best answer adds up to {rounded(best * 100, 2)} % of the marks, not to 100 %.")


def _share(answer: Answer) -> Fraction:
    """The weight as an exact fraction; a cut or rounded one such as 33.333 % is the third it stands for."""
    if answer.weight is None:
        return Fraction(answer.marker == "=")
    percent = Fraction(answer.weight)
    if abs(percent) > 100:
        raise Broken(f"The weight {answer.weight} % is not between -100 and 100.")
    decimals = len(answer.weight.partition(".")[2])
    unit = Fraction(1, 10**decimals)
    for parts in range(1, 13) if decimals else ():
        meant = Fraction(round(percent * parts / 100), parts)
        if abs(meant * 100 - percent) <= unit / 2 or (abs(meant * 100) > abs(percent) > abs(meant * 100) - unit):
            return meant
    if (percent / 100).denominator >= 10**9:
        raise Broken(f"The weight {answer.weight} % has too many decimals.")
    return percent / 100
