"""Fit a nursing-home twin to all rows of its table, and print what the fit says of itself."""

from __future__ import annotations

import json
import sys
import warnings

import pandas as pd

import dotwin as dw


def main() -> None:
    warnings.simplefilter("ignore")
    name, path = sys.argv[1:]
    twin = dw.read_twin(name)
    panel = dw.read_panel(pd.read_csv(path, dtype={"ccn": str}), twin)
    fit = dw.fit(twin, panel, seed=1, progress=False)
    table = fit.diagnose().table
    found = {
        "units": int(panel.data.sizes["unit"]),
        "mechanisms": len(fit.designs),
        "rows": sum(design.rows for design in fit.designs.values()),
        "engines": {n: engine for n, (engine, _) in fit.engines.items()},
        "declined": fit.declined,
        "ess": float(table["ess_bulk"].min()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
