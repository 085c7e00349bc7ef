"""Cost of one gradient and of one marginal likelihood of a negative-binomial mechanism.

12,000 rows: 500 providers in 20 regions over 24 months, five causes. The same log density by
nutpie on the PyMC model, by dotwin's fused kernel, and by C as one writes it by hand for this one
model (`gradient.c`). All three must agree before they are timed. Seconds are CPU seconds of the
thread, the best of several rounds, since the machine may be shared.
"""

from __future__ import annotations

import ctypes
import math
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import kept
from peers_data import arrays_of
from peers_model import joint_model
from scipy import special

import dotwin as dw
from dotwin.inference.deterministic.marginal import Quadrature
from dotwin.inference.deterministic.search import find_mode
from dotwin.inference.deterministic.split import problems_of
from dotwin.inference.nuts.centring import Centring
from dotwin.inference.nuts.density import compiled_log_density
from dotwin.inference.nuts.layout import Layout, build_layout
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.equation import structure_of

HERE = Path(__file__).resolve().parent
PROVIDERS, REGIONS, PERIODS, CAUSES = 500, 20, 24, 5
NODES = 7
PRIOR_SCALES = ("sd_region", "sd_provider", "dispersion")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")


def mechanism() -> Design:
    """Return the design of the mechanism, simulated from its own priors' middle."""
    given = {"domain": "demand", "plausible": [0, 4], "simulated_as": "normal(2, 1)"}
    twin = dw.Twin(
        twin="one negative binomial",
        panel={
            "unit": "provider",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            **{f"x{j}": given for j in range(CAUSES)},
            "incidents": {
                "domain": "safeguarding",
                "family": "negative_binomial",
                "pooling": ["region", "provider"],
                "plausible": [2, 20],
                "causes": {
                    f"x{j}": {"because": "the benchmark's own equation", "between": "same"}
                    for j in range(CAUSES)
                },
            },
        },
    )
    truth = {
        "incidents.intercept": 1.8, "incidents.causes": [0.1, -0.1, 0.2, 0.0, 0.1],
        "incidents.sd_region": 0.3, "incidents.sd_provider": 0.4, "incidents.dispersion": 4.0,
    }  # fmt: skip
    units = {"region": REGIONS, "provider": PROVIDERS}
    panel = twin.simulate_panel(units=units, periods=PERIODS, seed=1, parameters=truth)
    return build_design(twin, "incidents", panel, structure=structure_of(twin, panel))


class Parts(ctypes.Structure):
    """What `gradient.c` reads."""

    _fields_ = (
        [(name, ctypes.c_long) for name in ("rows", "causes", "regions", "providers", "distinct")]
        + [(name, ctypes.c_void_p) for name in (
            "columns", "y", "counts", "times", "region_of", "priors", "eta", "slope")]
        + [("constant", ctypes.c_double)]
    )  # fmt: skip


def by_hand(design: Design, folder: Path) -> tuple[Callable[[Any, Any], float], Any]:
    """Compile the C function; return it and what must be kept alive."""
    library = folder / "gradient.so"
    subprocess.run(
        ["gcc", *FLAGS, str(HERE / "gradient.c"), "-o", str(library), "-lmvec", "-lm"], check=True
    )
    function = ctypes.CDLL(str(library)).log_density
    function.restype = ctypes.c_double
    (arrays,) = design.predictors
    order = np.argsort(arrays.groups["provider"], kind="stable")
    y = design.y[order].astype(float)
    counts, times = np.unique(y, return_counts=True)
    region_of = np.zeros(PROVIDERS, dtype=np.int64)
    region_of[arrays.groups["provider"]] = arrays.groups["region"]
    prior = arrays_of(design)["priors"]
    parts_of = [prior[name] for name in ("intercept", "causes", *PRIOR_SCALES)]
    priors = np.concatenate([np.ravel(one) for one in parts_of])
    held = {
        "columns": np.ascontiguousarray(arrays.columns[order].T),
        "y": y,
        "counts": counts,
        "times": times.astype(float),
        "region_of": region_of,
        "priors": priors,
        "eta": np.empty(y.size),
        "slope": np.empty(y.size),
    }
    parts = Parts(
        y.size, CAUSES, REGIONS, PROVIDERS, counts.size,
        **{name: array.ctypes.data for name, array in held.items()},
        constant=-float(special.gammaln(y + 1.0).sum()),
    )  # fmt: skip
    address = ctypes.byref(parts)

    def call(point: Any, gradient: Any) -> float:
        found: float = function(
            ctypes.c_void_p(point.ctypes.data), address, ctypes.c_void_p(gradient.ctypes.data)
        )
        return found

    return call, (held, parts)


def seconds_of(call: Callable[[], Any], times: int, rounds: int = 15) -> float:
    """Return CPU seconds of one call: the best round."""
    best = math.inf
    for _ in range(rounds):
        began = time.thread_time()
        for _ in range(times):
            call()
        best = min(best, (time.thread_time() - began) / times)
    return best


def measured() -> dict[str, Any]:
    design = mechanism()
    found: dict[str, Any] = {"rows": design.rows, "causes": CAUSES}

    # dotwin's kernel, as it is used and with every group centred, which is what the C code does.
    density = compiled_log_density()
    chosen = build_layout(design)
    point = chosen.start(1)
    gradient = np.empty(chosen.size)
    density(point, chosen.parts, gradient)
    found["fused kernel, ms"] = 1e3 * seconds_of(
        lambda: density(point, chosen.parts, gradient), 200
    )

    levels = ("region", "provider")
    centred = build_layout(design, {f"incidents.{one}": [plain(design, one)] for one in levels})
    places = centred.places
    mine = centred.start(2)
    slope = np.empty(centred.size)
    value = density(mine, centred.parts, slope)

    with tempfile.TemporaryDirectory() as folder:
        call, alive = by_hand(design, Path(folder))
        names = ("intercept", "causes", "sd_region", "sd_provider", "dispersion", *levels)
        order = np.concatenate([np.r_[places[f"incidents.{name}"]] for name in names])
        theirs, by_c = np.ascontiguousarray(mine[order]), np.empty(mine.size)
        other = call(theirs, by_c)
        agree("C", value, other, slope[order], by_c)
        found["C with vector math, ms"] = 1e3 * seconds_of(lambda: call(theirs, by_c), 200)
        del alive

    found["nutpie-numba, ms"], theirs_value = by_nutpie(design, centred_point(centred, mine))
    agree("nutpie", value, theirs_value)
    found["marginal likelihood, ms per draw"] = marginal(design)
    found["nodes"] = NODES
    return found


def plain(design: Design, level: str) -> Centring:
    """Return a parametrisation in which effects are themselves."""
    size = len(design.group_names[level])
    return Centring(np.ones(size), np.zeros(size), False, (), np.zeros((0, size)), {})


def centred_point(centred: Layout, point: Any) -> dict[str, Any]:
    """Return a point by the names that PyMC has for its values."""
    return {
        f"incidents.{pymc}": point[centred.places[f"incidents.{ours}"]]
        for ours, pymc in {
            "intercept": "intercept", "causes": "causes", "region": "region",
            "provider": "provider", "sd_region": "sd_region_log__",
            "sd_provider": "sd_provider_log__", "dispersion": "dispersion_raw_log__",
        }.items()
    }  # fmt: skip


def agree(who: str, value: float, other: float, slope: Any = 0.0, by_other: Any = 0.0) -> None:
    if not (math.isclose(value, other, rel_tol=1e-9) and np.allclose(slope, by_other, rtol=1e-7)):
        raise SystemExit(f"{who} and the kernel do not agree: {other} and {value}")


def by_nutpie(design: Design, point: dict[str, Any]) -> tuple[float, float]:
    """Return ms of one gradient as nutpie's sampler calls it, and the log density at the point."""
    import nutpie

    model = joint_model([arrays_of(design)], "centred")
    compiled = nutpie.compile_pymc_model(model, backend="numba")
    values = [np.ravel(point[value.name]) for value in model.value_vars]
    x = np.concatenate(values).astype(float)
    gradient, value = np.empty(x.size), np.empty(1)
    doubles = ctypes.POINTER(ctypes.c_double)
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int64, ctypes.c_uint64, doubles, doubles, doubles, ctypes.c_void_p
    )
    function = kind(compiled.compiled_logp_func.address)
    given = [array.ctypes.data_as(doubles) for array in (x, gradient, value)]

    def call() -> None:
        if function(x.size, *given, compiled.user_data.ctypes.data):
            raise SystemExit("nutpie's log density failed")

    call()
    return 1e3 * seconds_of(call, 50), float(value[0])


def marginal(design: Design, draws: int = 512) -> float:
    """Return ms of one marginal likelihood, of many evaluated together."""
    (problem,) = problems_of(design)
    likelihood = Quadrature(problem, NODES)
    mode = find_mode(likelihood)
    likelihood.prepare(mode.peak)
    rng = np.random.default_rng(1)
    h = rng.multivariate_normal(mode.peak.h, mode.covariance, draws)
    beta = mode.peak.beta + 0.02 * rng.standard_normal((draws, mode.peak.beta.size))
    likelihood.log_likelihood(h, beta)
    return 1e3 * seconds_of(lambda: likelihood.log_likelihood(h, beta), 2) / draws


if __name__ == "__main__":
    kept("gradient", Path(__file__).resolve().parents[1] / "out" / "peers" / "measured", measured)
