"""The reference: canonical text, final answers, marks and receipts, worked out once more and by other means.

Nothing of `grading` or `exam` is used here, only the paper, the key and the marking scheme as they lie in the database,
and docs/candidate-protocol.md. Where this and the service differ, one of them is wrong.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from typing import Any, Final, NamedTuple

_BASE_32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Marks(NamedTuple):
    """An attempt's marks, exact: the total, the maximum, and what each item earned, by item number."""

    total: Fraction
    maximum: Fraction
    items: list[Fraction]
    rounded: str
    """The total as it is shown: with the scheme's decimals."""
    rounded_maximum: str
    unmarked: list[int]
    """The items whose answer people have to mark."""


class Row(NamedTuple):
    """An accepted answer; `response` is its canonical text."""

    item: int
    epoch: int
    seq: int
    response: str


def canonical(response: Any) -> str:
    """The one JSON text of a response: compact, ids of a list sorted, a mapping in the order of its keys."""
    if isinstance(response, list):
        response = sorted(response)
    return json.dumps(response, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def finals(rows: Iterable[Row]) -> dict[int, Row]:
    """What counts for each item: the row with the greatest (epoch, seq). Void rows count for nothing."""
    best: dict[int, Row] = {}
    for row in rows:
        if row.item and (row.item not in best or (row.epoch, row.seq) > (best[row.item].epoch, best[row.item].seq)):
            best[row.item] = row
    return best


def section_ends(
    started_at: float, deadline: float, lengths: Sequence[float], given: Iterable[tuple[float, float]]
) -> list[float]:
    """When timed sections end: they share the time from the start, but what was `given` since (when, how much) goes to
    the one that was open, or to the last one when all were over. Seconds.
    """
    given = sorted(given)
    span = deadline - started_at - sum(seconds for _, seconds in given)
    ends = [started_at + span * sum(lengths[: place + 1]) / sum(lengths) for place in range(len(lengths))]
    for moment, seconds in given:
        first = next((place for place, end in enumerate(ends) if end > moment), len(ends) - 1)
        ends = ends[:first] + [end + seconds for end in ends[first:]]
    return ends


def digest(form: str, salt: str, counted: Mapping[int, Row]) -> str:
    """The receipt's digest, in hex, from section 6 of the protocol."""
    entries = ",".join(
        f"[{row.item},{row.epoch},{row.seq},{row.response}]" for row in sorted(counted.values(), key=lambda r: r.item)
    )
    return sha256(f'["exam-receipt-1","{form}","{salt}",[{entries}]]'.encode()).hexdigest()


def code_of(digest_hex: str) -> str:
    """The receipt's code: 60 bits of the digest in Crockford's base 32."""
    bits = f"{int(digest_hex, 16):0256b}"[:60]
    letters = "".join(_BASE_32[int(bits[at : at + 5], 2)] for at in range(0, 60, 5))
    return "-".join(letters[at : at + 4] for at in (0, 4, 8))


def mark(
    paper: Mapping[str, Any], keys: list[dict[str, Any]], scheme: Mapping[str, Any], counted: Mapping[int, Row]
) -> Marks:
    """The marks of one attempt; `keys` in the order of the paper's items."""
    negative, places = Fraction(scheme.get("negative", "0")), int(scheme.get("round_to", 2))
    earned, unmarked, maximum = [], [], Fraction(0)
    for item, key in zip(paper["items"], keys, strict=True):
        worth = Fraction(item["marks"])
        maximum += worth
        row = counted.get(item["no"])
        response = json.loads(row.response) if row else None
        if response is None or response in ([], {}) or (isinstance(response, str) and not response.strip()):
            earned.append(Fraction(0))
            continue
        if key["type"] == "manual":  # nobody has marked it yet, so nothing is right or wrong
            earned.append(Fraction(0))
            unmarked.append(item["no"])
            continue
        share = _share(item["interaction"], key, response)
        earned.append(worth * (min(share, -negative) if share <= 0 else share))
    total = sum(earned, Fraction(0))
    return Marks(total, maximum, earned, _shown(total, places), _shown(maximum, places), unmarked)


def _shown(value: Fraction, places: int) -> str:
    # Halves away from zero: a whole number of units, then the point put in by hand.
    units, half = divmod(abs(value) * 10**places, 1)
    count = int(units) + (half >= Fraction(1, 2))
    digits = f"{count:0{places + 1}d}"
    shown = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{shown}" if value < 0 and count else shown


def _share(interaction: Mapping[str, Any], key: Mapping[str, Any], response: Any) -> Fraction:
    kind = key["type"]
    if kind == "choice":
        weights = {option: Fraction(weight) for option, weight in key["weights"].items()}
        if not interaction.get("multiple"):
            return max(Fraction(-1), min(Fraction(1), weights.get(response, Fraction(0))))
        return max(Fraction(0), min(Fraction(1), sum((weights.get(one, Fraction(0)) for one in response), Fraction(0))))
    if kind == "match":
        pairs = key["pairs"]
        return Fraction(len([prompt for prompt in pairs if response.get(prompt) == pairs[prompt]]), len(pairs))
    if kind == "inline":
        worth = {gap: Fraction(key.get("weights", {}).get(gap, 1)) for gap in key["right"]}
        return sum((worth[gap] for gap in worth if response.get(gap) == key["right"][gap]), Fraction(0)) / sum(
            worth.values()
        )
    if kind == "order":
        wanted = key["order"]
        stands = {option: int(place) for place, option in response.items()}
        if key.get("rule", "all_or_nothing") == "all_or_nothing":
            return Fraction(all(stands[option] == place for place, option in enumerate(wanted, start=1)))
        together = [stands[wanted[at + 1]] - stands[wanted[at]] == 1 for at in range(len(wanted) - 1)]
        return Fraction(together.count(True), len(together))
    if kind == "numeric":
        number = _number(response)
        for answer in key["answers"]:
            if number is not None and Fraction(answer["low"]) <= number <= Fraction(answer["high"]):
                return _within(answer)
        return Fraction(0)
    text = _folded(response)
    for answer in key["answers"]:
        pattern = ".*".join(re.escape(_folded(part)) if part.strip() else "" for part in answer["text"].split("*"))
        if re.fullmatch(pattern, text, re.S):
            return _within(answer)
    return Fraction(0)


def _within(answer: Mapping[str, Any]) -> Fraction:
    return max(Fraction(0), min(Fraction(1), Fraction(answer.get("weight", "1"))))


def _number(text: str) -> Fraction | None:
    plain = "".join(str(unicodedata.digit(char)) if char.isdigit() else char for char in text.strip())
    if not re.fullmatch(r"[+-]?[0-9]*[.,]?[0-9]+", plain):
        return None
    return Fraction(plain.replace(",", "."))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()
