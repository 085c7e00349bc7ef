"""Effects: causal answers, each with the verdicts that it rests on."""

from dotwin.effects.effect import effect
from dotwin.effects.estimand import EffectEstimand
from dotwin.effects.needed_to_treat import NeededToTreat
from dotwin.effects.result import Effect
from dotwin.effects.transport import Transport, transport

__all__ = ["Effect", "EffectEstimand", "NeededToTreat", "Transport", "effect", "transport"]
