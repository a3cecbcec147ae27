"""A run as a table for the console and as one HTML file: charts are inline SVG with their numbers behind them."""

import datetime as dt
import math
from collections.abc import Sequence
from html import escape
from typing import Final

import msgspec

from loadtest.thresholds import Figure

WIDTH: Final = 920
HEIGHT: Final = 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 28
MOST_POINTS: Final = 240
WIDEST: Final = 100
GAP: Final = 8.0
COLOURS: Final = ("#1f5fa8", "#b3541e", "#2f7d4f", "#7a4aa0", "#8a6d00", "#a8325a", "#4a6670")
DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "1 3", "12 4", "4 2")
FAILED: Final = ' class="failed"'
MARKS: Final = {True: "reached", False: "NOT REACHED", None: ""}

STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 980px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; }
tr.failed td { font-weight: 600; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
summary { cursor: pointer; margin: .5rem 0; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
"""


class Curve(msgspec.Struct, frozen=True):
    """One line of a chart: (second, value), by second."""

    name: str
    points: list[tuple[float, float]]


class Chart(msgspec.Struct, frozen=True):
    """A chart over time; `steep` draws powers of ten."""

    title: str
    unit: str
    curves: list[Curve]
    steep: bool = False


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines for the console; a cell that is too long ends with dots."""
    lines = [[cell if len(cell) <= WIDEST else cell[: WIDEST - 1] + "…" for cell in _cells(one)] for one in figures]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    return figure.name, figure.found, figure.wanted, MARKS[figure.passed]


def page(title: str, facts: Sequence[str], figures: Sequence[Figure], charts: Sequence[Chart]) -> str:
    """The whole HTML file."""
    rows = "\n".join(
        f"<tr{FAILED if one.passed is False else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(one))
        + "</tr>"
        for one in figures
    )
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"/><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width"/>',
            f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>",
            "".join(f"<p>{escape(fact)}</p>" for fact in facts),
            "<h2>Figures</h2><table><thead><tr><th>What</th><th>Found</th><th>Wanted</th><th></th></tr></thead>",
            f"<tbody>{rows}</tbody></table>",
            *(draw(chart) for chart in charts),
            f"<p>Written {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC.</p></body></html>",
        ]
    )


def draw(chart: Chart) -> str:
    """A chart as a figure: SVG, legend, and the numbers in a table that can be opened."""
    curves = [Curve(curve.name, thinned(curve.points)) for curve in chart.curves if curve.points]
    if not curves:
        return f"<h2>{escape(chart.title)}</h2><p>Nothing was measured.</p>"
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    low, high = 0.0, max(*ys, 1e-9) * 1.05
    if chart.steep:
        low = 10.0 ** math.floor(math.log10(min((y for y in ys if y > 0), default=0.1)))
        high = 10.0 ** math.ceil(math.log10(max(*ys, low * 10)))
    first, last = min(xs), max(max(xs), min(xs) + 1)

    def place(x: float, y: float) -> str:
        share = y / high
        if chart.steep:
            share = math.log10(max(y, low) / low) / math.log10(high / low)
        across = LEFT + (x - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        return f"{across:.1f},{HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM):.1f}"

    lines = [
        f'<polyline fill="none" stroke="{COLOURS[n % len(COLOURS)]}" stroke-width="1.8" '
        f'stroke-dasharray="{DASHES[n % len(DASHES)]}" points="{" ".join(place(x, y) for x, y in piece)}"/>'
        for n, curve in enumerate(curves)
        for piece in pieces(curve.points)
    ]
    grid = []
    for y in _ticks(low, high, chart.steep):
        at = place(first, y).partition(",")[2]
        grid.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="currentColor" stroke-opacity=".15"/>'
            f'<text x="{LEFT - 6}" y="{at}" dy="4" text-anchor="end">{y:,g}</text>'
        )
    for x in _ticks(first, last, False):
        at = place(x, low or 0).partition(",")[0]
        grid.append(f'<text x="{at}" y="{HEIGHT - 8}" text-anchor="middle">{x:,g} s</text>')
    legend = "".join(
        f'<li><svg style="width:2.2rem;height:.7rem" viewBox="0 0 35 11" aria-hidden="true">'
        f'<line x1="0" x2="35" y1="6" y2="6" stroke-width="3" stroke="{COLOURS[n % len(COLOURS)]}" '
        f'stroke-dasharray="{DASHES[n % len(DASHES)]}"/></svg> '
        f"{escape(curve.name)}</li>"
        for n, curve in enumerate(curves)
    )
    label = escape(f"{chart.title}, {chart.unit}; the numbers are in the table below", quote=True)
    return (
        f"<h2>{escape(chart.title)} <small>({escape(chart.unit)}; seconds from the opening)</small></h2>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(grid)}{"".join(lines)}</svg>'
        f'<ul class="legend">{legend}</ul>{_numbers(curves)}'
    )


def _numbers(curves: Sequence[Curve]) -> str:
    found = [dict(curve.points) for curve in curves]
    seconds = sorted({x for points in found for x in points})
    head = "".join(f"<th>{escape(curve.name)}</th>" for curve in curves)
    rows = "".join(
        f'<tr><td class="number">{second:g}</td>'
        + "".join(
            f'<td class="number">{points[second]:,.4g}</td>' if second in points else "<td></td>" for points in found
        )
        + "</tr>"
        for second in seconds
    )
    return (
        f"<details><summary>The numbers</summary><table><thead><tr><th>Second</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS points: of each stretch the highest, so that no peak is lost."""
    step = math.ceil(len(points) / MOST_POINTS)
    return [max(points[at : at + step], key=lambda point: point[1]) for at in range(0, len(points), max(1, step))]


def pieces(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The stretches of a line: nothing is drawn over seconds in which nothing was measured."""
    found: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if found[-1] and point[0] - found[-1][-1][0] > GAP:
            found.append([])
        found[-1].append(point)
    return found


def _ticks(low: float, high: float, steep: bool) -> list[float]:
    if steep:
        return [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9) / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if (high - low) / (step * factor) <= 6)
    at = math.ceil(low / step) * step
    return [round(at + n * step, 10) for n in range(int((high - at) / step) + 1)]
