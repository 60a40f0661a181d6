"""What nobody foresaw, told without what it might hold."""

from __future__ import annotations


def internal_error(error: BaseException) -> str:
    """A sentence for an error that is a fault of this program: class, module and line, never its text."""
    return f"this should not happen ({type(error).__name__} in {_place(error)}); please report it"


def _place(error: BaseException) -> str:
    """Module and line where an error arose; never its text, which could hold a secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else "?"
