"""Effects: causal answers, each with the verdicts that it rests on."""

from dotwin.effects.alerts.early_warning import early_warning
from dotwin.effects.alerts.warning import NOTICE, EarlyWarning
from dotwin.effects.alerts.warning_scores import WarningScores, backtest_warning
from dotwin.effects.average.effect import effect
from dotwin.effects.average.estimand import EffectEstimand
from dotwin.effects.average.needed_to_treat import NeededToTreat
from dotwin.effects.average.result import Effect
from dotwin.effects.average.transport import Transport, transport
from dotwin.effects.doubts.graph_tests import GraphTest, test_graph
from dotwin.effects.doubts.left_out import GroupsLeftOut
from dotwin.effects.doubts.prior_sensitivity import PriorSensitivity
from dotwin.effects.doubts.rivals import RivalEffects, Rivals, rivals
from dotwin.effects.doubts.sensitivity import Sensitivity
from dotwin.effects.other_worlds.counterfactual import Counterfactual, counterfactual
from dotwin.effects.other_worlds.mediation import Mediation, mediation
from dotwin.effects.other_worlds.necessity import Necessity, necessity
from dotwin.effects.pilots.follow_up import follow_up
from dotwin.effects.pilots.followed import FollowUp
from dotwin.effects.pilots.pilot import Pilot, pilot
from dotwin.effects.pilots.pre_period import PrePeriod
from dotwin.effects.pilots.stand_ins import StandIns
from dotwin.effects.shares.attribution import Attribution, attribute
from dotwin.effects.shares.influence import Influence, influence

__all__ = [
    "NOTICE",
    "Attribution",
    "Counterfactual",
    "EarlyWarning",
    "Effect",
    "EffectEstimand",
    "FollowUp",
    "GraphTest",
    "GroupsLeftOut",
    "Influence",
    "Mediation",
    "Necessity",
    "NeededToTreat",
    "Pilot",
    "PrePeriod",
    "PriorSensitivity",
    "RivalEffects",
    "Rivals",
    "Sensitivity",
    "StandIns",
    "Transport",
    "WarningScores",
    "attribute",
    "backtest_warning",
    "counterfactual",
    "early_warning",
    "effect",
    "follow_up",
    "influence",
    "mediation",
    "necessity",
    "pilot",
    "rivals",
    "test_graph",
    "transport",
]
