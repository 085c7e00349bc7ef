"""Every command is one public call; every mistake of a user gets one clear message."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import dotwin as dw
from dotwin.cli import app
from dotwin.cli.analysis import Plan
from tests.reports.examples import small_fit, small_panel, small_twin

runner = CliRunner()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "twin.yaml"
    path.write_text(small_twin().to_yaml(), encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    small_panel(False).rows.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("command", ["", "demo", "check", "run", "graph", "models"])
def test_help_explains_every_command(command: str) -> None:
    result = runner.invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_command_that_does_not_exist_is_a_usage_error() -> None:
    assert runner.invoke(app, ["fit"]).exit_code == 2
    assert runner.invoke(app, ["run", "workforce_pressure"]).exit_code == 2


def test_version_is_that_of_the_package() -> None:
    assert runner.invoke(app, ["--version"]).output.strip() == f"dotwin {dw.__version__}"


def test_models_lists_every_reference_twin() -> None:
    result = runner.invoke(app, ["models"])
    assert result.exit_code == 0
    for name in dw.models().index:
        assert name in result.output


def test_sound_twin_and_table_pass(spec: Path, table: Path) -> None:
    result = runner.invoke(app, ["check", str(spec), "--data", str(table)])
    assert result.exit_code == 0, result.output
    assert "sound" in result.output
    assert "8 homes in 2 regions over 10 months" in result.output


def test_check_lists_every_problem_with_file_and_line(spec: Path) -> None:
    text = spec.read_text(encoding="utf-8")
    lines = text.replace("family: beta", "family: betta").replace("trials: visits", "trials: visit")
    spec.write_text(lines, encoding="utf-8")
    result = runner.invoke(app, ["check", str(spec)])
    assert result.exit_code == 1
    wrong = [i + 1 for i, one in enumerate(lines.splitlines()) if "betta" in one]
    assert f"{spec}:{wrong[0]}: indicators > vacancy > family" in result.stderr
    assert "indicators > missed > trials" in result.stderr
    assert "Traceback" not in result.output


def test_check_lists_every_problem_of_a_table(spec: Path, table: Path) -> None:
    data = pd.read_csv(table)
    data.loc[3, "vacancy"] = 1.7
    data.loc[5, "missed"] = -2
    data.to_csv(table, index=False)
    result = runner.invoke(app, ["check", str(spec), "--data", str(table)])
    assert result.exit_code == 1
    assert "vacancy" in result.stderr
    assert "missed" in result.stderr
    assert "2 problems" in result.stderr


@pytest.mark.parametrize(
    "command", [["check"], ["graph"], ["run", "--data", "x.csv", "--out", "y"]]
)
def test_twin_that_is_not_there_is_said_in_one_line(command: list[str]) -> None:
    result = runner.invoke(app, [command[0], "workforce_presure", *command[1:]])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "workforce_pressure" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_table_that_is_not_there_is_said_in_one_line(spec: Path, tmp_path: Path) -> None:
    for command in (["check"], ["run", "--out", str(tmp_path / "out")]):
        result = runner.invoke(app, [command[0], str(spec), "--data", "none.csv", *command[1:]])
        assert result.exit_code == 1
        assert "none.csv" in result.stderr
        assert isinstance(result.exception, SystemExit)


def test_graph_is_drawn_as_svg_only(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures" / "graph.svg"
    result = runner.invoke(app, ["graph", str(spec), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert out.read_text(encoding="utf-8") == small_twin().graph.draw().svg
    result = runner.invoke(app, ["graph", str(spec), "--out", "graph.png"])
    assert result.exit_code == 1
    assert "graph.svg" in result.stderr


def test_run_writes_report_summary_tables_and_fit(
    spec: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampler is left out: a fit of known parameters stands in for it."""
    asked = {}

    def known(twin: dw.Twin, panel: dw.Panel, **options: object) -> object:
        asked.update(options)
        return small_fit(False)

    monkeypatch.setattr(dw, "fit", known, raising=False)
    out = tmp_path / "out"
    command = ["run", str(spec), "--data", str(table), "--out", str(out)]
    result = runner.invoke(app, [*command, "--draws", "100", "--periods", "2", "--engine", "nuts"])
    assert result.exit_code == 0, result.output
    assert asked["draws"] == 100
    assert asked["engine"] == "nuts"
    assert asked["cache"] == out / "cache"
    content = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert len(content["futures"]["periods"]) == 2
    for one in content["answers"]:
        assert one["compared"][0]["sentence"] in result.stdout
    assert "Licence: identified: yes" in result.stdout
    assert str(out / "report.html") in result.stdout
    assert (out / "report.html").exists()
    assert {"parameters.csv", "forecasts.csv", "forecasts_by_region.csv", "realised.csv"} <= {
        one.name for one in (out / "tables").iterdir()
    }
    assert (out / "fit" / "manifest.json").exists()


def test_scenario_that_cannot_do_what_it_says_is_left_out_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from dotwin.cli.analysis import _simulate
    from dotwin.inference.fit import Fit

    scenarios = {
        "too much": dw.Scenario("too much", ["shift(vacancy, -0.9)"]),
        "some": dw.Scenario("some", ["shift(vacancy, -0.01)"]),
    }
    fit = small_fit(False)
    twin = dw.Twin(**{**dict(fit.twin), "scenarios": scenarios})
    changed = Fit.from_parameters(twin, fit.panel, fit.draws().values)
    plan = Plan(tmp_path, 100, 1, 1, 2, "auto", False, future_draws=5)
    futures = _simulate(changed, plan)
    assert list(futures.scenarios) == ["baseline", "some"]
    assert "Left out: too much" in capsys.readouterr().err
