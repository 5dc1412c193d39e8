"""Domains: families of problems with their grading. ``docs/domains.md`` shows how to write one."""

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.few_shot import FewShot, Lesson, View, Vote
from netgain.domains.problem import EditFormat, Grade, Material, Problem, Prompts, Question, Split
from netgain.domains.reading import Shares, share_out, take
from netgain.errors import InputError
from netgain.streams import stream

__all__ = [
    "Domain",
    "DomainSettings",
    "EditFormat",
    "FewShot",
    "Grade",
    "InputError",
    "Lesson",
    "Material",
    "Problem",
    "Prompts",
    "Question",
    "Shares",
    "Split",
    "View",
    "Vote",
    "share_out",
    "stream",
    "take",
]
