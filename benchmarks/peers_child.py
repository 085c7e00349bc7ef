"""One fit in a process of its own, from nothing to posterior draws in a file.

`benchmarks/peers.py` starts it and counts its CPU seconds. It imports only what its way needs.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

SEED = 1


def by_dotwin(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    import warnings

    import dotwin as dw

    warnings.simplefilter("ignore")
    one = dw.read_twin(folder / "twin.yaml")
    panel = dw.read_panel(folder / "panel.csv", one)
    fit = dw.fit(
        one,
        panel,
        draws=options["draws"],
        tune=options["tune"],
        chains=options["chains"],
        seed=SEED,
        engine=options.get("engine", "auto"),
        progress=False,
    )
    held = {n: c.importance_ess for n, c in fit.certificates.items()}
    engines = {n: engine for n, (engine, _) in fit.engines.items()}
    values = {str(n): v.values for n, v in fit.tree["posterior"].to_dataset().items()}
    return {"draws": values, "importance_ess": held, "engines": engines}


def by_pymc(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    import pymc as pm
    from peers_model import joint_model

    mechanisms = pickle.loads((folder / "arrays.pickle").read_bytes())
    model = joint_model(mechanisms, options["parametrisation"])
    sizes = {key: options[key] for key in ("draws", "tune", "chains")}
    quiet = {"progressbar": False, "compute_convergence_checks": False, "random_seed": SEED}
    if options["who"] == "numpyro":
        from pymc.sampling.jax import sample_numpyro_nuts

        quiet |= {"chain_method": "sequential"}
        trace = sample_numpyro_nuts(model=model, **sizes, **quiet)
    elif options["who"] == "nutpie":
        import nutpie

        compiled = nutpie.compile_pymc_model(model, backend="numba")
        trace = nutpie.sample(compiled, **sizes, cores=1, seed=SEED, progress_bar=False)
    else:
        trace = pm.sample(model=model, **sizes, **quiet, nuts_sampler="pymc", cores=1)
    names = [f"{one['name']}." for one in mechanisms]
    values = {
        str(name): v.values
        for name, v in trace["posterior"].to_dataset().items()
        if str(name).startswith(tuple(names)) and not str(name).endswith(("_z", "_raw", "_log__"))
    }
    diverging = trace["sample_stats"]["diverging"].values
    return {"draws": values, "divergent": int(diverging.sum())}


def main() -> None:
    options = pickle.loads(bytes.fromhex(sys.argv[1]))
    folder = Path(options["folder"])
    if options["who"] == "dotwin":
        found = by_dotwin(folder, options)
    elif options["who"] == "pathmc":
        from peers_shared import by_pathmc

        found = by_pathmc(folder, options)
    else:
        found = by_pymc(folder, options)
    with Path(options["out"]).open("wb") as file:
        draws = {name: np.asarray(values) for name, values in found.pop("draws").items()}
        pickle.dump({"draws": draws, **found}, file)


if __name__ == "__main__":
    main()
