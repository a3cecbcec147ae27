"""What the numbers of an exam say about its items: the figures, and in plain words which items to look at.

The figures come from `grading.statistics`, where each is defined; nothing here needs numpy, so that a page can read a
stored report. The limits are chosen so that the list stays short, on the lenient side of the text books: R. L. Ebel and
D. A. Frisbie, "Essentials of Educational Measurement" (1991), call a discrimination below 0.2 poor; T. M.
Haladyna and S. M. Downing (Educational and Psychological Measurement 53, 1993) an option idle that less than 5 % take.
What could be chance in a small group is not said: a difference counts from two standard errors on.
"""

from math import sqrt
from typing import Final, Literal

import msgspec

GROUPS: Final = 5
"""Score groups of a curve, from the lowest total to the highest, a fifth of the attempts each."""
CLASSES: Final = 20
"""Classes of a distribution of totals, each a twentieth of the maximum."""
LEAST_ATTEMPTS: Final = 30
"""With fewer attempts an item is not judged."""

TOO_HARD: Final = 0.2
TOO_EASY: Final = 0.95
WEAK: Final = 0.1
OFTEN_OMITTED: Final = 0.15
OFTEN_NOT_REACHED: Final = 0.1
IDLE: Final = 0.01

Kind = Literal[
    "beaten",
    "attracts",
    "negative",
    "repels",
    "guessed",
    "hard",
    "easy",
    "weak",
    "not_reached",
    "omitted",
    "idle",
]
URGENT: Final = ("beaten", "attracts", "negative", "repels", "guessed")
"""What may mean that the key is wrong: somebody looks at it before results are released."""


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to look at in an item; `part` and `option` where it is about an option.

    `share` and `other` are its numbers. "beaten": the shares of the best 27 % that chose this option and the right one;
    "attracts" and "repels": the option's discrimination, and the best one of a right option; "guessed": the share that
    chose the right option, and what guessing gives; "negative" and "weak": the item's discrimination; else a share.
    """

    kind: Kind
    part: str = ""
    option: str = ""
    share: float = 0.0
    other: float = 0.0

    @property
    def urgent(self) -> bool:
        """Whether it is to be looked at before results are released."""
        return self.kind in URGENT


class OptionFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one option did: `part` is the prompt, gap or place it was chosen for, "" where an item has only one.

    `curve` has the share of each score group that chose it, `upper` and `lower` that of the best and the weakest 27 %.
    `discrimination` is the point-biserial correlation of choosing it with the marks in all other items.
    """

    part: str
    option: str
    right: bool
    chosen: int
    upper: float
    lower: float
    discrimination: float | None
    curve: list[float]


class ItemFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one item; None where a figure is not defined, for instance where everybody got the same marks.

    Facility, standard deviation, `upper`, `lower` and `curve` are shares of the item's `maximum`: 0 (or below) to 1.
    """

    item: str
    interaction: str
    attempts: int
    answered: int
    omitted: int
    not_reached: int
    maximum: float
    facility: float | None
    facility_reached: float | None
    sd: float | None
    discrimination: float | None
    efficiency: float | None
    point_biserial: float | None
    upper: float | None
    lower: float | None
    weight: float | None
    curve: list[float]
    options: list[OptionFigures]
    findings: list[Finding] = []

    @property
    def upper_lower(self) -> float | None:
        """Facility in the best 27 % less that in the weakest 27 %; from -1 to 1."""
        return None if self.upper is None or self.lower is None else self.upper - self.lower


class TotalFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the totals, in marks; None where a figure is not defined. `spread` counts them by CLASSES."""

    attempts: int
    forms: int
    maximum: float
    mean: float | None
    median: float | None
    lowest: float | None
    highest: float | None
    sd: float | None
    skewness: float | None
    kurtosis: float | None
    alpha: float | None
    error: float | None
    spread: list[int]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures of a test and of its items, in the order of the forms."""

    totals: TotalFigures
    items: list[ItemFigures]


# Which items to look at --------------------------------------------------------------------------------------------


def findings_of(item: ItemFigures) -> list[Finding]:
    """What is to be looked at in an item, the most urgent first; none where it has too few attempts to be judged."""
    if item.attempts < LEAST_ATTEMPTS or item.facility is None:
        return []
    found = _about_options(item)
    if item.discrimination is not None and item.discrimination <= -2 / sqrt(item.attempts):
        found.append(Finding("negative", share=item.discrimination))
    reached = item.attempts - item.not_reached
    # Who never came to an item says nothing about how hard it is.
    if item.facility_reached is not None and reached >= LEAST_ATTEMPTS:
        guessed = _guessed(item)
        if guessed is not None:
            found.append(guessed)
        elif item.facility_reached < TOO_HARD:
            found.append(Finding("hard", share=item.facility_reached))
        elif item.facility_reached > TOO_EASY:
            found.append(Finding("easy", share=item.facility_reached))
        elif item.discrimination is not None and -2 / sqrt(item.attempts) < item.discrimination < WEAK:
            found.append(Finding("weak", share=item.discrimination))
    if item.not_reached >= OFTEN_NOT_REACHED * item.attempts:
        found.append(Finding("not_reached", share=item.not_reached / item.attempts))
    if item.omitted >= OFTEN_OMITTED * item.attempts:
        found.append(Finding("omitted", share=item.omitted / item.attempts))
    if item.interaction == "choice" and item.answered * IDLE >= 1:
        found += [
            Finding("idle", option=option.option, share=option.chosen / item.answered)
            for option in item.options
            if not option.right and option.chosen < item.answered * IDLE
        ]
    return sorted(found, key=lambda one: one.kind not in URGENT)


def _guessed(item: ItemFigures) -> Finding | None:
    """That fewer chose the one right option of a list than guessing would have."""
    right = [option for option in item.options if option.right]
    if item.interaction != "choice" or len(right) != 1 or not item.answered:
        return None
    share, chance = right[0].chosen / item.answered, 1 / len(item.options)
    if share >= chance - 2 * sqrt(chance * (1 - chance) / item.answered):
        return None
    return Finding("guessed", option=right[0].option, share=share, other=chance)


def _about_options(item: ItemFigures) -> list[Finding]:
    found = []
    noise = 2 / sqrt(item.attempts)
    parts: dict[str, list[OptionFigures]] = {}
    for option in item.options:
        parts.setdefault("" if item.interaction == "several" else option.part, []).append(option)
    for options in parts.values():
        right = [option for option in options if option.right]
        if not right:
            continue
        most = max(option.upper for option in right)
        best = max((option.discrimination for option in right if option.discrimination is not None), default=0.0)
        for option in options:
            strength = option.discrimination
            lead = option.upper - most
            # Of several options each may be chosen by everybody: there the shares do not compete.
            competes = item.interaction != "several"
            doubt = sqrt(max(0.0, option.upper + most - lead**2) / (0.27 * item.attempts))
            if option.right:
                if strength is not None and strength <= -noise and (len(right) > 1 or len(parts) > 1):
                    found.append(Finding("repels", option.part, option.option, strength))
            elif competes and lead > 2 * doubt:
                found.append(Finding("beaten", option.part, option.option, option.upper, most))
            elif strength is not None and strength >= max(WEAK, noise) and strength > best:
                found.append(Finding("attracts", option.part, option.option, strength, best))
    return found


def sentence(finding: Finding, option: str = "") -> str:
    """What a finding means and what to do, in plain English.

    `option` is how the page calls the option; without it nothing in the sentence tells the key.
    """
    percent, other = _percent(finding.share), _percent(finding.other)
    wrong = f"“{option}”, wrong by the key," if option else "an option that is wrong by the key"
    right = f"“{option}”, right by the key" if option else "an option that is right by the key"
    idle = f"“{option}”" if option else "one of the wrong options"
    return {
        "beaten": f"Of the best candidates {percent} chose {wrong} and {other} the right one. Look at the key first: "
        "it may name the wrong option.",
        "attracts": f"The better candidates are drawn to {wrong} more than to the right answer. It may be right as "
        "well, or the key may be wrong.",
        "negative": "Candidates who did well in the rest of the exam did worse here than the others. Look at the key, "
        "then for a misleading word or a wrong translation.",
        "repels": f"The better candidates avoid {right}. Look whether it is right.",
        "guessed": f"Of those who answered, {percent} chose the right option; blind guessing gives {other}. Look at "
        "the key first: it may name the wrong option.",
        "hard": f"It is very hard: those who came to it won {percent} of its marks on average.",
        "easy": f"It is very easy: {percent} of its marks were won on average. It hardly tells candidates apart.",
        "weak": "Good and weak candidates do almost equally well here. It adds little to the result, and its wording "
        "may be unclear.",
        "not_reached": f"{percent} of the candidates did not get as far as this question. The time may be too short.",
        "omitted": f"{percent} of the candidates left it out, though they went on. Look whether it can be understood.",
        "idle": f"Almost nobody chose {idle} ({percent} of the answers). Another wrong option would do more.",
    }[finding.kind]


def _percent(share: float) -> str:
    """ "7 %", "0.4 %"."""
    percent = share * 100
    return f"{percent:.1f}\u00a0%" if 0 < percent < 1 else f"{percent:.0f}\u00a0%"
