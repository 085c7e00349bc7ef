"""Causal answers of a fitted twin: early warning, and tests of the graph that answers rest on."""

from dotwin.effects.early_warning import early_warning
from dotwin.effects.graph_tests import GraphTest, test_graph
from dotwin.effects.warning import NOTICE, EarlyWarning
from dotwin.effects.warning_scores import WarningScores, backtest_warning

__all__ = [
    "NOTICE",
    "EarlyWarning",
    "GraphTest",
    "WarningScores",
    "backtest_warning",
    "early_warning",
    "test_graph",
]
