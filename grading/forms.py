"""Which items a form gets, and in which order a candidate sees the options: by seed, the same everywhere.

`random.Random` promises no stable sequence, so both draws are spelled out here.

**Forms** use SHA-256 as a counter: block i is SHA-256 of the UTF-8 text "<label>:<i>", i = 0, 1, ..., read as
four unsigned 64-bit big-endian numbers. A number below n is the first of them under 2**64 - 2**64 % n, modulo
n. A list is shuffled by Fisher and Yates from its end: for i = last ... 1 the entries i and (a number below
i + 1) change places.

**Options** use mulberry32, which a browser computes with `Math.imul` and 32-bit shifts alone. Its state starts
as seed XOR (item_no * 0x9E3779B1), modulo 2**32. The options that are not pinned, in the item's order, are
shuffled in the same way, where "a number below n" is the next output modulo n; pinned ones stay at their index.
Of several gaps the first takes the first outputs, the next one goes on where it ended.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from grading.items import Choice, Gap, Interaction, Item, Match, Option, Ordering
from grading.scoring import Share

_32 = 0xFFFFFFFF

Navigation: TypeAlias = Literal["free", "forward"]


class BlueprintSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` items of one bank section, worth `marks` each; with `minutes` it has a time of its own."""

    section: Annotated[str, Meta(min_length=1, max_length=120)]
    count: Annotated[int, Meta(ge=1, le=1000)]
    marks: Share = "1"
    minutes: Annotated[int, Meta(ge=1, le=600)] | None = None


class Blueprint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many items of which section a form gets; sections follow each other in this order.

    Without `shuffle` the items of a section stand in the order of their codes. Either all sections have their own time
    or none; then they are open one after the other. `navigation` "forward": no question that was left comes back.
    """

    sections: Annotated[list[BlueprintSection], Meta(min_length=1, max_length=100)]
    shuffle: bool = True
    navigation: Navigation = "free"

    def __post_init__(self) -> None:
        if 0 < sum(section.minutes is not None for section in self.sections) < len(self.sections):
            raise ValueError("Give every section its own time, or none of them.")


class FormPlace(msgspec.Struct, frozen=True):
    """One place of a form: the item's number in it from 1, its section, its code in the bank, its marks."""

    item_no: int
    section: str
    code: str
    marks: str


class Shortage(msgspec.Struct, frozen=True):
    """A section that has fewer items than the blueprint wants."""

    section: str
    wanted: int
    available: int


class NotEnoughItems(ValueError):
    """The bank cannot fill the blueprint; `shortages` names every section that lacks items."""

    def __init__(self, shortages: list[Shortage]) -> None:
        self.shortages = shortages
        lacking = "; ".join(f'"{s.section}": {s.wanted} wanted, {s.available} available' for s in shortages)
        super().__init__(f"The bank does not have enough items. Section {lacking}. No form was drawn.")


def draw_forms(blueprint: Blueprint, items: Sequence[Item], seed: str, forms: int) -> list[list[FormPlace]]:
    """`forms` forms drawn from `items` by `seed`; the order of `items` does not matter.

    Each section's items are shuffled once and dealt round, so that forms share as few as the bank allows.
    NotEnoughItems where a section lacks items, ValueError where two items have the same code or a section is
    named twice.
    """
    names = [section.section for section in blueprint.sections]
    if len(set(names)) < len(names):
        raise ValueError("The blueprint names a section twice. Put its counts together.")
    pools: dict[str, list[str]] = {name: [] for name in names}
    for item in items:
        if item.section in pools:
            pools[item.section].append(item.code)
    shortages = [
        Shortage(wanted.section, wanted.count, len(pools[wanted.section]))
        for wanted in blueprint.sections
        if len(pools[wanted.section]) < wanted.count
    ]
    if shortages:
        raise NotEnoughItems(shortages)
    drawn: list[list[FormPlace]] = [[] for _ in range(forms)]
    for wanted in blueprint.sections:
        pool = sorted(pools[wanted.section])
        if len(set(pool)) < len(pool):
            raise ValueError(f'Two items of section "{wanted.section}" have the same code.')
        _shuffle(pool, _numbers(f"{seed}/pool/{wanted.section}"))
        for form_no, form in enumerate(drawn, start=1):
            first = (form_no - 1) * wanted.count
            codes = sorted(pool[place % len(pool)] for place in range(first, first + wanted.count))
            if blueprint.shuffle:
                _shuffle(codes, _numbers(f"{seed}/form/{form_no}/{wanted.section}"))
            form.extend(
                FormPlace(item_no, wanted.section, code, wanted.marks)
                for item_no, code in enumerate(codes, start=len(form) + 1)
            )
    return drawn


def _numbers(label: str) -> Iterator[int]:
    """Endless unsigned 64-bit numbers of `label`, as the module's head describes."""
    block = 0
    while True:
        digest = hashlib.sha256(f"{label}:{block}".encode()).digest()
        yield from (int.from_bytes(digest[at : at + 8]) for at in range(0, 32, 8))
        block += 1


def _shuffle(entries: list[str], numbers: Iterator[int]) -> None:
    for last in range(len(entries) - 1, 0, -1):
        size = last + 1
        limit = 2**64 - 2**64 % size
        other = next(number for number in numbers if number < limit) % size
        entries[last], entries[other] = entries[other], entries[last]


def option_order(seed: int, item_no: int, options: Sequence[Option]) -> list[str]:
    """The ids of `options` in the order that the attempt with this 32-bit `seed` sees at place `item_no`."""
    return _ordered(options, _outputs(seed, item_no))


def gap_orders(seed: int, item_no: int, gaps: Sequence[Gap]) -> dict[str, list[str]]:
    """For each gap at place `item_no` the ids of its options in the order that this attempt sees."""
    outputs = _outputs(seed, item_no)
    return {gap.id: _ordered(gap.options, outputs) for gap in gaps}


def _outputs(seed: int, item_no: int) -> Iterator[int]:
    return _mulberry32(seed ^ (item_no * 0x9E3779B1 & _32))


def _ordered(options: Sequence[Option], outputs: Iterator[int]) -> list[str]:
    shuffled = [option.id for option in options if not option.pinned]
    for last in range(len(shuffled) - 1, 0, -1):
        other = next(outputs) % (last + 1)
        shuffled[last], shuffled[other] = shuffled[other], shuffled[last]
    rest = iter(shuffled)
    return [option.id if option.pinned else next(rest) for option in options]


def shown_order(seed: int, item_no: int, interaction: Interaction) -> list[str]:
    """The ids of the options, or of a matching's choices, as this attempt sees them; none where nothing is listed.

    The prompts of a matching keep their order; an interaction without `shuffle` keeps all of it. What gaps list is in
    `gap_orders`.
    """
    match interaction:
        case (
            Choice(options=options, shuffle=shuffle)
            | Match(choices=options, shuffle=shuffle)
            | Ordering(options=options, shuffle=shuffle)
        ):
            return option_order(seed, item_no, options) if shuffle else [option.id for option in options]
    return []


def _mulberry32(state: int) -> Iterator[int]:
    """Endless unsigned 32-bit outputs of the generator mulberry32."""
    while True:
        state = state + 0x6D2B79F5 & _32
        mixed = (state ^ state >> 15) * (state | 1) & _32
        mixed ^= mixed + (mixed ^ mixed >> 7) * (mixed | 61) & _32
        yield mixed ^ mixed >> 14
