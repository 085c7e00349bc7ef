"""Integrals over unit effects are those of SciPy; effects are drawn from their conditionals."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from dotwin.inference.changes import Changes
from dotwin.inference.newcomers import newcomers_of, propose
from dotwin.inference.reweighting import _Task
from dotwin.inference.unit_integrals import UnitDensity, UnitIntegrals, integrals, unit_rows
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.parameters import draw_prior, parameters
from dotwin.mechanisms.response import log_likelihood
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin
from tests.inference.nuts.cases import mechanism, table
from tests.inference.nuts.test_density import CASES


def listed(design: Design) -> Any:
    return parameters(design.equation, design.reference, design.group_names, design.period_names)


def split(design: Design) -> tuple[Any, Any]:
    """Rows before the last period, and those of it; the last two units have none before."""
    is_new = (design.period == design.period.max()) | (design.unit >= design.unit.max() - 1)
    return np.flatnonzero(~is_new), np.flatnonzero(is_new)


def density_of(design: Design, values: dict[str, Any], earlier: Any, added: Any) -> UnitDensity:
    values = dict(values)
    values["y.provider"] = np.zeros_like(values["y.provider"])
    return UnitDensity(unit_rows(design, earlier, added, "provider"), values)


def integrated(density: UnitDensity, values: dict[str, Any], nodes: int = 15) -> UnitIntegrals:
    sd = values["y.sd_provider"]
    start = np.zeros((sd.size, density.rows.group.size))
    return integrals(density, start, np.broadcast_to(sd[:, None], start.shape), sd, nodes, 6)


@pytest.mark.parametrize("name", [name for name in CASES if "walk" not in name])
def test_compiled_sums_are_the_families_up_to_a_constant(name: str) -> None:
    outcome, indicator = CASES[name]
    design = mechanism(table(3, outcome), **indicator)
    values = draw_prior(listed(design), 4, seed=1)
    density = density_of(design, values, *split(design))
    effects = np.random.default_rng(2).normal(0.0, 0.3, (3, 4, density.rows.group.size))
    ours = density.old(effects)
    plain = density._sums(density.rows.old, density.old_eta, density.rows.old_unit, effects)
    size = 1.0 + np.abs(plain).max()
    np.testing.assert_allclose(ours - ours[:1], plain - plain[:1], rtol=1e-8, atol=1e-11 * size)


def normal_design(**changes: Any) -> Design:
    frame = table(5, lambda rng, eta: 2.0 + eta + rng.normal(0.0, 0.7, eta.size))
    options: dict[str, Any] = {"family": "normal", "causes": {"staffing": {}, "beds": {}}}
    return mechanism(frame, **options, **changes)


def covariance(design: Design, values: dict[str, Any], draw: int) -> Any:
    same = design.unit[:, None] == design.unit[None, :]
    own = values["y.residual_sd"][draw] ** 2 * np.eye(design.rows)
    return values["y.sd_provider"][draw] ** 2 * same + own


def mean(design: Design, values: dict[str, Any], draw: int) -> Any:
    eta = values["y.intercept"][draw] + design.main.columns @ values["y.causes"][draw]
    return eta + values["y.region"][draw][design.main.groups["region"]]


def known_values(design: Design, draws: int) -> dict[str, Any]:
    fixed = {"y.intercept": 2.0, "y.sd_provider": 0.4, "y.residual_sd": 0.7, "y.sd_region": 0.2}
    values = draw_prior(listed(design), draws, 3, {k: np.array(v) for k, v in fixed.items()})
    rng = np.random.default_rng(8)
    values["y.sd_provider"] = rng.uniform(0.2, 0.8, draws)
    values["y.residual_sd"] = rng.uniform(0.4, 1.2, draws)
    return values


def test_the_gain_of_normal_rows_is_their_conditional_density() -> None:
    design = normal_design()
    values = known_values(design, 6)
    earlier, added = split(design)
    ours = integrated(density_of(design, values, earlier, added), values).gain()
    for draw in range(6):
        cov, centre = covariance(design, values, draw), mean(design, values, draw)
        both = stats.multivariate_normal.logpdf(design.y, centre, cov)
        before = stats.multivariate_normal.logpdf(
            design.y[earlier], centre[earlier], cov[np.ix_(earlier, earlier)]
        )
        assert ours[draw] == pytest.approx(both - before, abs=1e-8)


def test_effects_are_drawn_from_their_conditional() -> None:
    design = normal_design()
    values = known_values(design, 3)
    density = density_of(design, values, *split(design))
    found = integrated(density, values, nodes=5)
    copies = 20_000
    noise = np.random.default_rng(4).uniform(size=(copies, 3, density.rows.group.size))
    drawn = found.draw(noise)
    for draw in range(3):
        centre = mean(design, values, draw)
        residual, sd = values["y.residual_sd"][draw], values["y.sd_provider"][draw]
        for unit in (0, density.rows.group.size - 1):
            rows = design.unit == density.rows.group[unit]
            precision = rows.sum() / residual**2 + 1 / sd**2
            middle = (design.y - centre)[rows].sum() / residual**2 / precision
            exact = stats.norm(middle, precision**-0.5)
            # The same uniform noise through the exact quantile: no Monte Carlo error is left.
            gap = np.abs(exact.cdf(drawn[:, draw, unit]) - noise[:, draw, unit]).max()
            assert gap < 0.002


@pytest.mark.parametrize("name", ["beta_binomial", "negative_binomial", "bernoulli"])
def test_the_gain_of_counts_is_that_of_adaptive_quadrature(name: str) -> None:
    outcome, indicator = CASES[name]
    causes = {"staffing": {}, "beds": {}}
    design = mechanism(table(7, outcome), **{**indicator, "causes": causes})
    values = draw_prior(listed(design), 3, seed=2)
    earlier, added = split(design)
    density = density_of(design, values, earlier, added)
    ours = integrated(density, values, nodes=31).gain()
    for draw in range(3):
        one = {key: array[draw : draw + 1] for key, array in values.items()}
        total = 0.0
        for unit in density.rows.group:

            def log_rows(effect: float, rows: Any, unit: int = unit, one: Any = one) -> float:
                moved = dict(one)
                moved["y.provider"] = np.array(one["y.provider"])
                moved["y.provider"][0, unit] = effect
                return float(log_likelihood(design, moved, rows).sum())

            sd = float(one["y.sd_provider"][0])
            ends = (-8 * sd, 0.0, 8 * sd)
            own = np.flatnonzero(design.unit == unit)
            old = np.intersect1d(own, earlier)
            logs = []
            for rows in (own, old):
                if not rows.size:
                    logs.append(0.0)
                    continue
                top = max(log_rows(e, rows) for e in np.linspace(-2 * sd, 2 * sd, 9))
                parts = [
                    integrate.quad(
                        lambda e, rows=rows, top=top, sd=sd: np.exp(
                            log_rows(e, rows) - top + stats.norm.logpdf(e, 0, sd)
                        ),
                        a,
                        b,
                        epsrel=1e-9,
                        epsabs=0,
                    )[0]
                    for a, b in pairwise(ends)
                ]
                logs.append(np.log(sum(parts)) + top)
            total += logs[0] - logs[1]
        assert ours[draw] == pytest.approx(total, abs=1e-6)


def later_design(ahead: int, walk: bool) -> tuple[Design, Design]:
    """A mechanism with period shocks, without and with its last periods."""
    frame = table(5, lambda rng, eta: 2.0 + eta + rng.normal(0.0, 0.7, eta.size), periods=6)
    quarters = {"column": "quarter", "frequency": "quarter"}
    trend: dict[str, Any] = {"trend": "walk"} if walk else {}
    twin = Twin(
        twin="case",
        panel={"unit": "provider", "levels": ["region"], "period": quarters},
        indicators={
            "staffing": {"domain": "context", "plausible": [-2, 2]},
            "y": {
                "domain": "quality",
                "family": "normal",
                "causes": {"staffing": {"between": "same"}},
                "pooling": ["region", "provider", "period"],
                **trend,
            },
        },
    )
    panel = read_panel(frame.drop(columns=["beds", "days", "visits", "surveys"]), twin)
    early = build_design(twin, "y", panel.select(periods=slice(0, 6 - ahead)))
    late = build_design(twin, "y", panel, structure=early.structure, reference=early.reference)
    return early, late


@pytest.mark.parametrize(("ahead", "walk"), [(1, False), (2, False), (2, True)])
def test_weights_of_new_shocks_and_steps_average_to_their_integral(ahead: int, walk: bool) -> None:
    early, late = later_design(ahead, walk)
    draws, shock, step = 4000, 0.5, 0.3
    fixed = {
        "y.intercept": 2.0,
        "y.sd_provider": 0.4,
        "y.sd_region": 0.1,
        "y.sd_period": shock,
        "y.residual_sd": 0.7,
        "y.sd_walk": step,
    }
    values = draw_prior(listed(late), 1, 6, {k: np.array(v) for k, v in fixed.items()})
    first = 6 - ahead
    values["y.period"] *= 0.2
    values["y.period"][:, first:] = 0.0
    common = values["y.period"][0]
    if walk:
        values["y.walk"] *= 0.2
        values["y.walk"][:, first:] = values["y.walk"][:, first - 1 : first]
        common = common + values["y.walk"][0]
    centre = mean(late, values, 0) + common[late.period]
    values = {name: np.repeat(array, draws, axis=0) for name, array in values.items()}
    earlier, added = np.flatnonzero(late.period < first), np.flatnonzero(late.period >= first)
    density = density_of(late, values, earlier, added)
    rows = density.rows.new
    newcomers = newcomers_of(early, late, rows, "y.provider")
    steps = ["y.walk"] * ahead if walk else []
    assert [one.parameter.name for one in newcomers] == ["y.period", *steps]
    moved = {name: array.copy() for name, array in density.parameters.items()}
    # Where each unit's old rows put its effect, and how surely.
    residual = (late.y - centre)[earlier]
    total = np.bincount(late.unit[earlier], residual, 14)
    precision = np.bincount(late.unit[earlier], minlength=14) / 0.7**2 + 1 / 0.4**2
    moved["y.provider"] = np.repeat((total / 0.7**2 / precision)[None], draws, axis=0)
    spread = np.repeat((precision**-0.5)[None, rows.unit], draws, axis=0)
    ratio = propose(newcomers, rows, moved, spread, np.random.default_rng(1))
    moved["y.provider"] = np.zeros_like(moved["y.provider"])
    inside = integrated(UnitDensity(density.rows, moved), values)
    weights = np.exp(ratio + inside.gain())

    ours = {name: array[:1] for name, array in values.items()}
    since = np.maximum(late.period - first + 1, 0)
    cov = covariance(late, ours, 0)
    cov += shock**2 * ((late.period[:, None] == late.period) & (since > 0))
    cov += step**2 * walk * np.minimum(since[:, None], since)
    expected = stats.multivariate_normal.logpdf(
        late.y, centre, cov
    ) - stats.multivariate_normal.logpdf(
        late.y[earlier], centre[earlier], cov[np.ix_(earlier, earlier)]
    )
    error = weights.std() / weights.mean() / np.sqrt(draws)
    assert np.log(weights.mean()) == pytest.approx(expected, abs=4.5 * error)
    # Proposals near the conditional leave little noise in the weights.
    assert error * np.sqrt(draws) < 0.7


def test_modes_are_guessed_from_draws_also_where_the_spread_is_small() -> None:
    design = normal_design()
    draws = 200
    values = known_values(design, draws)
    rng = np.random.default_rng(12)
    values["y.sd_provider"] = np.exp(rng.uniform(np.log(0.01), np.log(1.0), draws))
    values["y.residual_sd"] = np.full(draws, 0.7)
    for name in ("y.causes", "y.region"):
        values[name] *= 0.1
    earlier, added = split(design)
    size = np.bincount(design.unit[earlier], minlength=14)
    precision = size / 0.7**2 + values["y.sd_provider"][:, None] ** -2
    centres = np.stack([mean(design, values, draw) for draw in range(draws)])
    residual = design.y[earlier] - centres[:, earlier]
    totals = np.stack([np.bincount(design.unit[earlier], r, 14) for r in residual])
    middle = totals / 0.7**2 / precision
    values["y.provider"] = middle + precision**-0.5 * rng.standard_normal(middle.shape)

    task = _Task(design, design, Changes(earlier, added, 0, 0), "y.provider", "provider")
    task.learn(values, seed=1)
    assert task.averages is not None
    assert task.guess is not None
    units = task.units
    start, spread = task.guess.of(task.averages.of(values), values["y.sd_provider"])
    away = (start - middle[:, units.group])[:, units.known] * precision[:, units.group][
        :, units.known
    ] ** 0.5
    ratio = (spread * precision[:, units.group] ** 0.5)[:, units.known]
    # Near enough that a few nodes carry the integrand: 200 draws teach a place to some 0.1 sd.
    assert np.abs(away).max() < 1.0
    assert 0.7 < ratio.min() < ratio.max() < 1.5
