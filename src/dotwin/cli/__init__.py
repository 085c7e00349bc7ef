"""The command line: every command is one public call."""

from dotwin.cli.app import app

__all__ = ["app"]
