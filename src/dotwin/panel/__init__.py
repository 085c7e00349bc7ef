"""Reading data into the panel that a twin describes, and knowing what is missing in it."""

from dotwin.panel.accounting import derive_accounting, residual_name
from dotwin.panel.environment import ArrayEnvironment, across_units, lagged
from dotwin.panel.missing import account_rows, compare_set_aside, usable_rows
from dotwin.panel.panel import Panel
from dotwin.panel.quality import Quality
from dotwin.panel.read import read_panel

__all__ = [
    "ArrayEnvironment",
    "Panel",
    "Quality",
    "account_rows",
    "across_units",
    "compare_set_aside",
    "derive_accounting",
    "lagged",
    "read_panel",
    "residual_name",
    "usable_rows",
]
