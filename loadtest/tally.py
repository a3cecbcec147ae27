"""What a generator has seen: latencies, failures and promises, as JSON that adds up over processes."""

import msgspec

from loadtest.histogram import Histogram, Timeline
from loadtest.sitter import Account


class Second(msgspec.Struct, frozen=True):
    """The generator itself at the end of a second: CPU seconds and answered requests so far, open connections."""

    at: int
    cpu: float
    answered: int
    connections: int


class Tally(msgspec.Struct):
    """The result of one generator process."""

    timeline: Timeline = msgspec.field(default_factory=Timeline)
    """Latency from the intended moment of sending to the complete response, under the second of the intended moment."""
    lag: Histogram = msgspec.field(default_factory=Histogram)
    """From the intended moment to the sending, where the connection was free: how late the generator itself was."""
    failures: dict[str, dict[str, int]] = {}
    """By operation and kind."""
    put_off: dict[str, int] = {}
    """Requests that the service asked to repeat later, by operation."""
    reconnects: int = 0
    """Connections that ended while nothing was under way, and were made anew."""
    seconds: list[Second] = []
    accounts: list[Account] = []

    def fail(self, operation: str, why: str) -> None:
        """Counts a failure."""
        kinds = self.failures.setdefault(operation, {})
        kinds[why] = kinds.get(why, 0) + 1

    def put_off_one(self, operation: str) -> None:
        """Counts a request that was put off."""
        self.put_off[operation] = self.put_off.get(operation, 0) + 1

    @property
    def failed(self) -> int:
        return sum(sum(kinds.values()) for kinds in self.failures.values())

    def merge(self, other: "Tally") -> None:
        """Adds another process's result; its seconds are added to those of the same number."""
        self.timeline.merge(other.timeline)
        self.lag.merge(other.lag)
        for operation, kinds in other.failures.items():
            mine = self.failures.setdefault(operation, {})
            for why, count in kinds.items():
                mine[why] = mine.get(why, 0) + count
        for operation, count in other.put_off.items():
            self.put_off[operation] = self.put_off.get(operation, 0) + count
        self.reconnects += other.reconnects
        both = {second.at: second for second in self.seconds}
        for second in other.seconds:
            known = both.get(second.at, Second(second.at, 0.0, 0, 0))
            both[second.at] = Second(
                second.at,
                known.cpu + second.cpu,
                known.answered + second.answered,
                known.connections + second.connections,
            )
        self.seconds = [both[at] for at in sorted(both)]
        self.accounts += other.accounts
