"""The page: gathered content and figures poured into the template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from dotwin.plots import (
    as_svg,
    plot_backtest,
    plot_check,
    plot_coefficients,
    plot_contrast,
    plot_convergence,
    plot_futures,
    plot_groups,
    plot_priors,
    plot_support,
    quantity,
)
from dotwin.reports.content import Gathered
from dotwin.reports.table import cell

if TYPE_CHECKING:
    import jinja2
    from matplotlib.figure import Figure

    from dotwin.inference.fit import Fit
    from dotwin.reports.effects import CausalAnswer
    from dotwin.worlds import Futures

__all__ = ["render"]


def render(
    fit: Fit, futures: Futures | None, effects: Sequence[CausalAnswer], gathered: Gathered
) -> str:
    """Write the page.

    Parameters
    ----------
    fit : Fit
    futures : Futures, optional
    effects : sequence of CausalAnswer
    gathered : Gathered

    Returns
    -------
    str
        HTML.
    """
    template = _environment().get_template("report.html.j2")
    figures = _Figures(fit, futures, effects, gathered).drawn()
    return template.render(**gathered.content, figures=figures, slug=_slug)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dotwin.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    return environment


def _slug(text: str) -> str:
    """Make a name that an id can have."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


class _Figures:
    """The figures of a report by the place where they stand."""

    def __init__(
        self, fit: Fit, futures: Futures | None, effects: Sequence[CausalAnswer], gathered: Gathered
    ) -> None:
        self.fit, self.futures, self.effects, self.gathered = fit, futures, effects, gathered
        self.svg: dict[str, Any] = {}

    def drawn(self) -> dict[str, Any]:
        """Draw all of them."""
        from markupsafe import Markup

        twin = self.fit.twin
        self.svg["graph"] = Markup(twin.graph.draw().svg)
        for name in self.fit.designs:
            label = twin.label(name)
            self._add(
                f"coefficients {name}", plot_coefficients(self.fit, name), f"Causes of {label}"
            )
            self._add(f"priors {name}", plot_priors(self.fit, name), f"Priors of {label}")
            if name in self.gathered.checks:
                check = self.gathered.checks[name]
                self._add(f"check {name}", plot_check(twin, check), f"Checks of {label}")
            if self.fit.settings.tune:
                self._add(
                    f"convergence {name}", plot_convergence(self.fit, name), f"Chains of {label}"
                )
        backtest = self.fit.notes.get("backtest")
        if backtest is not None:
            self._add("backtest", plot_backtest(backtest), "Past forecasts")
        if self.futures is not None:
            self._of_futures(self.futures)
        for said, answer in zip(self.gathered.content["effects"], self.effects, strict=True):
            self._add(said["name"], answer.plot(), said["sentence"])
        return self.svg

    def _add(self, key: str, figure: Figure, description: str) -> None:
        from markupsafe import Markup

        # Matplotlib escapes every label that it writes.
        self.svg[key] = Markup(as_svg(figure, f"f{len(self.svg)}", description))

    def _of_futures(self, futures: Futures) -> None:
        levels = futures.twin.panel.levels
        outer = levels[0] if levels else None
        for text in self.gathered.content["futures"]["watched"]:
            label = quantity(futures.twin, text).axis
            figure = plot_futures(futures, text, by=outer)
            self._add(f"forecast {text}", figure, f"Forecast of {label}")
        for scenario in self.gathered.scenarios:
            for answer in scenario.answers:
                texts = [f.quantity.text for f in answer.findings if f.worse] or [
                    f.quantity.text for f in answer.findings[:1]
                ]
                if not texts:
                    continue
                pair = f"{scenario.name} {answer.against}"
                words = f"{scenario.name}, less {answer.against}"
                self._add(f"difference {pair}", plot_contrast(answer.contrast, texts), words)
                if outer is not None:
                    figure = plot_groups(answer.contrast, texts[0], outer)
                    self._add(f"groups {pair}", figure, f"{words}, by {outer}")
            self._add(
                f"support {scenario.name}",
                plot_support(futures.support(scenario.name)),
                f"What {scenario.name} brings, beside what the panel shows",
            )
