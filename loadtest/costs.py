"""What an operation costs each tier, from the file that `python -m loadtest.bench --json FILE` writes. Pure.

Also measured runs, and how far the costs are from what those spent.
"""

from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from loadtest.assumptions import Assumptions

OPERATIONS: Final = ("save", "start", "submit", "login", "paper", "grade")
TIERS: Final = ("nginx", "web", "postgres", "valkey", "graders")
IN_ROUNDS: Final = frozenset({"save", "start", "submit", "login"})
"""What waits for its round: the fewer come in a second, the less they share what a round costs."""

NotNegative = Annotated[float, Meta(ge=0)]
T = TypeVar("T")


class CostError(Exception):
    """A file that cannot be used; the message says which and why."""


class Costs(msgspec.Struct, frozen=True):
    """One operation of the bench, CPU in milliseconds each; `web` is the grader's where the operation is `grade`."""

    per_second: Annotated[float, Meta(gt=0)]
    p50_ms: NotNegative
    p99_ms: NotNegative
    server_cpu_ms: Annotated[float, Meta(gt=0)]
    web_cpu_ms: NotNegative
    postgres_cpu_ms: NotNegative
    valkey_cpu_ms: NotNegative
    nginx_cpu_ms: NotNegative
    floor_cpu_ms: NotNegative


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A span of a measured run with even rates: how many operations, and what each tier spent on them, in seconds."""

    seconds: Annotated[float, Meta(gt=0)]
    workers: Annotated[int, Meta(ge=1)]
    operations: dict[str, NotNegative]
    cpu_seconds: Annotated[dict[str, Annotated[float, Meta(gt=0)]], Meta(min_length=1)]


class Miss(msgspec.Struct, frozen=True):
    """Seconds of CPU that were predicted and measured, and the error in per cent of what was measured."""

    tier: str
    predicted: float
    measured: float
    error: float


class _BenchFile(msgspec.Struct):
    operations: dict[str, Costs]


class _RunFile(msgspec.Struct):
    run: Run


def read_bench(data: bytes, name: str) -> dict[str, Costs]:
    """The costs in the bench's JSON, `{"operations": {…}}`. CostError, with the file's `name`, for any other."""
    found = _read(data, name, _BenchFile).operations
    if missing := [operation for operation in OPERATIONS if operation not in found]:
        raise CostError(f"{name} has no costs of {', '.join(missing)}. Run the whole bench.")
    for operation, costs in found.items():
        parts = costs.web_cpu_ms + costs.postgres_cpu_ms + costs.valkey_cpu_ms + costs.nginx_cpu_ms
        # Medians of several rounds need not add up exactly.
        if abs(parts - costs.server_cpu_ms) > 0.2 * costs.server_cpu_ms:
            raise CostError(f"{name}: the parts of {operation} make {parts:.3f} ms, not {costs.server_cpu_ms:.3f} ms.")
    return found


def read_run(data: bytes, name: str) -> Run:
    """A measured run, `{"run": {…}}`. CostError, with the file's `name`, for any other."""
    run = _read(data, name, _RunFile).run
    for given, known in ((run.operations, OPERATIONS), (run.cpu_seconds, TIERS)):
        if unknown := sorted(set(given) - set(known)):
            raise CostError(f"{name}: {', '.join(unknown)} is not known; there are {', '.join(known)}.")
    return run


def _read(data: bytes, name: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as wrong:
        raise CostError(f"{name}: {wrong}") from None


def cost(bench: Mapping[str, Costs], operation: str, tier: str, given: Assumptions, each_worker: float) -> float:
    """Seconds of a tier's CPU for one operation, when every web worker gets `each_worker` of them a second.

    A round costs something whatever is in it. The bench ran at saturation, with full rounds; where they are emptier
    each operation bears more of it, and it never bears less than it did there.
    """
    if (operation == "grade") != (tier == "graders") and not (operation == "grade" and tier == "postgres"):
        return 0.0
    costs = bench[operation]
    measured: float = costs.web_cpu_ms if tier == "graders" else getattr(costs, f"{tier}_cpu_ms")
    fixed: float = 0.0 if tier == "graders" else getattr(given, f"flush_{tier}_ms")
    if operation in IN_ROUNDS and fixed:
        there = _in_a_round(costs.per_second / given.bench_workers, given)
        measured += fixed * max(0.0, 1 / _in_a_round(each_worker, given) - 1 / there)
    return measured / 1000


def _in_a_round(each_worker: float, given: Assumptions) -> float:
    return max(1.0, each_worker * given.flush_ms / 1000)


def compare(bench: Mapping[str, Costs], run: Run, given: Assumptions) -> list[Miss]:
    """For each tier that was measured, and for all of them together, how far the prediction is from it."""
    predicted = {
        tier: sum(
            count * cost(bench, name, tier, given, count / run.seconds / run.workers)
            for name, count in run.operations.items()
        )
        for tier in run.cpu_seconds
    }
    misses = [_miss(tier, predicted[tier], run.cpu_seconds[tier]) for tier in TIERS if tier in predicted]
    return [*misses, _miss("all", sum(predicted.values()), sum(run.cpu_seconds.values()))]


def _miss(tier: str, predicted: float, measured: float) -> Miss:
    return Miss(tier, predicted, measured, 100 * (predicted - measured) / measured)
