"""Other people's runs: readers turn what they published into a claim, checks say what is wrong with the comparison.

``docs/readers.md`` shows how to write a reader; what it needs is exported here.
"""

from netgain.audit.audit import Reader
from netgain.records.claim import Arm, Charge, Claim, Exam, ExamProblem, Finding, Role, Training
from netgain.records.cost import Cost, Purpose
from netgain.records.provenance import Source
from netgain.tokens import TokenCounter

__all__ = [
    "Arm",
    "Charge",
    "Claim",
    "Cost",
    "Exam",
    "ExamProblem",
    "Finding",
    "Purpose",
    "Reader",
    "Role",
    "Source",
    "TokenCounter",
    "Training",
]
