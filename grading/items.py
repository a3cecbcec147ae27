"""Items as a candidate may see them. What is right stands in `grading.keys`, never here.

Every text maps a BCP 47 language tag to an HTML fragment of the allow-list in `exam.imports.html`.
The words (interaction, response, key) are those of QTI 3.0, section 2.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

Text = dict[str, str]
"""Language tag ("en", "mr", "hi") to HTML fragment; the first entry is the language of record."""

Identifier = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,32}$")]
"""Names an option inside its item; neither its order nor its shape tells the key."""

MOST_PAIRS: Final = 64
"""So many pairs a response may have, and so many gaps or options in order an item."""

ResponseText = Annotated[str, Meta(max_length=20_000)]
Response = (
    ResponseText
    | Annotated[list[Identifier], Meta(max_length=64)]
    | Annotated[dict[Identifier, Identifier], Meta(max_length=MOST_PAIRS)]
    | None
)
"""What a candidate answered; None where it was cleared.

An option's id (one choice), a list of ids (several choices, sorted and without doubles), a text as typed
(short text, numeric, essay), or a mapping: from prompt to choice (matching), from gap to option (inline choice),
from place "1", "2", … to option (ordering; a list of ids would be sorted).
"""

_GAP: Final = re.compile(r"\[\[([A-Za-z0-9_-]{1,32})\]\]")
_NO_TEXT: Final = re.compile(r"<math\b.*?</math>|<[^>]*>", re.DOTALL)


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that can be chosen; `pinned` keeps its place when the others are shuffled."""

    id: Identifier
    text: Text
    pinned: bool = False


class Choice(msgspec.Struct, frozen=True, tag="choice", forbid_unknown_fields=True):
    """One option, or with `multiple` any number. True/false is a choice of the ids "true" and "false"."""

    options: list[Option]
    multiple: bool = False
    shuffle: bool = True


class TextEntry(msgspec.Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    """A short text of at most `max_length` characters."""

    max_length: Annotated[int, Meta(ge=1, le=20_000)] = 200


class Numeric(msgspec.Struct, frozen=True, tag="numeric", forbid_unknown_fields=True):
    """A number as typed, in any decimal digits; `unit` is printed behind the field."""

    unit: Text | None = None


class Match(msgspec.Struct, frozen=True, tag="match", forbid_unknown_fields=True):
    """For each prompt one of the choices; a choice may serve several prompts or none."""

    prompts: list[Option]
    choices: list[Option]
    shuffle: bool = True


class Gap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gap of a running text with its own short list. Browsers show that list as words alone: no markup in it."""

    id: Identifier
    options: Annotated[list[Option], Meta(min_length=1, max_length=MOST_PAIRS)]

    def __post_init__(self) -> None:
        _once((option.id for option in self.options), f"options of gap {self.id}")
        if any("<" in words for option in self.options for words in option.text.values()):
            raise ValueError(f"an option of gap {self.id} has markup, which a list inside a sentence cannot show")


class InlineChoice(msgspec.Struct, frozen=True, tag="inline", forbid_unknown_fields=True):
    """For each gap of a running text one option of its own; `[[id]]` marks the gap, once in every language.

    Not every gap has to be filled. `shuffle` is for the options of each gap; the gaps stay where the text has them.
    """

    text: Text
    gaps: Annotated[list[Gap], Meta(min_length=1, max_length=MOST_PAIRS)]
    shuffle: bool = True

    def __post_init__(self) -> None:
        _once((gap.id for gap in self.gaps), "gaps")
        if not self.text:
            raise ValueError("there is no text")
        wanted = sorted(gap.id for gap in self.gaps)
        for language, words in self.text.items():
            # NUL keeps apart what markup parts: a mark has to stand in one piece, and not inside a formula.
            if sorted(_GAP.findall(_NO_TEXT.sub("\0", words))) != wanted:
                raise ValueError(f'the text in "{language}" does not have each gap once')


class Ordering(msgspec.Struct, frozen=True, tag="order", forbid_unknown_fields=True):
    """All options, to be put into an order. What stands there at first is no answer yet."""

    options: Annotated[list[Option], Meta(min_length=2, max_length=MOST_PAIRS)]
    shuffle: bool = True

    def __post_init__(self) -> None:
        _once((option.id for option in self.options), "options")


class Essay(msgspec.Struct, frozen=True, tag="essay", forbid_unknown_fields=True):
    """A text of at most `max_length` characters that people mark; `rows` is how high its field is at first."""

    max_length: Annotated[int, Meta(ge=1, le=20_000)] = 20_000
    rows: Annotated[int, Meta(ge=2, le=40)] = 12


def _once(ids: Iterable[str], what: str) -> None:
    listed = list(ids)
    if len(set(listed)) < len(listed):
        raise ValueError(f"two of the {what} have the same id")


Interaction = Choice | TextEntry | Numeric | Match | InlineChoice | Ordering | Essay


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question. `section` is the bank section a blueprint draws from."""

    code: Annotated[str, Meta(min_length=1, max_length=120)]
    section: Annotated[str, Meta(min_length=1, max_length=120)]
    prompt: Text
    interaction: Interaction
    title: str = ""
    media: list[str] = []
    """SHA-256 names of the pictures the texts refer to as /media/<name>."""


def response_fits(interaction: Interaction, response: Response) -> bool:
    """Whether `response` has the shape of `interaction` and names only ids that it offers; None always fits.

    A text with U+0000 does not fit: PostgreSQL cannot hold it. Nor does a part of an order, or one with doubles.
    """
    if response is None:
        return True
    match interaction:
        case Choice(options=options, multiple=multiple):
            ids = {option.id for option in options}
            if multiple:
                return isinstance(response, list) and len(set(response)) == len(response) and ids.issuperset(response)
            return isinstance(response, str) and response in ids
        case TextEntry(max_length=limit) | Essay(max_length=limit):
            return isinstance(response, str) and len(response) <= limit and "\0" not in response
        case Numeric():
            return isinstance(response, str) and len(response) <= 64 and "\0" not in response
        case Match(prompts=prompts, choices=choices):
            return (
                isinstance(response, dict)
                and {option.id for option in prompts}.issuperset(response)
                and {option.id for option in choices}.issuperset(response.values())
            )
        case InlineChoice(gaps=gaps):
            offered = {gap.id: {option.id for option in gap.options} for gap in gaps}
            return isinstance(response, dict) and all(
                option in offered.get(gap, ()) for gap, option in response.items()
            )
        case Ordering(options=options):
            return (
                isinstance(response, dict)
                and response.keys() == set(places(len(options)))
                and set(response.values()) == {option.id for option in options}
            )


def places(count: int) -> list[str]:
    """The names of the places of an order, from the first to the last: "1", "2", …"""
    return [str(place) for place in range(1, count + 1)]


def canonical(response: Response) -> str:
    """The one JSON text of a response: compact, lists of ids sorted, mappings in the order of their keys.

    Equal responses give equal texts, so that a repeated save can be told from a changed one and a receipt
    can be computed by anybody.
    """
    if isinstance(response, list):
        response = sorted(response)
    return msgspec.json.encode(response, order="deterministic").decode()
