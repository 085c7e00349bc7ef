"""Compiled quantiles: lanes of values at signed tail noise.

``compiled`` finds a kernel by name and is safe to import; every other module here imports numba.
"""
