"""Responses against interactions, and the one text of a response."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Response,
    TextEntry,
    canonical,
    places,
    response_fits,
)

RIVERS = [Option("a", {"en": "Godavari", "mr": "गोदावरी"}), Option("b", {"en": "Krishna"}), Option("c", {"en": "Tapi"})]
ONE = Choice(RIVERS)
SEVERAL = Choice(RIVERS, multiple=True)
SHORT = TextEntry(max_length=5)
NUMBER = Numeric()
MATCH = Match([Option("p1", {"en": "Pune"}), Option("p2", {"en": "Nashik"})], RIVERS)
INLINE = InlineChoice(
    {"en": "<p>[[g1]] is longer than <b>[[g2]]</b>.</p>", "mr": "[[g2]] पेक्षा [[g1]] लांब आहे."},
    [Gap("g1", RIVERS), Gap("g2", RIVERS[:2])],
)
ORDER = Ordering(RIVERS)
ESSAY = Essay(max_length=5)


@pytest.mark.parametrize("interaction", [ONE, SEVERAL, SHORT, NUMBER, MATCH, INLINE, ORDER, ESSAY])
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
        (INLINE, {}),
        (INLINE, {"g2": "b"}),
        (INLINE, {"g1": "c", "g2": "b"}),
        (ORDER, {"1": "c", "2": "a", "3": "b"}),
        (ORDER, {"3": "c", "2": "a", "1": "b"}),
        (ESSAY, "नदी\n!"),
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
        (INLINE, {"g2": "c"}),
        (INLINE, {"g3": "a"}),
        (INLINE, {"g1": "g2"}),
        (INLINE, ["g1"]),
        (INLINE, "a"),
        (ORDER, {}),
        (ORDER, {"1": "c", "2": "a"}),
        (ORDER, {"1": "c", "2": "a", "3": "a"}),
        (ORDER, {"1": "c", "2": "a", "4": "b"}),
        (ORDER, {"1": "c", "2": "a", "03": "b"}),
        (ORDER, {"1": "c", "2": "a", "3": "b", "4": "b"}),
        (ORDER, {"1": "c", "2": "a", "3": "d"}),
        (ORDER, ["a", "b", "c"]),
        (ORDER, "a"),
        (ESSAY, "123456"),
        (ESSAY, "a\0b"),
        (ESSAY, ["a"]),
        (ESSAY, {"1": "a"}),
    ],
)
def test_a_response_of_another_shape_or_with_a_strange_id_does_not_fit(
    interaction: Interaction, response: Response
) -> None:
    assert not response_fits(interaction, response)


@pytest.mark.parametrize(
    "text",
    [
        {},
        {"en": "[[g1]] [[g2]]", "mr": "[[g1]]"},
        {"en": "[[g1]] [[g1]] [[g2]]"},
        {"en": "[[g1]] [[g2]] [[g3]]"},
        {"en": '<img alt="[[g1]]"> [[g2]]'},
        {"en": "<math><mi>[[g1]]</mi></math> [[g2]]"},
        {"en": "[[<b>g1</b>]] [[g2]]"},
        {"en": "[[ g1 ]] [[g2]]"},
    ],
)
def test_a_text_without_each_gap_once_cannot_be(text: dict[str, str]) -> None:
    written = msgspec.to_builtins(INLINE) | {"text": text}
    with pytest.raises(msgspec.ValidationError, match=r"each gap once|no text"):
        msgspec.convert(written, InlineChoice)


def test_options_of_one_id_and_markup_in_a_gap_cannot_be() -> None:
    double = [RIVERS[0], RIVERS[0]]
    for refused in (
        lambda: Ordering(double),
        lambda: Gap("g", double),
        lambda: InlineChoice({"en": ""}, INLINE.gaps * 2),
    ):
        with pytest.raises(ValueError, match="same id"):
            refused()
    with pytest.raises(ValueError, match="markup"):
        Gap("g", [Option("a", {"en": "H<sub>2</sub>O"})])
    for empty in ('{"type":"order","options":[]}', '{"type":"inline","text":{"en":"x"},"gaps":[]}'):
        with pytest.raises(msgspec.ValidationError, match="length"):
            msgspec.json.decode(empty, type=Interaction)


@pytest.mark.parametrize("interaction", [INLINE, ORDER, ESSAY, Essay()])
def test_an_interaction_survives_json(interaction: Interaction) -> None:
    assert msgspec.json.decode(msgspec.json.encode(interaction), type=Interaction) == interaction


@given(st.permutations([Option(f"o{place}", {"en": str(place)}) for place in range(12)]), st.data())
def test_only_whole_orders_fit_and_their_text_gives_them_back(shown: list[Option], data: st.DataObject) -> None:
    order = Ordering(shown)
    ids = [option.id for option in data.draw(st.permutations(shown))]
    response: dict[str, str] = dict(zip(places(12), ids, strict=True))
    assert response_fits(order, response)
    back = msgspec.json.decode(canonical(response), type=Response)
    assert back == response and response_fits(order, back) and canonical(back) == canonical(response)
    place, other = data.draw(st.sampled_from(places(12))), data.draw(st.sampled_from(ids))
    changed = {**response, place: other}
    assert response_fits(order, changed) == (changed == response)
    assert not response_fits(order, {key: option for key, option in response.items() if key != place})


@given(st.dictionaries(st.sampled_from(["g1", "g2", "g3"]), st.sampled_from("abcd")))
def test_gaps_fit_one_by_one(response: dict[str, str]) -> None:
    offered = {"g1": "abc", "g2": "ab"}
    assert response_fits(INLINE, response) == all(option in offered.get(gap, "") for gap, option in response.items())
    assert msgspec.json.decode(canonical(response), type=Response) == response


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
