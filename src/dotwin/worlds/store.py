"""Where simulated draws go: into memory, or into a zarr folder block by block."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import IntegrityError
from dotwin.mechanisms.kernels.compiled import kernel, plain
from dotwin.mechanisms.memory import room

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["DIMS", "MemoryStore", "Store", "ZarrStore"]

#: The first dim in the folder: of what differs between scenarios, and of what is kept once.
_SCENARIO, _ALL_SCENARIOS = "scenario", "all_scenarios"

DIMS = ("scenario", "chain", "draw", "unit", "period")


class Store(ABC):
    """Collects worlds of blocks and gives them back as one dataset.

    Parameters
    ----------
    run : Run
    touched : frozenset of str
        Indicators that differ between scenarios; the others are kept once.
    """

    def __init__(self, run: Run, touched: frozenset[str]) -> None:
        self.run = run
        self.kept = {
            name: len(run.programs) if name in touched else 1
            for name, one in run.twin.indicators.items()
            if not one.is_given or (name in touched and name in run.start.givens)
        }
        self.undefined: dict[str, int] = {}
        self.lock = Lock()

    @property
    def blocks(self) -> list[slice]:
        """The blocks of draws, none of which reaches over two chains."""
        chains, draws = self.run.shape[:2]
        size = self.run.engine().size()
        return [
            slice(chain * draws + first, chain * draws + min(first + size, draws))
            for chain in range(chains)
            for first in range(0, draws, size)
        ]

    def put(self, rows: slice, number: int, world: World) -> None:
        """Keep one world of a block of draws; blocks may come from several threads."""
        past = self.run.start.past
        _, _, units, periods = self.run.shape
        for name, count in self.kept.items():
            if number >= count:
                continue
            values = self._room(name, rows, number, (rows.stop - rows.start, periods, units))
            found = np.zeros(1, dtype=np.int64)
            for t in range(periods):
                seen = np.atleast_2d(np.asarray(world.seen[name][past + t], dtype=float))
                kernel("keep_period")(plain(seen), t, values, found)
            undefined = int(found[0])
            if undefined and not self._may_be_missing(name):
                with self.lock:
                    self.undefined[name] = self.undefined.get(name, 0) + undefined
            self._write(name, rows, number, values)

    def _may_be_missing(self, name: str) -> bool:
        """Whether an indicator has no value where its mechanism does not hold."""
        one = self.run.twin.indicators[name]
        return one.when is not None and one.otherwise is None

    @abstractmethod
    def _room(
        self, name: str, rows: slice, number: int, shape: tuple[int, int, int]
    ) -> NDArray[np.float64]:
        """Return where to put an indicator's values, dims (draw over all chains, period, unit)."""

    @abstractmethod
    def _write(self, name: str, rows: slice, number: int, values: NDArray[np.float64]) -> None:
        """Keep the values that were put there."""

    @abstractmethod
    def dataset(self) -> xr.Dataset:
        """Return all draws, dims scenario, chain, draw, unit, period."""

    @property
    def coordinates(self) -> dict[str, Any]:
        """The dataset's coordinates."""
        run = self.run
        levels = {
            level: ("unit", one.labels[0].astype(str))
            for level, one in run.start.members.levels.items()
            if level != run.twin.unit
        }
        return {
            "scenario": [program.name for program in run.programs],
            "chain": run.chains,
            "draw": run.draws,
            "unit": list(run.start.members.units),
            "period": run.future.coordinate,
            "period_label": ("period", list(run.future.labels)),
            **levels,
        }

    def _constant_givens(self) -> dict[str, Any]:
        """Numeric givens that no scenario changes, as views that take no memory."""
        shape = (len(self.run.programs), *self.run.shape)
        return {
            name: np.broadcast_to(values.astype(float)[None, None, None], shape)
            for name, values in self.run.start.givens.items()
            if name not in self.kept and values.dtype.kind not in "OUT"
        }

    def _described(self, data: xr.Dataset) -> xr.Dataset:
        twin = self.run.twin
        for name in data.data_vars:
            one = twin.indicators[str(name)]
            data[name].attrs.update(long_name=twin.label(str(name)), units=one.unit)
        ordered = [name for name in twin.indicators if name in data]
        return data[ordered]


class MemoryStore(Store):
    """Keeps draws in memory."""

    def __init__(self, run: Run, touched: frozenset[str]) -> None:
        super().__init__(run, touched)
        chains, draws, units, periods = run.shape
        self.arrays = {
            name: room((count, chains * draws, periods, units)) for name, count in self.kept.items()
        }

    def _room(
        self, name: str, rows: slice, number: int, shape: tuple[int, int, int]
    ) -> NDArray[np.float64]:
        return self.arrays[name][number, rows]

    def _write(self, name: str, rows: slice, number: int, values: NDArray[np.float64]) -> None:
        pass  # they stand in their place already

    def dataset(self) -> xr.Dataset:
        """Return all draws, dims scenario, chain, draw, unit, period."""
        import xarray as xr

        full = (len(self.run.programs), *self.run.shape)
        found: dict[str, Any] = self._constant_givens()
        for name, values in self.arrays.items():
            # Units stand side by side in memory, as the engine makes them; dims keep their order.
            chains, draws, units, periods = self.run.shape
            shaped = values.reshape((len(values), chains, draws, periods, units))
            found[name] = np.broadcast_to(shaped.swapaxes(-1, -2), full)
        data = xr.Dataset(
            {name: (DIMS, values) for name, values in found.items()}, coords=self.coordinates
        )
        return self._described(data)


class ZarrStore(Store):
    """Writes draws to a zarr folder, block by block; it appears only when it is complete."""

    def __init__(self, run: Run, touched: frozenset[str], path: Path) -> None:
        super().__init__(run, touched)
        import zarr

        if path.exists():
            raise IntegrityError(f"{path} exists; name a new folder, or remove it.")
        self.path, self.partial = path, path.with_name(path.name + ".partial")
        if self.partial.exists():
            shutil.rmtree(self.partial)
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        chains, draws, units, periods = run.shape
        group: Any = zarr.open_group(self.partial, mode="w")
        # a chunk is what a block fills: threads write to chunks of their own
        block = min(run.engine().size(), draws)
        self.arrays = {
            name: group.create_array(
                name,
                shape=(count, chains, draws, units, periods),
                chunks=(1, 1, block, units, periods),
                dtype="f8",
                dimension_names=(_SCENARIO if count > 1 else _ALL_SCENARIOS, *DIMS[1:]),
            )
            for name, count in self.kept.items()
        }

    def _room(
        self, name: str, rows: slice, number: int, shape: tuple[int, int, int]
    ) -> NDArray[np.float64]:
        return np.empty(shape)

    def _write(self, name: str, rows: slice, number: int, values: NDArray[np.float64]) -> None:
        chain, first = divmod(rows.start, self.run.shape[1])
        own = slice(first, first + len(values))
        self.arrays[name][number, chain, own] = values.swapaxes(1, 2)

    def dataset(self) -> xr.Dataset:
        """Return all draws, read from the folder when they are used."""
        import xarray as xr

        self.partial.replace(self.path)
        stored = xr.open_zarr(self.path, chunks=None, consolidated=False)
        found: dict[str, Any] = {}
        for name, count in self.kept.items():
            # Picking is lazy, while adding a dim would read everything.
            kept = np.minimum(np.arange(len(self.run.programs)), count - 1)
            dim = _SCENARIO if count > 1 else _ALL_SCENARIOS
            found[name] = stored[name].isel({dim: xr.DataArray(kept, dims=DIMS[0])})
        data = xr.Dataset(found)
        constant = {name: (DIMS, values) for name, values in self._constant_givens().items()}
        return self._described(data.assign(constant).assign_coords(self.coordinates))
