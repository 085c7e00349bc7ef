"""Every family and modifier with random parameters, and its density as PyMC states it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode

from dotwin.mechanisms.families import Family, build_family
from dotwin.mechanisms.tails import draw_tail_noise


@dataclass(frozen=True)
class Case:
    """One family as declared, with the ranges that its parameters are drawn from."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        return build_family(self.name, **self.options)

    def __str__(self) -> str:
        extras = "_".join(f"{key}_{value}" for key, value in self.options.items())
        return f"{self.name}_{extras}" if extras else self.name


# rewritten for stability as in sampling, but without a compiler
# (fused operations compare in single precision under the Python linker)
PLAIN_MODE = Mode(linker="py", optimizer="fast_run").excluding("fusion", "inplace")

COUNTS = ("poisson", "negative_binomial", "binomial", "beta_binomial")
PLAIN = tuple(
    Case(name)
    for name in (
        "normal",
        "student_t",
        "lognormal",
        "gamma",
        "beta",
        "bernoulli",
        "binomial",
        "beta_binomial",
        "poisson",
        "negative_binomial",
        "ordinal",
    )
)
MODIFIED = (
    *(Case(name, {"zeros": "inflated"}) for name in COUNTS),
    *(Case(name, {"zeros": "hurdle"}) for name in (*COUNTS, "gamma", "lognormal")),
    *(
        Case(name, {"at_least": True})
        for name in (*COUNTS, "normal", "student_t", "lognormal", "gamma", "beta")
    ),
    Case("negative_binomial", {"zeros": "hurdle", "at_least": True}),
    Case("normal", {"link": "log"}),
    Case("beta", {"ends": (0.0,)}),
    Case("beta", {"ends": (1.0,)}),
    Case("beta", {"ends": (0.0, 1.0)}),
    Case("beta", {"out_of": 100.0}),
    Case("beta", {"ends": (0.0, 100.0), "out_of": 100.0}),
)
ALL = PLAIN + MODIFIED


@dataclass(frozen=True)
class Parameters:
    """Aligned one-dimensional arrays (cutpoints have a second axis)."""

    eta: np.ndarray
    extra: dict[str, np.ndarray]
    trials: np.ndarray | None

    def every(self) -> list[np.ndarray]:
        trials = [] if self.trials is None else [self.trials]
        return [self.eta, *self.extra.values(), *trials]


def draw_parameters(case: Case, seed: int, size: int = 200, *, wide: float = 1.0) -> Parameters:
    """Draw parameters; ``wide`` > 1 reaches further into the corners."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(0.5, 1.5 * wide, size)
    if case.name in ("poisson", "negative_binomial"):
        eta = rng.uniform(-3 * wide, 5 * min(wide, 1.4), size)
    ranges = {
        "residual_sd": lambda: np.exp(rng.normal(-0.5, 0.7 * wide, size)),
        "nu": lambda: 2.0 + rng.gamma(2.0, 10.0, size),
        "dispersion": lambda: np.exp(rng.normal(1.5, 1.2 * wide, size)),
        "cutpoints": lambda: np.cumsum(rng.gamma(1.0, 1.0, (size, 4)) + 0.05, axis=1) - 2.0,
        "zeros_eta": lambda: rng.normal(-0.5, 1.0 * wide, size),
        "end0_eta": lambda: rng.normal(-1.0, 1.0 * wide, size),
        "end1_eta": lambda: rng.normal(-1.0, 1.0 * wide, size),
        "lower": lambda: rng.integers(0, 5, size).astype(float),
    }
    extra = {key: ranges[key]() for key in case.family.extra_names}
    trials = rng.integers(5, 60, size).astype(float) if case.family.needs_trials else None
    if case.name == "beta" and "lower" in extra:
        extra["lower"] = extra["lower"] / 8
    return Parameters(eta, extra, trials)


def draw_values(case: Case, p: Parameters, seed: int) -> np.ndarray:
    v = draw_tail_noise(np.random.default_rng([seed, 1]), p.eta.shape[0])
    return case.family.quantile(v, p.eta, p.extra, p.trials)


@cache
def compiled(name: str, options: tuple[tuple[str, Any], ...], which: str) -> Callable[..., Any]:
    """Compile the density of a case: its own graph, or PyMC's distribution."""
    case = Case(name, dict(options))
    family = case.family
    y, eta = pt.dvector("y"), pt.dvector("eta")
    extra = {
        key: pt.dmatrix(key) if key == "cutpoints" else pt.dvector(key)
        for key in family.extra_names
    }
    trials = pt.dvector("trials") if family.needs_trials else None
    build = family.pymc_logp if which == "own" else lambda *a: pymc_reference(case, *a)
    graph = build(y, eta, extra, trials)
    inputs = [y, eta, *extra.values(), *([] if trials is None else [trials])]
    return pytensor.function(inputs, graph, mode=PLAIN_MODE, on_unused_input="ignore")


def logp_of(case: Case, which: str, y: np.ndarray, p: Parameters) -> np.ndarray:
    return compiled(case.name, tuple(case.options.items()), which)(y, *p.every())


def has_pymc_reference(case: Case) -> bool:
    """Whether PyMC can state the density with the digits that the comparison needs.

    Its truncated normal and lognormal divide by a square root of two in single precision.
    """
    if "at_least" in case.options:
        return "zeros" not in case.options and case.name not in ("normal", "lognormal")
    return True


def _plain_pymc(name: str, eta: Any, extra: dict[str, Any], trials: Any) -> Any:
    mu, p = pt.exp(eta), pt.sigmoid(eta)
    k = extra.get("dispersion")
    make: dict[str, Callable[[], Any]] = {
        "normal": lambda: pm.Normal.dist(eta, extra["residual_sd"]),
        "student_t": lambda: pm.StudentT.dist(extra["nu"], eta, sigma=extra["residual_sd"]),
        "lognormal": lambda: pm.LogNormal.dist(eta, extra["residual_sd"]),
        "gamma": lambda: pm.Gamma.dist(alpha=k, beta=k / mu),
        "beta": lambda: pm.Beta.dist(mu=p, nu=k),
        "bernoulli": lambda: pm.Bernoulli.dist(p),
        "binomial": lambda: pm.Binomial.dist(trials, p),
        "beta_binomial": lambda: pm.BetaBinomial.dist(p * k, (1 - p) * k, trials),
        "poisson": lambda: pm.Poisson.dist(mu),
        "negative_binomial": lambda: pm.NegativeBinomial.dist(mu, k),
        "ordinal": lambda: pm.OrderedLogistic.dist(
            eta=eta, cutpoints=extra["cutpoints"], compute_p=False
        ),
    }
    return make[name]()


def pymc_reference(case: Case, y: Any, eta: Any, extra: dict[str, Any], trials: Any) -> Any:
    """Log density through PyMC's own zero-inflated, hurdle and truncated distributions."""
    options = case.options
    if options.get("link") == "log":
        eta = pt.exp(eta)
    mu, k = pt.exp(eta), extra.get("dispersion")
    base = _plain_pymc(case.name, eta, extra, trials)
    if "zeros" in options:
        psi = pt.sigmoid(-extra["zeros_eta"])
        inflated: dict[str, Callable[[], Any]] = {
            "poisson": lambda: pm.ZeroInflatedPoisson.dist(psi, mu),
            "negative_binomial": lambda: pm.ZeroInflatedNegativeBinomial.dist(psi, mu, k),
            "binomial": lambda: pm.ZeroInflatedBinomial.dist(psi, trials, pt.sigmoid(eta)),
        }
        hurdle: dict[str, Callable[[], Any]] = {
            "poisson": lambda: pm.HurdlePoisson.dist(psi, mu),
            "negative_binomial": lambda: pm.HurdleNegativeBinomial.dist(psi, mu, k),
            "gamma": lambda: pm.HurdleGamma.dist(psi, alpha=k, beta=k / mu),
            "lognormal": lambda: pm.HurdleLogNormal.dist(psi, eta, extra.get("residual_sd")),
        }
        kinds = inflated if options["zeros"] == "inflated" else hurdle
        if case.name in kinds:
            return pm.logp(kinds[case.name](), y)
        inside = pm.logp(base, y)
        if options["zeros"] == "inflated":
            return pt.switch(
                pt.eq(y, 0), pt.log(1 - psi + psi * pt.exp(inside)), pt.log(psi) + inside
            )
        positive = inside - pt.log1p(-pt.exp(pm.logp(base, pt.zeros_like(y))))
        return pt.switch(pt.eq(y, 0), pt.log1p(-psi), pt.log(psi) + positive)
    if "at_least" in options:
        lower = extra["lower"]
        if case.name == "beta_binomial":  # PyMC has no distribution function for it
            below = [pt.switch(j < lower, pt.exp(pm.logp(base, j + 0 * y)), 0.0) for j in range(5)]
            return pt.switch(y >= lower, pm.logp(base, y) - pt.log1p(-sum(below)), -np.inf)
        edge = pt.maximum(lower, 0.0) if case.name in ("beta", "gamma", "lognormal") else lower
        return pm.logp(pm.Truncated.dist(base, lower=edge), y)
    out_of = options.get("out_of", 1.0)
    if "ends" in options:
        ends = options["ends"]
        scores = pt.stack(
            [pt.zeros_like(eta), *(extra[f"end{int(e > 0)}_eta"] for e in ends)], axis=0
        )
        weights = pt.special.log_softmax(scores, axis=0)
        interior = pt.switch((y > 0) & (y < out_of), y / out_of, 0.5)
        out = weights[0] + pm.logp(base, interior) - np.log(out_of)
        for i, end in enumerate(ends):
            out = pt.switch(pt.eq(y, end), weights[i + 1], out)
        return out
    return pm.logp(base, y / out_of) - np.log(out_of)
