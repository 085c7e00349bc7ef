"""Early warning of immediate jeopardy in real nursing homes, against history and a regression.

The twin of nursing-home quarters is fitted to 2024Q2 to 2024Q4 alone. It then warns of
immediate-jeopardy findings in the next quarter, twice: from the end of 2024Q4, and from the end of
2025Q1 with the parameters of 2024. Homes that appear in 2025 only are warned of too, with effects
drawn from the spread of the others. Inputs are held at their last values: nothing of the quarter
that is warned of is known.

Rivals are each home's own history with Jeffreys' prior (crossings + 1/2 of quarters + 1, of all
quarters before the one in question), and scikit-learn's logistic regression on the same columns:
beds (log), ownership, nurse hours, inspections, citations of each kind and fines of the last
quarter, and the state, trained on the changes from 2024Q2 to Q3 and Q3 to Q4. Its penalty is
chosen by cross-validation over homes, by the log score.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import dotwin as dw
from dotwin.effects.alerts.warning_scores import (
    WarningScores,
    log_and_brier,
    reliability_bands,
    score,
)
from dotwin.errors import ConvergenceWarning
from dotwin.worlds.scores import clustered_mean

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MODEL = "nursing_home_quarters"
THRESHOLD = "jeopardy_found"
TRAINED_TO = "2024Q4"
#: The last quarter that each warning knows, and the quarter that it is about.
ORIGINS = {"2024Q4": "2025Q1", "2025Q1": "2025Q2"}
NUMBERS = [
    "log_beds", "rn_hprd", "citing_surveys", "citations", "abuse_neglect_citations",
    "harm_citations", "jeopardy_citations", "fines", "for_profit", "in_chain",
]  # fmt: skip


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Set what is known at the end of each quarter beside the finding of the next."""
    quarters = sorted(table["quarter"].unique())
    after = dict(pairwise(quarters))
    known = table.assign(log_beds=np.log(table["beds"]), next=table["quarter"].map(after))
    then = table[["ccn", "quarter", "jeopardy_citations"]].rename(
        columns={"quarter": "next", "jeopardy_citations": "found"}
    )
    both = known.merge(then, on=["ccn", "next"]).dropna(subset=[*NUMBERS, "found"])
    return both.assign(found=(both["found"] > 0).astype(int))


def regression(train: pd.DataFrame, seed: int) -> Pipeline:
    """Fit logistic regression, its penalty chosen by the log score on homes left out."""
    columns = make_column_transformer(
        (StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), ["state"])
    )
    folds = list(GroupKFold(5, shuffle=True, random_state=seed).split(train, groups=train["ccn"]))
    model = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 11), cv=folds, scoring="neg_log_loss", max_iter=2000,
        l1_ratios=(0.0,), use_legacy_attributes=False,
    )  # fmt: skip
    return make_pipeline(columns, model).fit(train[[*NUMBERS, "state"]], train["found"])


def compared(cases: pd.DataFrame) -> pd.DataFrame:
    """Score all methods on the same home-quarters; gains are the twin's, clustered by home."""
    rows: list[dict[str, Any]] = []
    parts = {"both": cases, **dict(list(cases.groupby("quarter")))}
    for when, part in parts.items():
        homes = pd.factorize(part["unit"])[0].astype(np.intp)
        crossed = part["crossed"].to_numpy(dtype=float)
        own = log_and_brier(part["twin"].to_numpy(), crossed)
        for method in ("twin", "logistic regression", "own history", "share of 2024"):
            p = part[method].to_numpy()
            logs, brier = log_and_brier(p, crossed)
            bands = reliability_bands(p, crossed)
            row = {
                "quarter": when,
                "method": method,
                "n": len(part),
                "found": crossed.mean(),
                "expected": p.mean(),
                "log_score": logs.mean(),
                "brier": brier.mean(),
                "groups_inside": int(bands["inside"].sum()),
                "groups": len(bands),
            }
            for k, (kind, theirs) in enumerate((("log", logs), ("brier", brier))):
                sign = 1.0 if kind == "log" else -1.0
                gain, error = clustered_mean(sign * (own[k] - theirs), homes)
                row |= {f"{kind}_gain": gain, f"{kind}_gain_se": error}
            rows.append(row)
    return pd.DataFrame(rows)


def verdict(table: pd.DataFrame) -> str:
    """Say whether the twin beats history, holds its own, and is calibrated."""
    both = table[table["quarter"] == "both"].set_index("method")
    history, rival = both.loc["own history"], both.loc["logistic regression"]
    beats = min(history[f"{k}_gain"] - 2 * history[f"{k}_gain_se"] for k in ("log", "brier")) > 0
    worse = max(-rival[f"{k}_gain"] - 2 * rival[f"{k}_gain_se"] for k in ("log", "brier")) > 0
    inside = table[table["method"] == "twin"].set_index("quarter")
    held = ", ".join(
        f"{row['groups_inside']:.0f} of {row['groups']:.0f} ({when})"
        for when, row in inside.iterrows()
    )
    return (
        f"Against each home's own history the twin is {'better' if beats else 'not better'} by two "
        f"standard errors in both scores; against logistic regression it is "
        f"{'worse' if worse else 'not worse'} by two standard errors in either. Groups of like "
        f"probability inside their 95 % simultaneous band: {held}."
    )


def as_markdown(table: pd.DataFrame, bands: pd.DataFrame, about: dict[str, Any]) -> str:
    """Write the comparison with what it rests on."""
    lines = [
        "# Early warning of immediate jeopardy",
        "",
        f"Trained to {TRAINED_TO}; immediate-jeopardy findings of the next quarter in real nursing "
        f"homes (seed {about['seed']}). Log score: larger is better; Brier score: smaller is "
        f"better. Gains are the twin's over the method, positive where it is better, ± one "
        f"standard error clustered by home. Groups: tenths of like probability inside the 95 % "
        f"simultaneous band.",
        "",
        "| quarter | method | home-quarters | found | expected | log score | gain of twin | "
        "Brier | gain of twin | groups |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in table.itertuples():
        own = row.method == "twin"
        log_gain = "" if own else f"{row.log_gain:+.4f} ± {row.log_gain_se:.4f}"
        brier_gain = "" if own else f"{row.brier_gain:+.5f} ± {row.brier_gain_se:.5f}"
        lines.append(
            f"| {row.quarter} | {row.method} | {row.n:,} | {row.found:.2%} | {row.expected:.2%} | "
            f"{row.log_score:.4f} | {log_gain} | {row.brier:.5f} | {brier_gain} | "
            f"{row.groups_inside}/{row.groups} |"
        )
    lines += ["", about["verdict"], "", "Reliability of the twin, both quarters:", ""]
    lines += ["| probability | n | expected | found | band |", "|---|--:|--:|--:|---|"]
    for row in bands.to_dict("records"):
        mark = "" if row["inside"] else " (outside)"
        lines.append(
            f"| {row['from']:.3f} to {row['to']:.3f} | {row['n']:,} | {row['expected']:.2%} | "
            f"{row['observed']:.2%}{mark} | {row['low']:.2%} to {row['high']:.2%} |"
        )
    lines += ["", about["diagnosis"], "", f"{about['cpu_seconds']:,.0f} CPU seconds.", ""]
    lines += [", ".join(f"{name} {number}" for name, number in about["versions"].items()), ""]
    return "\n".join(lines)


def main() -> None:
    """Fit, warn, score, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="folder of home_quarters.csv.gz")
    parser.add_argument("--draws", type=int, default=1500)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument(
        "--paths", type=int, nargs=2, default=(300, 20), metavar=("DRAWS", "NOISES")
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    beside = Path(os.environ.get("DOTWIN_DATA", ROOT.parent / "shared" / "data"))
    folder = chosen.data or beside / "cms_nursing_homes"
    table = pd.read_csv(folder / "home_quarters.csv.gz", dtype={"ccn": str})
    twin = dw.read_twin(MODEL)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = dw.fit(
            twin,
            dw.read_panel(table[table["quarter"] <= TRAINED_TO], twin),
            draws=chosen.draws,
            tune=1000,
            chains=chosen.chains,
            seed=chosen.seed,
            cache=ROOT / "out" / "early_warning",
        )
    print(fit.diagnose().sentence, flush=True)
    whole = dw.read_panel(table, twin)
    found = []
    for origin in ORIGINS:
        found.append(
            fit.early_warning(
                THRESHOLD,
                horizon=1,
                seed=chosen.seed,
                alert_at=0.05,
                interventions=(),
                draws=chosen.paths[0],
                replicates=chosen.paths[1],
                panel=dw.read_panel(table[table["quarter"] <= origin], twin),
                new_groups="population",
            )
        )
        print(found[-1], flush=True)
    scores: WarningScores = score(found, whole)
    both = pairs(table)
    train = both[both["next"] <= TRAINED_TO]
    model = regression(train, chosen.seed)
    test = both[both["quarter"].isin(list(ORIGINS))]
    rival = test.assign(rival=model.predict_proba(test[[*NUMBERS, "state"]])[:, 1])
    cases = scores.cases.rename(columns={"probability": "twin", "history": "own history"}).merge(
        rival[["ccn", "quarter", "rival"]].rename(
            columns={"ccn": "unit", "quarter": "origin", "rival": "logistic regression"}
        ),
        on=["unit", "origin"],
        how="inner",
    )
    cases["quarter"] = cases["origin"].map(ORIGINS)
    cases["share of 2024"] = float(
        (table[table["quarter"] <= TRAINED_TO]["jeopardy_citations"] > 0).mean()
    )
    result = compared(cases)
    bands = reliability_bands(cases["twin"].to_numpy(), cases["crossed"].to_numpy(dtype=float))
    about = {
        "seed": chosen.seed,
        "draws": chosen.draws,
        "chains": chosen.chains,
        "paths": list(chosen.paths),
        "penalty": float(np.atleast_1d(model[-1].C_)[0]),
        "without_rival": len(scores.cases) - len(cases),
        "verdict": verdict(result),
        "diagnosis": fit.diagnose().sentence,
        "cpu_seconds": time.process_time() - began,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("dotwin", "numpy", "scikit-learn")},
        },
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    content = {
        **about,
        "scores": result.to_dict("records"),
        "reliability": bands.to_dict("records"),
    }
    path = chosen.results / "early_warning.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = as_markdown(result, bands, about)
    (chosen.results / "early_warning.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
