"""Certified inference without sampling: quadrature, a shaped proposal, and exact weights."""

from dotwin.inference.deterministic.engine import DeterministicEngine

__all__ = ["DeterministicEngine"]
