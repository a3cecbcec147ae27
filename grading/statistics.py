"""Classical item and test statistics over many attempts, fed batch by batch. The only home of numpy.

What is computed, s being the number of attempts; what was not answered counts with the marks that it got, mostly 0:

* facility: mean marks of an item as a share of its maximum (Moodle: facility index). `facility_reached` leaves out
  who did not reach the item.
* standard deviation and covariance: with divisor s - 1, as Moodle's.
* discrimination: correlation of an item's marks with the marks in all other items; the corrected item-total
  correlation (L. Crocker and J. Algina, Introduction to Classical and Modern Test Theory, 1986, ch. 14; Moodle:
  discrimination index / 100).
* efficiency: that covariance as a share of the greatest one that the same marks could have in another order (Moodle:
  discriminative efficiency / 100).
* point-biserial: correlation of an item's marks with the whole total, the item included (Crocker and Algina, ch. 14).
* upper and lower: facility in the 27 % with the highest and the lowest totals, after T. L. Kelley (Journal of
  Educational Psychology 30, 1939). Attempts with the same total at a border belong to the group in equal part, so that
  it is 27 % exactly and nothing depends on an order of attempts. So it is with the fifths of the curves.
* weight: what an item contributes to the spread of totals, sqrt(covariance with the total) as a share of the sum of
  these over the items of the form (Moodle: effective weight); None, and not in that sum, where it is negative.
* skewness and kurtosis: k3 / k2^1.5 and k4 / k2^2 of Fisher's k-statistics, as Moodle's; both 0 for a normal curve.
* alpha: L. J. Cronbach (Psychometrika 16, 1951), with divisors s - 1 (Moodle: coefficient of internal consistency). It
  is negative where items contradict each other, and stays so.
* error: standard error of measurement, standard deviation * sqrt(1 - alpha).
* not reached: neither the item nor the one before it nor any behind it was answered, within the span of time that they
  share. Omitted: any other that was not answered. So the first blank behind the last answer is omitted, as in PISA.
* discrimination of an option: correlation of choosing it (0 or 1) with the marks in all other items.

Where attempts of several forms are put together, ranks and deviations are taken within each form and then pooled: a
form that happens to be harder adds to no correlation and pushes nobody into the lower groups. Alpha, weight and the
square of error are means over the forms, by attempts. With one form all this is what stands above.

Differences to Moodle's report: shares instead of per cent. A question that is drawn at random belongs to forms of its
own here and is correlated with the *other* items; Moodle correlates its "subquestion" with the whole mark, which is the
point-biserial here. Attempts in which people still have to mark something are not to be fed.

Marks arrive as exact fractions and are rounded once, to the nearest float64. Kept are of each attempt the marks (8
bytes an item), what was chosen (1 or 2 bytes a prompt, gap, place or option) and whether it was answered: some 25 MB
for 40,000 attempts of 50 items. So any group can be asked for afterwards, and ranks need no second reading.

IRT models are not here: no package for them is both cared for and proven in wide use.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from grading.findings import CLASSES, GROUPS, ItemFigures, OptionFigures, Report, TotalFigures, findings_of
from grading.items import Choice, InlineChoice, Interaction, Match, Numeric, Ordering, Response, TextEntry, places
from grading.keys import ChoiceKey, InlineKey, Key, MatchKey, OrderKey, fraction
from grading.scoring import answered, exact
from grading.typed import folded, parse_number

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Codes: TypeAlias = npt.NDArray[np.int16 | np.int8]
Labels: TypeAlias = npt.NDArray[np.int32]

TAIL: Final = 0.27
MOST_TYPED: Final = 2000
"""So many different typed answers of an item are told apart; further ones are counted as answers only."""
SHOWN_TYPED: Final = 10
LEAST_TYPED: Final = 5
"""A typed answer is shown only if at least so many gave it: a rarer one may tell who it was."""

_BANDS: Final = [(band / GROUPS, (band + 1) / GROUPS) for band in range(GROUPS)] + [(0.0, TAIL), (1 - TAIL, 1.0)]
_NONE: Final = -1
_OTHER: Final = -2


class Sitting(msgspec.Struct, frozen=True, gc=False):
    """One attempt as it was graded: exact marks ("1/3") of its form's items in their order, and their exact sum.

    `responses` are by place from 1, missing or None where there is none; `labels` one for each dimension of the tally.
    """

    form: str
    total: str
    marks: Sequence[str]
    responses: Mapping[int, Response]
    labels: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """An item at its place of a form; `name` is the same wherever the item stands, `marks` its maximum."""

    name: str
    interaction: Interaction
    key: Key
    marks: str = "1"
    span: int = 0
    """Items of one span have their time together: those of a section with a time of its own, otherwise all."""


class _Item:
    """What can be chosen in an item, numbered: for each part (prompt, gap, place or option) its options."""

    def __init__(self, entry: Entry) -> None:
        self.name = entry.name
        self.maximum = float(Fraction(entry.marks))
        self.kind, self.typed = "marked", False
        self.parts: list[str] = []
        self.codes: list[dict[str, int]] = []
        self.right: list[set[str]] = []
        self._number = self._case = False
        match entry.interaction, entry.key:
            case Choice(options=options, multiple=multiple), ChoiceKey(weights=weights):
                right = {option for option, weight in weights.items() if fraction(weight) > 0}
                names = [option.id for option in options]
                if multiple:
                    self.kind = "several"
                    for name in names:
                        self._add(name, [name], right & {name})
                else:
                    self.kind = "choice"
                    self._add("", names, right)
            case Match(prompts=prompts, choices=choices), MatchKey(pairs=pairs):
                self.kind = "match"
                for prompt in prompts:
                    self._add(prompt.id, [choice.id for choice in choices], {pairs.get(prompt.id, "")})
            case InlineChoice(gaps=gaps), InlineKey(right=chosen):
                self.kind = "inline"
                for gap in gaps:
                    self._add(gap.id, [option.id for option in gap.options], {chosen[gap.id]})
            case Ordering(options=options), OrderKey(order=order):
                self.kind = "order"
                for place, wanted in zip(places(len(order)), order, strict=True):
                    self._add(place, [option.id for option in options], {wanted})
            case TextEntry() | Numeric(), key:
                self.kind, self.typed = "typed", True
                self._number = isinstance(entry.interaction, Numeric)
                self._case = bool(getattr(key, "case_sensitive", False))
                self._add("", [], set())
        widest = max((len(codes) for codes in self.codes), default=0)
        self.dtype: Any = np.int16 if self.typed or widest > 127 else np.int8

    def _add(self, part: str, options: Sequence[str], right: set[str]) -> None:
        self.parts.append(part)
        self.codes.append({option: code for code, option in enumerate(options)})
        self.right.append(right)

    def read(self, responses: Sequence[Response], marks: Floats) -> Codes:
        """The code chosen in each part, attempts by parts; _NONE where none was."""
        columns: list[list[int]] = []
        if self.typed:
            columns = [[self._type(response, mark) for response, mark in zip(responses, marks.tolist(), strict=True)]]
        elif self.kind == "choice":
            codes = self.codes[0]
            columns = [[codes.get(response, _NONE) if isinstance(response, str) else _NONE for response in responses]]
        elif self.kind == "several":
            for part in self.parts:
                columns.append([0 if isinstance(one, list) and part in one else _NONE for one in responses])
        else:
            for part, codes in zip(self.parts, self.codes, strict=True):
                columns.append(
                    [codes.get(one.get(part, ""), _NONE) if isinstance(one, dict) else _NONE for one in responses]
                )
        codes_of_parts: Codes = np.array(columns, dtype=self.dtype).reshape(len(columns), len(responses)).T
        return codes_of_parts

    def _type(self, response: Response, mark: float) -> int:
        if not isinstance(response, str) or not answered(response):
            return _NONE
        number = parse_number(response) if self._number else None
        text = exact(number) if number is not None else folded(response, case_sensitive=self._case)
        codes = self.codes[0]
        code = codes.get(text)
        if code is None:
            if len(codes) >= MOST_TYPED:
                return _OTHER
            code = codes[text] = len(codes)
        if mark > 0:
            self.right[0].add(text)
        return code


class _Form:
    """The attempts of one form, in batches until somebody asks."""

    def __init__(self, items: Sequence[_Item], entries: Sequence[Entry]) -> None:
        self.items = items
        self.maximum = float(sum((Fraction(entry.marks) for entry in entries), Fraction(0)))
        spans = [entry.span for entry in entries]
        self.spans = [[place for place, span in enumerate(spans) if span == one] for one in dict.fromkeys(spans)]
        self.totals: list[Floats] = []
        self.marks: list[Floats] = []
        self.answered: list[Flags] = []
        self.labels: list[Labels] = []
        self.chosen: list[list[Codes]] = [[] for _ in items]

    def join(self) -> None:
        """Makes one array of all batches; where there was none there is none."""
        every: list[list[Any]] = [self.totals, self.marks, self.answered, self.labels, *self.chosen]
        for batches in every:
            if len(batches) > 1:
                batches[:] = [np.concatenate(batches)]


class Tally:
    """Takes in attempts batch by batch and gives the figures of any group of them.

    `forms` are the items of each form in their order; an item may stand in several. `dimensions` name the labels that a
    sitting brings ("district", "language"). Items of one name have the same interaction and key, ValueError otherwise.
    """

    def __init__(self, forms: Mapping[str, Sequence[Entry]], dimensions: Sequence[str] = ()) -> None:
        self._items: dict[str, _Item] = {}
        first: dict[str, Entry] = {}
        self._forms: dict[str, _Form] = {}
        for form, entries in forms.items():
            for entry in entries:
                seen = first.setdefault(entry.name, entry)
                if (seen.interaction, seen.key, seen.marks) != (entry.interaction, entry.key, entry.marks):
                    raise ValueError(f"two different items are called {entry.name}")
                if entry.name not in self._items:
                    self._items[entry.name] = _Item(entry)
            self._forms[form] = _Form([self._items[entry.name] for entry in entries], entries)
        self._dimensions = tuple(dimensions)
        self._labels: list[dict[str, int]] = [{} for _ in dimensions]
        self._floats: dict[str, float] = {}

    def add(self, sittings: Iterable[Sitting]) -> None:
        """Takes in a batch.

        ValueError for an unknown form, a wrong number of marks or labels, or a mark that is none; the tally is then
        of no use any more.
        """
        batches: dict[str, list[Sitting]] = {}
        for sitting in sittings:
            form = self._forms.get(sitting.form)
            if form is None:
                raise ValueError(f"there is no form {sitting.form}")
            if len(sitting.marks) != len(form.items) or len(sitting.labels) != len(self._dimensions):
                raise ValueError("a sitting has not the marks and labels that its form needs")
            batches.setdefault(sitting.form, []).append(sitting)
        for name, batch in batches.items():
            form = self._forms[name]
            marks = np.array([[self._float(mark) for mark in one.marks] for one in batch]).reshape(len(batch), -1)
            present = np.zeros(marks.shape, dtype=np.bool_)
            for place, item in enumerate(form.items):
                column = [one.responses.get(place + 1) for one in batch]
                present[:, place] = [answered(response) for response in column]
                form.chosen[place].append(item.read(column, marks[:, place]))
            form.totals.append(np.array([self._float(one.total) for one in batch]))
            form.marks.append(marks)
            form.answered.append(present)
            codes = [[known.setdefault(label, len(known)) for label, known in self._named(one)] for one in batch]
            form.labels.append(np.array(codes, dtype=np.int32).reshape(len(batch), -1))

    def _named(self, sitting: Sitting) -> Iterable[tuple[str, dict[str, int]]]:
        return zip(sitting.labels, self._labels, strict=True)

    def _float(self, mark: str) -> float:
        value = self._floats.get(mark)
        if value is None:
            value = self._floats[mark] = float(Fraction(mark))
        return value

    @property
    def forms(self) -> list[str]:
        """The names of the forms, as they were given."""
        return list(self._forms)

    def labels(self, dimension: str) -> list[str]:
        """The labels of a dimension that were met, sorted."""
        return sorted(self._labels[self._dimensions.index(dimension)])

    def report(self, form: str | None = None, **labels: str) -> Report:
        """The figures of all attempts, or of those of one form and of these labels; also of none at all."""
        wanted = {name: taken for name, taken in self._forms.items() if form is None or name == form}
        sums: dict[str, _Sums] = {}
        totals: list[_Totals] = []
        for taken in wanted.values():
            taken.join()
            for item in taken.items:
                sums.setdefault(item.name, _Sums(item))
            if not taken.totals:
                continue
            inside = np.ones(len(taken.totals[0]), dtype=np.bool_)
            for dimension, label in labels.items():
                place = self._dimensions.index(dimension)
                inside &= taken.labels[0][:, place] == self._labels[place].get(label, _NONE)
            if inside.any():
                totals.append(_add_form(taken, inside, sums))
        maximum = max((taken.maximum for taken in wanted.values()), default=0.0)
        return Report(_totals(totals, maximum), [one.figures() for one in sums.values()])


class _Totals(msgspec.Struct):
    totals: Floats
    alpha: float | None
    error: float | None


class _Sums:
    """What is summed up over forms for one item; deviations are from the means within each form."""

    def __init__(self, item: _Item) -> None:
        self.item = item
        self.attempts = self.answered = self.reached = 0
        self.marks = self.marks_reached = 0.0
        self.groups: list[tuple[int, float, float]] = []
        self.freedom = 0
        self.own = self.rest = self.with_rest = self.best = self.total = self.with_total = 0.0
        self.weights: list[tuple[int, float | None]] = []
        self.bands = np.zeros(len(_BANDS))
        self.band_marks = np.zeros(len(_BANDS))
        self.counts = [np.zeros((len(codes), len(_BANDS) + 1)) for codes in item.codes]
        """For each part and option how many chose it, altogether and by band."""
        self.option_rest = [np.zeros(len(codes)) for codes in item.codes]
        self.option_own = [np.zeros(len(codes)) for codes in item.codes]

    def figures(self) -> ItemFigures:
        item = self.item
        some = self.attempts and item.maximum
        found = ItemFigures(
            item=item.name,
            interaction=item.kind,
            attempts=self.attempts,
            answered=self.answered,
            omitted=self.reached - self.answered,
            not_reached=self.attempts - self.reached,
            maximum=item.maximum,
            facility=self.marks / self.attempts / item.maximum if some else None,
            facility_reached=self.marks_reached / self.reached / item.maximum if some and self.reached else None,
            sd=self._deviation() / item.maximum if self.attempts > 1 and item.maximum else None,
            discrimination=_correlation(self.with_rest, self.own, self.rest),
            efficiency=self.with_rest / self.best if _positive(self.best, self.own, self.rest) else None,
            point_biserial=_correlation(self.with_total, self.own, self.total),
            upper=self._in_band(GROUPS + 1),
            lower=self._in_band(GROUPS),
            weight=_mean(self.weights),
            curve=[share for band in range(GROUPS) if (share := self._in_band(band)) is not None],
            options=[option for part in range(len(item.parts)) for option in self._options(part)],
        )
        return msgspec.structs.replace(found, findings=findings_of(found))

    def _deviation(self) -> float:
        mean = self.marks / self.attempts
        between = sum(count * (own - mean) ** 2 for count, own, _ in self.groups)
        return float(np.sqrt((between + sum(within for _, _, within in self.groups)) / (self.attempts - 1)))

    def _in_band(self, band: int) -> float | None:
        if not self.bands[band] or not self.item.maximum:
            return None
        return float(self.band_marks[band] / self.bands[band] / self.item.maximum)

    def _options(self, part: int) -> list[OptionFigures]:
        item, counts = self.item, self.counts[part]
        if not self.attempts:
            counts = np.zeros((len(item.codes[part]), len(_BANDS) + 1))
        shares = counts[:, 1:] / np.maximum(self.bands, 1e-300)
        made = [
            OptionFigures(
                part=item.parts[part] if item.kind != "several" else "",
                option=option,
                right=option in item.right[part],
                chosen=round(counts[code, 0]),
                upper=float(shares[code, GROUPS + 1]),
                lower=float(shares[code, GROUPS]),
                discrimination=_correlation(self.option_rest[part][code], self.option_own[part][code], self.rest),
                curve=[float(share) for share in shares[code, :GROUPS]],
            )
            for option, code in item.codes[part].items()
            if code < len(counts)
        ]
        if item.typed:
            common = [option for option in made if option.chosen >= LEAST_TYPED]
            made = sorted(common, key=lambda option: (-option.chosen, option.option))[:SHOWN_TYPED]
        return made


def _add_form(form: _Form, inside: Flags, sums: Mapping[str, _Sums]) -> _Totals:
    """Adds the attempts of a form that are inside a group to the sums of its items."""
    totals, marks, present = form.totals[0][inside], form.marks[0][inside], form.answered[0][inside]
    count = len(totals)
    bands = _spread(totals)
    widths = bands.sum(axis=0)
    reached = _reached(present, form.spans)
    total_off = totals - totals.mean()
    total_own = float(total_off @ total_off)
    means = marks.mean(axis=0)
    shared = [float((marks[:, place] - means[place]) @ total_off) for place in range(len(form.items))]
    roots = sum(float(np.sqrt(one)) for one in shared if one >= 0)
    own_sum = 0.0
    for place, item in enumerate(form.items):
        into = sums[item.name]
        column = marks[:, place]
        off = column - means[place]
        rest = totals - column
        rest_off = rest - rest.mean()
        own = float(off @ off)
        own_sum += own
        into.attempts += count
        into.answered += int(present[:, place].sum())
        into.reached += int(reached[:, place].sum())
        into.marks += float(column.sum())
        into.marks_reached += float(column[reached[:, place]].sum())
        into.groups.append((count, float(means[place]), own))
        into.own += own
        into.rest += float(rest_off @ rest_off)
        into.with_rest += float(off @ rest_off)
        into.best += float(np.sort(off) @ np.sort(rest_off))
        into.total += total_own
        into.with_total += shared[place]
        if count > 1 and roots > 0:
            into.weights.append((count, float(np.sqrt(shared[place])) / roots if shared[place] >= 0 else None))
        into.bands += widths
        into.band_marks += column @ bands
        for part in range(len(item.parts)):
            _add_options(into, part, form.chosen[place][0][inside][:, part], bands, rest_off)
    alpha = None
    if len(form.items) > 1 and _positive(total_own):
        alpha = len(form.items) / (len(form.items) - 1) * (1 - own_sum / total_own)
    error = None if alpha is None else float(np.sqrt(max(0.0, 1 - alpha) * total_own / (count - 1)))
    return _Totals(totals, alpha, error)


def _add_options(into: _Sums, part: int, codes: Codes, bands: Floats, rest_off: Floats) -> None:
    known = len(into.item.codes[part])
    lacking = known - len(into.counts[part])
    if lacking:  # typed answers are numbered as they come
        into.counts[part] = np.pad(into.counts[part], ((0, lacking), (0, 0)))
        into.option_rest[part] = np.pad(into.option_rest[part], (0, lacking))
        into.option_own[part] = np.pad(into.option_own[part], (0, lacking))
    chose = codes >= 0
    picked = codes[chose].astype(np.intp)
    counts = np.bincount(picked, minlength=known).astype(np.float64)
    into.counts[part][:, 0] += counts
    for band in range(len(_BANDS)):
        into.counts[part][:, band + 1] += np.bincount(picked, weights=bands[chose, band], minlength=known)
    into.option_rest[part] += np.bincount(picked, weights=rest_off[chose], minlength=known)
    into.option_own[part] += counts * (1 - counts / len(codes))


def _spread(totals: Floats) -> Floats:
    """How much of each attempt belongs to each of _BANDS by its rank, attempts by bands; ties belong alike."""
    values, where, counts = np.unique(totals, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    begins = ends - counts
    weights = np.empty((len(values), len(_BANDS)))
    for band, (low, high) in enumerate(_BANDS):
        overlap = np.minimum(ends, high * len(totals)) - np.maximum(begins, low * len(totals))
        weights[:, band] = np.clip(overlap, 0, None) / counts
    return weights[where]


def _reached(present: Flags, spans: Sequence[Sequence[int]]) -> Flags:
    reached = np.zeros_like(present)
    for span in spans:
        inside = present[:, span]
        # Whether this or any later one is answered; the first after the last of these was looked at, too.
        later = np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
        reached[:, span[0]] = True
        reached[:, span[1:]] = later[:, :-1]
    return reached


def _totals(forms: Sequence[_Totals], maximum: float) -> TotalFigures:
    totals = np.concatenate([one.totals for one in forms]) if forms else np.zeros(0)
    count = len(totals)
    mean = float(totals.mean()) if count else None
    off = totals - totals.mean() if count else totals
    two, three, four = (float((off**power).sum()) for power in (2, 3, 4))
    spreads = count > 1 and _positive(two)
    second = two / (count - 1) if spreads else 0.0
    skewness = kurtosis = None
    if spreads and count > 2:
        third = count * three / ((count - 1) * (count - 2))
        skewness = third / second**1.5
    if spreads and count > 3:
        fourth = count * ((count + 1) * four - 3 * (count - 1) * two**2 / count)
        kurtosis = fourth / ((count - 1) * (count - 2) * (count - 3)) / second**2
    error = _mean([(len(one.totals), None if one.error is None else one.error**2) for one in forms])
    shares = np.clip(np.floor(totals / maximum * CLASSES + 1e-9), 0, CLASSES - 1) if maximum else np.zeros(count)
    return TotalFigures(
        attempts=count,
        forms=len(forms),
        maximum=maximum,
        mean=mean,
        median=float(np.median(totals)) if count else None,
        lowest=float(totals.min()) if count else None,
        highest=float(totals.max()) if count else None,
        sd=float(np.sqrt(two / (count - 1))) if count > 1 else None,
        skewness=skewness,
        kurtosis=kurtosis,
        alpha=_mean([(len(one.totals), one.alpha) for one in forms]),
        error=None if error is None else float(np.sqrt(error)),
        spread=np.bincount(shares.astype(np.intp), minlength=CLASSES).tolist(),
    )


def _positive(*sums: float) -> bool:
    """Whether sums of squares are more than what rounding leaves of equal numbers."""
    return all(one > 1e-9 for one in sums)


def _correlation(shared: float, one: float, other: float) -> float | None:
    if not _positive(one, other):
        return None
    return float(np.clip(shared / np.sqrt(one * other), -1, 1))


def _mean(parts: Sequence[tuple[int, float | None]]) -> float | None:
    """The mean by attempts over forms; None where one of them has none."""
    if not parts or any(value is None for _, value in parts):
        return None
    return sum(count * value for count, value in parts if value is not None) / sum(count for count, _ in parts)
