"""What a record shows of its circumstances: where and when it ran, an example question of each domain; and the tasks of
a few examples: what was asked and expected, and what the compared arms answered."""

import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import netgain
from netgain import model as door
from netgain.domains.problem import Split, in_turns
from netgain.records.choices import ShownAnswer
from netgain.records.claim import Arm, Role
from netgain.records.identity import identity
from netgain.records.provenance import RunSetup, SampleQuestion, ShownTask
from netgain.records.samples import Adaptation, GradedAnswer
from netgain.trials.outcome import Outcome, arm_name
from netgain.trials.resolve import Trial

SHOWN = 8  # tasks of each domain
PACKAGES = ("numpy", "scipy", "tokenizers", "safetensors", "torch", "transformers", "peft")
GIT_SECONDS = 20.0


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
    commit, changes = _code()
    hardware = cores if gpu is None else f"{gpu[0]}, {cores}"
    return RunSetup(hardware=hardware, versions=versions, commit=commit, changes=changes)


@cache
def _code() -> tuple[str, str]:
    """The commit of netgain's own code and a digest of what is not committed there (the code in this process was loaded
    from it once); empty where it is not in a repository, as in an installation."""
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
