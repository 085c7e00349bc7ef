"""What was to be shown of speed, what was measured, and whether the bar is met."""

from __future__ import annotations

from typing import Any

NAMES = {
    "dotwin": "dotwin",
    "nutpie": "PyMC, nutpie",
    "pymc": "PyMC, `pm.sample` NUTS",
    "numpyro": "PyMC's density, NumPyro",
    "pathmc": "pathmc",
}
#: Peers that fit the joint model.
PEERS = 3

Row = tuple[str, str, str, str, str]


def number(value: float | None) -> str:
    """Write a number with three digits."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def times(value: float) -> str:
    return f"{number(value)} ×"


def picked(content: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    return [one for one in content["fits"] if all(one.get(key) == v for key, v in wanted.items())]


def verdict(value: float | None, bar: float, aim: float, more_is_better: bool = True) -> str:
    """Say whether the bar and the aim are met."""
    if value is None:
        return "not measured"
    sign = 1.0 if more_is_better else -1.0
    if sign * value >= sign * aim:
        return "aim met"
    return "bar met" if sign * value >= sign * bar else "**missed**"


def rows_of(content: dict[str, Any], update: dict[str, Any] | None) -> list[Row]:
    """Return what was to be shown: what, measured, bar, aim, verdict."""
    rows: list[Row] = []
    for state, bar, aim in (("cold", 100, 1000), ("warm", 30, 300)):
        for providers in sorted({one["providers"] for one in picked(content, who="nutpie")}):
            rivals = [
                one
                for one in picked(content, state=state, providers=providers)
                if one["who"] != "dotwin" and "ess" in one
            ]
            best = max(rivals, key=lambda one: one["ess_per_cpu_second"], default=None)
            ours = picked(content, who="dotwin", state=state, providers=providers)
            for one in sorted(ours, key=lambda one: one["chains"] * one["draws"]):
                if best is None:
                    continue
                ratio = one["ess_per_cpu_second"] / best["ess_per_cpu_second"]
                kept = one["draws"] * one["chains"]
                tried = len({rival["who"] for rival in rivals})
                # A peer that was not measured might have been the best one.
                short = "" if tried == PEERS else f", {tried} of {PEERS} peers measured"
                rows.append(
                    (
                        f"smallest ESS per CPU-second, {providers} providers, {state}, dotwin "
                        f"keeping {kept:,} draws, against the best peer ({NAMES[best['who']]})",
                        times(ratio),
                        f"≥ {bar} ×",
                        f"≥ {aim:,} ×",
                        verdict(ratio, bar, aim) + short,
                    )
                )
    many = {one["state"]: one for one in picked(content, who="dotwin", providers=500)}
    if "warm" in many and "ess" in many["warm"]:
        one = many["warm"]
        rows.append(
            (
                f"wall time with 500 providers, kernels compiled before, process start included, "
                f"smallest ESS {one['ess']:,.0f} ({one['cpu_seconds']:.1f} CPU-seconds)",
                f"{one['wall_seconds']:.1f} s",
                "≤ 12 s",
                "≤ 4 s",
                verdict(one["wall_seconds"], 12, 4, more_is_better=False),
            )
        )
    if len(many) == 2 and all("ess" in one for one in many.values()):
        one = many["warm"]
        added = many["cold"]["wall_seconds"] - one["wall_seconds"]
        cpu = many["cold"]["cpu_seconds"] - one["cpu_seconds"]
        rows.append(
            (
                f"the first use ever, kernels of six families to compile, adds ({cpu:.0f} "
                "CPU-seconds)",
                f"{added:.0f} s",
                "≤ 60 s",
                "≤ 20 s",
                verdict(added, 60, 20, more_is_better=False),
            )
        )
    gradient = content["gradient"]
    if gradient:
        ours = gradient["fused kernel, ms"]
        faster = gradient["nutpie-numba, ms"] / ours
        slower = ours / gradient["C with vector math, ms"]
        rows += [
            (
                f"gradient of a negative-binomial mechanism, {gradient['rows']:,} rows, against "
                "nutpie on the PyMC model",
                f"{times(faster)} faster",
                "≥ 4 ×",
                "≥ 8 ×",
                verdict(faster, 4, 8),
            ),
            (
                "the same against hand-written C with vector math",
                f"{times(slower)} slower",
                "≤ 2.7 ×",
                "≤ 1.3 ×",
                verdict(slower, 2.7, 1.3, more_is_better=False),
            ),
        ]
        each = gradient["marginal likelihood, ms per draw"]
        rows.append(
            (
                f"its marginal likelihood with {gradient['nodes']} nodes, per draw",
                f"{number(each)} ms",
                "≤ 0.15 ms",
                "≤ 0.08 ms",
                verdict(each, 0.15, 0.08, more_is_better=False),
            )
        )
    shared = content["shared with pathmc"]
    for state in ("cold", "warm"):
        theirs = shared.get(f"shared-pathmc-{state}")
        for key in (f"shared-dotwin-{state}", f"shared-dotwin-defaults-{state}"):
            if theirs is None or key not in shared:
                continue
            one = shared[key]
            ratio = one["ess_per_cpu_second"] / theirs["ess_per_cpu_second"]
            rows.append(
                (
                    f"ESS per CPU-second against pathmc on the model that both express, {state}, "
                    f"dotwin keeping {one['draws'] * one['chains']:,} draws",
                    times(ratio),
                    "≥ 50 ×",
                    "≥ 500 ×",
                    verdict(ratio, 50, 500),
                )
            )
    growth = content["growth"]
    for over in ("providers", "mechanisms"):
        found = [one for one in growth[over] if "not finished" not in one]
        exponent = growth[f"slope over {over}"]
        if found and exponent is not None:
            rows.append(
                (
                    f"CPU-seconds grow with {over}, {found[0][over]:,} to {found[-1][over]:,}, "
                    "as the power",
                    f"{exponent:.2f}",
                    "≤ 1, within error",
                    "shown",
                    "bar met" if exponent < 1.1 and found == growth[over] else "**missed**",
                )
            )
    for name, one in content["real"].items():
        if name.endswith("-first"):
            continue
        done = "not finished" not in one
        wall = one["wall_seconds"] if done else None
        rows.append(
            (
                f"`{name}`, all rows" + (f" ({one['cpu_seconds']:.0f} CPU-seconds)"),
                f"{wall:.0f} s" if wall else one["not finished"],
                "≤ 120 s",
                "≤ 20 s",
                verdict(wall, 120, 20, more_is_better=False) if wall else "**missed**",
            )
        )
    for one in update["sizes"] if update else ():
        share = one["ratio"]
        engines = " and ".join(f"`{name}`" for name in one["engines"])
        rows.append(
            (
                f"an update with one new period against the refit ({engines}), {one['units']:,} "
                f"providers",
                f"{share:.1%}",
                "≤ 10 %",
                "≤ 2 %",
                verdict(share, 0.1, 0.02, more_is_better=False),
            )
        )
    return rows


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return [f"| {' | '.join(one)} |" for one in (head, marks, *rows)]
