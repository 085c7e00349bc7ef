"""Effective draws per CPU second: dotwin against joint models by nutpie, PyMC's NUTS and NumPyro.

Same model, same data, same number of kept draws, each fit in a process of its own. *Cold*: nothing
that any package compiled is on disk. *Warm*: a second process on the first one's caches. CPU
seconds are the process's and its children's, from its start to its end, imports included. dotwin
reads a table; the peers get arrays that are ready.

    python -m venv out/peers-venv
    out/peers-venv/bin/pip install -c constraints.txt -e . -r benchmarks/requirements.txt
    out/peers-venv/bin/python benchmarks/peers.py

That takes about an hour and a half of CPU time. Everything measured is kept in out/peers, so that a
run that was stopped goes on where it was; parts may be named (``--help``). In the end
`benchmarks/speed_page.py` writes the results and docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import LIMIT, fitted, kept, run

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out" / "peers"
MEASURED = OUT / "measured"
PEERS = ("nutpie", "numpyro", "pymc")
SIZES = (60, 150)
#: What the peers keep; and what dotwin does unless told.
DRAWS = {"draws": 500, "tune": 500, "chains": 2}
DEFAULTS = {"draws": 1000, "tune": 1000, "chains": 4}
#: The parametrisation that nutpie did best with at 60 providers.
BEST = "mixed"
#: The providers of the fit whose wall time is measured, and draws that give an ESS above 1,000.
MANY, MANY_DRAWS = 500, {"draws": 500, "tune": 500, "chains": 4}
REAL = {
    "nursing_home_quarters": "home_quarters.csv.gz",
    "nursing_home_outcomes": "homes.csv.gz",
}


def fit(who: str, providers: int, parametrisation: str, state: str, sizes: Any = DRAWS) -> None:
    """Measure one fit, unless that is done."""
    from peers_data import write

    size = sizes["draws"] * sizes["chains"]
    key = f"{who}-{providers}-{parametrisation or 'own'}-{size}".replace(" ", "_")
    data = OUT / f"data-{providers}"
    write(data, providers)
    options = {"who": who, "providers": providers, "parametrisation": parametrisation, **sizes}
    measure(key, options, state, data)


def measure(key: str, options: dict[str, Any], state: str, data: Path) -> None:
    def make() -> dict[str, Any]:
        cold = MEASURED / f"{key}-cold.json"
        if state == "warm" and "not finished" in json.loads(cold.read_text(encoding="utf-8")):
            return {**options, "state": state, "not finished": "nor did the cold one"}
        return {**options, "state": state, **fitted(options, data, OUT / "caches" / key)}

    kept(f"{key}-{state}", MEASURED, make)


def shared() -> None:
    """Fit what pathmc and dotwin both express."""
    from peers_shared import write_shared

    data = OUT / "data-shared"
    write_shared(data)
    for state in ("cold", "warm"):
        for who in ("pathmc", "dotwin"):
            measure(f"shared-{who}", {"who": who, **DRAWS}, state, data)
        measure("shared-dotwin-defaults", {"who": "dotwin", **DEFAULTS}, state, data)


def parametrisations() -> None:
    """Find out which parametrisation is best for a peer."""
    from peers_model import PARAMETRISATIONS

    for parametrisation in PARAMETRISATIONS:
        fit("nutpie", min(SIZES), parametrisation, "cold")


def peers() -> None:
    """Fit by each peer, cold and then warm."""
    for providers in SIZES:
        for state in ("cold", "warm"):
            for who in PEERS:
                fit(who, providers, BEST, state)


def ours() -> None:
    """Fit by dotwin, with the peers' number of draws and with its own."""
    for providers in SIZES:
        for sizes in (DRAWS, DEFAULTS):
            for state in ("cold", "warm"):
                fit("dotwin", providers, "", state, sizes)


def many() -> None:
    """Fit many providers by dotwin: the first time ever, and every other time."""
    for state in ("cold", "warm"):
        fit("dotwin", MANY, "", state, MANY_DRAWS)


def check() -> None:
    """Hold the peers' model against dotwin's."""
    from peers_check import largest_difference

    kept("same-model", MEASURED, lambda: {"largest relative difference": largest_difference()})


def real(folder: Path) -> None:
    """Fit both nursing-home twins to all rows."""
    for name, file in REAL.items():
        command = [sys.executable, "peers_real.py", name, str(folder / file)]

        def make(command: list[str] = command) -> dict[str, Any]:
            used, said = run(command, OUT / "caches" / "real", LIMIT)
            return {**used, **(json.loads(said.splitlines()[-1]) if said else {})}

        kept(f"real-{name}-first", MEASURED, make)
        kept(f"real-{name}", MEASURED, make)


def main() -> None:
    parts: dict[str, Callable[[], None]] = {
        "check": check, "parametrisations": parametrisations, "peers": peers, "ours": ours,
        "many": many, "shared": shared, "real": lambda: real(chosen.data / "cms_nursing_homes"),
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    chosen = parser.parse_args()
    for part in chosen.parts:
        parts[part]()


if __name__ == "__main__":
    main()
