"""Fit the components of a twin side by side, each cached under what it is made of."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from dotwin.errors import CertificateError, Problem
from dotwin.inference.certificate import Certificate
from dotwin.inference.distributed import engines_over
from dotwin.inference.engine import Component, Declined, Draws, Engine, Progress, Settings
from dotwin.inference.first_use import telling_of_compilation
from dotwin.mechanisms.design import Design

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["component_seed", "content_hash", "run"]

#: How long a row takes, next to one of a count; whatever else is known of it counts little.
_ROW: dict[str | None, float] = {
    "normal": 0.1,
    "lognormal": 0.1,
    "beta": 4.0,
    "student_t": 3.0,
}


def content_hash(component: Component, settings: Settings, engine: str) -> str:
    """Return the SHA-256 of all that decides a component's draws.

    The specification of its mechanisms alone enters, not the rest of the twin: a change elsewhere
    leaves the hash as it was.
    """
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(json.dumps(value, sort_keys=True, default=str).encode())

    from importlib.metadata import version

    add([engine, *map(version, ("dotwin", "pymc", "nutpie")), vars(settings)])
    for design in component.designs:
        _add_design(design, add)
    if component.imputation is not None:
        for name, cells in component.imputation.cells.items():
            add(name)
            add(cells)
    for given in (component.start, component.near):
        for name, values in (given or {}).items():
            add(name)
            add(values)
    return digest.hexdigest()


def _add_design(design: Design, add: Any) -> None:
    add(design.child)
    add(design.equation.indicator.model_dump(mode="json"))
    add(design.reference.as_dict())
    add([[str(t) for t in p.terms] for p in design.equation.predictors])
    add({key: list(names) for key, names in design.group_names.items()})
    add(list(design.period_names))
    for name, cells in design.factors.items():
        add(name)
        add(cells)
    for array in (design.y, design.trials, design.lower, design.unit, design.period):
        if array is not None:
            add(array)
    for arrays in design.predictors:
        add(arrays.columns)
        add(arrays.offset)
        for level in sorted(arrays.groups):
            add(arrays.groups[level])


def component_seed(seed: int, component: Component) -> int:
    """Derive a component's seed from its name, so that it does not depend on its neighbours."""
    text = f"{seed}:{component.name}".encode()
    return int.from_bytes(hashlib.blake2s(text, digest_size=4).digest(), "little")


def run(
    components: Sequence[Component],
    engines: Sequence[Engine],
    settings: Settings,
    *,
    cache: Path | None,
    progress: bool,
    client: Client | None = None,
) -> list[Draws]:
    """Draw from every component's posterior.

    Parameters
    ----------
    components : sequence of Component
    engines : sequence of Engine
        Tried in order; the first that accepts a component and does not decline draws it.
    settings : Settings
    cache : Path, optional
        Folder of earlier draws.
    progress : bool
        Whether to show a progress display.
    client : dask.distributed.Client, optional
        Whose workers draw; the cores of this machine unless given.

    Returns
    -------
    list of Draws
        In the order of the components.

    Raises
    ------
    CertificateError
        When no engine draws a component; it names all such components and the reasons.
    """
    abreast = os.cpu_count() or 1
    if client is not None:
        # Here a thread only waits for its component; the cluster decides what runs when.
        engines, abreast = engines_over(client, engines), len(components)
    workers = max(1, min(len(components), abreast))
    with _display(progress) as display:
        bars = [display.add(component.name) for component in components]

        def one(position: int) -> Draws:
            component = components[position]
            told = bars[position]
            own = Settings(
                settings.draws,
                settings.tune,
                settings.chains,
                component_seed(settings.seed, component),
            )
            declined = ""
            for engine in engines:
                refused = engine.refusal(component)
                if refused is not None:
                    declined = declined or refused
                    continue
                path = None
                if cache is not None:
                    path = cache / f"{content_hash(component, own, engine.name)}.npz"
                    found = _read(path)
                    if isinstance(found, Declined):
                        declined, component = found.reason, replace(component, near=found.near)
                        continue
                    if found is not None:
                        told(1.0, "from the cache")
                        return replace(found, declined=declined)
                try:
                    draws = replace(engine.sample(component, own, told), declined=declined)
                except Declined as reason:
                    declined, component = reason.reason, replace(component, near=reason.near)
                    told(0.0, "not certified")
                    if path is not None:
                        _write(path, reason)
                    continue
                if path is not None:
                    _write(path, draws)
                told(1.0, f"done in {draws.seconds:.0f} s")
                return draws
            raise CertificateError(Problem(component.name, f"{declined}."))

        # The longest first, so that no core waits for it at the end.
        order = sorted(range(len(components)), key=lambda i: -_length(components[i]))
        with ThreadPoolExecutor(workers) as pool:
            futures = {i: pool.submit(one, i) for i in order}
            errors = [future.exception() for future in futures.values()]
            problems = [p for e in errors if isinstance(e, CertificateError) for p in e.problems]
            if problems:
                raise CertificateError(problems)
            return [futures[i].result() for i in range(len(components))]


def _length(component: Component) -> float:
    """Guess how long a component takes, next to others."""
    rows = (d.rows * _ROW.get(d.equation.indicator.family, 1.0) for d in component.designs)
    return float(sum(rows))


def _write(path: Path, kept: Draws | Declined) -> None:
    """Keep draws, or that an engine declined to make them and what it found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.{threading.get_ident()}.npz")
    arrays: dict[str, Any]
    if isinstance(kept, Declined):
        arrays = {"declined": kept.reason}
        arrays |= {f"p:{name}": value for name, value in (kept.near or {}).items()}
    else:
        arrays = {"engine": kept.engine, "seconds": kept.seconds}
        arrays |= {f"p:{name}": value for name, value in kept.posterior.items()}
        arrays |= {f"s:{name}": value for name, value in kept.statistics.items()}
        if kept.certificate is not None:
            arrays["certificate"] = json.dumps(asdict(kept.certificate))
    np.savez(part, **arrays)
    part.replace(path)


def _read(path: Path) -> Draws | Declined | None:
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file) as stored:
            posterior = {k[2:]: stored[k] for k in stored.files if k.startswith("p:")}
            if "declined" in stored.files:
                return Declined(str(stored["declined"]), posterior or None)
            statistics = {k[2:]: stored[k] for k in stored.files if k.startswith("s:")}
            vouched = None
            if "certificate" in stored.files:
                vouched = Certificate(**json.loads(str(stored["certificate"])))
            return Draws(
                posterior, statistics, str(stored["engine"]), float(stored["seconds"]), vouched
            )
    except (BadZipFile, OSError, EOFError, ValueError, KeyError, TypeError):
        # Cut off or spoilt: what it held is drawn anew and takes its place.
        return None


class _Silent:
    """No display."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def add(self, name: str) -> Progress:
        return lambda share, words: None


class _Bars:
    """A rich display with a bar per component, and a line above them when kernels are compiled."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[words]}"),
        )

    def __enter__(self) -> _Bars:
        self._progress.start()
        self._telling = telling_of_compilation(self._progress.console.print)
        self._telling.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._telling.__exit__(None, None, None)
        self._progress.stop()

    def add(self, name: str) -> Progress:
        task = self._progress.add_task(name, total=1.0, words="waiting")
        return lambda share, words: self._progress.update(task, completed=share, words=words)


def _display(progress: bool) -> Any:
    return _Bars() if progress else _Silent()
