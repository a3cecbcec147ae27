"""Drawing forms and ordering options: the same seed gives the same everywhere."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grading.forms import (
    Blueprint,
    BlueprintSection,
    FormPlace,
    NotEnoughItems,
    Shortage,
    draw_forms,
    gap_orders,
    option_order,
    shown_order,
)
from grading.items import Choice, Essay, Gap, InlineChoice, Item, Match, Numeric, Option, Ordering, TextEntry

VECTORS = json.loads((Path(__file__).parent / "option_order_vectors.json").read_text(encoding="utf-8"))


def bank(**sections: int) -> list[Item]:
    return [
        Item(f"{name}-{number:03}", name, {"en": f"{name} {number}"}, Numeric())
        for name, count in sections.items()
        for number in range(count)
    ]


def blueprint(*sections: tuple[str, int, str], shuffle: bool = True) -> Blueprint:
    return Blueprint([BlueprintSection(*section) for section in sections], shuffle)


def test_a_form_holds_what_the_blueprint_says() -> None:
    items = bank(law=9, maths=20, other=5)
    (form,) = draw_forms(blueprint(("maths", 6, "2"), ("law", 3, "1/2")), items, "slot-7", 1)
    assert [place.item_no for place in form] == list(range(1, 10))
    assert [place.section for place in form] == ["maths"] * 6 + ["law"] * 3
    assert [place.marks for place in form] == ["2"] * 6 + ["1/2"] * 3
    assert len({place.code for place in form}) == 9
    assert all(place.code.startswith(place.section) for place in form)


def test_the_draw_is_pinned_to_these_codes() -> None:
    """A changed draw would give other papers than the ones already printed."""
    forms = draw_forms(blueprint(("law", 3, "1"), ("maths", 2, "1")), bank(law=6, maths=5), "slot-7", 2)
    assert [[place.code for place in form] for form in forms] == PINNED


PINNED = [
    ["law-005", "law-002", "law-004", "maths-000", "maths-001"],
    ["law-003", "law-000", "law-001", "maths-002", "maths-004"],
]


def slow_numbers(label: str) -> list[int]:
    blocks = b"".join(hashlib.sha256(f"{label}:{index}".encode()).digest() for index in range(20))
    return [int.from_bytes(blocks[at : at + 8], "big") for at in range(0, len(blocks), 8)]


def slow_shuffle(entries: list[str], label: str) -> list[str]:
    numbers, entries = slow_numbers(label), list(entries)
    for size in range(len(entries), 1, -1):
        while numbers[0] >= 2**64 - 2**64 % size:
            numbers.pop(0)
        place = numbers.pop(0) % size
        entries[size - 1], entries[place] = entries[place], entries[size - 1]
    return entries


def test_the_draw_follows_the_written_algorithm() -> None:
    codes = [f"law-{number:03}" for number in range(10)]
    pool = slow_shuffle(codes, "s/pool/law")
    forms = draw_forms(blueprint(("law", 4, "1")), bank(law=10), "s", 3)
    for number, form in enumerate(forms, start=1):
        dealt = sorted((pool + pool)[(number - 1) * 4 : number * 4])
        assert [place.code for place in form] == slow_shuffle(dealt, f"s/form/{number}/law")


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.text(max_size=8))
def test_every_draw_is_repeatable_and_spreads_the_bank(wanted: int, spare: int, forms: int, seed: str) -> None:
    items = bank(law=wanted + spare)
    plan = blueprint(("law", wanted, "1"))
    drawn = draw_forms(plan, items, seed, forms)
    assert drawn == draw_forms(plan, list(reversed(items)), seed, forms)
    assert all(len({place.code for place in form}) == wanted for form in drawn)
    uses = Counter(place.code for form in drawn for place in form)
    unused = [0] if len(uses) < len(items) else []
    assert max(uses.values()) - min([*uses.values(), *unused]) <= 1


def test_another_seed_draws_another_form() -> None:
    plan = blueprint(("law", 10, "1"))
    drawn = {tuple(p.code for p in draw_forms(plan, bank(law=30), str(seed), 1)[0]) for seed in range(20)}
    assert len(drawn) == 20


def test_without_shuffle_a_section_is_in_order_of_codes() -> None:
    (form,) = draw_forms(blueprint(("law", 5, "1"), shuffle=False), bank(law=9), "x", 1)
    codes = [place.code for place in form]
    assert codes == sorted(codes)


def test_a_bank_with_too_few_items_is_named_section_by_section() -> None:
    with pytest.raises(NotEnoughItems) as refusal:
        draw_forms(blueprint(("law", 5, "1"), ("maths", 2, "1"), ("marathi", 1, "1")), bank(law=4, maths=2), "x", 1)
    assert refusal.value.shortages == [Shortage("law", 5, 4), Shortage("marathi", 1, 0)]
    assert '"law": 5 wanted, 4 available; "marathi": 1 wanted, 0 available' in str(refusal.value)


def test_doubles_are_refused() -> None:
    with pytest.raises(ValueError, match="same code"):
        draw_forms(blueprint(("law", 1, "1")), bank(law=2) + bank(law=1), "x", 1)
    with pytest.raises(ValueError, match="twice"):
        draw_forms(blueprint(("law", 1, "1"), ("law", 1, "1")), bank(law=2), "x", 1)


@pytest.mark.parametrize(
    "written",
    [
        b'{"sections":[]}',
        b'{"sections":[{"section":"law","count":0}]}',
        b'{"sections":[{"section":"law","count":1,"marks":"-1"}]}',
        b'{"sections":[{"section":"","count":1}]}',
        b'{"sections": [{"section": "a", "count": 1, "minutes": 5}, {"section": "b", "count": 1}]}',
        b'{"sections": [{"section": "a", "count": 1, "minutes": 0}]}',
        b'{"sections": [{"section": "a", "count": 1}], "navigation": "backward"}',
    ],
)
def test_a_senseless_blueprint_is_refused(written: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(written, type=Blueprint)


def test_places_survive_json() -> None:
    place = FormPlace(1, "law", "law-001", "1/2")
    assert msgspec.json.decode(msgspec.json.encode(place), type=FormPlace) == place


@pytest.mark.parametrize("vector", VECTORS["option_order"])
def test_option_orders_are_those_of_the_vectors(vector: dict[str, object]) -> None:
    options = msgspec.convert(
        [{**option, "text": {"en": "x"}} for option in msgspec.convert(vector["options"], list[dict[str, object]])],
        list[Option],
    )
    order = option_order(msgspec.convert(vector["seed"], int), msgspec.convert(vector["item_no"], int), options)
    assert order == vector["order"]


def int32_order(seed: int, item_no: int, options: list[Option]) -> list[str]:
    """The browser's arithmetic: signed 32-bit products and shifts, written independently."""

    def imul(a: int, b: int) -> int:
        return (a * b) % 2**32

    state = (seed ^ imul(item_no, 0x9E3779B1)) % 2**32
    free = [option.id for option in options if not option.pinned]
    for last in reversed(range(1, len(free))):
        state = (state + 0x6D2B79F5) % 2**32
        t = imul(state ^ (state >> 15), 1 | state)
        t = ((t + imul(t ^ (t >> 7), 61 | t)) % 2**32) ^ t
        other = (t ^ (t >> 14)) % (last + 1)
        free[last], free[other] = free[other], free[last]
    return [option.id if option.pinned else free.pop(0) for option in options]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 1000),
    st.lists(st.booleans(), max_size=20),
)
def test_orders_are_permutations_that_keep_pinned_options(seed: int, item_no: int, pinned: list[bool]) -> None:
    options = [Option(f"o{place}", {"en": "x"}, pin) for place, pin in enumerate(pinned)]
    order = option_order(seed, item_no, options)
    assert sorted(order) == sorted(option.id for option in options)
    assert all(order[place] == option.id for place, option in enumerate(options) if option.pinned)
    assert order == int32_order(seed, item_no, options)


@pytest.mark.parametrize("vector", VECTORS["gap_orders"])
def test_gap_orders_are_those_of_the_vectors(vector: dict[str, object]) -> None:
    gaps = msgspec.convert(
        [
            {"id": gap["id"], "options": [{**option, "text": {"en": "x"}} for option in gap["options"]]}
            for gap in msgspec.convert(vector["gaps"], list[dict[str, Any]])
        ],
        list[Gap],
    )
    orders = gap_orders(msgspec.convert(vector["seed"], int), msgspec.convert(vector["item_no"], int), gaps)
    assert orders == vector["orders"]


@given(st.integers(0, 2**32 - 1), st.integers(1, 1000), st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_gaps_are_one_long_list_to_the_generator(seed: int, item_no: int, sizes: list[int]) -> None:
    gaps = [Gap(f"g{at}", [Option(f"o{n}", {"en": "x"}) for n in range(size)]) for at, size in enumerate(sizes)]
    orders = gap_orders(seed, item_no, gaps)
    assert list(orders) == [gap.id for gap in gaps]
    for gap in gaps:
        assert sorted(orders[gap.id]) == sorted(option.id for option in gap.options)
    assert orders["g0"] == option_order(seed, item_no, gaps[0].options)


def test_each_order_is_about_as_frequent() -> None:
    options = [Option(letter, {"en": letter}) for letter in "abcd"]
    orders = Counter(tuple(option_order(seed, 1 + seed % 50, options)) for seed in range(0, 24_000 * 99_991, 99_991))
    assert len(orders) == 24
    assert all(850 < count < 1150 for count in orders.values())


def test_shown_order_follows_the_interaction() -> None:
    options = [Option(letter, {"en": letter}) for letter in "abcdef"]
    prompts = [Option(f"p{number}", {"en": "x"}) for number in range(3)]
    shuffled = option_order(5, 2, options)
    assert shuffled != list("abcdef")
    assert shown_order(5, 2, Choice(options)) == shuffled
    assert shown_order(5, 2, Choice(options, shuffle=False)) == list("abcdef")
    assert shown_order(5, 2, Match(prompts, options)) == shuffled
    assert shown_order(5, 2, Match(prompts, options, shuffle=False)) == list("abcdef")
    assert shown_order(5, 2, Ordering(options)) == shuffled
    assert shown_order(5, 2, Ordering(options, shuffle=False)) == list("abcdef")
    assert shown_order(5, 2, InlineChoice({"en": "[[g]]"}, [Gap("g", options)])) == []
    assert shown_order(5, 2, Essay()) == []
    assert shown_order(5, 2, TextEntry()) == []
    assert shown_order(5, 2, Numeric()) == []
