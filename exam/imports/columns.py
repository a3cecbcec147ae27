"""Items as rows of a table, for CSV and XLSX alike: which columns there are, and from a row's cells to item and key.

A heading is a field, for some a number, for texts a language: `option_2_mr`. Cells hold text, HTML of the allow-list
and TeX as GIFT takes it; a line break in a cell is one on the page. docs/interchange.md lists the columns.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple

import msgspec

from exam.imports.making import (
    ANSWER_LIMIT,
    DEFAULT_SECTION,
    NAME_LIMIT,
    choice,
    item_of,
    language_of,
    letters,
    matching,
    options_of,
    true_false,
)
from exam.imports.report import Broken
from exam.imports.texts import rendered
from grading.items import (
    Choice,
    Essay,
    Gap,
    InlineChoice,
    Interaction,
    Item,
    Match,
    Numeric,
    Option,
    Ordering,
    Text,
    TextEntry,
)
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
from grading.scoring import exact
from grading.typed import parse_number

CELL_LIMIT = 50_000


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


SINGLE = _names(
    "kind code title section language answer multiple shuffle max_length rows case_sensitive rule weights media"
)
TEXTS = _names("prompt text unit guide general otherwise")
NUMBERED = _names("id pinned gap weight match_id match_pinned answer")
NUMBERED_TEXTS = _names("option match feedback")
_ALSO = {
    "question": "prompt",
    "question_text": "prompt",
    "type": "kind",
    "topic": "section",
    "category": "section",
    "correct": "answer",
    "correct_answer": "answer",
    "explanation": "general",
    "general_feedback": "general",
}
_LANGUAGES = {"english": "en", "marathi": "mr", "hindi": "hi", "मराठी": "mr", "हिंदी": "hi", "हिन्दी": "hi"}
_FIELD = "|".join(sorted({*SINGLE, *TEXTS, *NUMBERED, *NUMBERED_TEXTS, *_ALSO}, key=len, reverse=True))
_HEADING = re.compile(
    rf"({_FIELD})(?:_([0-9]{{1,3}}|[A-Za-z])(?![A-Za-z]))?(?:_([A-Za-z]{{2,3}}(?:-[A-Za-z0-9]{{1,8}}){{0,4}}))?",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_YES = frozenset(["yes", "y", "true", "t", "1", "हो", "होय", "हाँ", "हां"])
_NO = frozenset(["no", "n", "false", "f", "0", "नाही", "नहीं"])
_TRUE_WORDS = _YES | frozenset(["right", "correct", "बरोबर", "सही"])
_FALSE_WORDS = _NO | frozenset(["wrong", "incorrect", "चूक", "गलत"])
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_WEIGHT = re.compile(r"-?[0-9]{1,9}(?:/[1-9][0-9]{0,8}|\.[0-9]{1,9})?")
_BOUND = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,60})?")
_MEDIA = re.compile(r"[0-9a-f]{64}")
_PAIR = re.compile(r"([A-Za-z0-9_-]{1,32})\s*=\s*([A-Za-z0-9_/.-]{1,32})")
_KINDS = {
    "choice": "choice",
    "multiple choice": "choice",
    "single choice": "choice",
    "multichoice": "choice",
    "mcq": "choice",
    "truefalse": "truefalse",
    "true/false": "truefalse",
    "true false": "truefalse",
    "text": "text",
    "short answer": "text",
    "shortanswer": "text",
    "numeric": "numeric",
    "number": "numeric",
    "numerical": "numeric",
    "match": "match",
    "matching": "match",
    "inline": "inline",
    "inline choice": "inline",
    "order": "order",
    "ordering": "order",
    "essay": "essay",
}


class Column(NamedTuple):
    """What a heading names: `number` is 0 where there is none, `language` "" where none is said."""

    field: str
    number: int = 0
    language: str = ""

    def heading(self) -> str:
        """The heading of this column as the template writes it."""
        return "_".join(str(part) for part in self if part)


def column_of(heading: str) -> Column | None:
    """The column that `heading` names ("option_2_mr", "Option B (Marathi)"), or None."""
    words = "_".join(re.findall(r"[^\s_:()]+", unicodedata.normalize("NFC", heading)))
    for name, tag in _LANGUAGES.items():
        words = re.sub(rf"_{name}$", f"_{tag}", words, flags=re.IGNORECASE)
    found = _HEADING.fullmatch(words)
    if found is None:
        return None
    field = _ALSO.get(found[1].lower(), found[1].lower())
    number, language = found[2] or "", found[3] or ""
    if bool(number) > (field in NUMBERED or field in NUMBERED_TEXTS) or bool(language) > (
        field in TEXTS or field in NUMBERED_TEXTS
    ):
        return None
    if not number and (field in NUMBERED_TEXTS or (field in NUMBERED and field not in SINGLE)):
        return None
    if number and number.isalpha():
        number = str(ord(number.lower()) - ord("a") + 1)
    return Column(field, int(number or 0), language)


def row_item(cells: dict[Column, str], language: str) -> tuple[Item, Key, list[str]]:
    """The item and the key that a row's filled cells describe, and its losses; Broken, TooComplex.

    `language` is that of texts whose column names none; "" is judged by the row's letters. Without a `code` the
    item's is still to be `named`. A row that gives ids is taken just as it stands; in others ids and the order of
    options are drawn from their content, so that nothing tells what is right.
    """
    row = _Row(cells, language)
    kind = row.kind()
    prompt = row.text("prompt")
    if not any(prompt.values()):
        raise Broken(f"It has no question text. {' '.join(row.losses)}".strip())
    interaction, key = _BUILDERS[kind](row, prompt)
    code, title, section = row.line("code"), row.line("title"), row.line("section") or DEFAULT_SECTION
    for name, word in (("code", code), ("section", section)):
        if len(word) > NAME_LIMIT:
            raise Broken(f"The {name} is longer than {NAME_LIMIT} characters.")
    media = row.take("media").split()
    if not all(_MEDIA.fullmatch(name) for name in media):
        raise Broken("media is not a list of pictures' names, 64 digits and letters from a to f each.")
    row.check_nothing_left(kind)
    item = item_of(kind, title, section, prompt, interaction, row.losses)
    item = msgspec.structs.replace(item, code=code or item.code, media=media or item.media)
    return item, key, list(dict.fromkeys(row.losses))


def checked(item: Item, key: Key) -> tuple[Item, Key]:
    """The two after all the rules of their types, which building them does not apply; Broken."""
    try:
        return msgspec.convert(msgspec.to_builtins(item), Item), msgspec.convert(msgspec.to_builtins(key), Key)
    except msgspec.ValidationError as wrong:
        raise Broken(f"It does not follow the rules of its kind: {wrong}.") from None


class _Row:
    """The cells of a row, each handed out once, so that what nobody asked for can be named."""

    def __init__(self, cells: dict[Column, str], language: str) -> None:
        self.losses: list[str] = []
        self._cells: dict[tuple[str, int], dict[str, str]] = {}
        for column, cell in cells.items():
            if len(cell) > CELL_LIMIT:
                raise Broken(f"{column.heading()} is longer than {CELL_LIMIT} characters.")
            clean, controls = _CONTROL.subn("", cell)
            if controls:
                self.losses.append(f"Control characters were taken out of {column.heading()}.")
            if clean.strip():
                self._cells.setdefault((column.field, column.number), {})[column.language] = clean
        self._record = self.take("language") or language
        if self._record and not re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", self._record):
            raise Broken(f'The language "{self._record[:60]}" is not a tag such as en, mr or hi.')
        self._usual = self._record or language_of(
            cell
            for (field, _), texts in self._cells.items()
            if field in ("prompt", "option")
            for cell in texts.values()
        )

    def take(self, field: str, number: int = 0) -> str:
        """A cell that is no text, "" where it is empty."""
        return self._cells.pop((field, number), {}).get("", "").strip()

    def line(self, field: str) -> str:
        """A cell of one line, with single spaces."""
        return " ".join(self.take(field).split())

    def numbers(self, *fields: str) -> list[int]:
        """The numbers of the filled columns of these fields, in order."""
        return sorted({number for field, number in self._cells if field in fields and number})

    def has(self, *fields: str) -> bool:
        return any(field in fields for field, _ in self._cells)

    def text(self, field: str, number: int = 0) -> Text:
        """A text in its languages, that of record first; {} where all its cells are empty."""
        text: Text = {}
        for language, cell in self._cells.pop((field, number), {}).items():
            column = Column(field, number, language)
            lost: list[str] = []
            made = rendered(cell, "moodle", language or self._usual, lost)
            self.losses += [f"{column.heading()}: {loss}" for loss in lost]
            for tag, words in made.items():
                if tag in text and words:
                    raise Broken(f"{column.heading()} gives a text in {tag} that another column gives already.")
                text[tag] = words
        if self._record in text:
            text = {self._record: text[self._record]} | text
        return text

    def text_or_none(self, field: str, number: int = 0) -> Text | None:
        return self.text(field, number) or None

    def yes(self, field: str, number: int = 0, *, otherwise: bool) -> bool:
        word = self.take(field, number).lower()
        if word and word not in _YES and word not in _NO:
            raise Broken(f'{Column(field, number).heading()} is "{word[:60]}", not yes or no.')
        return word in _YES if word else otherwise

    def whole(self, field: str, least: int, most: int, otherwise: int) -> int:
        word = _digits(self.take(field))
        if not word:
            return otherwise
        if not re.fullmatch(r"[0-9]{1,6}(\.0)?", word) or not least <= int(float(word)) <= most:
            raise Broken(f'{field} is "{word[:60]}", not a whole number from {least} to {most}.')
        return int(float(word))

    def weight(self, number: int) -> str:
        """A weight as it is stored, "" where the cell is empty."""
        word = _digits(self.take("weight", number)).replace(" ", "").replace(",", ".").replace("\u2212", "-")
        if not word or _WEIGHT.fullmatch(word):
            return word
        if word.endswith("%") and _WEIGHT.fullmatch(word[:-1]):
            share = str(Fraction(word[:-1]) / 100)
            if _WEIGHT.fullmatch(share):
                return share
        raise Broken(f'weight_{number} is "{word[:60]}", not a weight such as 1, 1/3, -0.25 or 50%.')

    def name(self, field: str, number: int, otherwise: str) -> str:
        word = self.take(field, number) or otherwise
        if not _ID.fullmatch(word):
            raise Broken(
                f'{Column(field, number).heading()} is "{word[:60]}": only 1 to 32 of A-Z a-z 0-9 _ - are taken.'
            )
        return word

    def options(self, field: str = "option", ids: str = "id", pins: str = "pinned", prefix: str = "") -> "_Options":
        """The numbered texts of a row as options; without ids they are called a, b, c … or p1, p2, …"""
        made: list[Option] = []
        given = self.has(ids, pins)
        numbers = self.numbers(field)
        if len(numbers) > ANSWER_LIMIT:
            raise Broken(f"It has {len(numbers)} {field}s; at most {ANSWER_LIMIT} are taken.")
        for place, number in enumerate(numbers, start=1):
            text = self.text(field, number)
            if not any(text.values()):
                raise Broken(f"{field}_{number} is empty. {' '.join(self.losses)}".strip())
            name = self.name(ids, number, f"{prefix}{place}" if prefix else letters(place - 1))
            made.append(Option(name, text, self.yes(pins, number, otherwise=False)))
        if len({option.id for option in made}) < len(made):
            raise Broken(f"Two of the {field}s have the same {ids}.")
        return _Options(made, numbers, given)

    def answers(self) -> list[int]:
        """The numbers of the accepted answers; 0 is `answer`, which stands for answer_1."""
        numbers = sorted(number for field, number in self._cells if field == "answer")
        if numbers[:2] == [0, 1]:
            raise Broken("It has both answer and answer_1; give one of them.")
        if not numbers:
            raise Broken(
                "It has no answer: an accepted one stands under answer, further ones under answer_2, answer_3, …"
            )
        return numbers

    def check_nothing_left(self, kind: str) -> None:
        for (field, number), texts in self._cells.items():
            for language, cell in texts.items():
                name = Column(field, number, language).heading()
                self.losses.append(f'{name} means nothing for {kind} and is not kept: "{_short(cell)}".')

    def kind(self) -> str:
        word = " ".join(self.take("kind").lower().replace("_", " ").replace("-", " ").split())
        if not word:
            if self.has("gap", "match") or not self.has("option"):
                raise Broken("The kind is missing: choice, truefalse, text, numeric, match, inline, order or essay.")
            return "choice"
        if word not in _KINDS:
            raise Broken(
                f'The kind "{word[:60]}" is none of choice, truefalse, text, numeric, match, inline, order, essay.'
            )
        return _KINDS[word]


class _Options(NamedTuple):
    """Options, the number of each one's column, and whether the row names their ids."""

    made: list[Option]
    numbers: list[int]
    given: bool

    def id_of(self, word: str) -> str:
        """The option that "2", "B" or an id means; Broken."""
        ids = [option.id for option in self.made]
        if word in ids:
            return word
        wanted = int(word) if word.isdecimal() else ord(word.lower()) - 96 if len(word) == 1 and word.isalpha() else 0
        if not self.given and wanted in self.numbers:
            return ids[self.numbers.index(wanted)]
        raise Broken(f'The answer "{word[:60]}" is none of the options.')


def _digits(word: str) -> str:
    return word if word.isascii() else "".join(str(unicodedata.decimal(char, char)) for char in word)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"


def _words(answer: str) -> list[str]:
    return [word for word in re.split(r"[;,\s]+", _digits(answer)) if word]


def _pairs(answer: str, what: str) -> dict[str, str]:
    """`a=b; c=d` as a mapping; Broken."""
    pairs: dict[str, str] = {}
    for part in answer.split(";"):
        if not part.strip():
            continue
        found = _PAIR.fullmatch(_digits(part).strip())
        if found is None or found[1] in pairs:
            raise Broken(f'The {what} has "{_short(part)}"; it is written like a=b; c=d, each once.')
        pairs[found[1]] = found[2]
    return pairs


def _choice(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    options = row.options()
    if len(options.made) < 2:
        raise Broken("A choice needs two options or more: option_1, option_2, …")
    ids = [option.id for option in options.made]
    answer = _words(row.take("answer"))
    written = {option: row.weight(number) for option, number in zip(ids, options.numbers, strict=True)}
    if answer and any(written.values()):
        raise Broken("It has both an answer and weights; give one of them.")
    right = list(dict.fromkeys(options.id_of(word) for word in answer))
    if right:
        # As with weights, choosing everything must not earn everything.
        wrong = {option: f"-1/{len(right)}" for option in ids if option not in right} if len(right) > 1 else {}
        written = wrong | {option: f"1/{len(right)}" if len(right) > 1 else "1" for option in right}
    weights = {option: written[option] for option in ids if written.get(option)}
    shares = {option: Fraction(weight) for option, weight in weights.items()}
    if not any(share > 0 for share in shares.values()):
        raise Broken("No option is right: name the right one under answer, or give weights.")
    several = len(right) > 1 or (max(shares.values()) < 1 and sum(share > 0 for share in shares.values()) > 1)
    multiple = row.yes("multiple", otherwise=several)
    if len(right) > 1 and not multiple:
        raise Broken("It has several answers although multiple is no.")
    shuffle = row.yes("shuffle", otherwise=True)
    feedback = {
        option: text
        for option, number in zip(ids, options.numbers, strict=True)
        if (text := row.text("feedback", number))
    }
    general = row.text_or_none("general")
    if options.given:
        return Choice(options.made, multiple, shuffle), ChoiceKey(weights, feedback, general)
    return choice(
        prompt,
        [option.text for option in options.made],
        [shares.get(option, Fraction(0)) for option in ids],
        [feedback.get(option) for option in ids],
        row.losses,
        multiple=multiple,
        shuffle=shuffle,
        general=general,
    )


def _true_false(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    word = row.take("answer").lower()
    if word not in _TRUE_WORDS and word not in _FALSE_WORDS:
        raise Broken(f'The answer is "{word[:60]}", not true or false.')
    feedback = {
        name: text for number, name in enumerate(("true", "false"), start=1) if (text := row.text("feedback", number))
    }
    right = "true" if word in _TRUE_WORDS else "false"
    return true_false(prompt, [right], feedback, row.text_or_none("general"))


def _text(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    answers = []
    for number in row.answers():
        text = row.take("answer", number)
        feedback = row.text_or_none("feedback", number or 1)
        answers.append(TextAnswer(text, row.weight(number or 1) or "1", feedback))
    _check_some_right(answers)
    longest = max(len(answer.text) for answer in answers)
    if longest > 10_000:
        raise Broken("An accepted answer is longer than 10000 characters.")
    limit = row.whole("max_length", 1, 20_000, max(200, 2 * longest))
    return TextEntry(limit), TextKey(
        answers, row.yes("case_sensitive", otherwise=False), general=row.text_or_none("general")
    )


def _numeric(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    answers = []
    for number in row.answers():
        low, high = _range(row.take("answer", number))
        feedback = row.text_or_none("feedback", number or 1)
        answers.append(NumericAnswer(low, high, row.weight(number or 1) or "1", feedback))
    _check_some_right(answers)
    return Numeric(row.text_or_none("unit")), NumericKey(
        answers, row.text_or_none("otherwise"), row.text_or_none("general")
    )


def _check_some_right(answers: list[TextAnswer] | list[NumericAnswer]) -> None:
    if not any(Fraction(answer.weight) > 0 for answer in answers):
        raise Broken("No answer is worth anything.")


def _range(text: str) -> tuple[str, str]:
    """The bounds of "3", "2.5..3.5", "3:0.5" or "3 ± 0.5"; Broken."""
    first, dots, last = text.partition("..")
    if dots:
        low, high = _bound(first), _bound(last)
    else:
        middle, _, width = text.replace("±", ":").partition(":")
        low = high = _bound(middle)
        if width:
            around, by = Fraction(low), Fraction(_bound(width))
            low, high = exact(around - by), exact(around + by)
    if Fraction(low) > Fraction(high):
        raise Broken(f'In "{_short(text)}" the lower bound is above the upper one.')
    return low, high


def _bound(text: str) -> str:
    text = text.strip()
    if _BOUND.fullmatch(text):
        return text
    value = parse_number(text)
    bound = "" if value is None else exact(value)
    if not _BOUND.fullmatch(bound):
        raise Broken(f'"{_short(text)}" is not a number. Write it in digits, with a point for decimals.')
    return bound


def _match(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    """With an answer the row stands as it is; without one, each match belongs to the option of its number."""
    answer = row.take("answer")
    if not answer and row.has("match_id", "match_pinned"):
        raise Broken("It has match_id but no answer; name the pairs there, like p1=a; p2=b.")
    left, right = row.options(prefix="p"), row.options("match", "match_id", "match_pinned")
    if not left.made or not right.made:
        raise Broken("Matching needs option_1, option_2, … and match_1, match_2, …")
    shuffle, general = row.yes("shuffle", otherwise=True), row.text_or_none("general")
    if answer:
        pairs = _pairs(answer, "answer")
        _check_names(pairs, [option.id for option in left.made], "id")
        _check_names(pairs.values(), [option.id for option in right.made], "match_id")
        return Match(left.made, right.made, shuffle), MatchKey(pairs, general)
    asked = {number: option.text for number, option in zip(left.numbers, left.made, strict=True)}
    chosen = {number: option.text for number, option in zip(right.numbers, right.made, strict=True)}
    if missing := asked.keys() - chosen.keys():
        raise Broken(f"option_{min(missing)} has no match_{min(missing)}.")
    triples = [(f"option_{number}", asked.get(number, {}), text) for number, text in chosen.items()]
    interaction, key = matching(prompt, triples, general)
    return (interaction if shuffle else msgspec.structs.replace(interaction, shuffle=False)), key


def _inline(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    text = row.text("text")
    gaps: dict[str, list[Option]] = {}
    given = row.has("id")
    for number in row.numbers("option"):
        gap = row.take("gap", number)
        if not _ID.fullmatch(gap):
            raise Broken(f"gap_{number} does not name the gap that option_{number} is for.")
        options = gaps.setdefault(gap, [])
        name = row.name("id", number, letters(len(options)))
        options.append(Option(name, row.text("option", number), row.yes("pinned", number, otherwise=False)))
    right = _pairs(row.take("answer"), "answer")
    _check_names(right, list(gaps), "gap")
    if missing := gaps.keys() - right.keys():
        raise Broken(f"The answer does not say what is right in the gap {min(missing)}.")
    for gap, word in right.items():
        right[gap] = _Options(gaps[gap], list(range(1, len(gaps[gap]) + 1)), given).id_of(word)
    weights = _pairs(row.take("weights"), "column weights")
    _check_names(weights, list(gaps), "gap")
    try:
        interaction = InlineChoice(
            text, [Gap(gap, options) for gap, options in gaps.items()], row.yes("shuffle", otherwise=True)
        )
    except ValueError as wrong:
        raise Broken(f"The text with its gaps does not fit: {wrong}.") from None
    return interaction, InlineKey(right, weights, row.text_or_none("general"))


def _order(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    """With an answer the row stands as it is; without one, its options stand in the right order."""
    answer = _words(row.take("answer"))
    options = row.options()
    if len(options.made) < 2:
        raise Broken("An order needs two options or more: option_1, option_2, …")
    made = options.made
    order = [options.id_of(word) for word in answer]
    if not answer:
        if options.given:
            raise Broken("It has ids but no answer; name the right order there, like c; a; b.")
        made, places = options_of(prompt, [option.text for option in made])
        made = [msgspec.structs.replace(option, pinned=False) for option in made]
        order = [made[place].id for place in places]
    if sorted(order) != sorted(option.id for option in made):
        raise Broken("The answer does not name each option once.")
    rule = row.take("rule") or "all_or_nothing"
    if rule not in ("all_or_nothing", "relative_next"):
        raise Broken(f'The rule "{_short(rule)}" is neither all_or_nothing nor relative_next.')
    key = OrderKey(order, "relative_next" if rule == "relative_next" else "all_or_nothing", row.text_or_none("general"))
    return Ordering(made, row.yes("shuffle", otherwise=True)), key


def _essay(row: _Row, prompt: Text) -> tuple[Interaction, Key]:
    essay = Essay(row.whole("max_length", 1, 20_000, 20_000), row.whole("rows", 2, 40, 12))
    return essay, ManualKey(row.text_or_none("guide"), row.text_or_none("general"))


def _check_names(names: Iterable[str], known: list[str], field: str) -> None:
    for name in names:
        if name not in known:
            raise Broken(f'The answer names "{name}", which is no {field} of the row.')


_BUILDERS: dict[str, Callable[[_Row, Text], tuple[Interaction, Key]]] = {
    "choice": _choice,
    "truefalse": _true_false,
    "text": _text,
    "numeric": _numeric,
    "match": _match,
    "inline": _inline,
    "order": _order,
    "essay": _essay,
}
