"""What is right and what it is worth. Keys are stored apart from items and never reach the delivery role.

Weights are exact fractions of an item's marks, written as strings ("1", "1/3", "-1/2", "0.25").
"""

from fractions import Fraction
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from grading.items import Identifier, Text

Weight = Annotated[str, Meta(pattern=r"^-?[0-9]{1,9}(/[1-9][0-9]{0,8}|\.[0-9]{1,9})?$")]

Bound = Annotated[str, Meta(pattern=r"^-?[0-9]{1,60}(\.[0-9]{1,60})?$")]
"""A plain decimal number ("-3.142"), read exactly."""


def fraction(weight: str) -> Fraction:
    """The exact value of a weight."""
    return Fraction(weight)


class ChoiceKey(msgspec.Struct, frozen=True, tag="choice", forbid_unknown_fields=True):
    """Weight per option id, absent is 0. One choice scores its weight, several their sum within 0 and 1."""

    weights: dict[Identifier, Weight]
    feedback: dict[Identifier, Text] = {}
    general: Text | None = None


class TextAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One accepted text; `*` stands for any run of characters, as in GIFT; `\\*` is a star."""

    text: str
    weight: Weight = "1"
    feedback: Text | None = None


class TextKey(msgspec.Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    """Accepted texts, compared as `grading.typed.folded` makes them; the first that matches counts."""

    answers: list[TextAnswer]
    case_sensitive: bool = False
    general: Text | None = None


class NumericAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A closed range of accepted numbers; one number is a range with equal bounds."""

    low: Bound
    high: Bound
    weight: Weight = "1"
    feedback: Text | None = None


class NumericKey(msgspec.Struct, frozen=True, tag="numeric", forbid_unknown_fields=True):
    """Accepted ranges; the first that holds the number counts. `otherwise`: feedback where none does."""

    answers: list[NumericAnswer]
    otherwise: Text | None = None
    general: Text | None = None


class MatchKey(msgspec.Struct, frozen=True, tag="match", forbid_unknown_fields=True):
    """The right choice of each prompt; each pair is worth an equal share."""

    pairs: dict[Identifier, Identifier]
    general: Text | None = None


class InlineKey(msgspec.Struct, frozen=True, tag="inline", forbid_unknown_fields=True):
    """The right option of every gap. A right gap earns its weight out of the weights of all; absent is 1."""

    right: dict[Identifier, Identifier]
    weights: dict[Identifier, Weight] = {}
    general: Text | None = None


class OrderKey(msgspec.Struct, frozen=True, tag="order", forbid_unknown_fields=True):
    """All options in the right order, and what an order earns that is right in part.

    "all_or_nothing" gives nothing for it, as the template match_correct of QTI does. "relative_next" gives the share of
    the right order's adjacent pairs that stand next to each other, in this order, anywhere: so one entry too early or
    too late costs what is torn apart, not every place behind it. The names are those of Moodle's question type
    "ordering" (grading types ALL_OR_NOTHING and RELATIVE_NEXT_EXCLUDE_LAST).
    """

    order: list[Identifier]
    rule: Literal["all_or_nothing", "relative_next"] = "all_or_nothing"
    general: Text | None = None


class ManualKey(msgspec.Struct, frozen=True, tag="manual", forbid_unknown_fields=True):
    """People mark it, by `guide` where there is one; until then an answer is unmarked, and its result not released."""

    guide: Text | None = None
    general: Text | None = None


Key = ChoiceKey | TextKey | NumericKey | MatchKey | InlineKey | OrderKey | ManualKey
