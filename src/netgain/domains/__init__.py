"""Domains: families of problems with their grading. ``docs/domains.md`` shows how to write one."""

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.problem import EditFormat, Grade, Material, Problem, Prompts, Question, Split
from netgain.domains.reading import Shares, share_out, take

__all__ = [
    "Domain",
    "DomainSettings",
    "EditFormat",
    "Grade",
    "Material",
    "Problem",
    "Prompts",
    "Question",
    "Shares",
    "Split",
    "share_out",
    "take",
]
