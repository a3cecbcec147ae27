"""What every reader makes items and keys with, so that the same question gives the same item from any format.

Ids and the order of options are drawn from their content: neither the order in a file nor the key enters.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from string import ascii_lowercase

import msgspec

from exam.imports.report import Broken
from grading.items import Choice, InlineChoice, Interaction, Item, Match, Option, Ordering, Text, TextEntry
from grading.keys import ChoiceKey, Key, MatchKey, NumericAnswer, NumericKey, TextAnswer, TextKey
from grading.scoring import exact, rounded
from grading.typed import parse_number

QUESTION_LIMIT = 50_000
ANSWER_LIMIT = 64
TEXT_LIMIT = 50_000
NAME_LIMIT = 120
DEFAULT_SECTION = "General"

TRUE = {"en": "True", "mr": "बरोबर", "hi": "सही"}
FALSE = {"en": "False", "mr": "चूक", "hi": "गलत"}
MEDIA = re.compile(r'src="/media/([0-9a-f]{64})"')
NO_WORDS = re.compile(r"<[^<>]*>|\\[A-Za-z]+|&[A-Za-z]+;")
# Such an option speaks of the others and makes sense only behind them.
CLOSING_OPTION = re.compile(
    r"\W*(?:(?:all|none|both|neither|any) of (?:the above|these|the following|them)|वरीलपैकी|यापैकी|वरील सर्व|"
    r"उपरोक्त|उपर्युक्त|इनमें से)",
    re.IGNORECASE,
)
_DEVANAGARI = re.compile(r"[\u0904-\u0939\u0958-\u0961]")
_LATIN = re.compile(r"[A-Za-z]")
_WEIGHT = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,20})?")


def language_of(texts: Iterable[str]) -> str:
    """ "mr" where most letters of the source texts are Devanagari, otherwise "en"."""
    words = NO_WORDS.sub("", " ".join(texts))
    return "mr" if len(_DEVANAGARI.findall(words)) > len(_LATIN.findall(words)) else "en"


def section_of(path: str) -> str:
    """The bank section of a Moodle category ("$course$/top/Science/Physics" is "Science/Physics"); "" for the top."""
    names = [" ".join(name.split()) for name in path.replace("//", "\0").split("/")]
    names = [name.replace("\0", "/") for name in names]
    while names and (not names[0] or names[0] == "top" or re.fullmatch(r"\$[a-z]+\$", names[0])):
        names.pop(0)
    return "/".join(name for name in names if name)


def item_of(kind: str, title: str, section: str, prompt: Text, interaction: Interaction, losses: list[str]) -> Item:
    """The item, its code still to be `named`; a section that is too long is cut, which is a loss."""
    if len(section) > NAME_LIMIT:
        losses.append(f"The category is longer than {NAME_LIMIT} characters and was cut.")
        section = section[-NAME_LIMIT:].strip()
    shown = [*prompt.values(), *sorted(_shown_texts(interaction))]
    code = "q-" + digest(kind, *shown)[:10]
    media = sorted({name for text in shown for name in MEDIA.findall(text)})
    return Item(code, section, prompt, interaction, title, media)


def named(item: Item, given: dict[str, int], losses: list[str], own: str = "") -> Item:
    """`item` with a code that no item before it has; `given` holds those codes with the next number to try.

    The code is what the source calls it (`own`), or its title, or one made of its content.
    """
    wanted = own or item.title or item.code
    base = code = wanted[:NAME_LIMIT].strip()
    if base != wanted:
        what = "id" if own else "title"
        losses.append(f"The {what} is longer than {NAME_LIMIT} characters; the code is its beginning.")
    while code in given:
        code = f"{base[: NAME_LIMIT - 7].strip()}-{given[base]}"
        given[base] += 1
    given[code] = 2
    if code != base:
        same = f'is called "{base}"' if own or item.title else "reads the same"
        losses.append(f'Another question of the file {same}; the code of this one is "{code}".')
    return msgspec.structs.replace(item, code=code)


def digest(*parts: str) -> str:
    """The SHA-256 of texts in hex."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def joined(text: Text) -> str:
    """A text in all its languages as one string, for comparing."""
    return "\x1e".join(text.values())


def _shown_texts(interaction: Interaction) -> list[str]:
    match interaction:
        case Choice(options=options) | Ordering(options=options):
            return [joined(option.text) for option in options]
        case Match(prompts=prompts, choices=choices):
            return [joined(option.text) for option in [*prompts, *choices]]
        case InlineChoice(text=text, gaps=gaps):
            return [*text.values(), *(joined(option.text) for gap in gaps for option in gap.options)]
    return []


def options_of(prompt: Text, texts: Sequence[Text], *, shuffle: bool = True) -> tuple[list[Option], list[int]]:
    """`texts` as options in an order drawn from their content, and for each text the index of its option.

    The same at a repeated import. An option about the others ("none of these") that stands last stays there, pinned.
    Without `shuffle` the order is the author's.
    """
    order, pinned, last = list(range(len(texts))), False, len(texts) - 1
    if shuffle:
        seed = digest(*prompt.values(), *sorted(map(joined, texts)))
        order.sort(key=lambda place: digest(seed, joined(texts[place])))
        pinned = bool(CLOSING_OPTION.match(NO_WORDS.sub("", next(iter(texts[last].values())))))
        if pinned:
            order.remove(last)
            order.append(last)
    options = [Option(letters(index), texts[place], pinned and place == last) for index, place in enumerate(order)]
    return options, [order.index(place) for place in range(len(texts))]


def letters(index: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    head, tail = divmod(index, len(ascii_lowercase))
    return (letters(head - 1) if head else "") + ascii_lowercase[tail]


def choice(
    prompt: Text,
    texts: Sequence[Text],
    shares: Sequence[Fraction],
    feedback: Sequence[Text | None],
    losses: list[str],
    *,
    multiple: bool = False,
    shuffle: bool = True,
    general: Text | None = None,
) -> tuple[Interaction, Key]:
    """One or several of `texts`, worth `shares`; Broken where that makes no question."""
    if len(texts) < 2:
        raise Broken("It has one answer only; a choice needs two.")
    for number, text in enumerate(texts, start=1):
        if not any(text.values()):
            raise Broken(f"Answer {number} is empty. {' '.join(losses)}".strip())
    if len({joined(text) for text in texts}) < len(texts):
        worth: dict[str, Fraction] = {}
        for text, share in zip(texts, shares, strict=True):
            if worth.setdefault(joined(text), share) != share:
                raise Broken("Two answers read the same, but one is worth more. Nobody could tell them apart.")
        losses.append("Two answers read the same.")
    best = sum(share for share in shares if share > 0) if multiple else max(shares)
    check_best(Fraction(best), losses)
    options, places = options_of(prompt, texts, shuffle=shuffle)
    ids = [options[place].id for place in places]
    key = ChoiceKey(
        {option: str(share) for option, share in zip(ids, shares, strict=True) if share},
        {option: text for option, text in zip(ids, feedback, strict=True) if text},
        general,
    )
    return Choice(options, multiple, shuffle), key


def true_false(
    prompt: Text, right: Iterable[str], feedback: dict[str, Text], general: Text | None
) -> tuple[Interaction, Key]:
    """A statement; `right` and `feedback` name "true" and "false"."""
    record = next(iter(prompt))
    options = [
        Option(name, {record: words.get(record, words["en"])} | words)
        for name, words in (("true", TRUE), ("false", FALSE))
    ]
    return Choice(options, shuffle=False), ChoiceKey(dict.fromkeys(right, "1"), feedback, general)


def text_entry(
    answers: Iterable[tuple[str, Fraction, Text | None]], general: Text | None, *, case_sensitive: bool = False
) -> tuple[Interaction, Key]:
    """A short text from accepted ones with their shares and feedback; Broken where one is empty or too long."""
    accepted = [TextAnswer(" ".join(text.split()), str(share), feedback) for text, share, feedback in answers]
    if not all(answer.text for answer in accepted):
        raise Broken("An accepted answer is empty.")
    longest = max(len(answer.text) for answer in accepted)
    if longest > 10_000:
        raise Broken("An accepted answer is longer than 10000 characters.")
    return TextEntry(max(200, 2 * longest)), TextKey(accepted, case_sensitive, general)


def bounds(low: Fraction, high: Fraction, written: str) -> tuple[str, str]:
    """A range as its key holds it; Broken where it is too large or too fine. `written` is how its author put it."""
    pair = exact(low), exact(high)
    if max(map(len, pair)) > 60:
        raise Broken(f'"{written[:60]}" is too large or has too many decimals.')
    return pair


def number_of(text: str) -> Fraction:
    """The number that an author wrote; Broken for anything else, a decimal comma too."""
    value = None if "," in text else parse_number(text)
    if value is None:
        raise Broken(f'"{text.strip()[:60]}" is not a number. Write it in digits, with a point for decimals.')
    return value


def with_number(key: NumericKey, written: str, tolerance: str, share: Fraction, feedback: Text | None) -> NumericKey:
    """The key with one more accepted number; * stands for every other one, which earns nothing."""
    if written == "*" and not share:
        return NumericKey(key.answers, feedback, key.general)
    width = number_of(tolerance)
    if width < 0:
        raise Broken(f"The tolerance {tolerance[:60]} is below 0.")
    low, high = bounds(number_of(written) - width, number_of(written) + width, written)
    return NumericKey([*key.answers, NumericAnswer(low, high, str(share), feedback)], key.otherwise, key.general)


def some_number(key: NumericKey) -> NumericKey:
    """The key, if it accepts any number; Broken."""
    if not key.answers:
        raise Broken("It has no number as an answer.")
    return key


def matching(
    prompt: Text,
    pairs: Sequence[tuple[str, Text, Text]],
    general: Text | None,
    *,
    shuffle: bool = True,
) -> tuple[Interaction, Key]:
    """Pairs of what is asked and what belongs to it, each behind its words in the source; Broken where that fails."""
    if len(pairs) < 2:
        raise Broken("It has one pair only; matching needs two.")
    left: list[Option] = []
    right: dict[str, Text] = {}
    wanted: list[str] = []
    for words, asked, chosen in pairs:
        if not any(chosen.values()):
            raise Broken(f'"{words[:60]}" has an empty match.')
        right.setdefault(joined(chosen), chosen)
        # A pair without a left side only adds a wrong choice.
        if any(asked.values()):
            left.append(Option(f"p{len(left) + 1}", asked))
            wanted.append(joined(chosen))
    if not left:
        raise Broken("No pair has a left side.")
    # Never in the order of the pairs, which would be the key, also where nothing is shuffled later.
    choices, places = options_of(prompt, list(right.values()))
    ids = {text: choices[place].id for text, place in zip(right, places, strict=True)}
    return Match(left, choices, shuffle), MatchKey(
        {option.id: ids[text] for option, text in zip(left, wanted, strict=True)}, general
    )


def shares_of(shares: Sequence[Fraction], losses: list[str]) -> list[Fraction]:
    """The shares of typed answers, between 0 and 1."""
    if min(shares) < 0:
        losses.append("A weight below 0 counts as 0: only one choice among options can cost marks.")
    check_best(max(shares), losses)
    return [max(share, Fraction(0)) for share in shares]


def check_best(best: Fraction, losses: list[str]) -> None:
    """Broken where no answer earns anything; a loss where the best one does not earn all."""
    if best <= 0:
        raise Broken("No answer is right. Mark the right one, or give it a weight such as 100 %.")
    if best != 1:
        losses.append(f"The best answer adds up to {rounded(best * 100, 2)} % of the marks, not to 100 %.")


def share_of(weight: str) -> Fraction:
    """The share that per cent mean; a cut or rounded figure such as 33.333 is the third it stands for."""
    if not _WEIGHT.fullmatch(weight) or abs(Fraction(weight)) > 100:
        raise Broken(f"The weight {weight[:60]} % is not between -100 and 100.")
    percent = Fraction(weight)
    decimals = len(weight.partition(".")[2])
    unit = Fraction(1, 10**decimals)
    for parts in range(1, 13) if decimals else ():
        meant = Fraction(round(percent * parts / 100), parts)
        if abs(meant * 100 - percent) <= unit / 2 or (abs(meant * 100) > abs(percent) > abs(meant * 100) - unit):
            return meant
    if (percent / 100).denominator >= 10**9:
        raise Broken(f"The weight {weight} % has too many decimals.")
    return percent / 100
