"""What responses are worth: exact fractions all the way, rounded once at the very end.

`score_item` gives an item's share of its marks, `FormScorer` a whole attempt. Nothing here knows a float.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Annotated

import msgspec
from msgspec import Meta

from grading.items import (
    Choice,
    Essay,
    InlineChoice,
    Interaction,
    Match,
    Numeric,
    Ordering,
    Response,
    TextEntry,
    places,
    response_fits,
)
from grading.keys import ChoiceKey, InlineKey, Key, ManualKey, MatchKey, NumericKey, OrderKey, TextKey, fraction
from grading.typed import folded, holds, parse_number, segments

Share = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(/[1-9][0-9]{0,8}|\.[0-9]{1,9})?$")]
"""An exact fraction of at least 0, written as a string ("1", "1/3", "0.25")."""

NOUGHT = Fraction(0)
WHOLE = Fraction(1)
MEMO_ENTRIES = 4096
MEMO_TEXT = 200


class Scheme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How marks are counted: right earns its share, unanswered 0, a wrong answer (0 or less) loses.

    `negative` is the share of the item's marks that is lost; where the key itself takes off more, that counts
    instead, never both. `round_to` is the number of decimals of `Score.rounded`, halves away from zero.
    """

    negative: Share = "0"
    round_to: Annotated[int, Meta(ge=0, le=9)] = 2


class FormItem(msgspec.Struct, frozen=True):
    """One place of a form: its section, what is asked, what is right, and the marks for all of it."""

    section: str
    interaction: Interaction
    key: Key
    marks: Share = "1"


class ItemScore(msgspec.Struct, frozen=True, gc=False):
    """Marks of one item as exact numbers ("2.5", "1/3"); a blank text or an empty choice is not answered.

    `unmarked`: there is an answer that people have to mark and have not, so that its 0 is no judgement yet.
    """

    item_no: int
    awarded: str
    maximum: str
    answered: bool
    unmarked: bool = False


class SectionScore(msgspec.Struct, frozen=True, gc=False):
    """Sum of the marks in one section as exact numbers ("2.5", "1/3")."""

    section: str
    awarded: str
    maximum: str


class Score(msgspec.Struct, frozen=True):
    """Marks of one attempt; all exact but `rounded`, which is `total` in the scheme's decimals."""

    total: str
    rounded: str
    maximum: str
    items: list[ItemScore]
    sections: list[SectionScore]

    @property
    def unmarked(self) -> list[int]:
        """The items that wait for people; while there is one, this is not the attempt's result."""
        return [item.item_no for item in self.items if item.unmarked]


_Judge = Callable[[Response], Fraction]


def answered(response: Response) -> bool:
    """Whether there is an answer at all: not cleared, not blank, not an empty choice."""
    return bool(response.strip() if isinstance(response, str) else response)


def score_item(interaction: Interaction, key: Key, response: Response) -> Fraction:
    """The share of the item's marks that `response` earns: 0 to 1, below 0 (to -1) only for one choice.

    0 of what people have to mark. ValueError where the key does not belong to the interaction or the response does not
    fit it.
    """
    judge, _ = _judge(interaction, key)
    if not response_fits(interaction, response):
        raise ValueError("the response does not fit the item")
    return judge(response) if answered(response) else NOUGHT


def _judge(interaction: Interaction, key: Key) -> tuple[_Judge, int]:
    """The function from a fitting, answered response to its share; a common denominator of all its shares."""
    match interaction, key:
        case Choice(options=options, multiple=multiple), ChoiceKey(weights=written):
            if not {option.id for option in options}.issuperset(written):
                raise ValueError("the key names an option that the item does not have")
            weights = {option: fraction(weight) for option, weight in written.items()}
            common = lcm(*(weight.denominator for weight in weights.values()))
            return (_several(weights) if multiple else _one(weights)), common
        case TextEntry(), TextKey():
            return _text(key), lcm(*(fraction(answer.weight).denominator for answer in key.answers))
        case Numeric(), NumericKey():
            return _number(key), lcm(*(fraction(answer.weight).denominator for answer in key.answers))
        case Match(prompts=prompts, choices=choices), MatchKey(pairs=pairs):
            if not pairs or not {option.id for option in prompts}.issuperset(pairs):
                raise ValueError("the key names a prompt that the item does not have, or none")
            if not {option.id for option in choices}.issuperset(pairs.values()):
                raise ValueError("the key names a choice that the item does not have")
            return _pairs(pairs), len(pairs)
        case InlineChoice(gaps=gaps), InlineKey(right=right, weights=written):
            if {gap.id for gap in gaps} != right.keys() or not right.keys() >= written.keys():
                raise ValueError("the key does not name the gaps that the item has")
            if not all(right[gap.id] in {option.id for option in gap.options} for gap in gaps):
                raise ValueError("the key names an option that the gap does not have")
            return _gaps(right, written)
        case Ordering(options=options), OrderKey(order=order, rule=rule):
            if sorted(order) != sorted(option.id for option in options):
                raise ValueError("the key does not name each option of the item once")
            return _order(order, by_pairs=rule == "relative_next"), len(order) - 1
        case Essay(), ManualKey():
            return (lambda _: NOUGHT), 1
    raise ValueError("the key is not of the item's kind")


def _one(weights: dict[str, Fraction]) -> _Judge:
    bounded = {option: max(-WHOLE, min(WHOLE, weight)) for option, weight in weights.items()}

    def judge(response: Response) -> Fraction:
        return bounded.get(response, NOUGHT) if isinstance(response, str) else NOUGHT

    return judge


def _several(weights: dict[str, Fraction]) -> _Judge:
    def judge(response: Response) -> Fraction:
        chosen = response if isinstance(response, list) else []
        return _bounded(sum((weights.get(option, NOUGHT) for option in chosen), NOUGHT))

    return judge


def _text(key: TextKey) -> _Judge:
    accepted = [
        (segments(folded(answer.text, case_sensitive=key.case_sensitive)), _bounded(fraction(answer.weight)))
        for answer in key.answers
    ]

    def judge(response: Response) -> Fraction:
        text = folded(str(response), case_sensitive=key.case_sensitive)
        return next((share for pattern, share in accepted if holds(pattern, text)), NOUGHT)

    return judge


def _number(key: NumericKey) -> _Judge:
    accepted = [(Fraction(a.low), Fraction(a.high), _bounded(fraction(a.weight))) for a in key.answers]

    def judge(response: Response) -> Fraction:
        number = parse_number(str(response))
        if number is None:
            return NOUGHT
        return next((share for low, high, share in accepted if low <= number <= high), NOUGHT)

    return judge


def _pairs(pairs: dict[str, str]) -> _Judge:
    def judge(response: Response) -> Fraction:
        made = response if isinstance(response, dict) else {}
        return Fraction(sum(made.get(prompt) == choice for prompt, choice in pairs.items()), len(pairs))

    return judge


def _gaps(right: dict[str, str], written: dict[str, str]) -> tuple[_Judge, int]:
    weights = {gap: fraction(written.get(gap, "1")) for gap in right}
    total = sum(weights.values(), NOUGHT)
    if min(weights.values()) < 0 or not total:
        raise ValueError("the key gives a gap a weight below 0, or none of them any")
    shares = {gap: weight / total for gap, weight in weights.items()}

    def judge(response: Response) -> Fraction:
        made = response if isinstance(response, dict) else {}
        return sum((share for gap, share in shares.items() if made.get(gap) == right[gap]), NOUGHT)

    return judge, lcm(*(share.denominator for share in shares.values()))


def _order(order: list[str], *, by_pairs: bool) -> _Judge:
    named, pairs = places(len(order)), set(pairwise(order))

    def judge(response: Response) -> Fraction:
        made = [response[place] for place in named] if isinstance(response, dict) else []
        if not by_pairs:
            return WHOLE if made == order else NOUGHT
        return Fraction(sum(pair in pairs for pair in pairwise(made)), len(pairs))

    return judge


def _bounded(share: Fraction) -> Fraction:
    return max(NOUGHT, min(WHOLE, share))


class _Place:
    """One item of a form, compiled, with the scores of responses already seen."""

    def __init__(self, item_no: int, item: FormItem, section: int, negative: Fraction) -> None:
        self.item_no, self.section, self.interaction = item_no, section, item.interaction
        self.marks = Fraction(item.marks)
        self.loss = -negative
        self.judge, common = _judge(item.interaction, item.key)
        self.by_people = isinstance(item.key, ManualKey)
        self.denominator = lcm(common, negative.denominator) * self.marks.denominator
        self.maximum = exact(self.marks)
        self.seen: dict[Hashable, tuple[ItemScore, int]] = {}

    def score(self, response: Response, name: Hashable, scale: int) -> tuple[ItemScore, int]:
        """The score and its numerator over `scale`, kept for the next attempt with this response."""
        if not response_fits(self.interaction, response):
            raise ValueError(f"the response to item {self.item_no} does not fit it")
        given = answered(response)
        share = self.judge(response) if given else NOUGHT
        unmarked = given and self.by_people
        if given and share <= 0 and not unmarked:
            share = min(share, self.loss)
        awarded = share * self.marks
        result = (
            ItemScore(self.item_no, exact(awarded), self.maximum, given, unmarked),
            awarded.numerator * (scale // awarded.denominator),
        )
        # A candidate's essay-long text would fill memory and never come again.
        if not isinstance(response, str) or len(response) <= MEMO_TEXT:
            if len(self.seen) >= MEMO_ENTRIES:
                self.seen.clear()
            self.seen[name] = result
        return result


class FormScorer:
    """Scores attempts at one form; items are numbered from 1 in the form's order.

    Marks are added as whole numbers over one common denominator, and each response is judged once.
    """

    def __init__(self, form: Sequence[FormItem], scheme: Scheme) -> None:
        negative = Fraction(scheme.negative)
        self._names = list(dict.fromkeys(item.section for item in form))
        numbers = {name: index for index, name in enumerate(self._names)}
        self._places = [
            _Place(item_no, item, numbers[item.section], negative) for item_no, item in enumerate(form, start=1)
        ]
        self._item_nos = {place.item_no for place in self._places}
        self._scale = lcm(*(place.denominator for place in self._places))
        self._round_to = scheme.round_to
        self._written: dict[int, str] = {}
        self._maximum = exact(sum((place.marks for place in self._places), NOUGHT))
        self._section_maxima = [
            exact(sum((place.marks for place in self._places if place.section == index), NOUGHT))
            for index in range(len(self._names))
        ]

    def score(self, responses: Mapping[int, Response]) -> Score:
        """The score of one attempt from its responses by item number; missing or None is unanswered.

        ValueError where a response does not fit its item or names an item that the form does not have.
        """
        if not self._item_nos.issuperset(responses):
            raise ValueError("a response names an item that the form does not have")
        sums = [0] * len(self._names)
        items = []
        for place in self._places:
            response = responses.get(place.item_no)
            name: Hashable
            if isinstance(response, list):
                name = tuple(response)
            elif isinstance(response, dict):
                name = frozenset(response.items())
            else:
                name = response
            seen = place.seen.get(name)
            if seen is None:
                seen = place.score(response, name, self._scale)
            items.append(seen[0])
            sums[place.section] += seen[1]
        total = sum(sums)
        sections = [
            SectionScore(name, self._write(awarded), maximum)
            for name, awarded, maximum in zip(self._names, sums, self._section_maxima, strict=True)
        ]
        shown = rounded(Fraction(total, self._scale), self._round_to)
        return Score(self._write(total), shown, self._maximum, items, sections)

    def _write(self, numerator: int) -> str:
        written = self._written.get(numerator)
        if written is None:
            written = exact(Fraction(numerator, self._scale))
            if len(self._written) >= MEMO_ENTRIES:
                self._written.clear()
            self._written[numerator] = written
        return written


def score_attempt(form: Sequence[FormItem], scheme: Scheme, responses: Mapping[int, Response]) -> Score:
    """The score of one attempt at `form`; for many attempts at the same form keep a `FormScorer`."""
    return FormScorer(form, scheme).score(responses)


def exact(value: Fraction) -> str:
    """`value` without loss: as a decimal where that ends ("2.5"), otherwise as a fraction ("1/3")."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest > 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    return _decimal(value.numerator * (10**places // value.denominator), places)


def rounded(value: Fraction, places: int) -> str:
    """`value` with exactly `places` decimals, halves away from zero: 1/8 is "0.13", -1/8 is "-0.13"."""
    units = (2 * abs(value.numerator) * 10**places + value.denominator) // (2 * value.denominator)
    return _decimal(-units if value < 0 else units, places)


def _decimal(units: int, places: int) -> str:
    digits = str(abs(units)).rjust(places + 1, "0")
    sign = "-" if units < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits
