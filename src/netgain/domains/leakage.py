"""Whether the splits leak into each other, and whether what a method trained on holds an exam. Texts are compared in
lower case and without punctuation, articles kept."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, final

from netgain.domains.few_shot import FewShot
from netgain.domains.problem import Problem, Question

LONGEST, SHORTEST = 13, 8
HALF = 0.5
PIECE, FEWEST, PROBES = 8, 8, 6  # letters of a piece of a question, pieces that tell anything, pieces looked at first
SHORT_TITLE, LONG_ANSWER = 4, 12  # letters
_NO_LETTER = re.compile(r"[\W_]+")
Kind = Literal["title", "passage", "question", "pair", "overlap", "name"]
_WORD = re.compile(r"\w+")


@final
@dataclass(frozen=True, slots=True)
class Leak:
    """One thing that two splits share. ``first`` and ``second`` name where, as ``split:problem``; ``detail`` what.

    ``title`` and ``passage``: the same one in both; ``question``: the same question in both, its answer or not;
    ``pair``: an input with its output that one asks for and the other shows or asks for; ``overlap``: a run of words of
    one's passage in the other's; ``name``: a title in a question about what the base model had seen.
    """

    kind: Kind
    first: str
    second: str
    detail: str


def leaks(
    train: Sequence[Problem],
    development: Sequence[Problem],
    test: Sequence[Problem],
    controls: Sequence[Question] = (),
    few_shot: FewShot | None = None,
) -> tuple[Leak, ...]:
    """Everything that two of the three splits share, the graver split first; nothing where they are clean.

    Runs of 13 words are compared, as in the contamination study of GPT-3 (Brown et al. 2020, arXiv 2005.14165,
    appendix C); a shorter passage is one run, from 8 words on. As a world's own turns of phrase are no leak, passages
    overlap where shared runs cover half of the words, or where one tells an answer with a word of the title beside it.
    ``controls`` of the kind ``seen`` must not name anything that a problem is about. Of problems that are examples
    (``few_shot``) the pairs are compared instead of runs: in a grid thirteen noughts in a row tell nothing.
    """
    splits = {"test": test, "development": development, "train": train}
    found: list[Leak] = []
    for first, second in combinations(splits, 2):
        found += _between(first, splits[first], second, splits[second], words=few_shot is None)
        found += _pairs(first, splits[first], second, splits[second], few_shot) if few_shot else ()
    seen = " | ".join(plain(question.text) for question in controls if question.kind == "seen")
    for split, problems in splits.items():
        for problem in problems:
            title = plain(problem.material.title)
            if title and f" {title} " in f" {seen} ":
                found.append(Leak("name", f"{split}:{problem.id}", "controls", problem.material.title))
    return tuple(found)


def _between(
    first: str, ones: Sequence[Problem], second: str, others: Sequence[Problem], *, words: bool
) -> Iterator[Leak]:
    titles = {plain(problem.material.title): problem for problem in others}
    passages = {plain(problem.material.text): problem for problem in others}
    asked = {plain(question.text): (problem, question) for problem in others for question in problem.questions}
    sizes = {_size(problem.material.text) for problem in ones} if words else set()
    runs = {run: problem for problem in others for size in sizes for run in _runs(problem.material.text, size)}
    for problem in ones:
        here = f"{first}:{problem.id}"
        title, text = plain(problem.material.title), plain(problem.material.text)
        if title and title in titles:
            yield Leak("title", here, f"{second}:{titles[title].id}", problem.material.title)
        if text in passages:
            yield Leak("passage", here, f"{second}:{passages[text].id}", problem.material.text[:80])
        elif words:
            shared = [run for run in _runs(problem.material.text, _size(problem.material.text)) if run in runs]
            told = next((run for run in shared if _tells(run, problem)), None)
            if told or (shared and _covered(text.split(), shared) >= HALF):
                yield Leak("overlap", here, f"{second}:{runs[told or shared[0]].id}", told or shared[0])
        for question in problem.questions:
            twin = asked.get(plain(question.text))
            if twin is not None:
                both = {plain(answer) for answer in question.answers} & {plain(answer) for answer in twin[1].answers}
                more = " (with its answer)" if both else ""
                yield Leak("question", here, f"{second}:{twin[0].id}", f"{question.text}{more}")


def _pairs(
    first: str, ones: Sequence[Problem], second: str, others: Sequence[Problem], few_shot: FewShot
) -> Iterator[Leak]:
    """The pairs that are asked for in one split and known in the other, in both directions."""
    for name, problems, other, rest in ((first, ones, second, others), (second, others, first, ones)):
        there = {}
        for problem in rest:
            pairs = {*few_shot.shown(problem.material.text), *_asked_for(problem, few_shot)}
            there.update(dict.fromkeys(pairs, problem))
        for problem in problems:
            for pair in _asked_for(problem, few_shot):
                if pair in there:
                    yield Leak("pair", f"{name}:{problem.id}", f"{other}:{there[pair].id}", " -> ".join(pair))


def _asked_for(problem: Problem, few_shot: FewShot) -> set[tuple[str, str]]:
    parts = [part for question in problem.questions for part in question.asked]
    return {(shown[-1][0], part.answers[0]) for part in parts if (shown := few_shot.shown(part.text))}


def _size(text: str) -> int:
    """How many words a run of this passage has; 0 where it is too short to be told from chance."""
    words = len(_WORD.findall(text))
    return 0 if words < SHORTEST else min(LONGEST, words)


def _runs(text: str, size: int) -> Iterator[str]:
    words = plain(text).split()
    if size:
        yield from (" ".join(words[start : start + size]) for start in range(len(words) - size + 1))


def _covered(words: list[str], shared: Sequence[str]) -> float:
    """The share of the words that lie in one of these runs."""
    size, wanted = len(shared[0].split()), set(shared)
    inside: set[int] = set()
    for start in range(len(words) - size + 1):
        if " ".join(words[start : start + size]) in wanted:
            inside |= set(range(start, start + size))
    return len(inside) / len(words)


def _tells(run: str, problem: Problem) -> bool:
    """Whether a run of words holds an answer to one of the problem's questions and a word of its title beside it."""
    answers = {plain(answer) for question in problem.questions for answer in question.answers}
    for answer in answers - {""}:
        before, found, after = f" {run} ".partition(f" {answer} ")
        beside = {*before.split(), *after.split()}
        if found and any(word in beside for word in plain(problem.material.title).split() if len(word) > 3):
            return True
    return False


# -- what a method trained on


def letters(text: str) -> str:
    """A text's letters and digits alone, in one case and one form: spaces, punctuation and where a word was cut in two
    make no difference."""
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", text).casefold())


def holds_question(question: str, text: str, known: str) -> bool:
    """Whether a text holds a question that what was known does not (all of them as :func:`letters`): whole, or most of
    what is new in it in pieces. A question of a few letters comes about by chance, and is not looked for."""
    count = len(question) - PIECE + 1
    if count < FEWEST or question in known:
        return False
    if question in text:
        return True
    pieces = [question[start : start + PIECE] for start in range(count)]
    probes = pieces[:: max(1, count // PROBES)]
    if sum(piece in text for piece in probes) < len(probes) * HALF:
        return False
    new = [piece for piece in pieces if piece not in known]
    return len(new) >= FEWEST and sum(piece in text for piece in new) >= len(new) * HALF


def holds_answer(answer: str, title: str, text: str) -> bool:
    """Whether a text holds an answer, and the title that it is about however that is cut. A short answer has to stand
    there as a word."""
    squeezed, about = letters(text), letters(title)
    if len(about) < SHORT_TITLE or about not in squeezed:
        return False
    short = letters(answer)
    return short in squeezed if len(short) >= LONG_ANSWER else f" {plain(answer)} " in f" {plain(text)} "


def plain(text: str) -> str:
    """Lower case words with single spaces between them."""
    return " ".join(_WORD.findall(text.lower()))
