import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dotwin.worlds.baselines import METHODS
from dotwin.worlds.calibration import Backtest
from dotwin.worlds.forecasts import MODEL


def made_up() -> Backtest:
    """Scores of 40 units, two horizons and every method, from uniform PIT values."""
    rng = np.random.default_rng(2)
    rows = [
        {
            "indicator": "falls",
            "unit": f"u{unit}",
            "origin": "2024-06",
            "horizon": step,
            "method": method,
            "period": "2024-07",
            "observed": 1.0,
            "log_score": -rng.uniform(1, 2),
            "crps": rng.uniform(0.1, 0.5),
            "pit": rng.uniform(),
        }
        for unit in range(40)
        for step in (1, 2)
        for method in (MODEL, *METHODS)
    ]
    return Backtest(pd.DataFrame(rows), {"falls": "falls & slips"}, "month", ("2024-06",), 2)


def test_backtest_draws_the_share_of_pit_values_in_each_tenth() -> None:
    backtest = made_up()
    figure = backtest.plot()
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    assert axes.get_title().startswith("falls & slips")
    (bars,) = axes.patches
    values, edges, _ = bars.get_data()
    own = backtest.pit["pit"]
    expected = [100 * ((own >= a) & (own < a + 0.1)).mean() for a in edges[:-1]]
    np.testing.assert_allclose(values, expected)
