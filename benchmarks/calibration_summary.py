"""What the ranks say: bands per quantity and design, certificates, and the engines' agreement."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration_designs import Case
from benchmarks.uniformity import histogram, p_value

Replicates = list[dict[str, Any]]
#: The chance that a right engine leaves the bands of a design: over all its quantities and all
#: places of their ranks. The same holds of the bands of a whole engine, over all designs.
LEVEL = 0.01
INTERVAL = 0.9
#: Of draws that are ranked, how many the deterministic engine's proposal makes.
PROPOSED = 2000


def tested(replicates: Replicates) -> dict[str, Any]:
    """Test the ranks of every quantity for uniformity.

    Parameters
    ----------
    replicates : list of dict
        Those that have ranks.

    Returns
    -------
    dict
        Histograms and p by quantity, and the smallest p for all of them together.
    """
    if not replicates:
        return {"kept": 0, "quantities": {}, "p": 1.0, "of": "", "coverage": None}
    # A replicate has one name more or less where its panel has: none of these has.
    names = list(replicates[0]["ranks"])
    values = {n: np.array([r["ranks"][n] for r in replicates]) for n in names}
    bins = {n: histogram(v) for n, v in values.items()}
    p = {n: p_value(b) for n, b in bins.items()}
    worst = min(p, key=lambda n: p[n])
    tail = (1.0 - INTERVAL) / 2.0
    every = np.concatenate(list(values.values()))
    return {
        "kept": len(replicates),
        "quantities": {n: {"bins": bins[n].tolist(), "p": float(f"{p[n]:.3g}")} for n in names},
        "p": float(f"{min(1.0, p[worst] * len(names)):.3g}"),
        "of": worst,
        "coverage": round(float(((every > tail) & (every < 1.0 - tail)).mean()), 4),
    }


def summary_of(case: Case, replicates: Replicates) -> dict[str, Any]:
    """Summarise a case: the fits that its engine vouches for, and all of them."""
    own = [r for r in replicates if "ranks" in r and "instead" not in r]
    whole = [r for r in replicates if "ranks" in r]
    reasons = Counter(
        part.partition(" (")[0] for r in replicates for part in r.get("declined", "").split("; ")
    )
    reasons.pop("", None)
    found = {
        "engine": case.engine,
        "design": case.design,
        "broken": case.broken,
        "replicates": len(replicates),
        "unusable": sum("unusable" in r for r in replicates),
        "declined": sum("declined" in r for r in replicates),
        "reasons": dict(reasons),
        "seconds": round(float(np.median([r.get("seconds", 0.0) for r in replicates] or [0])), 3),
        **tested(own),
    }
    if len(whole) > len(own):
        both = tested(whole)
        found["all"] = {key: both[key] for key in ("kept", "p", "of", "coverage")}
    return found


def pooled(cases: list[dict[str, Any]]) -> dict[str, float]:
    """Test a quantity over all designs that have it: their panels are independent.

    Parameters
    ----------
    cases : list of dict
        Of one engine, as `summary_of` returns them.

    Returns
    -------
    dict of str to float
        p by quantity, for those that a third of the designs have.
    """
    bins: dict[str, list[Any]] = {}
    for case in cases:
        for name, one in case["quantities"].items():
            bins.setdefault(name, []).append(one["bins"])
    common = {
        n: np.sum(several, axis=0) for n, several in bins.items() if len(several) >= len(cases) / 3
    }
    return {name: float(f"{p_value(counts):.3g}") for name, counts in common.items()}


def agreement(results: Mapping[str, tuple[Case, Replicates]]) -> dict[str, Any]:
    """Set certified posteriors against chains on the same panels.

    Of every quantity the difference of the two posterior means, in posterior sds. Their Monte Carlo
    errors are known; what is beyond them is the certified fit's own.
    """
    rows = []
    for case, replicates in results.values():
        if case.engine != "deterministic" or case.broken:
            continue
        other = results.get(f"nuts-{case.design}", (case, []))[1]
        chains = {r["replicate"]: r for r in other if "ranks" in r}
        for one in replicates:
            if "ranks" not in one or "instead" in one or one["replicate"] not in chains:
                continue
            theirs = chains[one["replicate"]]["posterior"]
            efficiency = one["certificate"][1]
            for name, (mean, sd, draws) in one["posterior"].items():
                mean_b, sd_b, ess = theirs[name]
                # Resampling fewer draws than were proposed costs no more than drawing so few.
                exact = min(draws, PROPOSED * efficiency)
                off = (mean - mean_b) / sd_b
                rows.append((case.design, off, off / np.sqrt(1 / exact + 1 / ess), sd / sd_b))
    if not rows:
        return {}
    off, z, ratio = (np.array([r[k] for r in rows]) for k in (1, 2, 3))
    designs = sorted({r[0] for r in rows})
    at = np.array([designs.index(r[0]) for r in rows])
    mechanisms = sum(
        1
        for case, replicates in results.values()
        if case.engine == "deterministic" and not case.broken
        for r in replicates
        if "ranks" in r
        and "instead" not in r
        and any(
            "ranks" in o and o["replicate"] == r["replicate"]
            for o in results.get(f"nuts-{case.design}", (case, []))[1]
        )
    )
    return {
        "mechanisms": mechanisms,
        "quantities": len(rows),
        "sd_of_z": round(float(z.std()), 3),
        "beyond_1.96": round(float((np.abs(z) > 1.96).mean()), 4),
        "beyond_2.58": round(float((np.abs(z) > 2.576).mean()), 4),
        "mean_difference_in_sds": float(f"{off.mean():.3g}"),
        "its_error": float(f"{off.std() / np.sqrt(off.size):.2g}"),
        "sds_ratio": round(float(np.exp(np.log(ratio).mean())), 4),
        "sd_of_z_by_design": {d: round(float(z[at == i].std()), 3) for i, d in enumerate(designs)},
    }


def write(results: Mapping[str, tuple[Case, Replicates]], folder: Path) -> None:
    """Write calibration.json and calibration.md.

    Parameters
    ----------
    results : dict of str to (Case, list of dict)
        By the case's name.
    folder : Path
    """
    cases = [summary_of(case, found) for case, found in results.values() if found]
    engines = {}
    for engine in dict.fromkeys(c["engine"] for c in cases):
        own = [c for c in cases if c["engine"] == engine and not c["broken"]]
        tests = sum(len(c["quantities"]) for c in own)
        smallest = min((q["p"] for c in own for q in c["quantities"].values()), default=1.0)
        over = pooled(own)
        engines[engine] = {
            "designs": len(own),
            "panels": [min(c["replicates"] for c in own), max(c["replicates"] for c in own)],
            "pooled": over,
            "pooled_p": float(f"{min(1.0, min(over.values()) * len(over)):.3g}"),
            "fits": sum(c["replicates"] for c in own),
            "kept": sum(c["kept"] for c in own),
            "declined": sum(c["declined"] for c in own),
            "unusable": sum(c["unusable"] for c in own),
            "quantities": tests,
            "smallest_p": smallest,
            "p": float(f"{min(1.0, smallest * tests):.3g}"),
            "designs_outside": [c["design"] for c in own if c["p"] < LEVEL],
            "coverage": _mean([(c["coverage"], c["kept"] * len(c["quantities"])) for c in own]),
        }
    about = {
        "level": LEVEL,
        "engines": engines,
        "agreement": agreement(results),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("dotwin", "numpy", "numba", "nutpie", "scipy")},
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    text = json.dumps(about, indent=1)[:-2] + f',\n "cases": [\n{lines}\n]\n}}\n'
    (folder / "calibration.json").write_text(text, encoding="utf-8")
    table = as_markdown(about, cases)
    (folder / "calibration.md").write_text(table, encoding="utf-8")
    print(table)


def _mean(pairs: list[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None]
    if not known:
        return None
    total = sum(weight for _, weight in known)
    return round(sum(value * weight for value, weight in known) / total, 4)


def _p(value: float) -> str:
    if value < 1e-99:
        return "< 1e-99"
    return f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"


def as_markdown(about: dict[str, Any], cases: list[dict[str, Any]]) -> str:
    """Write the summary as tables with what they rest on."""
    # The page on calibration shows the parts between these marks.
    lines = ["# Calibration of the engines", "", "<!-- --8<-- [start:found] -->"]
    for name, one in about["engines"].items():
        verdict = "all within" if one["p"] >= LEVEL else "**not within**"
        outside, coverage = one["designs_outside"], one["coverage"] or 0.0
        fewest, most = one["panels"]
        lines += [
            f"- `{name}`: {one['designs']} designs with {fewest} to {most} panels each; "
            f"{one['kept']:,} of {one['fits']:,} fits kept "
            f"({one['declined']:,} declined, {one['unusable']:,} panels unusable); ranks of "
            f"{one['quantities']} quantities {verdict} the bands that a right engine leaves with "
            f"chance {LEVEL:.0%} (p {_p(one['p'])}). 90 % intervals hold {coverage:.1%}. "
            f"Pooled over designs, the {len(one['pooled'])} most common quantities have p "
            f"{_p(one['pooled_p'])} together. Designs outside their own 99 % bands: "
            f"{', '.join(outside) or 'none'}.",
        ]
    agreed = about["agreement"]
    if agreed:
        lines += [
            "",
            f"Certified posterior means against chains on the same panels, {agreed['mechanisms']:,}"
            f" mechanisms, {agreed['quantities']:,} quantities: difference over Monte Carlo error "
            f"has sd {agreed['sd_of_z']:.2f}, {agreed['beyond_1.96']:.1%} beyond 1.96 and "
            f"{agreed['beyond_2.58']:.1%} beyond 2.58; mean difference "
            f"{agreed['mean_difference_in_sds']:.4f} ± {agreed['its_error']:.4f} posterior sds.",
        ]
    lines += [
        "<!-- --8<-- [end:found] -->",
        "",
        "p: the chance that a right engine strays as far in some quantity of the design.",
        "",
        "<!-- --8<-- [start:table] -->",
        "| engine | design | broken on purpose | kept | declined | 90 % hold | p | of | CPU s |",
        "|---|---|---|--:|--:|--:|--:|---|--:|",
    ]
    for c in cases:
        lines.append(
            f"| {c['engine']} | {c['design']} | {c['broken']} | {c['kept']} of {c['replicates']} | "
            f"{c['declined']} | {c['coverage'] or 0:.1%} | "
            f"{'**' + _p(c['p']) + '**' if c['p'] < LEVEL else _p(c['p'])} | {c['of']} | "
            f"{c['seconds']:.2f} |"
        )
    lines += ["<!-- --8<-- [end:table] -->"]
    replaced = [c for c in cases if "all" in c]
    if replaced:
        lines += [
            "",
            "With chains in place of certificates that did not hold: "
            + "; ".join(
                f"{c['design']} {c['all']['kept']} panels, p {_p(c['all']['p'])}" for c in replaced
            )
            + ".",
        ]
    reasons: Counter[str] = Counter()
    for c in cases:
        if c["engine"] == "deterministic" and not c["broken"]:
            reasons.update(c["reasons"])
    if reasons:
        said = "; ".join(f"{what} ({count})" for what, count in reasons.most_common())
        lines += ["", f"Why certificates did not hold: {said}."]
    lines += ["", ", ".join(f"{name} {number}" for name, number in about["versions"].items()), ""]
    return "\n".join(lines)
