"""Latency histograms that can be added up: buckets of about 3 per cent, from a microsecond to minutes.

A value in microseconds falls into the bucket of its power of two and its next five bits, as in HdrHistogram. Two
histograms are merged by adding their counts, so percentiles over several processes are those of all requests together;
percentiles of processes cannot be averaged.
"""

import math
from typing import Final

import msgspec

_BITS: Final = 5
_STEPS: Final = 1 << _BITS


def bucket_of(micros: int) -> int:
    """The bucket of a value; 0 and what lies below go into the first."""
    if micros < _STEPS:
        return max(micros, 0)
    shift = micros.bit_length() - _BITS - 1
    return ((shift + 1) << _BITS) + (micros >> shift) - _STEPS


def top_of(bucket: int) -> int:
    """The largest value of a bucket, in microseconds."""
    if bucket < _STEPS:
        return bucket
    shift = (bucket >> _BITS) - 1
    return ((_STEPS + (bucket & _STEPS - 1) + 1) << shift) - 1


class Histogram(msgspec.Struct):
    """Counts by bucket, the sum in seconds and the largest value in microseconds."""

    counts: dict[int, int] = {}
    total: int = 0
    seconds: float = 0.0
    largest: int = 0

    def add(self, seconds: float) -> None:
        micros = int(seconds * 1e6)
        bucket = bucket_of(micros)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.total += 1
        self.seconds += seconds
        if micros > self.largest:
            self.largest = micros

    def merge(self, other: "Histogram") -> None:
        """Adds another one's values."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.total += other.total
        self.seconds += other.seconds
        self.largest = max(self.largest, other.largest)

    def percentile(self, share: float) -> float:
        """The value in milliseconds below which this share (0 to 1) lies, rounded up to its bucket; 0 for none."""
        left = share * self.total
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left <= 0:
                return min(top_of(bucket), self.largest) / 1000
        return self.largest / 1000

    @property
    def mean(self) -> float:
        """Milliseconds; 0 for none."""
        return self.seconds / self.total * 1000 if self.total else 0.0


class Timeline(msgspec.Struct):
    """A histogram for each whole second, by operation; seconds count from the common start and may be negative."""

    seconds: dict[str, dict[int, Histogram]] = {}

    def add(self, operation: str, second: int, seconds: float) -> None:
        """Counts a value of this second."""
        row = self.seconds.setdefault(operation, {})
        found = row.get(second)
        if found is None:
            found = row[second] = Histogram()
        found.add(seconds)

    def between(self, operation: str, first: float = -math.inf, end: float = math.inf) -> Histogram:
        """All values of an operation in the seconds from `first` to before `end`, as one histogram."""
        whole = Histogram()
        for second, histogram in self.seconds.get(operation, {}).items():
            if first <= second < end:
                whole.merge(histogram)
        return whole

    def merge(self, other: "Timeline") -> None:
        """Adds another one's values."""
        for operation, row in other.seconds.items():
            mine = self.seconds.setdefault(operation, {})
            for second, histogram in row.items():
                mine.setdefault(second, Histogram()).merge(histogram)
