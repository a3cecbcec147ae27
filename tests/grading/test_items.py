"""Responses against interactions, and the one text of a response."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grading.items import (
    Choice,
    Interaction,
    Item,
    Match,
    Numeric,
    Option,
    Response,
    TextEntry,
    canonical,
    response_fits,
)

RIVERS = [Option("a", {"en": "Godavari", "mr": "गोदावरी"}), Option("b", {"en": "Krishna"}), Option("c", {"en": "Tapi"})]
ONE = Choice(RIVERS)
SEVERAL = Choice(RIVERS, multiple=True)
SHORT = TextEntry(max_length=5)
NUMBER = Numeric()
MATCH = Match([Option("p1", {"en": "Pune"}), Option("p2", {"en": "Nashik"})], RIVERS)


@pytest.mark.parametrize("interaction", [ONE, SEVERAL, SHORT, NUMBER, MATCH])
def test_a_cleared_response_fits_everywhere(interaction: Interaction) -> None:
    assert response_fits(interaction, None)


@pytest.mark.parametrize(
    ("interaction", "response"),
    [
        (ONE, "b"),
        (SEVERAL, []),
        (SEVERAL, ["a", "c"]),
        (SHORT, ""),
        (SHORT, "नदी"),
        (SHORT, "12345"),
        (NUMBER, "१२.५"),
        (NUMBER, "not a number"),
        (MATCH, {}),
        (MATCH, {"p1": "c"}),
        (MATCH, {"p1": "a", "p2": "a"}),
    ],
)
def test_a_response_of_the_right_shape_fits(interaction: Interaction, response: Response) -> None:
    assert response_fits(interaction, response)


@pytest.mark.parametrize(
    ("interaction", "response"),
    [
        (ONE, "d"),
        (ONE, ""),
        (ONE, ["a"]),
        (ONE, {"a": "b"}),
        (SEVERAL, "a"),
        (SEVERAL, ["a", "a"]),
        (SEVERAL, ["a", "d"]),
        (SEVERAL, {"a": "b"}),
        (SHORT, "123456"),
        (SHORT, "a\0b"),
        (SHORT, ["a"]),
        (NUMBER, "1" * 65),
        (NUMBER, "1\0"),
        (NUMBER, {"a": "b"}),
        (MATCH, {"p3": "a"}),
        (MATCH, {"p1": "p2"}),
        (MATCH, ["p1"]),
        (MATCH, "p1"),
    ],
)
def test_a_response_of_another_shape_or_with_a_strange_id_does_not_fit(
    interaction: Interaction, response: Response
) -> None:
    assert not response_fits(interaction, response)


def test_equal_responses_have_one_text() -> None:
    assert canonical(None) == "null"
    assert canonical("गोदावरी") == '"गोदावरी"'
    assert canonical(["c", "a"]) == '["a","c"]'
    assert canonical({"p2": "a", "p1": "b"}) == '{"p1":"b","p2":"a"}'


@given(st.dictionaries(st.sampled_from("pqrstuv"), st.sampled_from("abc")))
def test_the_text_does_not_depend_on_the_order_of_pairs(pairs: dict[str, str]) -> None:
    assert canonical(pairs) == canonical(dict(reversed(pairs.items())))
    assert msgspec.json.decode(canonical(pairs)) == pairs


def test_an_item_survives_json_and_refuses_what_is_no_part_of_it() -> None:
    item = Item("R1", "Rivers", {"en": "Which river is the longest?"}, MATCH, "Rivers", ["0" * 64])
    assert msgspec.json.decode(msgspec.json.encode(item), type=Item) == item
    with_key = msgspec.json.encode(item)[:-1] + b',"key":{"a":"1"}}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(with_key, type=Item)
