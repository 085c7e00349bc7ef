"""Effects: causal answers, each with the verdicts that it rests on, and tests of their graph."""

from dotwin.effects.early_warning import early_warning
from dotwin.effects.effect import effect
from dotwin.effects.estimand import EffectEstimand
from dotwin.effects.graph_tests import GraphTest, test_graph
from dotwin.effects.needed_to_treat import NeededToTreat
from dotwin.effects.result import Effect
from dotwin.effects.transport import Transport, transport
from dotwin.effects.warning import NOTICE, EarlyWarning
from dotwin.effects.warning_scores import WarningScores, backtest_warning

__all__ = [
    "NOTICE",
    "EarlyWarning",
    "Effect",
    "EffectEstimand",
    "GraphTest",
    "NeededToTreat",
    "Transport",
    "WarningScores",
    "backtest_warning",
    "early_warning",
    "effect",
    "test_graph",
    "transport",
]
