"""`dotwin check`: every problem of a twin and its data, where it is."""

from __future__ import annotations

from pathlib import Path

import typer

import dotwin as dw
from dotwin.errors import DataError, SpecificationError

__all__ = ["check_twin"]


def check_twin(spec: str, data: Path | None) -> int:
    """Print every problem of a twin and of a table.

    Parameters
    ----------
    spec : str
    data : Path, optional

    Returns
    -------
    int
        How many problems there are.
    """
    try:
        twin = dw.read_twin(spec)
    except SpecificationError as error:
        for problem in error.problems:
            line = f":{problem.line}" if problem.line is not None else ""
            where = f"{problem.where}: " if problem.where else ""
            typer.echo(f"{spec}{line}: {where}{problem.what}", err=True)
        typer.echo(_count(len(error.problems)), err=True)
        return len(error.problems)
    fitted, given = len(twin.stochastic), len(twin.given)
    typer.echo(
        f"{spec}: sound. {len(twin.indicators)} indicators, of which {fitted} are fitted and "
        f"{given} given; {len(twin.scenarios)} scenarios, {len(twin.thresholds)} thresholds."
    )
    if data is None:
        return 0
    try:
        panel = dw.read_panel(data, twin)
    except DataError as error:
        for problem in error.problems:
            typer.echo(f"{data}: {problem}", err=True)
        typer.echo(_count(len(error.problems)), err=True)
        return len(error.problems)
    typer.echo(f"{data}: {panel.quality.text}")
    return 0


def _count(problems: int) -> str:
    return f"{problems} problem{'' if problems == 1 else 's'}."
