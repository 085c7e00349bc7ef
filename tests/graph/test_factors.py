"""What identifies a hidden cause that is fitted, and what rests on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from dotwin.graph import FactorVerdict, factor_verdict, licence
from dotwin.spec.twin import Twin

FRONT_DOOR: dict[str, tuple[str, ...]] = {"x": (), "m": ("x",), "y": ("m",)}
BACK_DOOR: dict[str, tuple[str, ...]] = {"x": (), "y": ("x",), "z": (), "w": ()}


def twin_of(
    causes: Mapping[str, Sequence[str]],
    affects: str,
    over: str | None = "constant",
    *,
    level: str = "home",
    panel: bool = True,
    pooling: tuple[str, ...] = ("home",),
    **family: str,
) -> Twin:
    period = {"period": {"column": "month", "frequency": "month"}} if panel else {}
    return Twin(
        twin="hidden",
        panel={"unit": "home", "levels": ["region"], **period},
        indicators={
            name: {
                "domain": "quality",
                "family": family.get(name, "normal"),
                "causes": {cause: {} for cause in read},
                "pooling": pooling if panel else (),
            }
            for name, read in causes.items()
        },
        hidden_causes={"u": {"affects": list(affects), "level": level, "over": over}},
    )


def verdict_of(*args: Any, periods: int | None = None, **options: Any) -> FactorVerdict:
    return factor_verdict(twin_of(*args, **options).graph, "u", periods)


class TestOfAFactor:
    def test_constant_over_periods_two_indicators_determine_the_product(self) -> None:
        found = verdict_of(BACK_DOOR, "xy")
        assert found.identified
        assert found.forms == ("linearity", "constancy")
        assert "product of the two loadings" in found.reason

    def test_without_own_effects_two_indicators_determine_each_loading(self) -> None:
        found = verdict_of(BACK_DOOR, "xy", pooling=())
        assert found.identified
        assert "no home effect besides" in found.reason

    def test_three_indicators_are_a_form_of_their_own(self) -> None:
        found = verdict_of(BACK_DOOR, "xyz")
        assert found.forms == ("linearity", "constancy", "three or more measures")

    def test_normality_counts_where_a_link_bends(self) -> None:
        assert "normality" in verdict_of(BACK_DOOR, "xyz", y="poisson").forms

    def test_a_window_of_one_period_repeats_nothing(self) -> None:
        found = verdict_of(BACK_DOOR, "xy", periods=1)
        assert not found.identified
        assert "in two periods or more" in found.add

    def test_a_cross_section_needs_three(self) -> None:
        assert not verdict_of({"x": (), "y": ()}, "xy", panel=False).identified
        assert verdict_of({"x": (), "y": (), "z": ()}, "xyz", panel=False).identified

    def test_units_of_a_region_repeat_its_trait(self) -> None:
        found = verdict_of({"x": (), "y": ()}, "xy", level="region", panel=False)
        assert found.identified
        assert "constancy" in found.forms

    def test_units_repeat_the_shock_of_a_period(self) -> None:
        found = verdict_of({"x": (), "y": ()}, "xy", "period", level="period")
        assert found.identified
        assert found.forms == ("linearity",)

    def test_seen_once_two_indicators_are_too_few(self) -> None:
        found = verdict_of(BACK_DOOR, "xy", "period")
        assert found.status == "not identified"
        assert "one covariance cannot determine 2 loadings" in found.reason
        assert "over: constant" in found.add

    def test_seen_once_three_that_act_on_each_other_are_too_few(self) -> None:
        assert not verdict_of(BACK_DOOR, "xyz", "period").identified
        assert verdict_of(BACK_DOOR, "xyzw", "period").identified
        lagged = {"x": (), "y": ("x[-1]",), "z": ()}
        assert verdict_of(lagged, "xyz", "period").identified

    @pytest.mark.parametrize("affects", ["xyz", "xyzw", "xyw"])
    def test_verdicts_seen_once_are_those_of_the_covariances(self, affects: str) -> None:
        """Identified where the Jacobian of the covariance matrix has full rank, brute force."""
        arrows = [(c, e) for e, read in BACK_DOOR.items() for c in read]
        arrows = [(c, e) for c, e in arrows if c in affects and e in affects]
        rng = np.random.default_rng(1)
        k = len(affects)
        start = np.concatenate([rng.uniform(0.4, 1.2, 2 * k), rng.normal(size=len(arrows))])

        def covariance(theta: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            arrow = np.zeros((k, k))
            for (cause, effect), size in zip(arrows, theta[2 * k :], strict=True):
                arrow[affects.index(effect), affects.index(cause)] = size
            passed = np.linalg.inv(np.eye(k) - arrow)
            inner = np.outer(theta[:k], theta[:k]) + np.diag(theta[k : 2 * k] ** 2)
            return (passed @ inner @ passed.T)[np.tril_indices(k)]

        steps = 1e-6 * np.eye(start.size)
        jacobian = [(covariance(start + s) - covariance(start - s)) / 2e-6 for s in steps]
        full = np.linalg.matrix_rank(np.array(jacobian), tol=1e-6) == start.size
        assert verdict_of(BACK_DOOR, affects, "period").identified == full


class TestOfAnAnswer:
    def test_a_front_door_is_identified_by_the_graph_and_computed_by_the_joint_fit(self) -> None:
        declared = licence(twin_of(FRONT_DOOR, "xy", None).graph, "x", "y")
        assert not declared.licensed
        assert "not computed by this model" in declared.reason
        fitted = licence(twin_of(FRONT_DOOR, "xy").graph, "x", "y")
        assert fitted.licensed
        assert fitted.basis == "graph"
        assert "by the front door through m" in fitted.reason

    def test_a_back_door_that_a_factor_closes_is_identified_only_by_form(self) -> None:
        found = licence(twin_of(BACK_DOOR, "xyz").graph, "x", "y")
        assert found.licensed
        assert found.basis == "form"
        assert found.reason.startswith(
            "Identified only by form (linearity, constancy and three or more measures)"
        )

    def test_what_rests_on_the_prior_is_not_licensed(self) -> None:
        found = licence(twin_of(BACK_DOOR, "xy", "period").graph, "x", "y")
        assert not found.licensed
        assert found.basis == "prior"
        assert "x ← u → y" in found.reason

    def test_a_factor_that_no_path_needs_changes_no_verdict(self) -> None:
        plain = licence(twin_of(BACK_DOOR, "zw", None).graph, "x", "y")
        fitted = licence(twin_of(BACK_DOOR, "zw").graph, "x", "y")
        assert fitted == plain
        assert fitted.basis == ""
