"""The small fitted twin with known parameters, for everything that is asked of it."""

from tests.worlds.conftest import workforce

__all__ = ["workforce"]
