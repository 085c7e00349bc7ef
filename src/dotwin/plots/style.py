"""What all figures share: size, colours, words on axes, and SVG for pages."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GREY",
    "INK",
    "PALETTE",
    "as_svg",
    "band",
    "color",
    "dash",
    "finish",
    "new_figure",
    "period_axis",
]

#: Okabe and Ito (2008), in an order whose neighbours differ in lightness too; no yellow, which
#: does not show on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#B0578D", "#E69F00", "#2E93CC", "#707070")
#: Lines differ in dashes as well as in colour, so that a grey print can be read.
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1)))
INK = "#222222"
GREY = "#8A8A8A"
_FONT = 9


def color(position: int) -> str:
    """Return the colour of the n-th thing drawn, counted from 0."""
    return PALETTE[position % len(PALETTE)]


def dash(position: int) -> Any:
    """Return the line style of the n-th thing drawn, counted from 0."""
    return _DASHES[position % len(_DASHES)]


def new_figure(
    panels: int = 1, *, columns: int = 3, width: float = 7.2, height: float = 2.3
) -> tuple[Figure, list[Axes]]:
    """Make a figure with some panels in a grid.

    Parameters
    ----------
    panels : int
    columns : int
        At most so many beside each other.
    width, height : float
        Of the whole figure, and of one row of panels, in inches.

    Returns
    -------
    figure : Figure
    axes : list of Axes
        As many as panels.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(columns, panels))
    rows = -(-max(panels, 1) // columns)
    figure = Figure(figsize=(width, height * rows + 0.2), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[panels:]:
        axes.set_axis_off()
    for axes in grid[:panels]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GREY)
        axes.tick_params(colors=INK, labelsize=_FONT - 1, color=GREY, length=3)
        axes.grid(axis="y", color="#E4E4E4", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, grid[:panels]


def band(
    axes: Axes, x: Any, low: Any, high: Any, shade: str, strength: float, label: str = ""
) -> None:
    """Fill the space between two lines, or draw a bar where there is one point only."""
    if len(x) == 1:
        axes.vlines(x, low, high, color=shade, alpha=min(1.0, 2 * strength), linewidth=6)
        return
    axes.fill_between(x, low, high, color=shade, alpha=strength, linewidth=0, label=label or None)


def period_axis(axes: Axes, labels: Sequence[str], most: int = 6) -> None:
    """Name periods along the horizontal axis, not more than fit."""
    step = max(1, -(-len(labels) // most))
    places = list(range(len(labels) - 1, -1, -step))[::-1]
    axes.set_xticks(places, [labels[place] for place in places])


def finish(figure: Figure, title: str = "") -> Figure:
    """Set the title, take every text as it is written, and return the figure."""
    from matplotlib.text import Text

    if title:
        figure.suptitle(title, fontsize=_FONT + 1, color=INK, x=0.01, ha="left")
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        # A label may hold dollar signs, which would otherwise be read as formulas.
        text.set_parse_math(False)
    return figure


def as_svg(figure: Figure, name: str, description: str) -> str:
    """Write a figure as SVG that can stand in a page beside others.

    Parameters
    ----------
    figure : Figure
    name : str
        Put before every id, so that two figures on one page keep theirs apart.
    description : str
        What people who cannot see the figure are told.

    Returns
    -------
    str
    """
    import html

    import matplotlib as mpl

    target = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(target, format="svg", metadata={"Date": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    # Every device has some sans serif; the one that measured the figure is wider than most.
    text = re.sub(r"'DejaVu Sans'(, '[^']+')*", "'DejaVu Sans', Verdana, Arial", text)
    label = html.escape(description, quote=True)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()
