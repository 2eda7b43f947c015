"""The figures as one page of HTML, with plots as SVG inside it: it needs nothing else and loads nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TextIO

from keysentry.report.place import clean
from keysentry.report.programme.figures import Programme, Row
from keysentry.report.programme.text import facts, span
from keysentry.report.times import duration, minute

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 220, 64, 36
_COLOURS = ("#3366cc", "#e07b39", "#3a9d5d")
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;text-align:left;border-bottom:1px solid #dde2ea}
th{font-weight:600;color:#566072}td.n{text-align:right}.bad{color:#b3261e}.good{color:#1f7a3f}
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#566072}.note{color:#566072}
"""


def write_page(programme: Programme, out: TextIO) -> None:
    """Write the page."""
    began = minute(programme.since) if programme.since is not None else "the beginning"
    out.write(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>keysentry report</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>Leaked secrets</h1><p class="note">From {began} to {minute(programme.until)} (UTC)</p>\n'
    )
    out.write(_facts(programme))
    weeks = sorted({row.week for row in programme.rows})
    out.write(_section("Incidents by week", bars(weeks, _opened(programme.rows, weeks))))
    out.write(_section("Time to contain, revoke and close (median)", lines(weeks, _medians(programme.rows, weeks))))
    out.write(_section("By week and team", _table(programme.rows)))
    out.write(_section("Open long-lived keys by age", across(programme.ages)))
    out.write(_section("Distinct keys by application", across(dict(list(programme.apps.items())[:12]))))
    people = {one.name + (" (unusual)" if one.unusual else ""): one.keys for one in programme.people[:12]}
    out.write(_section("Distinct keys by person", across(people)))
    out.write("</body></html>\n")


def _facts(programme: Programme) -> str:
    colours = {"red": "bad", "green": "good", "yellow": "bad"}
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="{colours.get(style, "")}">{escape(words)}</td></tr>'
        for name, words, style in facts(programme)
    )
    return f"<table>{rows}</table>\n"


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}\n" if body else ""


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    heads = ("week of", "team", "opened", "came back", "contained", "revoked", "closed")
    body = "".join(
        f'<tr><td>{row.week}</td><td>{escape(clean(row.team))}</td><td class="n">{row.opened}</td>'
        f'<td class="n">{row.regressions}</td><td>{span(row.contained)}</td><td>{span(row.revoked)}</td>'
        f"<td>{span(row.closed)}</td></tr>"
        for row in rows
    )
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        '<p class="note">Times are median / 95th percentile, over those cases in which it happened.</p>'
    )


def _opened(rows: Iterable[Row], weeks: Sequence[str]) -> dict[str, list[float]]:
    first: dict[str, float] = defaultdict(float)
    back: dict[str, float] = defaultdict(float)
    for row in rows:
        first[row.week] += row.opened - row.regressions
        back[row.week] += row.regressions
    return {"new": [first[one] for one in weeks], "came back": [back[one] for one in weeks]}


def _medians(rows: Iterable[Row], weeks: Sequence[str]) -> dict[str, list[float | None]]:
    """The median of each week, weighed by how often it happened in each team."""
    found: dict[str, dict[str, list[tuple[float, int]]]] = {name: defaultdict(list) for name in _SPANS}
    for row in rows:
        for name in _SPANS:
            one = getattr(row, name)
            if one.median is not None:
                found[name][row.week].append((one.median, one.count))
    return {name: [_weighed(found[name][one]) for one in weeks] for name in _SPANS}


_SPANS = ("contained", "revoked", "closed")


def _weighed(values: Sequence[tuple[float, int]]) -> float | None:
    total = sum(count for _, count in values)
    return sum(value * count for value, count in values) / total if total else None


# -- plots -------------------------------------------------------------------------------------------------------------


def bars(labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Bars, those of one label on top of each other."""
    if not labels:
        return ""
    sums = [sum(values[at] for values in series.values()) for at in range(len(labels))]
    top = max(sums) or 1.0
    step = (_WIDTH - _LEFT) / len(labels)
    shapes = []
    for at in range(len(labels)):
        base = 0.0
        for number, values in enumerate(series.values()):
            height = values[at] / top * (_HEIGHT - _BOTTOM - 10)
            y = _HEIGHT - _BOTTOM - base - height
            x, width = _LEFT + at * step + step * 0.15, min(step * 0.7, 80)
            shapes.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{_COLOURS[number]}"/>'
            )
            base += height
    return _plot([*shapes, *_axis(labels, step, [(0, "0"), (top, f"{top:,.0f}")], top)], list(series))


def lines(labels: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> str:
    """Lines through points; what is None is left out."""
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return ""
    top = max(known) or 1.0
    step = (_WIDTH - _LEFT) / len(labels)
    shapes = []
    for number, values in enumerate(series.values()):
        points = [
            (_LEFT + (at + 0.5) * step, _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _BOTTOM - 10))
            for at, value in enumerate(values)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = _COLOURS[number]
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    return _plot([*shapes, *_axis(labels, step, [(0, "0"), (top, duration(top))], top)], list(series))


def across(counts: Mapping[str, int]) -> str:
    """Bars that lie, one a name."""
    rows = [(name, count) for name, count in counts.items() if count]
    if not rows:
        return ""
    top = max(count for _, count in rows)
    height = 26 * len(rows)
    shapes = []
    for at, (name, count) in enumerate(rows):
        y, width = at * 26, count / top * (_WIDTH - 300)
        shown = name if len(name) <= 32 else f"{name[:31]}…"
        shapes.append(
            f'<text x="210" y="{y + 17}" text-anchor="end">{escape(clean(shown))}</text>'
            f'<rect x="220" y="{y + 4}" width="{width:.1f}" height="18" fill="{_COLOURS[0]}"/>'
            f'<text x="{226 + width:.1f}" y="{y + 17}">{count:,}</text>'
        )
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(shapes)}</svg>'


def _axis(labels: Sequence[str], step: float, marks: Sequence[tuple[float, str]], top: float) -> list[str]:
    base = _HEIGHT - _BOTTOM
    shapes = [f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH}" y2="{base}" stroke="#c5ccd8"/>']
    every = -(-len(labels) // 10)
    for at in range(0, len(labels), every):
        x, label = _LEFT + (at + 0.5) * step, escape(labels[at])
        shapes.append(f'<text x="{x:.1f}" y="{base + 18}" text-anchor="middle">{label}</text>')
    for value, words in marks:
        y = base - value / top * (base - 10)
        shapes.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(words)}</text>')
    return shapes


def _plot(shapes: Sequence[str], names: Sequence[str]) -> str:
    legend = "".join(
        f'<rect x="{_LEFT + number * 120}" y="{_HEIGHT + 4}" width="12" height="12" fill="{_COLOURS[number]}"/>'
        f'<text x="{_LEFT + 18 + number * 120}" y="{_HEIGHT + 15}">{escape(name)}</text>'
        for number, name in enumerate(names)
    )
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 22}" role="img">{"".join(shapes)}{legend}</svg>'
