"""Item and test statistics against slow definitions, against Moodle's figures, and on items with a known fault."""

import csv
import os
import random
import statistics
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.findings import ItemFigures, Report, sentence
from grading.items import (
    Choice,
    Essay,
    Gap,
    InlineChoice,
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
    ManualKey,
    MatchKey,
    NumericAnswer,
    NumericKey,
    OrderKey,
    TextAnswer,
    TextKey,
)
from grading.scoring import FormItem, FormScorer, Scheme, exact
from grading.statistics import Entry, Sitting, Tally

SHARED = Path(os.environ.get("EXAM_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data") / "statistics"


def options(ids: str) -> list[Option]:
    return [Option(one, {"en": one}) for one in ids]


def choice(name: str, right: str = "A", marks: str = "1", span: int = 0) -> Entry:
    """One of A to D."""
    return Entry(name, Choice(options("ABCD")), ChoiceKey({right: "1"}), marks, span)


def essay(name: str, marks: str = "1") -> Entry:
    """An item of which the marks alone are known."""
    return Entry(name, Essay(), ManualKey(), marks)


def marked(form: str, marks: Sequence[Fraction], *labels: str) -> Sitting:
    """An attempt whose marks are given."""
    written = [exact(mark) for mark in marks]
    return Sitting(form, exact(sum(marks, Fraction(0))), written, {}, labels)


def scored(form: str, entries: Sequence[Entry], responses: Mapping[int, Response], *labels: str) -> Sitting:
    """An attempt as the grader gives it."""
    items = [FormItem("s", entry.interaction, entry.key, entry.marks) for entry in entries]
    score = FormScorer(items, Scheme()).score(responses)
    return Sitting(form, score.total, [item.awarded for item in score.items], responses, labels)


def item_of(report: Report, name: str) -> ItemFigures:
    return next(item for item in report.items if item.item == name)


def tallied(entries: Sequence[Entry], sittings: Sequence[Sitting]) -> Report:
    tally = Tally({"1": entries})
    tally.add(sittings)
    report = tally.report()
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    return report


# Against definitions written apart --------------------------------------------------------------------------------


def covariance(one: Sequence[Fraction], other: Sequence[Fraction]) -> Fraction:
    mean, mean_other = Fraction(sum(one), len(one)), Fraction(sum(other), len(other))
    pairs = zip(one, other, strict=True)
    return sum(((a - mean) * (b - mean_other) for a, b in pairs), Fraction(0)) / (len(one) - 1)


def correlation(one: Sequence[Fraction], other: Sequence[Fraction]) -> float | None:
    spreads = covariance(one, one) * covariance(other, other)
    return float(covariance(one, other)) / float(spreads) ** 0.5 if spreads else None


def share_of_band(totals: Sequence[Fraction], marks: Sequence[Fraction], low: Fraction, high: Fraction) -> Fraction:
    """The mean of `marks` from rank low to high, of equal totals every order alike: a person cut into hundredths."""
    count, weight, gained = len(totals), Fraction(0), Fraction(0)
    for value in set(totals):
        begin = sum(total < value for total in totals)
        same = [mark for total, mark in zip(totals, marks, strict=True) if total == value]
        inside = max(Fraction(0), min(begin + len(same), high * count) - max(begin, low * count))
        weight += inside
        gained += inside * Fraction(sum(same), len(same))
    return gained / weight


THIRDS = st.integers(-3, 6).map(lambda third: Fraction(third, 3))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5).flatmap(lambda k: st.lists(st.lists(THIRDS, min_size=k, max_size=k), min_size=4, max_size=25)))
def test_every_figure_is_its_definition(table: list[list[Fraction]]) -> None:
    count, items = len(table), len(table[0])
    report = tallied([essay(f"i{place}", "2") for place in range(items)], [marked("1", marks) for marks in table])
    totals = [sum(marks, Fraction(0)) for marks in table]
    columns = [[marks[place] for marks in table] for place in range(items)]
    spread = covariance(totals, totals)
    shared = [covariance(column, totals) for column in columns]
    roots = sum(float(one) ** 0.5 for one in shared if one >= 0)
    for figures, column, with_total in zip(report.items, columns, shared, strict=True):
        rest = [total - mark for total, mark in zip(totals, column, strict=True)]
        assert figures.facility == pytest.approx(float(statistics.mean(column)) / 2, abs=1e-12)
        assert figures.sd == pytest.approx(float(covariance(column, column)) ** 0.5 / 2, abs=1e-12)
        assert figures.discrimination == pytest.approx(correlation(column, rest), abs=1e-6)
        assert figures.point_biserial == pytest.approx(correlation(column, totals), abs=1e-6)
        best = covariance(sorted(column), sorted(rest))
        assert figures.efficiency == pytest.approx(float(covariance(column, rest) / best) if best else None, abs=1e-6)
        if abs(with_total) > 1e-12 and roots:
            wanted = float(with_total) ** 0.5 / roots if with_total > 0 else None
            assert figures.weight == pytest.approx(wanted, abs=1e-6)
        for fifth in range(5):
            wanted_share = share_of_band(totals, column, Fraction(fifth, 5), Fraction(fifth + 1, 5)) / 2
            assert figures.curve[fifth] == pytest.approx(float(wanted_share), abs=1e-6)
        tail = Fraction(27, 100)
        assert figures.lower == pytest.approx(float(share_of_band(totals, column, Fraction(0), tail)) / 2, abs=1e-6)
        assert figures.upper == pytest.approx(float(share_of_band(totals, column, 1 - tail, Fraction(1))) / 2, abs=1e-6)
    whole = report.totals
    assert whole.mean == pytest.approx(float(statistics.mean(totals)), abs=1e-12)
    assert whole.median == pytest.approx(float(statistics.median(totals)), abs=1e-12)
    assert (whole.lowest, whole.highest) == (float(min(totals)), float(max(totals)))
    assert whole.sd == pytest.approx(float(spread) ** 0.5, abs=1e-12)
    if not spread:
        assert whole.alpha is whole.error is whole.skewness is whole.kurtosis is None
        return
    own = sum((covariance(column, column) for column in columns), Fraction(0))
    alpha = Fraction(items, items - 1) * (1 - own / spread)
    assert whole.alpha == pytest.approx(float(alpha), abs=1e-6)
    assert whole.error == pytest.approx(float(spread * (1 - alpha)) ** 0.5, abs=1e-6)
    mean = Fraction(sum(totals), count)
    two, three, four = (sum(((total - mean) ** power for total in totals), Fraction(0)) for power in (2, 3, 4))
    third = Fraction(count, (count - 1) * (count - 2)) * three
    # Fisher's k4, as in Kendall and Stuart, The Advanced Theory of Statistics, vol. 1, 12.
    fourth = Fraction(count * (count + 1), (count - 1) * (count - 2) * (count - 3)) * four
    fourth -= Fraction(3, (count - 2) * (count - 3)) * two**2
    assert whole.skewness == pytest.approx(float(third) / float(spread) ** 1.5, abs=1e-6)
    assert whole.kurtosis == pytest.approx(float(fourth / spread**2), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.sampled_from(["A", "B", "C", None])] * 3), min_size=3, max_size=25))
def test_every_figure_of_an_option_is_its_definition(table: list[tuple[str | None, ...]]) -> None:
    entries = [choice("a"), choice("b", "B"), choice("c", marks="2/3")]
    report = tallied(entries, [scored("1", entries, dict(enumerate(chosen, 1))) for chosen in table])
    keys, worth = ("A", "B", "A"), (Fraction(1), Fraction(1), Fraction(2, 3))
    marks = [[w if one == key else Fraction(0) for one, key, w in zip(row, keys, worth, strict=True)] for row in table]
    totals = [sum(one, Fraction(0)) for one in marks]
    for place, item in enumerate(report.items):
        rest = [total - one[place] for total, one in zip(totals, marks, strict=True)]
        for option in item.options:
            chose = [Fraction(row[place] == option.option) for row in table]
            assert option.chosen == sum(chose) and option.right == (option.option == keys[place])
            assert option.discrimination == pytest.approx(correlation(chose, rest), abs=1e-6)
            for fifth, share in enumerate(option.curve):
                wanted = share_of_band(totals, chose, Fraction(fifth, 5), Fraction(fifth + 1, 5))
                assert share == pytest.approx(float(wanted), abs=1e-6)
            wanted = share_of_band(totals, chose, Fraction(73, 100), Fraction(1))
            assert option.upper == pytest.approx(float(wanted), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.tuples(THIRDS, THIRDS), min_size=2, max_size=9), min_size=2, max_size=3))
def test_several_forms_are_pooled_as_deviations_within_each(groups: list[list[tuple[Fraction, Fraction]]]) -> None:
    tally = Tally({str(form): [essay("a", "2"), essay(f"b{form}", "2")] for form in range(len(groups))})
    own: list[Fraction] = []
    rest: list[Fraction] = []
    for form, group in enumerate(groups):
        tally.add(marked(str(form), marks) for marks in group)
        own += [one - Fraction(sum(a for a, _ in group), len(group)) for one, _ in group]
        rest += [one - Fraction(sum(b for _, b in group), len(group)) for _, one in group]
    report = tally.report()
    pooled = item_of(report, "a")
    everybody = [a for group in groups for a, _ in group]
    assert pooled.discrimination == pytest.approx(correlation(own, rest), abs=1e-6)
    assert pooled.sd == pytest.approx(float(covariance(everybody, everybody)) ** 0.5 / 2, abs=1e-12)
    assert report.totals.attempts == pooled.attempts == len(everybody)
    assert [item.attempts for item in report.items[1:]] == [len(group) for group in groups]


def test_batches_and_order_change_nothing() -> None:
    dice = random.Random(5)
    entries = [choice("a"), choice("b", "B"), essay("c", "1/3")]
    sittings = [
        scored("1", entries, {place: dice.choice(["A", "B", "C", None]) for place in (1, 2)}) for _ in range(101)
    ]
    whole = tallied(entries, sittings)
    tally = Tally({"1": entries})
    dice.shuffle(sittings)
    for begin in range(0, 101, 7):
        tally.add(sittings[begin : begin + 7])
        tally.report()
    again = tally.report()
    assert again.totals.spread == whole.totals.spread
    for one, other in zip(again.items, whole.items, strict=True):
        for field in ("facility", "sd", "discrimination", "point_biserial", "upper", "lower", "weight", "efficiency"):
            found, wanted = getattr(one, field), getattr(other, field)
            assert found is wanted is None or found == pytest.approx(wanted, rel=1e-12), field
        for option, option_other in zip(one.options, other.options, strict=True):
            assert option.curve == pytest.approx(option_other.curve, abs=1e-12)
            assert option.chosen == option_other.chosen


@pytest.mark.parametrize("table", [[], [[1, 0]], [[1, 1], [1, 1], [1, 1], [1, 1]], [[0, 1], [1, 1]]])
def test_what_is_not_defined_is_none(table: list[list[int]]) -> None:
    report = tallied([essay("a"), essay("b", "0")], [marked("1", [Fraction(m) for m in marks]) for marks in table])
    assert report.totals.attempts == len(table)
    assert [item.attempts for item in report.items] == [len(table)] * 2
    assert all(item.discrimination is None and item.findings == [] for item in report.items)
    assert item_of(report, "b").facility is None
    assert (report.totals.mean is None) == (not table)


def test_a_wrong_number_of_marks_is_refused() -> None:
    tally = Tally({"1": [essay("a")]}, ["district"])
    for sitting in (
        Sitting("2", "1", ["1"], {}, ("PUN",)),
        Sitting("1", "1", ["1", "1"], {}, ("PUN",)),
        Sitting("1", "1", ["1"], {}),
    ):
        with pytest.raises(ValueError):
            tally.add([sitting])
    with pytest.raises(ValueError, match="called a"):
        Tally({"1": [choice("a")], "2": [choice("a", "B")]})


# What was chosen ---------------------------------------------------------------------------------------------------


def test_a_table_for_every_kind_of_item() -> None:
    entries = [
        Entry("one", Choice(options("AB")), ChoiceKey({"A": "1"})),
        Entry("some", Choice(options("AB"), multiple=True), ChoiceKey({"A": "1", "B": "-1"})),
        Entry("pairs", Match(options("PQ"), options("XY")), MatchKey({"P": "X", "Q": "Y"})),
        Entry("gaps", InlineChoice({"en": "[[g]]"}, [Gap("g", options("XY"))]), InlineKey({"g": "Y"})),
        Entry("order", Ordering(options("AB")), OrderKey(["B", "A"])),
        Entry("word", TextEntry(), TextKey([TextAnswer("Pune")])),
        Entry("number", Numeric(), NumericKey([NumericAnswer("3.1", "3.2")])),
        Entry("essay", Essay(), ManualKey()),
    ]
    right: dict[int, Response] = {
        1: "A", 2: ["A"], 3: {"P": "X", "Q": "Y"}, 4: {"g": "Y"}, 5: {"1": "B", "2": "A"}, 6: " pune", 7: "3.1", 8: "Y",
    }  # fmt: skip
    wrong: dict[int, Response] = {
        1: "B", 2: ["A", "B"], 3: {"P": "Y"}, 4: {"g": "X"}, 5: {"1": "A", "2": "B"}, 6: "Mumbai", 7: "3", 8: "N",
    }  # fmt: skip
    sittings = [scored("1", entries, right)] * 6 + [scored("1", entries, wrong)] * 5 + [scored("1", entries, {6: " "})]
    report = tallied(entries, sittings)
    seen = {
        item.item: [(option.part, option.option, option.right, option.chosen) for option in item.options]
        for item in report.items
    }
    assert seen == {
        "one": [("", "A", True, 6), ("", "B", False, 5)],
        "some": [("", "A", True, 11), ("", "B", False, 5)],
        "pairs": [("P", "X", True, 6), ("P", "Y", False, 5), ("Q", "X", False, 0), ("Q", "Y", True, 6)],
        "gaps": [("g", "X", False, 5), ("g", "Y", True, 6)],
        "order": [("1", "A", False, 5), ("1", "B", True, 6), ("2", "A", True, 6), ("2", "B", False, 5)],
        "word": [("", "pune", True, 6), ("", "mumbai", False, 5)],
        "number": [("", "3.1", True, 6), ("", "3", False, 5)],
        "essay": [],
    }
    assert {item.answered for item in report.items} == {11}
    best = next(option for option in item_of(report, "one").options if option.option == "A")
    assert best.discrimination == pytest.approx(item_of(report, "one").discrimination)
    assert (best.curve[4], best.upper, best.lower) == (1.0, 1.0, 0.0)


def test_a_typed_answer_that_few_gave_is_not_shown() -> None:
    entries = [Entry("word", TextEntry(), TextKey([TextAnswer("Pune")])), essay("other")]
    sittings = [scored("1", entries, {1: "my name is Meera"})] * 4 + [scored("1", entries, {1: "Nashik"})] * 5
    sittings += [scored("1", entries, {1: f"word {number}"}) for number in range(3000)]
    (word, _) = tallied(entries, sittings).items
    assert [option.option for option in word.options] == ["nashik"]
    assert word.answered == 3009


def test_left_out_and_not_reached() -> None:
    entries = [choice(f"i{place}", span=place // 4) for place in range(8)]
    patterns = ["x.x. xx..", ".... ....", "xxxx xxxx", "x... xxx."]
    sittings = []
    for pattern in patterns:
        marks = pattern.replace(" ", "")
        sittings.append(scored("1", entries, {place: "A" for place, mark in enumerate(marks, 1) if mark == "x"}))
    report = tallied(entries, sittings)
    assert [item.answered for item in report.items] == [3, 1, 2, 1, 3, 3, 2, 1]
    assert [item.not_reached for item in report.items] == [0, 1, 2, 2, 0, 1, 1, 2]
    assert [item.omitted for item in report.items] == [1, 2, 0, 1, 1, 0, 1, 1]


def test_groups_are_asked_for_afterwards() -> None:
    tally = Tally({"1": [choice("a"), choice("b")], "2": [choice("b"), choice("c")]}, ["district", "language"])
    for form, district, language, times in (("1", "PUN", "mr", 7), ("2", "PUN", "en", 5), ("1", "MUM", "mr", 3)):
        sitting = Sitting(form, "1", ["1", "0"], {1: "A", 2: "B"}, (district, language))
        tally.add([sitting] * times)
    assert (tally.labels("district"), tally.labels("language")) == (["MUM", "PUN"], ["en", "mr"])

    def counts(report: Report) -> dict[str, int]:
        return {item.item: item.attempts for item in report.items}

    assert counts(tally.report()) == {"a": 10, "b": 15, "c": 5}
    assert counts(tally.report(form="2")) == {"b": 5, "c": 5}
    assert counts(tally.report(district="MUM")) == {"a": 3, "b": 3, "c": 0}
    assert counts(tally.report(district="PUN", language="en")) == {"a": 0, "b": 5, "c": 5}
    assert counts(tally.report(district="nowhere")) == {"a": 0, "b": 0, "c": 0}
    both = item_of(tally.report(), "b")
    assert both.facility == pytest.approx(5 / 15)
    assert [(option.option, option.chosen) for option in both.options] == [("A", 5), ("B", 10), ("C", 0), ("D", 0)]


def test_a_harder_form_makes_no_correlation() -> None:
    """Within each form the item has nothing to do with the rest; between them it seems to."""
    easy = [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0]] * 5
    hard = [[0, 0, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0]] * 5
    tally = Tally({"1": [essay("a"), essay("b"), essay("c")], "2": [essay("a"), essay("x"), essay("c")]})
    tally.add([marked("1", [Fraction(mark) for mark in marks]) for marks in easy])
    tally.add([marked("2", [Fraction(mark) for mark in marks]) for marks in hard])
    pooled = item_of(tally.report(), "a")
    assert pooled.facility == 0.25 and pooled.discrimination == pytest.approx(0, abs=1e-12)
    # A fifth of each form is in each fifth.
    assert item_of(tally.report(), "c").curve[0] == pytest.approx(0)


# Which items to look at ----------------------------------------------------------------------------------------------


def hall(entries: Sequence[Entry], truth: Sequence[str], candidates: int = 600, seed: int = 1) -> Report:
    """Candidates of every ability sit items whose true answer is given; who does not know it guesses."""
    dice = random.Random(seed)
    sittings = []
    for _ in range(candidates):
        ability = dice.random()
        responses: dict[int, Response] = {}
        for place, right in enumerate(truth, start=1):
            responses[place] = right if dice.random() < ability else dice.choice("ABCD")
        sittings.append(scored("1", entries, responses))
    return tallied(entries, sittings)


def test_a_wrong_key_is_pointed_out_and_nothing_else() -> None:
    entries = [choice(f"i{place}") for place in range(20)]
    entries[7] = choice("i7", "C")
    report = hall(entries, ["A"] * 20)
    assert {item.item for item in report.items if any(one.urgent for one in item.findings)} == {"i7"}
    found = item_of(report, "i7").findings
    assert [one.kind for one in found if one.urgent] == ["beaten", "negative", "guessed"]
    assert found[0].option == "A" and found[0].share > 0.8 > 0.2 > found[0].other
    says = [sentence(one, option="sixteen") for one in found]
    assert says[0].startswith("Of the best candidates 86\u00a0% chose") and "“sixteen”" in says[0]
    assert "“" not in sentence(found[0]) and "wrong by the key" in sentence(found[0])


def test_a_second_right_answer_is_pointed_out() -> None:
    """The better half of those who know the subject take B, which is right as well."""
    dice = random.Random(3)
    entries = [choice(f"i{place}") for place in range(20)]
    sittings = []
    for _ in range(900):
        ability = dice.random()
        responses: dict[int, Response] = {
            place: "A" if dice.random() < ability else dice.choice("BCD") for place in range(1, 21)
        }
        responses[1] = "B" if ability > 0.75 and dice.random() < 0.5 else "A" if dice.random() < 0.5 else "C"
        sittings.append(scored("1", entries, responses))
    found = [one for one in item_of(tallied(entries, sittings), "i0").findings if one.urgent]
    assert ("attracts", "B") in [(one.kind, one.option) for one in found]


@pytest.mark.parametrize(("knows", "kind"), [(0.99, "easy"), (0.0, "weak")])
def test_too_easy_or_telling_nothing(knows: float, kind: str) -> None:
    dice = random.Random(7)
    entries = [choice(f"i{place}") for place in range(15)]
    sittings = []
    for _ in range(500):
        ability = dice.random()
        responses: dict[int, Response] = {
            place: "A" if dice.random() < ability else dice.choice("ABCD") for place in range(2, 16)
        }
        responses[1] = "A" if dice.random() < knows else dice.choice("ABCD")
        sittings.append(scored("1", entries, responses))
    kinds = [one.kind for one in item_of(tallied(entries, sittings), "i0").findings]
    assert kinds[:1] == [kind]


def test_who_never_came_to_an_item_does_not_make_it_hard() -> None:
    entries = [choice(f"i{place}") for place in range(6)]
    full: dict[int, Response] = dict.fromkeys(range(1, 7), "A")
    short: dict[int, Response] = dict.fromkeys(range(1, 4), "B")
    report = tallied(entries, [scored("1", entries, full)] * 40 + [scored("1", entries, short)] * 160)
    kinds = {item.item: [one.kind for one in item.findings] for item in report.items}
    assert "not_reached" in kinds["i5"] and "hard" not in kinds["i5"]
    assert "omitted" in kinds["i3"]


def test_a_few_attempts_are_not_judged() -> None:
    entries = [choice(f"i{place}", "C") for place in range(5)]
    assert all(item.findings == [] for item in hall(entries, ["A"] * 5, candidates=29).items)


def test_a_fault_in_one_pair_or_place_is_named_with_it() -> None:
    dice = random.Random(11)
    entries = [
        Entry("pairs", Match(options("PQ"), options("XYZ")), MatchKey({"P": "X", "Q": "Z"})),
        *(choice(f"i{place}") for place in range(15)),
    ]
    sittings = []
    for _ in range(600):
        ability = dice.random()
        responses: dict[int, Response] = {
            place: "A" if dice.random() < ability else dice.choice("ABCD") for place in range(2, 17)
        }
        knows = dice.random() < ability
        responses[1] = {"P": "X", "Q": "Y"} if knows else {"P": dice.choice("XYZ"), "Q": dice.choice("XYZ")}
        sittings.append(scored("1", entries, responses))
    found = item_of(tallied(entries, sittings), "pairs").findings
    assert ("beaten", "Q", "Y") in [(one.kind, one.part, one.option) for one in found]
    assert not [one for one in found if one.urgent and one.part == "P"]


# The size of a morning -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_forty_thousand_attempts_take_seconds_and_little_memory() -> None:
    program = """
        import random, resource, time
        from grading.items import Choice, Option
        from grading.keys import ChoiceKey
        from grading.statistics import Entry, Sitting, Tally

        dice = random.Random(1)
        options = [Option(one, {"en": one}) for one in "ABCD"]
        entries = [Entry(str(place), Choice(options), ChoiceKey({"A": "1"})) for place in range(50)]
        tally = Tally({str(form): entries for form in range(3)}, ["district", "language"])
        spent = 0.0
        for batch in range(100):
            sittings = []
            for number in range(400):
                chosen = dice.choices("AAABCD", k=50)
                marks = ["1" if one == "A" else "-1/3" for one in chosen]
                total = f"{3 * chosen.count('A') - (50 - chosen.count('A'))}/3"
                labels = (str(number % 5), "mr" if number % 3 else "en")
                sittings.append(Sitting(str(number % 3), total, marks, dict(enumerate(chosen, 1)), labels))
            began = time.process_time()
            tally.add(sittings)
            spent += time.process_time() - began
        began = time.process_time()
        reports = [tally.report(), *(tally.report(form=str(form)) for form in range(3))]
        reports += [tally.report(district=district) for district in tally.labels("district")]
        reports += [tally.report(language=language) for language in tally.labels("language")]
        spent += time.process_time() - began
        assert reports[0].totals.attempts == 40_000 and len(reports) == 11
        print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    """
    # A process of its own, because a peak of memory is never forgotten; without the tests' own libraries.
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 10 and megabytes < 500, done.stdout


# Moodle's own figures ------------------------------------------------------------------------------------------------


def test_moodle_finds_the_same() -> None:
    """The walkthrough of Moodle's quiz statistics; expected values as its own tests have them."""
    if not SHARED.is_dir():
        warnings.warn("../shared/data is not there: nothing was compared with Moodle's figures", stacklevel=1)
        pytest.skip("../shared/data is not there")

    def rows(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader((SHARED / name).read_text("utf-8").splitlines()))

    steps, results = rows("steps00.csv"), rows("results00.csv")
    slots = range(1, 8)
    entries = [essay(str(slot)) for slot in slots]
    # What was drawn at random in slot 1, and the variants of slot 2, are groups of attempts here.
    tally = Tally({"1": entries}, ["drawn", "variant"])
    for step, result in zip(steps, results, strict=True):
        marks = [Fraction(result[f"slots.{slot}.mark"]) for slot in slots]
        tally.add([marked("1", marks, step["randqs.1"], step["variants.2"])])

    report = tally.report()
    whole = report.totals
    assert (whole.attempts, whole.median) == (25, 4.5)
    for found, wanted in (
        (whole.mean, 4.61733), (whole.sd, 0.81173), (whole.skewness, -0.0925), (whole.kurtosis, -0.7074),
        (whole.alpha, -0.87223), (whole.error, 1.11068),
    ):  # fmt: skip
        assert found == pytest.approx(wanted, rel=1e-5, abs=5e-6 if wanted != -0.7074 else 5e-5)

    compared = 0
    for row in rows("qstats00.csv"):
        group = {"drawn": row["subqname"]} if row["subqname"] else {"variant": row["variant"]} if row["variant"] else {}
        item = item_of(tally.report(**group), row["slot"])
        assert item.attempts == int(row["s"])
        figures = {
            "facility": item.facility,
            "sd": item.sd,
            "effectiveweight": item.weight and item.weight * 100 if not group else None,
            # Moodle correlates a question drawn at random with the whole mark.
            "discriminationindex": (item.point_biserial if row["subqname"] else item.discrimination or 0) * 100,
            "discriminativeefficiency": None if row["subqname"] else (item.efficiency or 0) * 100,
        }
        for name, figure in figures.items():
            if figure is not None:
                assert figure == pytest.approx(float(row[name]), rel=1e-5), (row["slot"], group, name)
                compared += 1
    assert compared == 7 * 5 + 3 * 3 + 2
