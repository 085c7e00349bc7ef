"""What a hidden cause may declare."""

from __future__ import annotations

from typing import Any

import pytest

from dotwin.errors import SpecificationError
from dotwin.spec.twin import Twin
from dotwin.spec.yaml import read_twin


def twin_with(*, panel: bool = True, **hidden: Any) -> Twin:
    period = {"period": {"column": "month", "frequency": "month"}} if panel else {}
    return Twin(
        twin="hidden",
        panel={"unit": "home", "levels": ["region"], **period},
        indicators={
            "falls": {"domain": "quality", "family": "poisson"},
            "wage": {"domain": "workforce", "family": "normal", "level": "region"},
        },
        hidden_causes={"management": {"affects": ["falls", "wage"], "level": "region", **hidden}},
    )


def test_it_is_declared_only_unless_it_says_what_it_is_over() -> None:
    assert not twin_with().hidden_causes["management"].is_fitted
    assert twin_with(over="constant").hidden_causes["management"].is_fitted


def test_it_is_written_and_read_back(tmp_path: Any) -> None:
    twin = twin_with(over="period", loadings={"falls": "half_normal(0.3)"})
    path = tmp_path / "twin.yaml"
    path.write_text(twin.to_yaml(), encoding="utf-8")
    assert read_twin(path) == twin


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ({"over": "period", "panel": False}, "write over: constant"),
        ({"over": "constant", "level": "period"}, "write over: period"),
        ({"over": "constant", "level": "home"}, "'wage' is recorded by region"),
        ({"over": "weekly"}, "over"),
        ({"loadings": {"falls": "normal(0, 1)"}}, "add over: constant or over: period"),
        ({"over": "constant", "loadings": {"fals": "normal(0, 1)"}}, "Did you mean 'falls'"),
        ({"over": "constant", "loadings": {"falls": "normal(0, 1)"}}, "fixes the sign"),
        ({"over": "constant", "affects": ["falls", "wage", "falls"]}, "twice"),
    ],
)
def test_what_cannot_be_is_refused(hidden: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        twin_with(**hidden)
