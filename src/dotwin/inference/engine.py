"""What inference asks of an engine: the posterior draws of one component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.certificate import Certificate
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.factors import factors_of
from dotwin.mechanisms.imputation import Imputation
from dotwin.mechanisms.parameters import Parameter

__all__ = ["Component", "Declined", "Draws", "Engine", "Progress", "Settings"]


@dataclass(frozen=True, eq=False)
class Component:
    """Mechanisms that share an unknown and are therefore fitted together.

    Parameters
    ----------
    designs : tuple of Design
    imputation : Imputation, optional
        Missing causes that are parameters.
    start : dict of str to array, optional
        A value of every parameter near which an engine may begin.
    near : dict of str to array, dims (draw, ...), optional
        A few draws of every parameter that lie about where the posterior does, from an engine that
        could not vouch for them: chains may begin there and take their first scales from them.
    """

    designs: tuple[Design, ...]
    imputation: Imputation | None = None
    start: Mapping[str, NDArray[np.float64]] | None = None
    near: Mapping[str, NDArray[np.float64]] | None = None

    @cached_property
    def factors(self) -> dict[str, Parameter]:
        """The hidden causes that are fitted with it, by name."""
        return factors_of(self.designs)

    @property
    def name(self) -> str:
        """The names of its mechanisms."""
        return " + ".join(design.child for design in self.designs)


@dataclass(frozen=True)
class Settings:
    """How much to draw.

    Parameters
    ----------
    draws, tune : int
        Kept and discarded draws of each chain.
    chains : int
    seed : int
    """

    draws: int
    tune: int
    chains: int
    seed: int


@dataclass(frozen=True, eq=False)
class Draws:
    """The posterior draws of a component.

    Parameters
    ----------
    posterior : dict of str to array, dims (chain, draw, ...)
        Every parameter that `dotwin.mechanisms.parameters` lists, in its order of dims.
    statistics : dict of str to array, dims (chain, draw)
        ``diverging``, ``energy`` and what else the sampler says.
    engine : str
    seconds : float
        Wall time.
    certificate : Certificate, optional
        What vouches for draws that no chain made.
    declined : str
        Why a faster engine did not make them, where one was tried.
    """

    posterior: Mapping[str, NDArray[np.float64]]
    statistics: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    engine: str = ""
    seconds: float = 0.0
    certificate: Certificate | None = None
    declined: str = ""


class Declined(Exception):
    """Raised by an engine whose draws would not be the posterior's; another one has to make them.

    Parameters
    ----------
    reason : str
        Why, in words.
    near : dict of str to array, dims (draw, ...), optional
        What it found, for the next engine to begin from; see `Component`.
    """

    def __init__(self, reason: str, near: Mapping[str, NDArray[np.float64]] | None = None) -> None:
        super().__init__(reason, near)
        self.reason = reason
        self.near = near

    def __str__(self) -> str:
        return self.reason


#: Told the share of the work that is done, from 0 to 1, and a few words.
Progress = Callable[[float, str], None]


class Engine(Protocol):
    """Something that can draw from a component's posterior."""

    @property
    def name(self) -> str:
        """What the user calls it."""

    def refusal(self, component: Component) -> str | None:
        """Say in words what of a component it does not know, or None where it knows all."""

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        """Draw from the posterior, or raise `Declined`."""
