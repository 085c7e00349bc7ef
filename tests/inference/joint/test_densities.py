"""What missing values are drawn from is PyMC's joint density, for every family and reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dotwin.inference.engine import Component, Settings
from dotwin.inference.joint import JointEngine
from dotwin.inference.joint.cell_kernels import cell_density
from dotwin.inference.joint.chain import Chain
from dotwin.inference.joint.compiled import kernels
from dotwin.inference.joint.density_kernels import block_density
from dotwin.inference.joint.tables import Tables, build_tables
from dotwin.inference.nuts.density import compiled_log_density
from dotwin.mechanisms.design import COUNTS
from dotwin.mechanisms.pymc_model import build_pymc_model
from tests.inference.joint.cases import FAMILIES, Floats, component

NUMBERS = [family for family in FAMILIES if family not in COUNTS]


@dataclass(frozen=True)
class Reference:
    """PyMC's joint log density of the missing values, and its gradient, at a chain's parameters."""

    log_density: Callable[[Floats], float]
    gradient: Callable[[Floats], Floats]


def chain_of(found: Component, tables: Tables) -> Chain:
    """A chain that has made a few sweeps, so that nothing is where it began."""
    assert JointEngine().accepts(found)
    seed = np.random.SeedSequence(3)
    chain = Chain(tables, kernels(), Settings(3, 4, 1, 1), seed, 0.9, 1)
    assert list(chain.run())
    return chain


def reference_of(found: Component, tables: Tables, chain: Chain) -> Reference:
    """PyMC's joint density, with the chain's parameters in its own named variables."""
    import pytensor.tensor as pt

    model = build_pymc_model(found.designs, found.imputation, parametrisation="named")
    values: dict[str, Any] = {}
    for m, one in enumerate(tables.mechanisms):
        values |= one.layout.constrain(chain.of_mechanism(m)[-1:])
    point: dict[str, Any] = {}
    for variable in model.free_RVs:
        if variable.name == "x.missing":
            continue
        value = values[variable.name][0]
        transform = model.rvs_to_transforms[variable]
        if transform is not None:
            value = transform.forward(pt.constant(value), *variable.owner.inputs).eval()
        point[model.rvs_to_values[variable].name] = value
    unknown = next(v for v in model.free_RVs if v.name == "x.missing")
    missing = model.rvs_to_values[unknown]
    # Added up here: PyTensor's plain mode adds 32 terms at most.
    terms = model.compile_fn(model.logp(sum=False), mode="FAST_COMPILE")

    def at(x: Floats) -> dict[str, Any]:
        return {**point, missing.name: np.asarray(x).astype(missing.dtype)}

    def gradient(x: Floats) -> Floats:
        slopes = model.compile_dlogp(vars=[unknown], mode="FAST_COMPILE")
        return np.asarray(slopes(at(x)))

    return Reference(lambda x: float(sum(np.sum(term) for term in terms(at(x)))), gradient)


@pytest.mark.parametrize("family", COUNTS)
def test_density_of_a_missing_count_is_pymcs(family: str) -> None:
    found = component(family)
    tables = build_tables(found)
    chain = chain_of(found, tables)
    state, cells = chain.state, tables.cells
    theirs = reference_of(found, tables, chain).log_density
    stack = np.empty((2, tables.reads.deepest))
    rng = np.random.default_rng(4)
    before = np.floor(state.place)
    assert before.size > 5
    for c in rng.choice(before.size, 5, replace=False):
        own, reference = [], []
        for count in rng.permutation(int(min(cells.high[c], 9.0)) + 1)[:4]:
            counts = before.copy()
            counts[c] = count
            own.append(cell_density(c, count + 0.5, cells, tables.reads, tables.rows, state, stack))
            reference.append(theirs(counts))
        # Back to where the chain left it.
        here = cell_density(c, before[c], cells, tables.reads, tables.rows, state, stack)
        np.testing.assert_allclose(
            np.array(own) - here, np.array(reference) - theirs(before), rtol=1e-9, atol=1e-8
        )
        for outside in (-0.5, cells.high[c] + 1.0):
            value = cell_density(c, outside, cells, tables.reads, tables.rows, state, stack)
            assert value == -np.inf


@pytest.mark.parametrize("family", COUNTS)
def test_mechanisms_see_the_counts_that_were_drawn(family: str) -> None:
    """The kernels' joint density changes by as much as PyMC's from one sweep to another."""
    found = component(family)
    tables = build_tables(found)
    chain = chain_of(found, tables)
    theirs = reference_of(found, tables, chain).log_density
    density = compiled_log_density()
    totals, references = [], []
    for _ in range(4):
        more = kernels().sweep(chain._rng, tables.cells, tables.reads, tables.rows, chain.state, -1)
        own = [
            density(point, parts, np.empty(point.size))
            for point, parts in zip(chain.points, chain.parts, strict=True)
        ]
        totals.append(sum(own) + more)
        references.append(theirs(np.floor(chain.state.place)))
    np.testing.assert_allclose(np.diff(totals), np.diff(references), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("family", NUMBERS)
def test_density_and_gradient_of_missing_numbers_are_pymcs(family: str) -> None:
    found = component(family)
    tables = build_tables(found)
    chain = chain_of(found, tables)
    theirs = reference_of(found, tables, chain)
    (block,), (parts,), (point,) = chain.blocks, chain._lists, chain.points
    first = block.first[-1]
    rng = np.random.default_rng(4)
    own, reference, compared = [], [], False
    for step in (0.0, 0.1, 0.3, 1.0):
        there = point.copy()
        there[first:] += step * tables.width * rng.normal(size=tables.width.size)
        gradient = np.empty(there.size)
        value = block_density(there, parts, block, gradient)
        if not np.isfinite(theirs.log_density(there[first:])):
            assert value == -np.inf
            continue
        own.append(value)
        reference.append(theirs.log_density(there[first:]))
        if step == 0.3:
            np.testing.assert_allclose(
                gradient[first:], theirs.gradient(there[first:]), rtol=1e-8, atol=1e-8
            )
            compared = True
        # The parameters' slopes are those of each mechanism at the values that are now there.
        density = compiled_log_density()
        for m, one in enumerate(chain.parts):
            span = slice(block.first[m], block.first[m + 1])
            alone = np.empty(span.stop - span.start)
            density(there[span], one, alone)
            np.testing.assert_allclose(gradient[span], alone, rtol=1e-10, atol=1e-10)
    assert compared
    np.testing.assert_allclose(np.diff(own), np.diff(reference), rtol=1e-9, atol=1e-8)
