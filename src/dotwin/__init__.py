"""A digital twin of a human-services system, and the causal questions it can answer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dotwin import errors
    from dotwin.effects import rivals
    from dotwin.graph import CausalGraph
    from dotwin.inference import fit, load_fit
    from dotwin.panel import Panel, read_panel
    from dotwin.reports import report
    from dotwin.spec import (
        Cause,
        Exposure,
        Governance,
        HiddenCause,
        Indicator,
        Prior,
        Scenario,
        Threshold,
        Twin,
        at_least,
        at_most,
        block,
        do,
        models,
        policy,
        read_twin,
        redeploy,
        scale,
        shift,
    )

__all__ = [
    "CausalGraph",
    "Cause",
    "Exposure",
    "Governance",
    "HiddenCause",
    "Indicator",
    "Panel",
    "Prior",
    "Scenario",
    "Threshold",
    "Twin",
    "__version__",
    "at_least",
    "at_most",
    "block",
    "do",
    "errors",
    "fit",
    "load_fit",
    "models",
    "policy",
    "read_panel",
    "read_twin",
    "redeploy",
    "report",
    "rivals",
    "scale",
    "shift",
]

__version__ = "0.1.0"

#: Public name -> the room that it lives in. A room is imported when its first name is used, so that
#: reading a twin does not wait for PyMC.
_HOME = {
    "CausalGraph": "dotwin.graph",
    "Cause": "dotwin.spec",
    "Exposure": "dotwin.spec",
    "Governance": "dotwin.spec",
    "HiddenCause": "dotwin.spec",
    "Indicator": "dotwin.spec",
    "Panel": "dotwin.panel",
    "Prior": "dotwin.spec",
    "Scenario": "dotwin.spec",
    "Threshold": "dotwin.spec",
    "Twin": "dotwin.spec",
    "at_least": "dotwin.spec",
    "at_most": "dotwin.spec",
    "block": "dotwin.spec",
    "do": "dotwin.spec",
    "fit": "dotwin.inference",
    "load_fit": "dotwin.inference",
    "models": "dotwin.spec",
    "policy": "dotwin.spec",
    "read_panel": "dotwin.panel",
    "read_twin": "dotwin.spec",
    "redeploy": "dotwin.spec",
    # The room is called `reports`: importing a module `dotwin.report` would put the module where
    # this function is expected.
    "report": "dotwin.reports",
    "rivals": "dotwin.effects",
    "scale": "dotwin.spec",
    "shift": "dotwin.spec",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its room when it is first used (PEP 562)."""
    if name == "errors":
        return importlib.import_module("dotwin.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'dotwin' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
