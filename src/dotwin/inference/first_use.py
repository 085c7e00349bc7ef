"""Tell the user, once, that kernels are being compiled: the first time ever that they are used."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["MESSAGE", "telling_of_compilation"]

MESSAGE = (
    "Compiling the kernels that these mechanisms need. That takes up to a minute, once on this "
    "machine."
)


@contextmanager
def telling_of_compilation(say: Callable[[str], None]) -> Generator[None]:
    """Say so once if a kernel of dotwin is compiled meanwhile; one read from disk is not.

    Parameters
    ----------
    say : callable
        Shows a sentence to the user.
    """
    from numba.core.event import Listener, install_listener

    class Compiling(Listener):
        told = False

        def on_start(self, event: Any) -> None:
            function = getattr((event.data or {}).get("dispatcher"), "py_func", None)
            own = str(getattr(function, "__module__", "")).startswith("dotwin.")
            if own and not self.told:
                self.told = True
                say(MESSAGE)

        def on_end(self, event: Any) -> None:
            pass

    with install_listener("numba:compile", Compiling()):
        yield
