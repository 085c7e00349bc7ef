"""Blocks of draws: on threads, one world at a time, into memory or a folder."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from dotwin.inference import Fit
from dotwin.spec import Scenario, scale
from dotwin.worlds import engine as module
from dotwin.worlds.engine import Engine
from dotwin.worlds.run import Run, plan
from dotwin.worlds.world import World

SCENARIOS = [Scenario(f"surge {k}", [scale("referrals", 1.0 + 0.1 * k)]) for k in range(1, 6)]


@pytest.fixture(scope="module")
def run(workforce: Fit) -> Run:
    return plan(
        workforce, periods=3, scenarios=SCENARIOS, seed=5, draws=12, panel=None, inputs=None,
        new_groups=None, carry_forward=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(run: Run) -> dict[str, np.ndarray]:
    """All values by one thread and in one block."""
    engine = run.engine()
    past = engine.start.past
    (block,) = engine.blocks(len(engine.machine.draws))
    names = [n for n, one in engine.twin.indicators.items() if not one.is_given]
    shape = len(engine.machine.draws), len(engine.start.members.units)
    return {
        n: np.stack(
            [[np.broadcast_to(x, shape) for x in world.seen[n][past:]] for world in block.worlds]
        ).swapaxes(1, 2)
        for n in names
    }


def collected(engine: Engine, block: int) -> dict[str, np.ndarray]:
    """All values, dims (scenario, draw, period, unit)."""
    past = engine.start.past
    shape = len(engine.programs), len(engine.machine.draws), engine.horizon
    names = [n for n, one in engine.twin.indicators.items() if not one.is_given]
    found = {n: np.full((*shape, len(engine.start.members.units)), np.nan) for n in names}

    def keep(rows: slice, number: int, world: World) -> None:
        for name in names:
            for t in range(engine.horizon):
                found[name][number, rows, t] = world.seen[name][past + t]

    engine.collect(keep, block)
    return found


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("block", [1, 5, 12])
def test_no_bit_depends_on_threads_or_blocks(
    run: Run, whole, threads: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: threads)
    for name, values in collected(run.engine(), block).items():
        np.testing.assert_array_equal(values, whole[name])


def test_no_bit_depends_on_the_order_of_draws(run: Run, whole) -> None:
    order = np.random.default_rng(1).permutation(12)
    machine = replace(
        run.machine,
        draws=run.machine.draws[order],
        parameters={n: v[order] for n, v in run.machine.parameters.items()},
    )
    for name, values in collected(replace(run.engine(), machine=machine), 5).items():
        np.testing.assert_array_equal(values, whole[name][:, order])


def test_a_block_holds_two_worlds_however_many_scenarios_there_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)
    alive: list[weakref.ref[World]] = []
    most = 0

    def keep(rows: slice, number: int, world: World) -> None:
        nonlocal most
        alive.append(weakref.ref(world))
        gc.collect()
        most = max(most, sum(one() is not None for one in alive))

    run.engine().collect(keep)
    assert len(alive) == 1 + len(SCENARIOS)
    assert most <= 2


def test_edges_are_counted_alike_on_any_number_of_threads(
    workforce: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = Scenario("no leavers", [scale("turnover", 0.0)])
    counted = []
    for threads in (1, 3):
        monkeypatch.setattr(module.os, "cpu_count", lambda threads=threads: threads)
        engine = plan(
            workforce, periods=2, scenarios=[scenario], seed=1, draws=12, panel=None, inputs=None,
            new_groups=None, carry_forward=0,
        ).engine()  # fmt: skip
        engine.collect(lambda rows, number, world: None, block=2)
        counted.append((engine.tally.changed, engine.tally.at_edge))
    assert counted[0] == counted[1]
    assert counted[0][1]["no leavers", "turnover"] > 0


def test_a_folder_holds_what_memory_holds(workforce: Fit, tmp_path) -> None:
    options = {"periods": 3, "scenarios": SCENARIOS[:2], "seed": 5, "draws": 12}
    memory = workforce.simulate(**options).draws
    folder = workforce.simulate(**options, out=tmp_path / "draws").draws
    assert set(memory.data_vars) == set(folder.data_vars)
    # both what differs between scenarios and what is kept once is read when it is used, not before
    for name in ("referrals", "turnover"):
        assert not folder[name].variable._in_memory
    for name in memory.data_vars:
        assert memory[name].dims == folder[name].dims
        np.testing.assert_array_equal(memory[name].values, folder[name].values)
