"""Run one measurement in a process and with caches of its own, and count its CPU seconds."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
#: CPU seconds after which a fit is stopped and reported so.
LIMIT = 600
#: Where each package keeps what it compiled.
CACHES = ("NUMBA_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME")


def environment(caches: Path) -> dict[str, str]:
    """Return the environment of a child: compiled code under a folder, one thread each."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        **os.environ,
        **one_thread,
        **{name: str(caches / name.lower()) for name in CACHES},
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PLATFORMS": "cpu",
        "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
    }


def run(command: list[str], caches: Path, limit: float = LIMIT) -> tuple[dict[str, Any], str]:
    """Run a command to its end or its limit; return what it used, how it ended, what it printed."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))

    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command,
            env=environment(caches),
            stdout=output,
            stderr=errors,
            preexec_fn=limited,
            cwd=HERE,
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        errors.seek(0)
        output.seek(0)
        said, printed = (one.read().decode(errors="replace") for one in (errors, output))
    found: dict[str, Any] = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "wall_seconds": round(wall, 2),
        "peak_gib": round(used.ru_maxrss / 2**20, 2),
    }
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        found["not finished"] = f"stopped at {limit:.0f} CPU seconds"
    elif child.returncode:
        found["not finished"] = "failed: " + (said.strip().splitlines() or ["no message"])[-1]
    return found, printed


def kept(key: str, folder: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a measurement from its file, or make and keep it: a run goes on where it stopped."""
    path = folder / f"{key}.json"
    if not path.exists():
        made = make()
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        print(key, made, flush=True)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def fitted(options: dict[str, Any], data: Path, caches: Path) -> dict[str, Any]:
    """Fit once in a process of its own; return its cost and the smallest effective number."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "draws.pickle"
        given = {**options, "folder": str(data), "out": str(out)}
        command = [sys.executable, "peers_child.py", pickle.dumps(given).hex()]
        found = run(command, caches)[0]
        if "not finished" not in found:
            made = pickle.loads(out.read_bytes())
            found |= smallest_effective(made.pop("draws"), made.get("importance_ess", {}))
            found |= made
            found["ess_per_cpu_second"] = found["ess"] / found["cpu_seconds"]
    return found


def smallest_effective(draws: dict[str, Any], importance: dict[str, float]) -> dict[str, Any]:
    """Return the smallest bulk ESS over all parameters, and the largest R-hat.

    Independent draws by importance weights are worth no more than the weights are.
    """
    from arviz_stats.base.array import array_stats

    least, parameter, worst = np.inf, "", 0.0
    for name, values in draws.items():
        values = np.asarray(values).reshape(*values.shape[:2], -1)
        moving = values[..., values.std(axis=(0, 1)) > 0]
        if not moving.size:
            continue
        options = {"chain_axis": 0, "draw_axis": 1}
        size = np.atleast_1d(array_stats.ess(moving, **options, method="bulk"))
        if importance:
            size = np.minimum(size, importance[name.partition(".")[0]])
        worst = max(worst, float(np.max(array_stats.rhat(moving, **options))))
        if size.min() < least:
            least, parameter = float(size.min()), name
    found: dict[str, Any] = {"ess": least, "least": parameter}
    return found if importance else {**found, "rhat": worst}
