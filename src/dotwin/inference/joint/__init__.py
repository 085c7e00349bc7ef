"""Mechanisms joined by missing causes: No-U-turn steps in turn with draws of what is missing."""

from dotwin.inference.joint.engine import JointEngine

__all__ = ["JointEngine"]
