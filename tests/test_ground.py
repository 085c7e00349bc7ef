"""What the repository promises to whoever installs it."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def pinned_versions() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def declared_requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for group in [project["dependencies"], *extras] for text in group]


def test_constraints_are_names_and_exact_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pin = re.compile(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+")
    assert [line for line in lines if not pin.fullmatch(line)] == []


@pytest.mark.parametrize("requirement", declared_requirements(), ids=lambda r: r.name)
def test_every_declared_dependency_is_pinned_where_its_declaration_allows(
    requirement: Requirement,
) -> None:
    version = pinned_versions().get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement.name} is missing from constraints.txt"
    assert requirement.specifier.contains(version, prereleases=True)
