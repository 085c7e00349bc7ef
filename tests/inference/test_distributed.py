"""A cluster draws what one machine draws, also when a worker is lost."""

import importlib
import os
import pickle
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from dotwin.errors import ConvergenceWarning, SpecificationError
from dotwin.inference import Fit, fit
from dotwin.inference.components import components_of
from dotwin.inference.engine import Component, Draws, Progress, Settings
from dotwin.inference.nuts import NutsEngine
from dotwin.panel import Panel
from dotwin.spec.twin import Twin


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@dataclass(frozen=True)
class DyingOnce:
    """NUTS whose first call takes its worker with it."""

    marker: Path
    name: str = "nuts"

    def refusal(self, component: Component) -> str | None:
        return NutsEngine().refusal(component)

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return NutsEngine().sample(component, settings, progress)
        os._exit(1)


@dataclass(frozen=True)
class FailingOnce(DyingOnce):
    """NUTS whose first call fails as a machine short of memory does."""

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return NutsEngine().sample(component, settings, progress)
        raise MemoryError


@dataclass(frozen=True)
class Failing(DyingOnce):
    """NUTS that cannot draw, and marks each call."""

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        with self.marker.open("a", encoding="utf-8") as file:
            file.write(f"{component.name}\n")
        raise ValueError(f"no draws of {component.name}")


def fitted(twin: Twin, panel: Panel, **options: Any) -> Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(
            twin,
            panel,
            draws=40,
            tune=60,
            chains=2,
            seed=3,
            engine="nuts",
            progress=False,
            **options,
        )


@pytest.fixture(scope="module")
def alone(small_twin: Twin, small_panel: Panel) -> Fit:
    return fitted(small_twin, small_panel)


def same_draws(first: Fit, second: Fit) -> bool:
    a, b = first.draws().values, second.draws().values
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_a_cluster_draws_what_one_machine_draws(
    small_twin: Twin, small_panel: Panel, alone: Fit, client: Client
) -> None:
    assert same_draws(fitted(small_twin, small_panel, client=client), alone)


@pytest.mark.parametrize("engine", [DyingOnce, FailingOnce])
def test_a_worker_lost_in_the_middle_changes_nothing(
    engine: Any,
    small_twin: Twin,
    small_panel: Panel,
    alone: Fit,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker = tmp_path / "happened"
    module = importlib.import_module("dotwin.inference.fitting")
    monkeypatch.setattr(module, "engines_named", lambda name: [engine(marker)])
    assert same_draws(fitted(small_twin, small_panel, client=client), alone)
    assert marker.exists()


def test_an_error_of_the_model_is_told_and_not_tried_again(
    small_twin: Twin,
    small_panel: Panel,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker = tmp_path / "calls"
    module = importlib.import_module("dotwin.inference.fitting")
    monkeypatch.setattr(module, "engines_named", lambda name: [Failing(marker)])
    with pytest.raises(ValueError, match="no draws of"):
        fitted(small_twin, small_panel, client=client)
    calls = marker.read_text(encoding="utf-8").split()
    assert len(calls) == len(set(calls))


def test_a_backtest_over_a_cluster_is_the_same(
    alone: Fit, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("dotwin.worlds.backtest"), "REFIT_TUNE", 60)
    options: dict[str, Any] = {"origins": 2, "horizon": 1, "draws": 20, "progress": False}
    here, there = alone.backtest(**options), alone.backtest(client=client, **options)
    assert here.scores.equals(there.scores)


def test_components_and_draws_can_travel(small_twin: Twin, small_panel: Panel) -> None:
    for component in components_of(small_twin, small_panel):
        again = pickle.loads(pickle.dumps(component))
        assert again.name == component.name
        for before, after in zip(component.designs, again.designs, strict=True):
            assert after.equation == before.equation
            np.testing.assert_array_equal(after.main.columns, before.main.columns)
    draws = Draws({"a": np.ones((2, 3))}, {"diverging": np.zeros((2, 3), dtype=bool)}, "nuts", 1.0)
    assert pickle.loads(pickle.dumps(draws)).engine == "nuts"


def test_what_is_no_client_is_refused(small_twin: Twin, small_panel: Panel) -> None:
    with pytest.raises(SpecificationError, match=r"takes a dask\.distributed\.Client"):
        fitted(small_twin, small_panel, client="tcp://10.0.0.1:8786")


def test_without_dask_the_message_says_what_to_install(
    small_twin: Twin, small_panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SpecificationError, match=r"pip install dotwin\[distributed\]"):
        fitted(small_twin, small_panel, client=object())
