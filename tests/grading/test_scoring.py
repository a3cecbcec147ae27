"""Scores against a slow scorer written apart from the real one, and the rules one by one."""

import random
import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grading import scoring
from grading.items import (
    Choice,
    Essay,
    Gap,
    InlineChoice,
    Interaction,
    Match,
    Numeric,
    Option,
    Ordering,
    Response,
    TextEntry,
)
from grading.keys import (
    ChoiceKey,
    InlineKey,
    Key,
    ManualKey,
    MatchKey,
    NumericAnswer,
    NumericKey,
    OrderKey,
    TextAnswer,
    TextKey,
)
from grading.scoring import (
    FormItem,
    FormScorer,
    ItemScore,
    Scheme,
    Score,
    SectionScore,
    answered,
    exact,
    rounded,
    score_attempt,
    score_item,
)


def options(letters: str) -> list[Option]:
    return [Option(letter, {"en": letter}) for letter in letters]


ONE = Choice(options("abcd"))
ONE_KEY = ChoiceKey({"a": "1", "b": "1/3", "c": "-1/2"})
SEVERAL = Choice(options("abcd"), multiple=True)
SEVERAL_KEY = ChoiceKey({"a": "1/3", "b": "2/3", "c": "-1/2", "d": "-1"})
TEXT = TextEntry()
TEXT_KEY = TextKey([TextAnswer("Godavari"), TextAnswer("goda*", "1/2"), TextAnswer("*", "0")])
NUMBER = Numeric()
NUMBER_KEY = NumericKey([NumericAnswer("9.8", "9.8"), NumericAnswer("9.5", "10", "0.25")])
MATCH = Match(options("xyz"), options("abcd"))
MATCH_KEY = MatchKey({"x": "a", "y": "b", "z": "a"})
INLINE = InlineChoice({"en": "A [[x]], [[y]] and [[z]]."}, [Gap(gap, options("abc")) for gap in "xyz"])
INLINE_KEY = InlineKey({"x": "a", "y": "b", "z": "a"}, {"y": "2", "z": "0.5"})
ORDER = Ordering(options("abcd"))
ORDER_KEY = OrderKey(list("cadb"))
PAIRS_KEY = OrderKey(list("cadb"), "relative_next")
ESSAY = Essay()
ESSAY_KEY = ManualKey()

KINDS: list[tuple[Interaction, Key]] = [
    (ONE, ONE_KEY),
    (SEVERAL, SEVERAL_KEY),
    (TEXT, TEXT_KEY),
    (NUMBER, NUMBER_KEY),
    (MATCH, MATCH_KEY),
    (INLINE, INLINE_KEY),
    (ORDER, ORDER_KEY),
    (ORDER, PAIRS_KEY),
    (ESSAY, ESSAY_KEY),
]


def placed(letters: str) -> dict[str, str]:
    return {str(place): letter for place, letter in enumerate(letters, start=1)}


@pytest.mark.parametrize(
    ("interaction", "key", "response", "share"),
    [
        (ONE, ONE_KEY, "a", 1),
        (ONE, ONE_KEY, "b", Fraction(1, 3)),
        (ONE, ONE_KEY, "c", Fraction(-1, 2)),
        (ONE, ONE_KEY, "d", 0),
        (ONE, ONE_KEY, None, 0),
        (ONE, ChoiceKey({"a": "7", "b": "-7"}), "a", 1),
        (ONE, ChoiceKey({"a": "7", "b": "-7"}), "b", -1),
        (SEVERAL, SEVERAL_KEY, ["a", "b"], 1),
        (SEVERAL, SEVERAL_KEY, ["b"], Fraction(2, 3)),
        (SEVERAL, SEVERAL_KEY, ["a", "b", "c"], Fraction(1, 2)),
        (SEVERAL, SEVERAL_KEY, ["a", "c"], 0),
        (SEVERAL, SEVERAL_KEY, ["a", "b", "c", "d"], 0),
        (SEVERAL, SEVERAL_KEY, [], 0),
        (SEVERAL, ChoiceKey({"a": "1", "b": "1"}), ["a", "b"], 1),
        (TEXT, TEXT_KEY, " godaVARI ", 1),
        (TEXT, TEXT_KEY, "Godavary", Fraction(1, 2)),
        (TEXT, TEXT_KEY, "Krishna", 0),
        (TEXT, TEXT_KEY, "", 0),
        (TEXT, TextKey([TextAnswer("*")]), "   ", 0),
        (TEXT, TextKey([TextAnswer("Pune")], case_sensitive=True), "pune", 0),
        (TEXT, TextKey([TextAnswer("Pune")], case_sensitive=True), "Pune", 1),
        (TEXT, TextKey([TextAnswer("Goda*", "1/2"), TextAnswer("Godavari")]), "Godavari", Fraction(1, 2)),
        (TEXT, TextKey([TextAnswer("गोदावरी")]), "गोदावरी ", 1),
        (TEXT, TextKey([TextAnswer("x", "3")]), "x", 1),
        (TEXT, TextKey([TextAnswer("x", "-1")]), "x", 0),
        (TEXT, TextKey([]), "x", 0),
        (NUMBER, NUMBER_KEY, "9.8", 1),
        (NUMBER, NUMBER_KEY, "९,८", 1),
        (NUMBER, NUMBER_KEY, "9.80", 1),
        (NUMBER, NUMBER_KEY, "9.5", Fraction(1, 4)),
        (NUMBER, NUMBER_KEY, "10", Fraction(1, 4)),
        (NUMBER, NUMBER_KEY, "10.000000000000000000000000001", 0),
        (NUMBER, NUMBER_KEY, "9.4999999999999999999999999999", 0),
        (NUMBER, NUMBER_KEY, "about 9.8", 0),
        (NUMBER, NumericKey([NumericAnswer("-2", "-1")]), "−1.5", 1),
        (MATCH, MATCH_KEY, {"x": "a", "y": "b", "z": "a"}, 1),
        (MATCH, MATCH_KEY, {"x": "a", "y": "a", "z": "a"}, Fraction(2, 3)),
        (MATCH, MATCH_KEY, {"z": "a"}, Fraction(1, 3)),
        (MATCH, MATCH_KEY, {"x": "d"}, 0),
        (MATCH, MATCH_KEY, {}, 0),
        (INLINE, INLINE_KEY, {"x": "a", "y": "b", "z": "a"}, 1),
        (INLINE, INLINE_KEY, {"y": "b", "x": "b"}, Fraction(4, 7)),
        (INLINE, INLINE_KEY, {"z": "a"}, Fraction(1, 7)),
        (INLINE, InlineKey({"x": "a", "y": "b", "z": "a"}), {"z": "a"}, Fraction(1, 3)),
        (INLINE, InlineKey({"x": "a", "y": "b", "z": "a"}, {"x": "0", "y": "0"}), {"x": "a", "y": "b"}, 0),
        (INLINE, INLINE_KEY, {"x": "c"}, 0),
        (INLINE, INLINE_KEY, {}, 0),
        (ORDER, ORDER_KEY, placed("cadb"), 1),
        (ORDER, ORDER_KEY, placed("cabd"), 0),
        (ORDER, ORDER_KEY, None, 0),
        (ORDER, PAIRS_KEY, placed("cadb"), 1),
        (ORDER, PAIRS_KEY, placed("bcad"), Fraction(2, 3)),
        (ORDER, PAIRS_KEY, placed("adbc"), Fraction(2, 3)),
        (ORDER, PAIRS_KEY, placed("dbca"), Fraction(2, 3)),
        (ORDER, PAIRS_KEY, placed("cdab"), 0),
        (ORDER, PAIRS_KEY, placed("bdac"), 0),
        (ESSAY, ESSAY_KEY, "Everything that can be said.", 0),
    ],
)
def test_share_of_a_response(interaction: Interaction, key: Key, response: Response, share: Fraction | int) -> None:
    result = score_item(interaction, key, response)
    assert result == share
    assert isinstance(result, Fraction)


@pytest.mark.parametrize(
    ("interaction", "key"),
    [
        (ONE, TEXT_KEY),
        (TEXT, NUMBER_KEY),
        (NUMBER, TEXT_KEY),
        (MATCH, ONE_KEY),
        (SEVERAL, MATCH_KEY),
        (ONE, ChoiceKey({"z": "1"})),
        (MATCH, MatchKey({"q": "a"})),
        (MATCH, MatchKey({"x": "q"})),
        (MATCH, MatchKey({})),
        (INLINE, MATCH_KEY),
        (INLINE, InlineKey({"x": "a", "y": "b"})),
        (INLINE, InlineKey({"x": "a", "y": "b", "z": "a", "q": "a"})),
        (INLINE, InlineKey({"x": "a", "y": "b", "z": "d"})),
        (INLINE, InlineKey({"x": "a", "y": "b", "z": "a"}, {"q": "1"})),
        (INLINE, InlineKey({"x": "a", "y": "b", "z": "a"}, {"x": "-1", "y": "3"})),
        (INLINE, InlineKey({"x": "a", "y": "b", "z": "a"}, {"x": "0", "y": "0", "z": "0"})),
        (ORDER, OrderKey(list("abc"))),
        (ORDER, OrderKey(list("abcdd"))),
        (ORDER, OrderKey(list("abce"))),
        (ORDER, ChoiceKey({"a": "1"})),
        (ONE, ORDER_KEY),
        (ESSAY, TEXT_KEY),
        (TEXT, ESSAY_KEY),
    ],
)
def test_a_key_of_another_item_is_refused(interaction: Interaction, key: Key) -> None:
    with pytest.raises(ValueError, match="key"):
        score_item(interaction, key, None)
    with pytest.raises(ValueError, match="key"):
        FormScorer([FormItem("s", interaction, key)], Scheme())


def test_a_response_that_does_not_fit_is_refused_and_not_guessed() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        score_item(ONE, ONE_KEY, "q")
    scorer = FormScorer([FormItem("s", ONE, ONE_KEY)], Scheme())
    with pytest.raises(ValueError, match="item 1 does not fit"):
        scorer.score({1: ["a"]})
    with pytest.raises(ValueError, match="does not have"):
        scorer.score({2: "a"})
    assert scorer.score({1: "a"}).total == "1"


@pytest.mark.parametrize("response", [None, "", " \n\u00a0", [], {}])
def test_blank_is_not_answered(response: Response) -> None:
    assert not answered(response)


@pytest.mark.parametrize("response", ["0", ["a"], {"x": "a"}])
def test_anything_else_is_answered(response: Response) -> None:
    assert answered(response)


# A slow scorer, written from the rules and not from the code ----------------------------------------------------


def slow_share(interaction: Interaction, key: Key, response: Response) -> Fraction:
    if response is None or response in ([], {}) or (isinstance(response, str) and not response.strip()):
        return Fraction(0)
    if isinstance(key, ChoiceKey) and isinstance(response, str):
        return sorted([Fraction(-1), Fraction(key.weights.get(response, "0")), Fraction(1)])[1]
    if isinstance(key, ChoiceKey):
        total = Fraction(0)
        for option in response:
            total += Fraction(key.weights.get(option, "0"))
        return sorted([Fraction(0), total, Fraction(1)])[1]
    if isinstance(key, MatchKey):
        assert isinstance(response, dict)
        right = [prompt for prompt in key.pairs if response.get(prompt) == key.pairs[prompt]]
        return Fraction(len(right), len(key.pairs))
    if isinstance(key, InlineKey):
        assert isinstance(response, dict)
        weights = {gap: Fraction(key.weights.get(gap, "1")) for gap in key.right}
        earned = [weights[gap] for gap, option in response.items() if key.right[gap] == option]
        return sum(earned, Fraction(0)) / sum(weights.values())
    if isinstance(key, OrderKey):
        assert isinstance(response, dict)
        word = "".join(response[str(place + 1)] for place in range(len(response)))
        order = "".join(key.order)
        if key.rule == "all_or_nothing":
            return Fraction(word == order)
        return Fraction(sum(order[at : at + 2] in word for at in range(len(order) - 1)), len(order) - 1)
    assert isinstance(response, str)
    if isinstance(key, ManualKey):
        return Fraction(0)
    if isinstance(key, NumericKey):
        plain = "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in response.strip())
        if not re.fullmatch(r"[+−-]?\d+([.,]\d+)?", plain):
            return Fraction(0)
        number = Decimal(plain.replace(",", ".").replace("−", "-"))
        for range_ in key.answers:
            if Decimal(range_.low) <= number <= Decimal(range_.high):
                return Fraction(range_.weight)
        return Fraction(0)
    typed = re.sub(r"\s+", " ", unicodedata.normalize("NFC", response)).strip()
    for answer in key.answers:
        wanted = re.sub(r"\s+", " ", answer.text).strip()
        pattern = ".*".join(re.escape(run) for run in wanted.split("*"))
        if re.fullmatch(pattern, typed, re.DOTALL | (re.NOFLAG if key.case_sensitive else re.IGNORECASE)):
            return Fraction(answer.weight)
    return Fraction(0)


WEIGHTS = ["0", "1", "1/2", "1/3", "0.25", "2/7", "5/6"]


def random_pair(draw: random.Random) -> tuple[Interaction, Key, Response]:
    """A random item with a fitting response, blank ones among them."""
    kind = draw.randrange(7)
    letters = "abcdef"[: draw.randint(2, 6)]
    if kind == 0:
        weights = {letter: draw.choice([*WEIGHTS, "-1/2", "-1"]) for letter in letters if draw.random() < 0.8}
        return Choice(options(letters)), ChoiceKey(weights), draw.choice([None, *letters])
    if kind == 1:
        weights = {letter: draw.choice([*WEIGHTS, "-1/3", "-0.5"]) for letter in letters}
        chosen = draw.sample(letters, draw.randint(0, len(letters)))
        return Choice(options(letters), multiple=True), ChoiceKey(weights), chosen
    if kind == 2:
        words = ["Goda", "vari", "गोदा", "वरी", "*", " "]
        answers = [
            TextAnswer("".join(draw.choices(words, k=draw.randint(1, 4))).strip() or "x", draw.choice(WEIGHTS))
            for _ in range(draw.randint(1, 3))
        ]
        typed = "".join(draw.choices([*words, "GODA", "  "], k=draw.randint(0, 4)))
        return TEXT, TextKey(answers, case_sensitive=draw.random() < 0.5), typed
    if kind == 3:
        answers_ = [
            NumericAnswer(str(low), str(low + draw.randint(0, 3)), draw.choice(WEIGHTS))
            for low in draw.choices(range(-5, 6), k=3)
        ]
        number = f"{draw.randint(-60, 60) / 10}"
        typed = draw.choice(
            [number, number.replace(".", ","), number.replace("-", "−"), "x" + number, f" {number} ", ""]
        )
        return NUMBER, NumericKey(answers_), typed
    if kind == 4:
        gaps = "uvwxyz"[: draw.randint(1, 6)]
        rights = {gap: draw.choice(letters) for gap in gaps}
        filled = {gap: draw.choice(letters) for gap in gaps if draw.random() < 0.7}
        counts = {gap: draw.choice(["1", "2", "1/3", "0.5"]) for gap in gaps if draw.random() < 0.5}
        text = {"en": " ".join(f"[[{gap}]]" for gap in gaps)}
        return InlineChoice(text, [Gap(gap, options(letters)) for gap in gaps]), InlineKey(rights, counts), filled
    if kind == 5:
        order, given = draw.sample(letters, len(letters)), draw.sample(letters, len(letters))
        if draw.random() < 0.2:
            given = order
        rule = draw.choice(["all_or_nothing", "relative_next"])
        return (
            Ordering(options(letters)),
            msgspec.convert({"type": "order", "order": order, "rule": rule}, OrderKey),
            placed("".join(given)),
        )
    prompts = "uvwxyz"[: draw.randint(1, 6)]
    pairs = {prompt: draw.choice(letters) for prompt in prompts}
    made = {prompt: draw.choice(letters) for prompt in prompts if draw.random() < 0.7}
    return Match(options(prompts), options(letters)), MatchKey(pairs), made


def test_a_hundred_thousand_random_pairs_score_as_the_slow_way_says() -> None:
    draw = random.Random(20_24)
    seen = set()
    for _ in range(100_000):
        interaction, key, response = random_pair(draw)
        share = score_item(interaction, key, response)
        assert share == slow_share(interaction, key, response), (key, response)
        assert -1 <= share <= 1
        assert share >= 0 or (isinstance(interaction, Choice) and not interaction.multiple)
        seen.add((type(key), share))
    assert len(seen) > 60


def slow_attempt(form: list[FormItem], scheme: Scheme, responses: dict[int, Response]) -> Score:
    items, sections = [], {item.section: [Fraction(0), Fraction(0)] for item in form}
    for item_no, item in enumerate(form, start=1):
        response = responses.get(item_no)
        share = slow_share(item.interaction, item.key, response)
        blank = response is None or response in ([], {}) or (isinstance(response, str) and not response.strip())
        if not blank and share <= 0:
            share = min(share, -Fraction(scheme.negative))
        marks = Fraction(item.marks)
        sections[item.section][0] += share * marks
        sections[item.section][1] += marks
        items.append((item_no, share * marks, marks, not blank))
    total = sum((awarded for _, awarded, _, _ in items), Fraction(0))
    shown = str(
        (Decimal(total.numerator) / Decimal(total.denominator)).quantize(
            Decimal(1).scaleb(-scheme.round_to), ROUND_HALF_UP
        )
    )
    return Score(
        exact(total),
        shown.removeprefix("-") if Decimal(shown) == 0 else shown,
        exact(sum((marks for _, _, marks, _ in items), Fraction(0))),
        [ItemScore(item_no, exact(awarded), exact(marks), given) for item_no, awarded, marks, given in items],
        [SectionScore(name, exact(awarded), exact(marks)) for name, (awarded, marks) in sections.items()],
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["0", "1/4", "1/3", "0.5", "1"]), st.integers(0, 4))
def test_attempts_score_as_the_slow_way_says(seed: int, negative: str, round_to: int) -> None:
    draw = random.Random(seed)
    scheme = Scheme(negative, round_to)
    form, responses = [], {}
    for item_no in range(1, draw.randint(2, 15)):
        interaction, key, response = random_pair(draw)
        form.append(FormItem(draw.choice("ABC"), interaction, key, draw.choice(["1", "2", "0.5", "4/3"])))
        if draw.random() < 0.8:
            responses[item_no] = response
    expected = slow_attempt(form, scheme, responses)
    scorer = FormScorer(form, scheme)
    assert scorer.score(responses) == expected
    assert scorer.score(dict(reversed(responses.items()))) == expected
    assert score_attempt(form, scheme, responses) == expected


# The scheme ----------------------------------------------------------------------------------------------------


def test_a_score_names_items_sections_and_totals_exactly() -> None:
    form = [
        FormItem("law", ONE, ONE_KEY, "2"),
        FormItem("maths", NUMBER, NUMBER_KEY, "1"),
        FormItem("law", MATCH, MATCH_KEY, "4"),
        FormItem("maths", SEVERAL, SEVERAL_KEY, "1"),
    ]
    score = score_attempt(form, Scheme(), {1: "b", 2: "9.6", 3: {"x": "a"}, 4: None})
    assert score == Score(
        total="2.25",
        rounded="2.25",
        maximum="8",
        items=[
            ItemScore(1, "2/3", "2", True),
            ItemScore(2, "0.25", "1", True),
            ItemScore(3, "4/3", "4", True),
            ItemScore(4, "0", "1", False),
        ],
        sections=[SectionScore("law", "2", "6"), SectionScore("maths", "0.25", "2")],
    )


@pytest.mark.parametrize(
    ("negative", "response", "total"),
    [
        ("0", "d", "0"),
        ("1/4", "a", "2"),
        ("1/4", "b", "2/3"),
        ("1/4", "d", "-0.5"),
        ("1/4", "c", "-1"),
        ("3/4", "c", "-1.5"),
        ("1/3", "d", "-2/3"),
        ("1/4", None, "0"),
    ],
)
def test_wrong_answers_cost_what_the_scheme_says(negative: str, response: Response, total: str) -> None:
    form = [FormItem("law", ONE, ONE_KEY, "2")]
    assert score_attempt(form, Scheme(negative), {1: response}).total == total


def test_a_wrong_answer_of_any_kind_costs_but_a_blank_one_does_not() -> None:
    form = [FormItem("s", interaction, key, "3") for interaction, key in KINDS]
    wrong: dict[int, Response] = {1: "d", 2: ["d"], 3: "Krishna", 4: "nine", 5: {"x": "d"}}
    wrong |= {6: {"x": "c"}, 7: placed("abcd"), 8: placed("cdab"), 9: "Nobody has judged this text yet."}
    blank: dict[int, Response] = {1: None, 2: [], 3: "  ", 4: "", 5: {}, 6: {}, 7: None, 9: " \n"}
    assert score_attempt(form, Scheme("1/3"), wrong).total == "-8"
    assert score_attempt(form, Scheme("1/3"), blank).total == "0"
    assert score_attempt(form, Scheme("1/3"), {}).total == "0"


def test_an_essay_waits_for_people_and_says_so() -> None:
    form = [FormItem("s", ESSAY, ESSAY_KEY, "5"), FormItem("s", ONE, ONE_KEY), FormItem("s", ESSAY, ESSAY_KEY, "2")]
    scorer = FormScorer(form, Scheme("1"))
    score = scorer.score({1: "A text.", 2: "a", 3: " \n"})
    assert (score.total, score.maximum, score.unmarked) == ("1", "8", [1])
    assert [item.unmarked for item in score.items] == [True, False, False]
    assert score.items[0] == ItemScore(1, "0", "5", True, unmarked=True)
    assert scorer.score({1: "A text.", 3: "Another."}).unmarked == [1, 3]
    assert scorer.score({2: "d"}).unmarked == []
    back = msgspec.json.decode(msgspec.json.encode(score), type=Score)
    assert back == score and back.unmarked == [1]


@given(st.data())
def test_gaps_and_orders_score_the_same_however_their_options_stand(data: st.DataObject) -> None:
    letters = "abcdef"[: data.draw(st.integers(2, 6))]
    mixed = options("".join(data.draw(st.permutations(letters))))
    order, given_ = (data.draw(st.permutations(letters)) for _ in range(2))
    for rule in ("all_or_nothing", "relative_next"):
        key = msgspec.convert({"type": "order", "order": order, "rule": rule}, OrderKey)
        share = score_item(Ordering(options(letters)), key, placed("".join(given_)))
        assert share == score_item(Ordering(mixed), key, placed("".join(given_)))
        assert 0 <= share <= 1 and (share == 1) == (given_ == order)
    right, weights = (
        data.draw(st.fixed_dictionaries(dict.fromkeys("xyz", values)))
        for values in (st.sampled_from(letters), st.sampled_from(["1", "2", "1/3", "0.25"]))
    )
    filled = data.draw(st.dictionaries(st.sampled_from("xyz"), st.sampled_from(letters)))
    plain, turned = (
        InlineChoice({"en": "[[x]] [[y]] [[z]]"}, [Gap(gap, list(listed)) for gap in "xyz"])
        for listed in (options(letters), mixed)
    )
    inline = InlineKey(right, weights)
    share = score_item(plain, inline, filled)
    assert share == score_item(turned, inline, filled)
    assert 0 <= share <= 1 and (share == 1) == (filled == right)


def test_thirds_add_up_to_the_whole() -> None:
    form = [FormItem("s", MATCH, MATCH_KEY) for _ in range(3)]
    score = score_attempt(form, Scheme(), {number: {"x": "a"} for number in (1, 2, 3)})
    assert (score.total, score.rounded) == ("1", "1.00")
    assert [item.awarded for item in score.items] == ["1/3"] * 3


def test_an_empty_form_scores_nothing() -> None:
    assert score_attempt([], Scheme(), {}) == Score("0", "0.00", "0", [], [])


@pytest.mark.parametrize("written", [b'{"negative":"-1"}', b'{"negative":"1/0"}', b'{"round_to":-1}', b'{"x":1}'])
def test_a_senseless_scheme_is_refused(written: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(written, type=Scheme)


def test_scores_survive_json() -> None:
    score = score_attempt([FormItem("s", ONE, ONE_KEY)], Scheme(), {1: "b"})
    assert msgspec.json.decode(msgspec.json.encode(score), type=Score) == score


def test_remembered_scores_stay_right_when_the_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "MEMO_ENTRIES", 3)
    scorer = FormScorer([FormItem("s", NUMBER, NUMBER_KEY), FormItem("s", TextEntry(1000), TEXT_KEY)], Scheme())
    for number in [*range(20), *range(20)]:
        typed = "Godavari" + "x" * 300 if number % 2 else "Godavari"
        expected = Fraction(1, 4) if number == 10 else 0
        assert scorer.score({1: str(number), 2: typed}).total == exact(expected + Fraction(1, 1 + number % 2))
    assert max(len(place.seen) for place in scorer._places) <= 3
    assert all(len(str(name)) <= 200 for place in scorer._places for name in place.seen)


# Numbers in writing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Fraction(0), "0"),
        (Fraction(7), "7"),
        (Fraction(-7), "-7"),
        (Fraction(5, 2), "2.5"),
        (Fraction(1, 8), "0.125"),
        (Fraction(-1, 20), "-0.05"),
        (Fraction(1, 3), "1/3"),
        (Fraction(-5, 6), "-5/6"),
        (Fraction(100), "100"),
        (Fraction(1, 1024), "0.0009765625"),
    ],
)
def test_exact_writes_without_loss(value: Fraction, written: str) -> None:
    assert exact(value) == written
    assert Fraction(written) == value


@given(st.fractions())
def test_exact_is_read_back(value: Fraction) -> None:
    assert Fraction(exact(value)) == value


@pytest.mark.parametrize(
    ("value", "places", "written"),
    [
        (Fraction(1, 8), 2, "0.13"),
        (Fraction(-1, 8), 2, "-0.13"),
        (Fraction(1, 3), 2, "0.33"),
        (Fraction(2, 3), 2, "0.67"),
        (Fraction(-2, 3), 0, "-1"),
        (Fraction(1, 2), 0, "1"),
        (Fraction(5, 2), 0, "3"),
        (Fraction(-1, 1000), 2, "0.00"),
        (Fraction(12345, 100), 1, "123.5"),
        (Fraction(99995, 10000), 3, "10.000"),
        (Fraction(124999999999, 10**12), 2, "0.12"),
    ],
)
def test_halves_are_rounded_away_from_zero(value: Fraction, places: int, written: str) -> None:
    assert rounded(value, places) == written


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=5, min_value=-(10**6), max_value=10**6), st.integers(0, 4)
)
def test_rounding_is_that_of_decimal(value: Decimal, places: int) -> None:
    expected = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    assert rounded(Fraction(value), places) == f"{abs(expected) if expected == 0 else expected:f}"
