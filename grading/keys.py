"""What is right and what it is worth. Keys are stored apart from items and never reach the delivery role.

Weights are exact fractions of an item's marks, written as strings ("1", "1/3", "-1/2", "0.25").
"""

from fractions import Fraction
from typing import Annotated

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


Key = ChoiceKey | TextKey | NumericKey | MatchKey
