"""Items as a candidate may see them. What is right stands in `grading.keys`, never here.

Every text maps a BCP 47 language tag to an HTML fragment of the allow-list in `exam.imports.html`.
The words (interaction, response, key) are those of QTI 3.0, section 2.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

Text = dict[str, str]
"""Language tag ("en", "mr", "hi") to HTML fragment; the first entry is the language of record."""

Identifier = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,32}$")]
"""Names an option inside its item; neither its order nor its shape tells the key."""

ResponseText = Annotated[str, Meta(max_length=20_000)]
Response = (
    ResponseText
    | Annotated[list[Identifier], Meta(max_length=64)]
    | Annotated[dict[Identifier, Identifier], Meta(max_length=64)]
    | None
)
"""What a candidate answered; None where it was cleared.

An option's id (one choice), a list of ids (several choices, sorted and without doubles), a text as typed
(short text, numeric), or a mapping from prompt to choice (matching).
"""


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


Interaction = Choice | TextEntry | Numeric | Match


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

    A text with U+0000 does not fit: PostgreSQL cannot hold it.
    """
    if response is None:
        return True
    match interaction:
        case Choice(options=options, multiple=multiple):
            ids = {option.id for option in options}
            if multiple:
                return isinstance(response, list) and len(set(response)) == len(response) and ids.issuperset(response)
            return isinstance(response, str) and response in ids
        case TextEntry(max_length=limit):
            return isinstance(response, str) and len(response) <= limit and "\0" not in response
        case Numeric():
            return isinstance(response, str) and len(response) <= 64 and "\0" not in response
        case Match(prompts=prompts, choices=choices):
            return (
                isinstance(response, dict)
                and {option.id for option in prompts}.issuperset(response)
                and {option.id for option in choices}.issuperset(response.values())
            )


def canonical(response: Response) -> str:
    """The one JSON text of a response: compact, lists of ids sorted, mappings in the order of their keys.

    Equal responses give equal texts, so that a repeated save can be told from a changed one and a receipt
    can be computed by anybody.
    """
    if isinstance(response, list):
        response = sorted(response)
    return msgspec.json.encode(response, order="deterministic").decode()
