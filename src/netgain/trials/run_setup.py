"""What a record shows to readers, and nothing is decided by: where and when a run was, examples of its tasks, its exam.

The exam's questions and answers are written down in words (rows name questions by their hashes only) when all of a run
is done, so that no method finds them in its folder, and are no part of a packed record: where they are missing they are
made again by a domain that ships with netgain and reads no files.
"""

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

import netgain
from netgain import model as door
from netgain.domains.domain import Domain
from netgain.domains.problem import Question, Split, in_turns
from netgain.errors import InputError
from netgain.extensions import BUILT_IN, find_domain
from netgain.records.claim import Arm, Role
from netgain.records.identity import identity, short_hash
from netgain.records.learning import ShownAnswer
from netgain.records.provenance import ExaminedProblem, ExaminedQuestion, RunSetup, SampleQuestion, ShownTask
from netgain.records.samples import Adaptation, GradedAnswer
from netgain.trials.outcome import Outcome, arm_name
from netgain.trials.resolve import Trial, paths_in
from netgain.trials.spec import TrialSpec
from netgain.trials.store import Store, write

SHOWN = 8  # tasks of each domain
PACKAGES = ("numpy", "scipy", "tokenizers", "safetensors", "torch", "transformers", "peft")
SOURCES = {".py", ".cpp", ".hpp", ".json", ".yaml"}  # of netgain: what decides a result or what it costs
GIT_SECONDS = 20.0
EXAM_FILE = "exam.jsonl"


def describe_run(trial: Trial, device: str = "cpu") -> RunSetup:
    """The circumstances of a run that begins now; the questions shown are of problems that no exam holds."""
    spec, shown = trial.spec, []
    for name, domain in trial.domains.items():
        split: Split = "development" if spec.problems.development else "train"
        first = next(iter(domain.problems(split, spec.problems.development or spec.problems.train, spec.seed)), None)
        questions = [] if first is None else sorted(first.questions, key=lambda one: one.kind != spec.compare.exam)
        if first is not None and questions:
            asked = questions[0].asked[0]
            passage, answer = first.material.text, asked.answers[0]
            prompts = trial.prompts(name)
            shown.append(
                SampleQuestion(
                    setting=name,
                    question=prompts.bare(asked.text),
                    answer=answer,
                    passage=passage,
                    prompt=in_turns(prompts.ask(asked.text)),
                    version=prompts.version,
                )
            )
    found = {
        "questions": tuple(shown),
        "tasks": tuple(shown_tasks(trial)),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    return describe_machine(device).model_copy(update=found)


def describe_machine(device: str) -> RunSetup:
    """This machine, and the code and packages that are installed on it."""
    gpu = None if device == "cpu" else door.find_gpu(device)
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()}, {platform.system()})"
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    commit, changes = _commit()
    hardware = cores if gpu is None else f"{gpu[0]}, {cores}"
    return RunSetup(hardware=hardware, versions=versions, code=_code(), commit=commit, changes=changes)


@cache
def _code() -> str:
    """A digest of netgain's own source, which an installation has as a repository has it (the code in this process was
    loaded from it once)."""
    folder, found = Path(netgain.__file__).parent, sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in SOURCES):
        found.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\0".encode())
    return found.hexdigest()


@cache
def _commit() -> tuple[str, str]:
    """The commit of netgain's own code and a digest of what is not committed there; empty where it is not in a
    repository, as in an installation."""
    folder = Path(netgain.__file__).parent

    def git(*words: str) -> bytes:
        command = ["git", "--no-optional-locks", "-C", str(folder), *words]
        found = subprocess.run(command, capture_output=True, check=True, timeout=GIT_SECONDS)  # noqa: S603 (fixed words)
        return found.stdout

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # it may be installed inside somebody's repository
        commit = git("rev-parse", "HEAD").decode("ascii").strip()
        changed = git("diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD", "--", ".")
        for name in sorted(
            filter(None, git("ls-files", "--others", "--exclude-standard", "-z", "--", ".").split(b"\0"))
        ):
            changed += b"\0" + name + b"\0" + (folder / os.fsdecode(name)).read_bytes()
    except (OSError, ValueError, subprocess.SubprocessError):
        return "", ""
    return commit, sha256(changed).hexdigest() if changed else ""


def setup_hash(setup: RunSetup | None) -> str:
    """The identity of a run's circumstances as its launch wrote them: without the note that may be added later."""
    if setup is None:
        return ""
    return identity("setup", setup.model_dump(mode="json", exclude_defaults=True, exclude={"note", "history"}))


# -- examples


def shown_tasks(trial: Trial) -> Iterator[ShownTask]:
    """The first test tasks of every domain of examples. No method sees what a run's folder says of it."""
    spec = trial.spec
    for name, domain in trial.domains.items():
        few_shot = domain.few_shot
        if few_shot is None:
            continue
        for problem in domain.problems("test", min(SHOWN, spec.problems.test), spec.seed):
            parts = [part for question in problem.questions[:1] for part in question.asked]
            asked = [[one for one, output in few_shot.shown(part.text) if not output] for part in parts]
            yield ShownTask(
                setting=name,
                problem=problem.id,
                pairs=few_shot.shown(problem.material.text),
                inputs=tuple(inputs[-1] if inputs else "" for inputs in asked),
                expected=tuple(part.answers[0] for part in parts),
            )


def shown_answers(
    outcome: Outcome, setup: RunSetup | None, arms: Sequence[Arm], compared: Sequence[str | None]
) -> Iterator[ShownAnswer]:
    """What the frozen arm and those that are ``compared`` answered to these tasks, each under its first seed."""
    own = [arm for arm in arms if arm.trial and arm.trial.own]
    wanted = {arm.name for arm in own if arm.role is Role.FROZEN or arm.name in compared}
    named = {arm_name(cell, outcome.spec): cell for cell in outcome.cells()}
    for task in setup.tasks if setup else ():
        for name in (name for name, cell in named.items() if name in wanted and cell[0] == task.setting):
            rows = outcome.adaptations[named[name]]
            seeds = sorted(seed for seed, problem in rows if problem == task.problem)
            for row in (rows[seed, task.problem] for seed in seeds[:1]):
                if row.answers:
                    yield _answer(name, task, row, row.answers[0])


def _answer(arm: str, task: ShownTask, row: Adaptation, answer: GradedAnswer) -> ShownAnswer:
    """Of several attempts at a part the right one, or else the first."""
    attempts = answer.attempts or ((answer.text,),)
    given = [
        expected if expected in part else next(iter(part), "")
        for part, expected in zip(attempts, task.expected, strict=False)
    ]
    return ShownAnswer(
        arm=arm,
        problem=task.problem,
        seed=row.seed,
        given=tuple(given),
        right=answer.correct,
        chosen=row.chosen[0] if row.chosen else None,
    )


# -- the exam in words


def write_exam(trial: Trial, store: Store) -> str:
    """Write down what every domain of a finished trial asked; of each a question goes into the set-up, to be shown.
    The hash of the file."""
    rows = [one for name, domain in trial.domains.items() for one in _of_domain(name, domain, trial.spec)]
    text = "".join(row.model_dump_json() + "\n" for row in rows)
    write(store.folder / EXAM_FILE, text)
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
    path = folder / EXAM_FILE
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
        yield ExaminedQuestion(question=short_hash(question.text), kind=question.kind, text=text, answers=answers)
