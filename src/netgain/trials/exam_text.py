"""The exam's questions and answers in words, for readers of a finished run: rows name questions by their hashes only.

They are written into the run's folder when all of it is done, so that no method finds them there, and are no part of a
packed record: where they are missing they are made again by a domain that ships with netgain and reads no files.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from netgain.domains.domain import Domain
from netgain.domains.problem import Question
from netgain.errors import InputError
from netgain.extensions import BUILT_IN, find_domain
from netgain.records.provenance import ExaminedProblem, ExaminedQuestion
from netgain.trials.guard import hashed
from netgain.trials.resolve import Trial, paths_in
from netgain.trials.spec import TrialSpec
from netgain.trials.store import Store, write

FILE = "exam.jsonl"


def write_exam(trial: Trial, store: Store) -> str:
    """Write down what every domain of a finished trial asked; of each a question goes into the set-up, to be shown.
    The hash of the file."""
    rows = [one for name, domain in trial.domains.items() for one in _of_domain(name, domain, trial.spec)]
    text = "".join(row.model_dump_json() + "\n" for row in rows)
    write(store.folder / FILE, text)
    setup = store.setup()
    if setup is not None and not setup.examined:
        shown = [found for name in trial.domains if (found := _first(name, rows, trial.spec.compare.exam))]
        store.describe(setup.model_copy(update={"examined": tuple(shown)}))
    return sha256(text.encode()).hexdigest()


def _first(domain: str, rows: Iterable[ExaminedProblem], kind: str) -> ExaminedProblem | None:
    """The first problem of a domain, with its first question of a kind alone."""
    first = next((row for row in rows if row.domain == domain and row.problem), None)
    asked = [one for one in first.questions if one.kind == kind] if first else []
    return first.model_copy(update={"questions": tuple(asked[:1])}) if first and asked else None


def read_exam(folder: Path, spec: TrialSpec) -> list[ExaminedProblem]:
    """What was asked: as the folder says, else as built-in domains make it up again; nothing of what neither tells.

    Raises InputError where the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return [one for name in spec.domains for one in _made_again(name, spec)]
    try:
        return [ExaminedProblem.model_validate_json(line) for line in path.read_bytes().splitlines() if line.strip()]
    except (OSError, ValidationError):
        raise InputError(str(path), "is damaged", "delete it: answers are shown without questions then") from None


def _made_again(name: str, spec: TrialSpec) -> Iterator[ExaminedProblem]:
    asked = spec.domains[name]
    if asked.kind not in BUILT_IN["domain"]:
        return  # code of one's own is not run by looking at a record
    kind = find_domain(asked.kind, Path())
    try:
        settings = kind.Settings.model_validate(asked.settings)
        if not paths_in(settings):
            yield from _of_domain(name, kind(settings), spec)
    except (InputError, ValidationError):
        return  # a record of an older version


def _of_domain(name: str, domain: Domain, spec: TrialSpec) -> Iterator[ExaminedProblem]:
    for problem in domain.problems("test", spec.problems.test, spec.seed):
        title, text = problem.material.title, problem.material.text
        questions = tuple(_questions(problem.questions))
        yield ExaminedProblem(domain=name, problem=problem.id, title=title, text=text, questions=questions)
    controls = domain.controls(spec.exam.controls, spec.seed) if spec.exam.controls else ()
    yield ExaminedProblem(domain=name, problem="", questions=tuple(_questions(controls)))


def _questions(asked: Iterable[Question]) -> Iterator[ExaminedQuestion]:
    for question in asked:
        parts = [part for part in question.asked if part is not question]
        text = question.text if not parts else "\n\n".join([part.text for part in parts])
        answers = tuple(chain.from_iterable(part.answers for part in parts)) if parts else question.answers
        yield ExaminedQuestion(question=hashed(question.text), kind=question.kind, text=text, answers=answers)
