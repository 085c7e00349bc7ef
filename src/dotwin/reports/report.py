"""One self-contained page of a fit and its futures, and the same content as JSON."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dotwin.errors import SpecificationError

if TYPE_CHECKING:
    from dotwin.inference.fit import Fit
    from dotwin.reports.effects import CausalAnswer
    from dotwin.worlds import Futures

__all__ = ["report"]


def report(
    fit: Fit,
    futures: Futures | None = None,
    path: str | Path = "report.html",
    *,
    effects: Sequence[CausalAnswer] = (),
    question: str | None = None,
) -> Path:
    """Write a report that people read who never see the code.

    One HTML file without scripts and without anything from a network, which prints on paper; and
    beside it ``summary.json`` with the same content. Both are written whole or not at all.

    Parameters
    ----------
    fit : Fit
    futures : Futures, optional
        Simulated from this fit; forecasts and scenarios are reported when they are given.
    path : str or Path
        Ends in ``.html``; its folder is made when it is not there.
    effects : sequence of causal answers, such as an Effect, a Pilot or an Influence
        Other answers of this fit; each stands on the first page with its licence.
    question : str, optional
        What the report is to answer; the twin's purpose unless given.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    SpecificationError
        When the futures or an answer are those of another fit, or the path says another kind of
        file.

    Examples
    --------
    >>> import dotwin as dw
    >>> dw.report(fit, futures, path="report.html")  # doctest: +SKIP
    """
    from dotwin.reports.content import gather, plain
    from dotwin.reports.effects import checked
    from dotwin.reports.page import render

    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise SpecificationError(f"a report is an HTML page: name the file '{target.stem}.html'.")
    if futures is not None and futures.fit is not fit:
        raise SpecificationError("the futures were simulated from another fit than the one given.")
    asked = checked(fit, effects)
    gathered = gather(fit, futures, asked, question)
    page = render(fit, futures, asked, gathered)
    summary = json.dumps(plain(gathered.content), indent=2, ensure_ascii=False, allow_nan=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target.with_name("summary.json"), summary + "\n")
    _write(target, page)
    return target


def _write(path: Path, text: str) -> None:
    """Write a file under another name first, so that no reader ever meets half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is for its owner alone; a report is read like any other file.
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
