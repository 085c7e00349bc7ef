"""Causal graphs: separation, the twin's graph through time, assumptions, licence and drawing."""

from dotwin.graph.arrows import Arrow, GroupEffect
from dotwin.graph.assumptions import Assumption, Assumptions
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.components import Component
from dotwin.graph.draw import Drawing
from dotwin.graph.estimand import Estimand
from dotwin.graph.factors import FactorVerdict, factor_verdict, factor_verdicts
from dotwin.graph.front_door import Instrument
from dotwin.graph.general import Hedge
from dotwin.graph.identification import Identification
from dotwin.graph.licence import IdentificationVerdict, licence
from dotwin.graph.separation import Node, OpenPath, node_name
from dotwin.graph.twin_graph import PAST, TwinGraph

__all__ = [
    "PAST",
    "Arrow",
    "Assumption",
    "Assumptions",
    "CausalGraph",
    "Component",
    "Drawing",
    "Estimand",
    "FactorVerdict",
    "GroupEffect",
    "Hedge",
    "Identification",
    "IdentificationVerdict",
    "Instrument",
    "Node",
    "OpenPath",
    "TwinGraph",
    "factor_verdict",
    "factor_verdicts",
    "licence",
    "node_name",
]
