"""The causal graph as a drawing: SVG text, without a browser or another program."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from dotwin.graph.layout import layered
from dotwin.graph.shapes import DOMAIN_STYLE, HIDDEN_STYLE, Style, outline, reach

if TYPE_CHECKING:
    from dotwin.graph.twin_graph import TwinGraph

__all__ = ["Drawing", "draw"]

# Sizes in pixels, chosen so that a label of three lines stays readable on a printed page.
_WIDTH = 148
_GAP = 120
_ROW_GAP = 26
_MARGIN = 24
_LINE = 16
_FONT = 13
_SMALL = 11
_CHARACTER = 5.6  # mean width at the small size
_SMALL_LINE = 13
_HEAD = 9.0
_WRAP = 19

#: What an arrow says when the effect reads its cause for something other than a cause.
_PARTS = {"trials": "out of", "exposure": "per", "at_least": "at least", "when": "only when"}

type Point = tuple[float, float]


@dataclass(frozen=True)
class Drawing:
    """A drawn graph that shows itself in a notebook.

    Parameters
    ----------
    svg : str
        The drawing as SVG text.
    """

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the drawing to a file.

        Parameters
        ----------
        path : str or Path
            Ends in ``.svg``.

        Returns
        -------
        Path

        Raises
        ------
        ValueError
            When the name says another kind of file.
        """
        target = Path(path)
        if target.suffix.lower() != ".svg":
            raise ValueError(f"a graph is saved as SVG: name the file '{target.stem}.svg'.")
        target.write_text(self.svg, encoding="utf-8")
        return target

    def __repr__(self) -> str:
        return f"Drawing of {len(self.svg):,} characters of SVG; .save('graph.svg') writes it"


def draw(graph: TwinGraph) -> Drawing:
    """Draw a twin's graph: indicators by domain, arrows with their lags, hidden causes dashed.

    Causes stand to the left of their effects; arrows that run back to the left are feedback, a
    period or more later. An indicator's own past is written in its box. Domains differ in colour
    and in shape, so that the drawing can be read in grey and by colour-blind readers; colours are
    those of Okabe and Ito (2008).

    Parameters
    ----------
    graph : TwinGraph

    Returns
    -------
    Drawing

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.Twin(
    ...     twin="staffing",
    ...     panel={"unit": "home"},
    ...     indicators={
    ...         "staff": {"domain": "workforce"},
    ...         "falls": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
    ...     },
    ... )
    >>> twin.graph.draw().svg.startswith("<svg")
    True
    """
    return Drawing(_Canvas(graph).svg())


class _Canvas:
    """One drawing in the making."""

    def __init__(self, graph: TwinGraph) -> None:
        self.graph = graph
        self.hidden = graph.twin.hidden_causes
        self.names = (*self.hidden, *graph.order())
        self.period = graph.twin.panel.period.frequency if graph.twin.panel.period else "period"
        arrows = {(a.cause, a.effect): None for a in graph.arrows if a.cause != a.effect}
        now = {(a.cause, a.effect) for a in graph.arrows if a.lag == 0}
        links = [(name, child) for name, one in self.hidden.items() for child in one.affects]
        self.arrows = [*links, *arrows]
        self.layout = layered(
            self.names,
            [*links, *(a for a in arrows if a in now)],
            [a for a in arrows if a not in now],
        )
        self.text = {name: self._box_text(name) for name in self.names}
        words = [len(row) for arrow in self.arrows for row in self._arrow_text(arrow)]
        self.gap = max(_GAP, max(words, default=0) * _CHARACTER + 24)
        lines = max(len(label) + len(small) for label, small in self.text.values())
        self.height = max(2, lines) * _LINE + 22
        self.at = {name: self._pixels(place) for name, place in self.layout.places.items()}
        self.heads: list[tuple[float, float, float, float]] = []
        self.taken = [
            (x - _WIDTH / 2, y - self.height / 2, x + _WIDTH / 2, y + self.height / 2)
            for x, y in self.at.values()
        ]

    def _pixels(self, place: Point) -> Point:
        layer, row = place
        return (
            _MARGIN + _WIDTH / 2 + layer * (_WIDTH + self.gap),
            _MARGIN + self.height / 2 + row * (self.height + _ROW_GAP),
        )

    def _box_text(self, name: str) -> tuple[list[str], list[str]]:
        lines = textwrap.wrap(self.graph.label(name), _WRAP) or [name]
        own = sorted({a.lag for a in self.graph.arrows if a.cause == a.effect == name})
        return lines, [f"own past: {self._lags(own)}"] if own else []

    def _lags(self, lags: list[int]) -> str:
        return f"{', '.join(map(str, lags))} {self.period}{'s' if lags[-1] > 1 else ''}"

    def _style(self, name: str) -> Style:
        if name in self.hidden:
            return HIDDEN_STYLE
        return DOMAIN_STYLE[self.graph.twin.indicators[name].domain]

    # ── the parts of the drawing ───────────────────────────────────────────────────────────────

    def svg(self) -> str:
        boxes = [self._box(name) for name in self.names]
        lines = self._lines()
        labels = self._labels(lines)
        right = max([x1 for _, _, x1, _ in self.taken])
        bottom = max([y1 for _, _, _, y1 in self.taken])
        legend, width, height = self._legend(right, bottom + 20)
        title = escape(f"Causal graph of {self.graph.twin.name.replace('-', ' ')}")
        arrows = [self._line(arrow, points) for arrow, points in lines.items()]
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
                f'width="{width:.0f}" height="{height:.0f}" role="img" '
                'font-family="Helvetica, Arial, sans-serif">',
                f"<title>{title}</title>",
                '<rect width="100%" height="100%" fill="white"/>',
                *arrows,
                *boxes,
                *labels,
                *legend,
                "</svg>",
            ]
        )

    def _box(self, name: str) -> str:
        x, y = self.at[name]
        label, small = self.text[name]
        top = y - (len(label) + len(small) - 1) * _LINE / 2 + 4.5
        rows = [
            f'<text x="{x:.1f}" y="{top + i * _LINE:.1f}" text-anchor="middle" '
            + (
                f'font-size="{_FONT}" fill="#111">{escape(line)}</text>'
                if i < len(label)
                else f'font-size="{_SMALL}" fill="#444">{escape(line)}</text>'
            )
            for i, line in enumerate([*label, *small])
        ]
        style = self._style(name)
        given = name not in self.hidden and self.graph.twin.indicators[name].is_given
        shape = _shape(style, x, y, _WIDTH, self.height, filled=not given)
        kind = "hidden cause" if name in self.hidden else self.graph.twin.indicators[name].domain
        tip = escape(f"{name}: {kind}{', known input' if given else ''}")
        return f"<g><title>{tip}</title>{shape}{''.join(rows)}</g>"

    def _lines(self) -> dict[tuple[str, str], list[Point]]:
        """Return the points that each arrow passes, its ends spread along the boxes' sides."""
        ways: dict[tuple[str, str], list[Point]] = {}
        ends: dict[tuple[str, float], list[tuple[float, tuple[str, str], int]]] = {}
        for arrow in self.arrows:
            bends = [self._pixels(place) for place in self.layout.bends[arrow]]
            a, b = self.at[arrow[0]], self.at[arrow[1]]
            side = 1.0 if a[0] < b[0] else -1.0
            through: list[Point] = []
            for x, y in bends:
                half = side * _WIDTH / 2
                through += [(x - half, y), (x + half, y)]
            ways[arrow] = through
            towards = through[0][1] if through else b[1]
            coming = through[-1][1] if through else a[1]
            ends.setdefault((arrow[0], side), []).append((towards, arrow, 0))
            ends.setdefault((arrow[1], -side), []).append((coming, arrow, 1))
        ports: dict[tuple[tuple[str, str], int], Point] = {}
        for (name, side), found in ends.items():
            x, y = self.at[name]
            spread = min(self.height * 0.62, 17 * (len(found) - 1))
            for i, (_, arrow, end) in enumerate(sorted(found)):
                dy = spread * (i / (len(found) - 1) - 0.5) if len(found) > 1 else 0.0
                dx = reach(self._style(name).shape, _WIDTH, self.height, dy, side)
                ports[arrow, end] = (x + side * dx, y + dy)
        return {
            arrow: [ports[arrow, 0], *through, ports[arrow, 1]] for arrow, through in ways.items()
        }

    def _line(self, arrow: tuple[str, str], points: list[Point]) -> str:
        if arrow[0] in self.hidden:
            colour, dash = HIDDEN_STYLE.stroke, ' stroke-dasharray="6 4"'
        else:  # what is only held fixed stands back behind what is explained
            given = self.graph.twin.indicators[arrow[0]].is_given
            colour, dash = ("#8C8C8C" if given else "#333"), ""
        (x0, y0), *rest = points
        path = f"M{x0:.1f},{y0:.1f}"
        for i, (x1, y1) in enumerate(rest):
            if i % 2:  # across a layer, where no box stands in this row
                path += f" L{x1:.1f},{y1:.1f}"
            else:
                middle = (x0 + x1) / 2
                path += f" C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
            x0, y0 = x1, y1
        head = _head(points[-2], points[-1])
        tip = f"{self.graph.label(arrow[0])} → {self.graph.label(arrow[1])}"
        return (
            f"<g><title>{escape(tip)}</title>"
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"{dash}/>'
            f'<polygon points="{head}" fill="{colour}"/></g>'
        )

    def _labels(self, lines: dict[tuple[str, str], list[Point]]) -> list[str]:
        """Write lags on their arrows, where they hide no box, no other label and no other arrow."""
        result: list[str] = []
        ends = [points[-1] for points in lines.values()]
        self.heads = [(x - 10, y - 5, x + 10, y + 5) for x, y in ends]
        inked = {
            arrow: [
                _on_curve(points[i], points[i + 1], t / 24)
                for i in range(len(points) - 1)
                for t in range(25)
            ]
            for arrow, points in lines.items()
        }
        for arrow, points in lines.items():
            rows = self._arrow_text(arrow)
            if not rows:
                continue
            half = max(map(len, rows)) * _CHARACTER / 2
            tall = len(rows) * _SMALL_LINE / 2 + 1
            others = [point for other, found in inked.items() if other != arrow for point in found]
            # On the line, or where another line runs close by, above or below it.
            steps = [
                ((x, y + beside * tall), abs(t / 20 - 0.5) + 2 * abs(beside))
                for i in range(len(points) - 1)
                for t in range(6, 15)
                for x, y in [_on_curve(points[i], points[i + 1], t / 20)]
                for beside in (0, -1, 1)
            ]

            def cost(
                step: tuple[Point, float],
                half: float = half,
                tall: float = tall,
                others: list[Point] = others,
            ) -> float:
                (x, y), off = step
                hidden = sum(abs(a - x) < half and abs(b - y) < tall for a, b in others)
                return 10 * self._cover(x, y, half, tall) + 3 * hidden + off

            (x, y), _ = min(steps, key=cost)
            self.taken.append((x - half, y - tall, x + half, y + tall))
            result.append(
                f'<rect x="{x - half:.1f}" y="{y - tall:.1f}" width="{2 * half:.1f}" '
                f'height="{2 * tall:.1f}" fill="white" fill-opacity="0.92"/>'
            )
            for k, row in enumerate(rows):
                base = y + 4 + (k - (len(rows) - 1) / 2) * _SMALL_LINE
                result.append(
                    f'<text x="{x:.1f}" y="{base:.1f}" text-anchor="middle" '
                    f'font-size="{_SMALL}" fill="#222">{escape(row)}</text>'
                )
        return result

    def _cover(self, x: float, y: float, half: float, tall: float) -> float:
        """Return the area that a label here would share with boxes, arrowheads and other labels."""
        return sum(
            max(0.0, min(x + half, x1) - max(x - half, x0))
            * max(0.0, min(y + tall, y1) - max(y - tall, y0))
            for x0, y0, x1, y1 in (*self.taken, *self.heads)
        )

    def _arrow_text(self, arrow: tuple[str, str]) -> list[str]:
        """Return the lines of an arrow's label: what the effect reads it for, and how late."""
        found = [a for a in self.graph.arrows if (a.cause, a.effect) == arrow]
        if not found:
            return []
        lags = sorted({a.lag for a in found})
        rows = list(dict.fromkeys(_PARTS[a.kind] for a in found if a.kind in _PARTS))
        if any(a.across for a in found):
            rows.append("of other units")
        if lags != [0]:
            later = self._lags([lag for lag in lags if lag])
            rows += [*(["now and"] if lags[0] == 0 else []), f"{later} later"]
        return rows

    def _legend(self, right: float, top: float) -> tuple[list[str], float, float]:
        """Return the legend's parts and the size of the whole drawing."""
        indicators = self.graph.twin.indicators.values()
        entries: list[tuple[str, str]] = []
        for domain, style in DOMAIN_STYLE.items():
            if any(one.domain == domain for one in indicators):
                entries.append((domain, _shape(style, 17, 0, 34, 22, filled=True)))
        if any(one.is_given for one in indicators):
            plain = Style("square", "#555", "white")
            entries.append(
                ("white, grey arrows: known input", _shape(plain, 17, 0, 34, 22, filled=False))
            )
        if self.hidden:
            entries.append(
                ("dashed: hidden cause", _shape(HIDDEN_STYLE, 17, 0, 34, 22, filled=True))
            )
        widths = [34 + 8 + len(text) * 6.6 + 22 for text, _ in entries]
        full = max(right + _MARGIN, 2 * _MARGIN + max(widths, default=0), 480)
        x, y = float(_MARGIN), top + 22
        parts = [f'<path d="M{_MARGIN},{top:.1f} H{full - _MARGIN:.1f}" stroke="#ccc"/>']
        for (text, shape), width in zip(entries, widths, strict=True):
            if x + width > full - _MARGIN and x > _MARGIN:
                x, y = float(_MARGIN), y + 30
            parts.append(
                f'<g transform="translate({x:.1f},{y:.1f})">{shape}'
                f'<text x="42" y="4" font-size="{_SMALL + 1}" fill="#111">{escape(text)}</text></g>'
            )
            x += width
        return parts, full, y + 30


def _shape(style: Style, x: float, y: float, width: float, height: float, *, filled: bool) -> str:
    points = " ".join(
        f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in outline(style.shape, width, height)
    )
    dash = ' stroke-dasharray="6 4"' if style is HIDDEN_STYLE else ""
    return (
        f'<polygon points="{points}" fill="{style.fill if filled else "white"}" '
        f'stroke="{style.stroke}" stroke-width="2" stroke-linejoin="round"{dash}/>'
    )


def _head(a: Point, b: Point) -> str:
    """Return the corners of an arrowhead at b that follows the curve which arrives there."""
    before = next(
        point
        for t in range(99, -1, -1)
        if math.dist(point := _on_curve(a, b, t / 100), b) > _HEAD or t == 0
    )
    length = math.dist(before, b)
    dx, dy = (b[0] - before[0]) / length, (b[1] - before[1]) / length
    corners = [(b[0], b[1])] + [
        (b[0] - _HEAD * dx - side * 4 * dy, b[1] - _HEAD * dy + side * 4 * dx) for side in (1, -1)
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _on_curve(a: Point, b: Point, t: float) -> Point:
    """Return a point of the level-handled cubic between two points."""
    u = 1 - t
    middle = (a[0] + b[0]) / 2
    x = u**3 * a[0] + 3 * u * t * (u + t) * middle + t**3 * b[0]
    y = (u**3 + 3 * u**2 * t) * a[1] + (3 * u * t**2 + t**3) * b[1]
    return x, y
