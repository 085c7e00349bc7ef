"""A PyMC model whose rows are evaluated by the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotwin.errors import SpecificationError
from dotwin.inference.engine import Component
from dotwin.inference.nuts.accepts import is_known

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["build_fused_model"]


def build_fused_model(component: Component) -> pm.Model:
    """Build the PyMC model of a component on the compiled kernels.

    Parameters
    ----------
    component : Component
        Mechanisms that the kernels know, without missing causes.

    Returns
    -------
    pymc.Model
        Parameters are variables of the posterior's names; each mechanism's rows are a potential.

    Raises
    ------
    SpecificationError
        When the kernels do not know all that the component needs.
    """
    from dotwin.inference.nuts.pymc_op import fused_log_density
    from dotwin.mechanisms.pymc_model import build_pymc_model

    if component.imputation is not None:
        raise SpecificationError(
            f"{component.name} has missing causes as parameters, which kernel='fused' does not "
            f"take into a PyMC model; write kernel='pymc'."
        )
    if component.factors:
        raise SpecificationError(
            f"{component.name} shares hidden causes ({', '.join(component.factors)}), which "
            f"kernel='fused' does not take into a PyMC model; write kernel='pymc'."
        )
    unknown = [design.child for design in component.designs if not is_known(design)]
    if unknown:
        raise SpecificationError(
            f"the compiled kernels do not know all of the mechanism of {', '.join(unknown)}; write "
            f"kernel='pymc'."
        )
    return build_pymc_model(component.designs, likelihood=fused_log_density)
