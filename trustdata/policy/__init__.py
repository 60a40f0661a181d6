"""The trust policy: rules by name, tag and digest of an image that say what is required before it may run.

Pure: a parsed TOML document goes in, a rule comes out. Which rules count, and how several add up: `selection`. The file
for people: docs/reference/policy.md.
"""

from trustdata.policy.aliases import Alias
from trustdata.policy.denying import DenyingCollection
from trustdata.policy.distributed import Distributed
from trustdata.policy.exemption import Exemption
from trustdata.policy.reading import read_distributed, read_policy
from trustdata.policy.requirement import Requirement
from trustdata.policy.rule import Mode, Rule
from trustdata.policy.selection import Policy

__all__ = [
    "Alias",
    "DenyingCollection",
    "Distributed",
    "Exemption",
    "Mode",
    "Policy",
    "Requirement",
    "Rule",
    "read_distributed",
    "read_policy",
]
