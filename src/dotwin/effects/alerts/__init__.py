"""Whom to look at next, and whether the warnings were right."""
