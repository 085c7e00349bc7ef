"""Effects: causal answers, each with the verdicts that it rests on."""

from dotwin.effects.attribution import Attribution, attribute
from dotwin.effects.counterfactual import Counterfactual, counterfactual
from dotwin.effects.effect import effect
from dotwin.effects.estimand import EffectEstimand
from dotwin.effects.mediation import Mediation, mediation
from dotwin.effects.necessity import Necessity, necessity
from dotwin.effects.needed_to_treat import NeededToTreat
from dotwin.effects.result import Effect
from dotwin.effects.transport import Transport, transport

__all__ = [
    "Attribution",
    "Counterfactual",
    "Effect",
    "EffectEstimand",
    "Mediation",
    "Necessity",
    "NeededToTreat",
    "Transport",
    "attribute",
    "counterfactual",
    "effect",
    "mediation",
    "necessity",
    "transport",
]
