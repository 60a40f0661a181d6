"""Advice where a policy refuses an image: another signature, or another policy."""

from __future__ import annotations

from typing import Final

from trustdata.errors import PolicyRefused

BY_RULES_ALONE: Final = "only a change of the policy lets it run"
"""What is to be done where the rules refuse by themselves."""


def advice_policy_refused(error: object) -> str:
    """Return where is seen what is missing: in what is signed, or in the policy; "" for another error."""
    if not isinstance(error, PolicyRefused):
        return ""
    if error.by_rules_alone:
        return f"{BY_RULES_ALONE}; trust policy check FILE IMAGE says which rules count"
    return f"trust explain {error.name} says who has signed what"
