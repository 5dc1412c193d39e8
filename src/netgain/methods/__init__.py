"""Ways to improve a model: the form that every method fills in, and the steps that they share. See docs/methods.md.

A method of your own needs nothing but what this module exports, and no torch to be imported.
"""

from netgain.domains.problem import EditFormat, Material, Problem, Question
from netgain.exam.exam import Answerer
from netgain.methods.edit_rewards import Context
from netgain.methods.fitting import Inner, Outer, fit, fit_with_charges, merge_quote, merged, train
from netgain.methods.method import Desk, Learned, Learning, Method, Settings, Teacher
from netgain.methods.paraphrase import paraphrases, sentences
from netgain.methods.seal import LoopSettings, outer_loop
from netgain.methods.selection import advantages, best, halving, uniform
from netgain.methods.self_evaluation import discard, examine, likelihood, score
from netgain.methods.synthetic import SyntheticSettings, write_and_fit
from netgain.methods.writing import Ask, Pair, SelfEdit, asks, find_format, own_questions, passages, propose, write
from netgain.model.program import Steps, ask, together
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.streams import stream

__all__ = [
    "Answerer",
    "Ask",
    "Context",
    "Desk",
    "EditFormat",
    "Inner",
    "Learned",
    "Learning",
    "LoopSettings",
    "Material",
    "Method",
    "Outer",
    "Pair",
    "Problem",
    "Purpose",
    "Question",
    "Role",
    "SelfEdit",
    "Settings",
    "Steps",
    "SyntheticSettings",
    "Teacher",
    "advantages",
    "ask",
    "asks",
    "best",
    "discard",
    "examine",
    "find_format",
    "fit",
    "fit_with_charges",
    "halving",
    "likelihood",
    "merge_quote",
    "merged",
    "outer_loop",
    "own_questions",
    "paraphrases",
    "passages",
    "propose",
    "score",
    "sentences",
    "stream",
    "together",
    "train",
    "uniform",
    "write",
    "write_and_fit",
]
