"""Fit a twin to a panel, anew or at the scales of an earlier fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.inference.components import components_of
from dotwin.inference.engine import Engine, Settings
from dotwin.inference.fit import Fit, assemble
from dotwin.inference.loadings import PRIOR, judged, under_other_priors
from dotwin.inference.schedule import run

if TYPE_CHECKING:
    from distributed import Client

    from dotwin.mechanisms.columns import UnitConstants
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["ENGINES", "engines_like", "engines_named", "fit", "refit"]

#: Engines by name; 'auto' takes the fastest that knows all that a component needs, and whose
#: certificate holds.
ENGINES = ("auto", "deterministic", "nuts", "pymc")


def fit(
    twin: Twin,
    panel: Panel,
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int,
    engine: str = "auto",
    assume: str | Sequence[str] = (),
    cache: str | Path | None = None,
    client: Client | None = None,
    progress: bool = True,
) -> Fit:
    """Fit every mechanism of a twin to a panel.

    Mechanisms that share an unknown are fitted together, all others alone, side by side. A hidden
    cause that says what it is ``over`` is such an unknown, a latent factor. Those that are
    declared only are left out: forecasts without intervention remain valid, and the licence of
    every contrast says what is lost.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    draws, tune : int
        Kept and discarded draws of each chain.
    chains : int
    seed : int
    engine : {'auto', 'deterministic', 'nuts', 'pymc'}
        'auto' takes for each mechanism the deterministic engine where its certificate holds, else
        NUTS on the compiled log density, else NUTS on a PyMC model.
    assume : str or sequence of str
        ``prior``: fit hidden causes too whose loadings the data cannot determine. Their components
        are fitted three times, with the spread of the loadings' priors as declared, halved and
        doubled; ``loadings()`` and ``diagnose()`` show what the prior decides.
    cache : str or Path, optional
        Folder in which a mechanism's draws are kept under a hash of its specification and data:
        change one mechanism and only that one is fitted anew.
    client : dask.distributed.Client, optional
        Whose workers fit the mechanisms; the cores of this machine unless given. The draws are the
        same. Needs ``pip install dotwin[distributed]``.
    progress : bool

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        When a mechanism has no row that it can use, or a cause never changes.
    CertificateError
        When ``engine='deterministic'`` and it cannot vouch for some mechanisms; it names them and
        the reasons.
    LicenceError
        When the data cannot tell what a hidden cause adds to each indicator; it says what to add.
    """
    import warnings

    from dotwin.errors import ConvergenceWarning

    if engine not in ENGINES:
        raise SpecificationError(f"there is no engine '{engine}'. {nearest(engine, ENGINES)}")
    if not twin.stochastic:
        raise DataError("the twin has no indicator with a family, so there is nothing to fit.")
    assumed = _assumed(assume)
    verdicts = judged(twin, panel, assumed)
    settings = Settings(draws, tune, chains, seed)
    components = components_of(twin, panel)
    folder = Path(cache) if cache is not None else None
    engines = engines_named(engine)
    results = run(components, engines, settings, cache=folder, progress=progress, client=client)
    result = assemble(twin, panel, components, results, settings, engine)
    if resting := [name for name, verdict in verdicts.items() if not verdict.identified]:
        result.notes["loadings"] = under_other_priors(
            result,
            components,
            resting,
            engines,
            settings,
            cache=folder,
            client=client,
            progress=progress,
        )
    diagnosis = result.diagnose()
    if not diagnosis.converged:
        warnings.warn(diagnosis.sentence, ConvergenceWarning, stacklevel=2)
    return result


def _assumed(assume: str | Sequence[str]) -> frozenset[str]:
    names = frozenset([assume] if isinstance(assume, str) else assume)
    if unknown := sorted(names - {PRIOR}):
        raise SpecificationError(
            f"assume='{unknown[0]}': a fit knows '{PRIOR}'; what a contrast assumes is said there."
        )
    return names


def refit(
    earlier: Fit,
    panel: Panel,
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    client: Client | None = None,
    progress: bool = False,
    constants: Mapping[str, UnitConstants] | None = None,
) -> Fit:
    """Fit a twin to another panel at the reference scales of an earlier fit.

    Parameters mean the same in both fits, and the engine is the same. Nothing is warned of: ask
    the result's `diagnose`.

    Parameters
    ----------
    earlier : Fit
    panel : Panel
    draws, tune, chains : int
    seed : int
    client : dask.distributed.Client, optional
    progress : bool
    constants : dict of str to UnitConstants, optional
        By mechanism: unit means and first values that are kept, missing where they are not.

    Returns
    -------
    Fit
    """
    settings = Settings(draws, tune, chains, seed)
    components = components_of(earlier.twin, panel, earlier.designs, constants)
    engines = engines_like(earlier)
    results = run(components, engines, settings, cache=None, progress=progress, client=client)
    return assemble(earlier.twin, panel, components, results, settings, earlier.engine)


def engines_like(earlier: Fit) -> list[Engine]:
    """Return the engines that a fit was made with.

    Another panel may need a chain where this one did not.
    """
    return engines_named("auto" if earlier.engine == "deterministic" else earlier.engine)


def engines_named(name: str) -> list[Engine]:
    """Return the engines that a name stands for, in the order in which they are asked."""
    from dotwin.inference.pymc_engine import PymcEngine

    if name == "pymc":
        return [PymcEngine()]
    from dotwin.inference.deterministic import DeterministicEngine
    from dotwin.inference.joint import JointEngine
    from dotwin.inference.nuts import NutsEngine

    if name == "deterministic":
        return [DeterministicEngine()]
    samplers: list[Engine] = [NutsEngine(), JointEngine(), PymcEngine()]
    return samplers if name == "nuts" else [DeterministicEngine(), *samplers]
