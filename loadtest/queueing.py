"""How long requests wait for a server, by the formulas of queueing theory. Pure.

Erlang C: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic
telephone exchanges", 1917. Where arrivals or service spread otherwise than the exponential, the approximation of
Allen and Cunneen: A. O. Allen, "Probability, Statistics, and Queueing Theory with Computer Science Applications", 1990.
"""

import math
from collections.abc import Sequence

import msgspec


class Waiting(msgspec.Struct, frozen=True):
    """Time spent waiting before service begins, in seconds: the mean, and what one in a hundred exceeds."""

    mean: float
    p99: float


class Stream(msgspec.Struct, frozen=True):
    """What a server is asked for: requests a second, mean service in seconds, its squared coefficient of variation."""

    rate: float
    service: float
    scv: float


def erlang_c(servers: int, load: float) -> float:
    """The probability of having to wait, with `load` Erlang offered to so many servers; 1 if they cannot keep up."""
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang B, server by server: the closed form overflows with some hundreds of them
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def waiting(stream: Stream, servers: int, arrivals_scv: float) -> Waiting:
    """The wait of a stream before so many servers, of arrivals with this squared coefficient of variation.

    Exact where both coefficients are 1 (M/M/k); the tail is taken as exponential, as it is there. Infinite where the
    servers cannot keep up.
    """
    load = stream.rate * stream.service
    if load >= servers:
        return Waiting(math.inf, math.inf)
    spread = (arrivals_scv + stream.scv) / 2
    if load == 0 or spread == 0:
        return Waiting(0.0, 0.0)
    waits = erlang_c(servers, load)
    drains = (servers / stream.service - stream.rate) / spread
    return Waiting(waits / drains, math.log(waits / 0.01) / drains if waits > 0.01 else 0.0)


def mixed(kinds: Sequence[Stream]) -> Stream:
    """Several streams before the same servers, as one."""
    rate = sum(kind.rate for kind in kinds)
    service = sum(kind.rate * kind.service for kind in kinds) / rate if rate else 0.0
    if not service:
        return Stream(rate, 0.0, 0.0)
    square = sum(kind.rate * kind.service**2 * (1 + kind.scv) for kind in kinds) / rate
    return Stream(rate, service, square / service**2 - 1)
