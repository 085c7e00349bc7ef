"""Effects: causal answers, each with the verdicts that it rests on."""

from dotwin.effects.attribution import Attribution, attribute
from dotwin.effects.counterfactual import Counterfactual, counterfactual
from dotwin.effects.early_warning import early_warning
from dotwin.effects.effect import effect
from dotwin.effects.estimand import EffectEstimand
from dotwin.effects.follow_up import follow_up
from dotwin.effects.followed import FollowUp
from dotwin.effects.graph_tests import GraphTest, test_graph
from dotwin.effects.influence import Influence, influence
from dotwin.effects.left_out import GroupsLeftOut
from dotwin.effects.mediation import Mediation, mediation
from dotwin.effects.necessity import Necessity, necessity
from dotwin.effects.needed_to_treat import NeededToTreat
from dotwin.effects.pilot import Pilot, pilot
from dotwin.effects.pre_period import PrePeriod
from dotwin.effects.prior_sensitivity import PriorSensitivity
from dotwin.effects.result import Effect
from dotwin.effects.rivals import RivalEffects, Rivals, rivals
from dotwin.effects.sensitivity import Sensitivity
from dotwin.effects.stand_ins import StandIns
from dotwin.effects.transport import Transport, transport
from dotwin.effects.warning import NOTICE, EarlyWarning
from dotwin.effects.warning_scores import WarningScores, backtest_warning

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
