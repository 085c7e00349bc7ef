"""The page on speed, and its table, in words."""

from __future__ import annotations

from typing import Any

from speed_rows import NAMES, Row, number, picked, rows_of, table, times


def fits_table(content: dict[str, Any]) -> list[str]:
    """Return all fits: who, providers, state, CPU-seconds, ESS, R-hat."""
    rows = []
    order = {name: i for i, name in enumerate(NAMES)}
    for one in sorted(
        content["fits"],
        key=lambda one: (one["providers"], one["state"], order[one["who"]], one["draws"]),
    ):
        who = NAMES[one["who"]]
        if one["parametrisation"]:
            who += f", {one['parametrisation']}"
        head = (who, f"{one['providers']:,}", one["state"], f"{one['draws'] * one['chains']:,}")
        if "not finished" in one:
            rows.append((*head, one["not finished"], "–", "–", "–"))
            continue
        rows.append(
            (
                *head,
                f"{one['cpu_seconds']:.1f}",
                f"{one['ess']:,.0f}",
                f"{one['rhat']:.2f}" if "rhat" in one else "–",
                number(one["ess_per_cpu_second"]),
            )
        )
    head = (
        "by", "providers", "caches", "draws kept", "CPU-seconds", "smallest ESS", "largest R-hat",
        "ESS per CPU-second",
    )  # fmt: skip
    return table(head, rows)


def growth_table(found: list[dict[str, Any]], over: str) -> list[str]:
    rows = [
        (
            f"{one[over]:,}",
            f"{one['rows']:,}",
            *(
                (one["not finished"], "–", "–", "–")
                if "not finished" in one
                else (
                    f"{one['cpu seconds, reading']:.1f}",
                    f"{one['cpu seconds, fitting']:.1f}",
                    f"{one['peak_gib']:.1f}",
                    ", ".join(one["engines"]),
                )
            ),
        )
        for one in found
    ]
    head = (
        over, "rows of each mechanism", "CPU-seconds, reading", "CPU-seconds, fitting",
        "GiB at the peak", "engines",
    )  # fmt: skip
    return table(head, rows)


def reasons(content: dict[str, Any], rows: list[Row]) -> list[str]:
    """Say why what was missed was missed."""
    said = []
    missed = [what for what, _, _, _, judged in rows if "missed" in judged]
    cold = [one for one in missed if " cold," in one and "pathmc" not in one]
    pairs = [
        {o["state"]: o for o in picked(content, who="dotwin", providers=p, chains=2)}
        for p in (60, 150)
    ]
    spent = [p["cold"]["cpu_seconds"] - p["warm"]["cpu_seconds"] for p in pairs if len(p) == 2]
    if cold and spent:
        said.append(
            f"*Cold.* With every cache empty dotwin spends {max(spent):.0f} CPU-seconds on "
            "compiling its kernels. That happens once on a machine, not once per "
            "model or session as a peer's compilation does; the rows count it all the same."
        )
    if any("pathmc" in one for one in missed):
        said.append(
            "*pathmc.* The model that both express is small, so what is left to dotwin is mostly "
            "starting Python, importing and reading the kernels from disk."
        )
    if any("wall" in one or "all rows" in one or "first use" in one for one in missed):
        said.append(
            "*Wall time.* Other processes lengthen it; the CPU-seconds beside it say "
            "what two free cores would take."
        )
    for one in content["growth"]["providers"]:
        if "not finished" in one:
            said.append(f"*Growth.* With {one['providers']:,} providers: {one['not finished']}.")
    real = {n: one for n, one in content["real"].items() if one.get("declined")}
    for name, one in real.items():
        if name.endswith("-first"):
            continue
        why = "; ".join(f"{mechanism}: {text}" for mechanism, text in one["declined"].items())
        said.append(f"*`{name}`.* Not every mechanism is fitted without chains. {why}.")
    if any("update" in row[0] for row in rows):
        said.append(
            "*Update.* Both are CPU-seconds from the later panel to a diagnosed fit of it, in a "
            "process that has imported and compiled everything. The refit needs no chains."
        )
    absent = [
        f"{NAMES[who]} with {providers} providers, {state}"
        for who in ("nutpie", "numpyro", "pymc")
        for providers in (60, 150)
        for state in ("cold", "warm")
        if not picked(content, who=who, providers=providers, state=state)
    ]
    absent += [
        f"`{name}`"
        for name in ("nursing_home_quarters", "nursing_home_outcomes")
        if name not in content["real"]
    ]
    if absent:
        said.append(
            f"*Not measured in this run*, for want of CPU time: {'; '.join(absent)}. The best peer "
            "is the best of those that were."
        )
    return said


def page_of(
    content: dict[str, Any], simulation: dict[str, Any] | None, update: dict[str, Any] | None
) -> tuple[str, str]:
    """Return the page and the table alone."""
    rows = rows_of(content, update)
    bars = table(("what", "measured", "bar", "aim", ""), rows)
    about = content["about"]
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    note = (
        f"Measured on {about['cores']} cores ({about['processor']}), {about['shared']}. {versions}."
    )
    same = content["same model"]["largest relative difference"] if content["same model"] else None
    page = [
        "# Speed",
        "",
        "<!-- written by benchmarks/speed_page.py from benchmarks/results; do not edit -->",
        "",
        "How fast a posterior comes, against the best that other packages do with the same model",
        "on the same data. What is missed is marked so, with the reason.",
        "",
        *bars,
        "",
        note,
        "",
    ]
    for one in reasons(content, rows):
        page += [one, ""]
    page += [
        "## Effective draws per CPU-second",
        "",
        "![Smallest effective number of draws per CPU-second, by package](images/speed-peers.svg)",
        "",
        "Eight mechanisms of eight families, providers in 20 regions over 24 months: the twin of",
        "`benchmarks/simulation.py`. Peers fit one joint model, written by hand in PyMC; its log",
        "density is that of dotwin's mechanisms together"
        + (f" (largest relative difference {same:.0e})." if same else "."),
        "",
        "*ESS* is the smallest bulk effective number of draws over all parameters, effects of",
        "providers included; for draws without a chain it is at most what their importance weights",
        "are worth, and R-hat means nothing. *CPU-seconds* run from the start of the process to",
        "its end, imports and compilation included. *Cold*: nothing that any package",
        "compiled is on",
        "disk. *Warm*: a second process on the caches of the first. Peers keep 2 × 500 draws after",
        "500 more; dotwin is shown with as many and with what it keeps unless told.",
        "Parametrisations of the peers were tried with nutpie at 60 providers: centred,",
        "non-centred, providers",
        "centred in regions that are not, and *mixed*, where each group has the weight that its",
        "data call for. The best is used throughout. NumPyro samples PyMC's density through JAX.",
        "",
        *fits_table(content),
        "",
        "## Growth",
        "",
        "![CPU-seconds by providers and by mechanisms](images/speed-growth.svg)",
        "",
        "Normal, binomial, negative-binomial and gamma mechanisms in turn, 20 regions, 24 months,",
        "1,000 draws kept, kernels compiled before; from a table in memory to a posterior with its",
        "diagnosis.",
        "",
        *growth_table(content["growth"]["providers"], "providers"),
        "",
        *growth_table(content["growth"]["mechanisms"], "mechanisms"),
        "",
    ]
    gradient = content["gradient"]
    if gradient:
        page += [
            "## One gradient",
            "",
            f"A negative-binomial mechanism of {gradient['rows']:,} rows, 500 providers in 20 "
            f"regions, {gradient['causes']} causes. All agree to nine digits before they are",
            "timed. The C code (`benchmarks/gradient.c`) is written for this one model;",
            "gammas are taken",
            "once per distinct count in it too.",
            "",
            *table(
                ("", "ms"),
                [
                    (name, number(gradient[f"{name}, ms"]))
                    for name in ("nutpie-numba", "fused kernel", "C with vector math")
                ],
            ),
            "",
        ]
    if content["shared with pathmc"]:
        page += [
            "## pathmc",
            "",
            "pathmc 0.4.0 installs beside PyMC 6.4 and is run in the same environment. The",
            "largest model that both express has four mechanisms (normal, negative binomial,",
            "Poisson,",
            "Bernoulli) with linear causes and intercepts of 60 providers over 24 months. pathmc",
            "has no beta, binomial, gamma or lognormal outcomes, no trials or exposures, no levels",
            "above the unit, no functions of a cause and no within and between parts of one.",
            "Priors are",
            "pathmc's own, but for that of the dispersion, which the two put on different",
            "functions of it.",
            "",
            *table(
                ("by", "caches", "draws kept", "CPU-seconds", "smallest ESS", "per CPU-second"),
                [
                    (
                        one["who"],
                        one["state"],
                        f"{one['draws'] * one['chains']:,}",
                        f"{one['cpu_seconds']:.1f}",
                        f"{one['ess']:,.0f}",
                        number(one["ess_per_cpu_second"]),
                    )
                    for one in content["shared with pathmc"].values()
                ],
            ),
            "",
        ]
    if simulation:
        ours = simulation["table"][0]["million_per_cpu_second"]
        page += [
            "## Simulation",
            "",
            f"`benchmarks/simulation.py`: {simulation['about']['units']:,} providers, "
            f"{simulation['about']['periods']} months, {simulation['about']['draws']:,} draws of "
            "the same twin.",
            "",
            *table(
                ("", "million values per CPU-second", "dotwin is faster by"),
                [
                    (
                        one["what"],
                        number(one["million_per_cpu_second"]),
                        times(ours / one["million_per_cpu_second"]),
                    )
                    for one in simulation["table"]
                ],
            ),
            "",
        ]
    page += [
        "## Run it",
        "",
        "The peers are no dependencies of dotwin, and `make validate` does not run them.",
        "",
        "```sh",
        "python -m venv out/peers-venv",
        "out/peers-venv/bin/pip install -c constraints.txt -e . -r benchmarks/requirements.txt",
        "out/peers-venv/bin/python benchmarks/peers.py       # an hour or more; goes on if stopped",
        "out/peers-venv/bin/python benchmarks/growth.py",
        "out/peers-venv/bin/python benchmarks/gradient.py    # needs gcc",
        "out/peers-venv/bin/python benchmarks/speed_page.py  # this page and its figures",
        "```",
        "",
    ]
    alone = ["# Speed", "", *bars, "", note, "", *fits_table(content), ""]
    return "\n".join(page), "\n".join(alone)
