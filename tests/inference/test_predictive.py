import numpy as np
import pytest

from dotwin.errors import SpecificationError
from dotwin.inference.predictive import predictive_check
from tests.reports.examples import small_fit


@pytest.mark.parametrize("indicator", ["vacancy", "missed"])
def test_pit_of_data_from_the_model_itself_is_uniform(indicator: str) -> None:
    """The parameters are the truth but for 3 %, so mean and variance are a uniform's."""
    check = predictive_check(small_fit(False), indicator, seed=1)
    n = check.pit.size
    assert check.pit.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / n))
    assert check.pit.var() == pytest.approx(1 / 12, abs=4 * np.sqrt(1 / 180 / n))
    assert check.coverage(0.9) == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / n))
    assert check.uniformity > 0.001


def test_wrong_mechanism_is_found_out() -> None:
    from dotwin.inference.fit import Fit

    fit = small_fit(False)
    values = dict(fit.draws().values)
    values["missed.intercept"] = values["missed.intercept"] + 0.5
    wrong = Fit.from_parameters(fit.twin, fit.panel, values)
    assert predictive_check(wrong, "missed", seed=1).uniformity < 0.001


def test_replications_have_the_mean_of_the_mechanism() -> None:
    fit = small_fit(False)
    check = predictive_check(fit, "missed", seed=1, replications=30)
    assert check.trials is not None
    mean = check.replicated.sum() / (check.trials.sum() * len(check.replicated))
    assert mean == pytest.approx(check.observed.sum() / check.trials.sum(), rel=0.1)
    assert (check.replicated <= check.trials).all()


def test_unknown_indicator_is_refused_by_name() -> None:
    with pytest.raises(SpecificationError, match="missed"):
        predictive_check(small_fit(False), "misssed", seed=1)
