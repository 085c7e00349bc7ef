"""Effects: causal answers with their licence."""

from dotwin.effects.attribution import Attribution, attribute
from dotwin.effects.counterfactual import Counterfactual, counterfactual
from dotwin.effects.mediation import Mediation, mediation
from dotwin.effects.necessity import Necessity, necessity

__all__ = [
    "Attribution",
    "Counterfactual",
    "Mediation",
    "Necessity",
    "attribute",
    "counterfactual",
    "mediation",
    "necessity",
]
