"""Grading an answer as SQuAD v1.1 does: exact match and F1 over words, after both sides are normalised.

The definition is that of Rajpurkar et al. 2016 (arXiv 1606.05250), section 6.1, and of their evaluation script: lower
case, no punctuation, no articles, single spaces; the best over all reference answers. Two empty answers agree, as in
SQuAD 2.0's script.
"""

import re
import string
from collections import Counter

from netgain.domains.problem import Grade, Question

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and superfluous spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def f1(answer: str, reference: str) -> float:
    """The harmonic mean of precision and recall over the words of both."""
    given, wanted = normalise(answer).split(), normalise(reference).split()
    common = sum((Counter(given) & Counter(wanted)).values())
    if not given or not wanted:
        return float(given == wanted)
    return 2 * common / (len(given) + len(wanted))


def grade(question: Question, answer: str) -> Grade:
    """The best over all accepted answers."""
    correct = any(normalise(answer) == normalise(reference) for reference in question.answers)
    return Grade(correct, max((f1(answer, reference) for reference in question.answers), default=0.0))
