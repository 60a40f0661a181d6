"""The message for an unexpected error: it names the place in the code and leaves out the error's text.

The text could hold a secret.
"""

from __future__ import annotations


def internal_error(error: BaseException) -> str:
    """Return a sentence for an error that is this program's fault: class, module and line, never its text."""
    return f"this should not happen ({type(error).__name__} in {_place(error)}); please report it"


def _place(error: BaseException) -> str:
    """Return the module and line that raised the error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else "?"
