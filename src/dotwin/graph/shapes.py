"""A colour and a shape for each domain, so that a graph can be read in grey."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["DOMAIN_STYLE", "HIDDEN_STYLE", "Style", "outline", "reach"]


@dataclass(frozen=True)
class Style:
    """How a box looks: the name of its shape, its line's colour and its tint."""

    shape: str
    stroke: str
    fill: str


# Lines: the palette of Okabe and Ito (2008), its yellow darkened to show on white. Tints: the same
# colours at about 15 %.
DOMAIN_STYLE: dict[str, Style] = {
    "workforce": Style("square", "#0072B2", "#DCECF5"),
    "quality": Style("rounded", "#009E73", "#DCF2EB"),
    "safeguarding": Style("octagon", "#D55E00", "#FAE8DB"),
    "utilization": Style("hexagon", "#B0578D", "#F5E6EF"),
    "demand": Style("arrow", "#E69F00", "#FCF1DB"),
    "capacity": Style("barrel", "#2E93CC", "#E4F3FB"),
    "cost": Style("slanted", "#857500", "#F5F2D6"),
    "outcome": Style("ellipse", "#000000", "#EBEBEB"),
    "context": Style("notched", "#707070", "#F0F0F0"),
}
HIDDEN_STYLE = Style("ellipse", "#777777", "#FFFFFF")


def outline(shape: str, width: float, height: float) -> list[tuple[float, float]]:
    """Return the corners of a shape around the origin, clockwise.

    Parameters
    ----------
    shape : {'square', 'rounded', 'octagon', 'hexagon', 'arrow', 'barrel', 'slanted', 'ellipse', \
'notched'}
    width, height : float
        Of the box that holds it, in pixels.

    Returns
    -------
    list of (float, float)
    """
    w, h = width / 2, height / 2
    cut = height * 0.22
    match shape:
        case "ellipse":
            return [_on_ellipse(i / 48, w, h) for i in range(48)]
        case "rounded":
            return _rounded(w, h, height * 0.3)
        case "barrel":  # straight above and below, round at the sides
            return _rounded(w, h, h)
        case "octagon":
            return [
                (-w + cut, -h),
                (w - cut, -h),
                (w, -h + cut),
                (w, h - cut),
                (w - cut, h),
                (-w + cut, h),
                (-w, h - cut),
                (-w, -h + cut),
            ]
        case "hexagon":
            return [(-w + cut, -h), (w - cut, -h), (w, 0), (w - cut, h), (-w + cut, h), (-w, 0)]
        case "arrow":
            return [(-w, -h), (w - cut, -h), (w, 0), (w - cut, h), (-w, h)]
        case "slanted":
            return [(-w + cut, -h), (w, -h), (w - cut, h), (-w, h)]
        case "notched":
            return [(-w, -h), (w - cut, -h), (w, -h + cut), (w, h), (-w, h)]
        case _:
            return [(-w, -h), (w, -h), (w, h), (-w, h)]


def reach(shape: str, width: float, height: float, dy: float, side: float) -> float:
    """Return how far a shape goes to one side of its centre at a height, in pixels.

    Parameters
    ----------
    shape, width, height :
        As for `outline`.
    dy : float
        Below the centre when positive; within the box.
    side : {1, -1}
        Right or left.

    Returns
    -------
    float
    """
    corners = outline(shape, width, height)
    found: list[float] = []
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if min(y0, y1) <= dy <= max(y0, y1):
            found += [x0, x1] if y0 == y1 else [x0 + (x1 - x0) * (dy - y0) / (y1 - y0)]
    return max(side * x for x in found)


def _on_ellipse(turn: float, w: float, h: float) -> tuple[float, float]:
    return w * math.cos(2 * math.pi * turn), h * math.sin(2 * math.pi * turn)


def _rounded(w: float, h: float, radius: float) -> list[tuple[float, float]]:
    corners: list[tuple[float, float]] = []
    for quarter, (cx, cy) in enumerate(
        [
            (w - radius, h - radius),
            (radius - w, h - radius),
            (radius - w, radius - h),
            (w - radius, radius - h),
        ]
    ):
        for i in range(9):
            x, y = _on_ellipse((quarter + i / 8) / 4, radius, radius)
            corners.append((cx + x, cy + y))
    return corners
