"""The commands of `dotwin`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

__all__ = ["app"]

#: What a shell is told: nothing wrong; a problem or a user's mistake. Typer itself exits with 2
#: where a command is not written as it can be read.
_PROBLEM = 1

app = typer.Typer(
    name="dotwin",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Causal digital twins of human-services systems.\n\n"
        "A twin is a YAML file that says what causes what. dotwin fits it to a table of data, "
        "forecasts, answers what-if questions, and writes a report that says what you must "
        "believe for the answers to hold.\n\n"
        "[bold]Begin with[/bold]\n\n"
        "  dotwin demo                              a whole analysis of an embedded example\n\n"
        "  dotwin models                            the twins that come with dotwin\n\n"
        "  dotwin check my_twin.yaml --data my.csv  what is wrong with a twin or its data\n\n"
        "  dotwin run my_twin.yaml --data my.csv --out out/mine"
    ),
)


class EngineName(StrEnum):
    """Engines that fit mechanisms."""

    auto = "auto"
    deterministic = "deterministic"
    nuts = "nuts"
    pymc = "pymc"


Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC", help="A twin's YAML file, or the name of a reference twin (see models)."
    ),
]
Draws = Annotated[int, typer.Option(min=50, help="Posterior draws of each chain.")]
Chains = Annotated[int, typer.Option(min=1, max=16, help="Chains, drawn independently.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same results.")]
Engine = Annotated[EngineName, typer.Option(help="What fits the mechanisms.")]
Backtest = Annotated[
    bool,
    typer.Option(
        "--backtest/--no-backtest",
        help="Refit on shortened panels and score the forecasts; takes several times as long.",
    ),
]


def _say(text: str, *, problem: bool = False) -> None:
    """Print a line for people; problems go to stderr."""
    typer.echo(text, err=problem)


def _fail(text: str) -> NoReturn:
    _say(text, problem=True)
    raise typer.Exit(_PROBLEM)


@contextmanager
def _mistakes() -> Iterator[None]:
    """Turn what a user can have done wrong into one clear message."""
    from dotwin.errors import DotwinError

    try:
        yield
    except DotwinError as error:
        _fail(f"dotwin: {error}")
    except FileNotFoundError as error:
        _fail(f"dotwin: {_file_words(error)}")
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        _fail(f"dotwin: {error.strerror}: {error.filename}")
    except KeyboardInterrupt:
        _fail("dotwin: stopped.")


def _file_words(error: FileNotFoundError) -> str:
    if error.filename:
        return f"there is no file '{error.filename}'."
    return str(error)


def _version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        _say(f"dotwin {version('dotwin')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("out/demo"),
) -> None:
    """Fit, forecast and report an embedded example; takes a minute or two.

    Home-care providers under workforce pressure: 60 made-up providers in 6 regions over 24 months,
    simulated from the twin [bold]workforce_pressure[/bold] with known truth. Writes
    [bold]report.html[/bold] and [bold]summary.json[/bold].
    """
    from dotwin.cli.analysis import demonstrate

    with _mistakes():
        demonstrate(out)


@app.command()
def check(
    spec: Spec,
    data: Annotated[
        Path | None, typer.Option(help="A table to check against the twin: csv or parquet.")
    ] = None,
) -> None:
    """List every problem of a twin, and of its data, at once.

    Exits with 0 when there is none and with 1 otherwise.

    Example: dotwin check my_twin.yaml --data visits.csv
    """
    from dotwin.cli.checking import check_twin

    with _mistakes():
        if check_twin(spec, data):
            raise typer.Exit(_PROBLEM)


@app.command()
def run(
    spec: Spec,
    data: Annotated[Path, typer.Option(help="The table: csv or parquet.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    draws: Draws = 1500,
    chains: Chains = 4,
    seed: Seed = 1,
    periods: Annotated[
        int,
        typer.Option(min=1, help="Periods to forecast; a cross-section is replayed once."),
    ] = 6,
    engine: Engine = EngineName.auto,
    backtest: Backtest = False,
) -> None:
    """Fit a twin to data, forecast, run its scenarios and write the report.

    Writes [bold]report.html[/bold] and [bold]summary.json[/bold], the tables as csv in
    [bold]tables/[/bold] and the fit in [bold]fit/[/bold], which dotwin.load_fit reads. What was
    fitted is kept in [bold]cache/[/bold]: run again after a change, and only what changed is
    fitted anew.

    Example: dotwin run my_twin.yaml --data visits.csv --out out/visits
    """
    from dotwin.cli.analysis import Plan, analyse

    with _mistakes():
        analyse(spec, data, Plan(out, draws, chains, seed, periods, engine.value, backtest))


@app.command()
def graph(
    spec: Spec,
    out: Annotated[Path, typer.Option(help="File to write, ending in .svg.")] = Path("graph.svg"),
) -> None:
    """Draw a twin's causal graph.

    Example: dotwin graph workforce_pressure --out graph.svg
    """
    import dotwin as dw

    with _mistakes():
        if out.suffix.lower() != ".svg":
            _fail(f"dotwin: a graph is saved as SVG: name the file '{out.stem}.svg'.")
        drawing = dw.read_twin(spec).graph.draw()
        out.parent.mkdir(parents=True, exist_ok=True)
        _say(f"The graph is in {drawing.save(out)}")


@app.command()
def models() -> None:
    """List the twins that come with dotwin and the question that each answers."""
    from rich.console import Console
    from rich.table import Table

    import dotwin as dw

    table = Table("name", "what it answers", "unit", "indicators", box=None, pad_edge=False)
    for row in dw.models().itertuples():
        table.add_row(str(row.Index), str(row.purpose), str(row.unit), str(row.indicators))
    Console().print(table)
