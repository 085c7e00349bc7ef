"""What missing values are drawn from is PyMC's joint density, for every family and reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dotwin.inference.engine import Component, Settings
from dotwin.inference.joint.cell_kernels import cell_density
from dotwin.inference.joint.compiled import kernels
from dotwin.inference.joint.engine import JointEngine, _Chain
from dotwin.inference.joint.tables import CellKind, Tables, build_tables
from dotwin.mechanisms.pymc_model import build_pymc_model
from tests.inference.joint.cases import FAMILIES, component


def chain_of(found: Component, tables: Tables) -> _Chain:
    """A chain that has made a few sweeps, so that nothing is where it began."""
    seed = np.random.SeedSequence(3)
    chain = _Chain(tables, kernels(), Settings(3, 4, 1, 1), seed, 0.9, 1)
    assert list(chain.run())
    return chain


def pymc_log_density(found: Component, tables: Tables, chain: _Chain) -> Any:
    """PyMC's joint log density as a function of the missing values, at the chain's parameters."""
    import pytensor.tensor as pt

    model = build_pymc_model(found.designs, found.imputation, parametrisation="named")
    values: dict[str, Any] = {}
    for one, points in zip(tables.mechanisms, chain._points, strict=True):
        values |= one.layout.constrain(points[None])
    # Added up here: PyTensor's plain mode adds 32 terms at most.
    terms = model.compile_fn(model.logp(sum=False), mode="FAST_COMPILE")
    point: dict[str, Any] = {}
    for variable in model.free_RVs:
        if variable.name == "x.missing":
            continue
        value = values[variable.name][0]
        transform = model.rvs_to_transforms[variable]
        if transform is not None:
            value = transform.forward(pt.constant(value), *variable.owner.inputs).eval()
        point[model.rvs_to_values[variable].name] = value
    missing = next(v for v in model.free_RVs if v.name == "x.missing")
    key, kind = model.rvs_to_values[missing].name, model.rvs_to_values[missing].dtype

    def log_density(x: Any) -> float:
        return float(sum(np.sum(t) for t in terms({**point, key: np.asarray(x).astype(kind)})))

    return log_density


def on_pymcs_scale(places: Any, kind: int) -> Any:
    return np.floor(places) if kind == CellKind.COUNT else np.array(places)


@pytest.mark.parametrize("family", FAMILIES)
def test_density_of_a_missing_value_is_pymcs(family: str) -> None:
    found = component(family)
    assert JointEngine().accepts(found)
    tables = build_tables(found)
    chain = chain_of(found, tables)
    state, cells = chain._state, tables.cells
    theirs = pymc_log_density(found, tables, chain)
    stack = np.empty(tables.reads.deepest)
    rng = np.random.default_rng(4)
    count = cells.kind.size
    assert count > 5
    compared = 0
    for c in rng.choice(count, 5, replace=False):
        own, reference = [], []
        before = state.place.copy()
        kind = int(cells.kind[c])
        for _ in range(4):
            place = before.copy()
            if kind == CellKind.COUNT:
                place[c] = rng.integers(0, int(min(cells.high[c], 9.0)) + 1) + 0.5
            else:
                place[c] += rng.normal()
            own.append(
                cell_density(c, place[c], cells, tables.reads, tables.rows, state, stack)
            )
            reference.append(theirs(on_pymcs_scale(place, kind)))
        # Back to where the chain left it.
        here = cell_density(c, before[c], cells, tables.reads, tables.rows, state, stack)
        there = theirs(on_pymcs_scale(before, kind))
        held = np.isfinite(reference)
        np.testing.assert_array_equal(np.isfinite(own), held)
        compared += int(held.sum())
        np.testing.assert_allclose(
            np.array(own)[held] - here, np.array(reference)[held] - there, rtol=1e-9, atol=1e-8
        )
    assert compared > 8


@pytest.mark.parametrize("family", FAMILIES)
def test_mechanisms_see_the_missing_values_that_were_drawn(family: str) -> None:
    """The kernels' joint density changes by as much as PyMC's from one sweep to another."""
    found = component(family)
    tables = build_tables(found)
    chain = chain_of(found, tables)
    kind = int(tables.cells.kind[0])
    theirs = pymc_log_density(found, tables, chain)
    totals, references = [], []
    kernel = kernels()
    from dotwin.inference.nuts.density import compiled_log_density

    density = compiled_log_density()
    for _ in range(3):
        more = kernel.sweep(
            chain._rng, tables.cells, tables.reads, tables.rows, chain._state, -1
        )
        own = [
            density(point, parts, np.empty(point.size))
            for point, parts in zip(chain._points, chain._parts, strict=True)
        ]
        totals.append(sum(own) + more)
        references.append(theirs(on_pymcs_scale(chain._state.place, kind)))
    np.testing.assert_allclose(np.diff(totals), np.diff(references), rtol=1e-9, atol=1e-8)
