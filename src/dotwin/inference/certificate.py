"""What vouches for draws that no chain made: the checks of an importance sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Certificate", "worst_of"]

#: Vehtari et al. (2024), "Pareto smoothed importance sampling", JMLR 25(72): above it, estimates
#: from importance weights cannot be relied on.
K_HAT_MAX = 0.7
#: Below it, the proposal misses parts of the posterior that k-hat alone does not see.
EFFICIENCY_MIN = 0.3
ESS_MIN = 400
#: To first order it bounds the shift of any mean, in posterior sds.
QUADRATURE_ERROR_MAX = 0.02


@dataclass(frozen=True)
class Certificate:
    """Checks of draws that were made by weighting a proposal.

    Parameters
    ----------
    k_hat : float
        Shape of the tail of the importance weights.
    efficiency : float
        Importance effective sample size per draw of the proposal.
    importance_ess : float
    quadrature_error : float
        Sd of the change of the log density when the nodes are doubled.
    starts_agree : bool
        Whether searches from dispersed starts led to one mode.
    mode_found : bool
        Whether the gradient vanishes there and the information is positive definite.
    nodes : int
        Of the quadrature; 0 where no effect is integrated out by it.
    """

    k_hat: float
    efficiency: float
    importance_ess: float
    quadrature_error: float
    starts_agree: bool
    mode_found: bool
    nodes: int

    @property
    def failures(self) -> tuple[str, ...]:
        """What speaks against the draws, in words."""
        found = []
        if not self.starts_agree:
            found.append("searches from different starts end in different modes")
        if not self.mode_found:
            found.append("no mode with a definite curvature was found")
        if not self.k_hat < K_HAT_MAX:
            found.append(f"importance weights have a heavy tail (k-hat {self.k_hat:.2f})")
        if not self.efficiency >= EFFICIENCY_MIN:
            found.append(f"the proposal fits badly (efficiency {self.efficiency:.2f})")
        if not self.importance_ess >= ESS_MIN:
            found.append(f"too few effective draws ({self.importance_ess:,.0f})")
        if not self.quadrature_error < QUADRATURE_ERROR_MAX:
            found.append(
                f"{self.nodes} nodes do not integrate the groups' effects "
                f"(error {self.quadrature_error:.3f})"
            )
        return tuple(found)

    @property
    def holds(self) -> bool:
        """Whether the draws can be used as draws of the posterior."""
        return not self.failures

    def __str__(self) -> str:
        if not self.holds:
            return "not certified: " + "; ".join(self.failures)
        nodes = (
            f"{self.nodes} nodes, quadrature error {self.quadrature_error:.3f}"
            if self.nodes
            else "no quadrature"
        )
        return (
            f"certified: k-hat {self.k_hat:.2f}, efficiency {self.efficiency:.2f}, importance ESS "
            f"{self.importance_ess:,.0f}, {nodes}, all starts agree"
        )


def worst_of(certificates: Sequence[Certificate]) -> Certificate:
    """Combine the certificates of a mechanism's independent parts.

    Parameters
    ----------
    certificates : sequence of Certificate

    Returns
    -------
    Certificate
        The worst of each check.
    """
    return Certificate(
        k_hat=max(one.k_hat for one in certificates),
        efficiency=min(one.efficiency for one in certificates),
        importance_ess=min(one.importance_ess for one in certificates),
        quadrature_error=max(one.quadrature_error for one in certificates),
        starts_agree=all(one.starts_agree for one in certificates),
        mode_found=all(one.mode_found for one in certificates),
        nodes=max(one.nodes for one in certificates),
    )
