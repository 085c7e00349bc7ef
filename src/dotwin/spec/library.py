"""The reference twins that travel with the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dotwin.errors import nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["find_twin", "models", "reference_twins"]


@cache
def reference_twins() -> dict[str, Path]:
    """Find the files of the reference twins.

    Returns
    -------
    dict of str to Path
        By name, in alphabetical order.
    """
    package = Path(__file__).parents[1]
    # Inside the wheel the files stand in the package; in a checkout, at the top beside `src`.
    for folder in (package / "models", package.parents[1] / "models"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def find_twin(source: str | Path) -> Path:
    """Find a twin's file by its path, or a reference twin's by its name.

    Parameters
    ----------
    source : str or Path

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        When there is neither; the message names the nearest reference twins.
    """
    path = Path(source)
    if path.is_file():
        return path
    known = reference_twins()
    name = str(source).replace("-", "_")
    if name in known:
        return known[name]
    if path.is_dir():
        raise FileNotFoundError(f"'{source}' is a folder; name the twin's file in it.")
    hint = nearest(path.stem, known) if known else ""
    raise FileNotFoundError(f"there is no file and no reference twin '{source}'. {hint}".strip())


def models() -> pd.DataFrame:
    """List the reference twins and the question that each answers.

    Returns
    -------
    DataFrame
        Index ``name``, as `read_twin` takes it; columns ``purpose``, ``unit``, ``indicators`` (how
        many) and ``file``.
    """
    import pandas as pd

    from dotwin.spec.yaml import read_twin

    rows = []
    for name, path in reference_twins().items():
        twin = read_twin(path)
        rows.append(
            {
                "name": name,
                "purpose": " ".join(twin.purpose.split()),
                "unit": twin.unit,
                "indicators": len(twin.indicators),
                "file": path.name,
            }
        )
    columns = ["name", "purpose", "unit", "indicators", "file"]
    return pd.DataFrame(rows, columns=columns).set_index("name")
