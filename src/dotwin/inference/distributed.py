"""Engines whose work is done by the workers of a dask cluster.

A component, the settings and the seed decide its draws. So the task that draws them may run
anywhere, and again where a worker was lost, and the result is that of one machine.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotwin.errors import SpecificationError
from dotwin.inference.engine import Component, Draws, Engine, Progress, Settings

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["checked_client", "engines_over"]

#: A task that fails for want of memory or a file is tried once more. Tasks of lost workers are
#: given to others by dask itself.
RETRIES = 1
#: Designs travel with their tasks, so that no worker that holds data can be lost with them. Dask
#: warns of tasks above this size.
LARGE_TASK = "1 GiB"

# Dask's settings belong to the whole process.
_submitting = threading.Lock()


def checked_client(client: object) -> Client:
    """Return a dask client that can be asked for draws.

    Parameters
    ----------
    client : object
        What the caller passed as ``client=``.

    Raises
    ------
    SpecificationError
        When dask is absent, or the object is no client, or one that must be awaited.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SpecificationError(
            "client= fits over a dask cluster, and dask.distributed is not installed here; "
            "install it with: pip install dotwin[distributed]"
        ) from None
    if not isinstance(client, Client):
        raise SpecificationError(
            f"client= takes a dask.distributed.Client, and this is a {type(client).__name__}; "
            f"write client=Client(address)."
        )
    if client.asynchronous:
        raise SpecificationError("client= takes a Client that waits: leave asynchronous= out.")
    return client


def engines_over(client: Client, engines: Sequence[Engine]) -> list[Engine]:
    """Let each engine draw on a cluster.

    Parameters
    ----------
    client : dask.distributed.Client
    engines : sequence of Engine

    Returns
    -------
    list of Engine
        By the same names; they accept what the engines accept.
    """
    client = checked_client(client)
    return [_OnCluster(engine, client) for engine in engines]


@dataclass(frozen=True, eq=False)
class _OnCluster:
    """An engine whose draws are made by a worker."""

    engine: Engine
    client: Client

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.engine.name

    def refusal(self, component: Component) -> str | None:
        """Say in words what of a component it does not know, or None where it knows all."""
        return self.engine.refusal(component)

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        """Draw from the posterior on a worker, and wait for it."""
        import dask

        from dotwin.inference.schedule import content_hash

        progress(0.0, "on the cluster")
        # The same task under the same name: asked for twice at a time, it is done once.
        key = f"dotwin-draws-{content_hash(component, settings, self.name)}"
        with _submitting, dask.config.set(_SETTINGS):
            future = self.client.submit(
                _drawn,
                self.engine,
                component,
                settings,
                key=key,
                pure=True,
                retries=RETRIES,
            )
        try:
            result: Draws | Exception = future.result()
        except BaseException:
            future.cancel()
            raise
        if isinstance(result, Exception):
            raise result
        return result


_SETTINGS = {"distributed.admin.large-graph-warning-threshold": LARGE_TASK}


def _drawn(engine: Engine, component: Component, settings: Settings) -> Draws | Exception:
    """Draw on a worker; an error that would come again is handed back and not tried again."""
    try:
        return engine.sample(component, settings, _untold)
    except (MemoryError, OSError):
        raise
    except Exception as error:
        error.add_note(f"On a worker:\n{traceback.format_exc()}")
        return error


def _untold(share: float, words: str) -> None:
    """Take a worker's progress, which nobody sees there."""
