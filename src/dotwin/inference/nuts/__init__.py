"""NUTS on one compiled log density: no model is compiled when a twin is fitted."""

from dotwin.inference.nuts.engine import NutsEngine

__all__ = ["NutsEngine"]
