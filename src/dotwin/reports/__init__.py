"""Reports of results as one HTML page and as JSON."""

from dotwin.reports.report import report

__all__ = ["report"]
