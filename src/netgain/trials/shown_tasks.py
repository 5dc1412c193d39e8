"""The tasks of a few examples that a record shows: what was asked and expected, and what the compared arms answered."""

from collections.abc import Iterator, Sequence

from netgain.records.choices import ShownAnswer
from netgain.records.claim import Arm, Role
from netgain.records.provenance import RunSetup, ShownTask
from netgain.records.samples import Adaptation, GradedAnswer
from netgain.trials.outcome import Outcome, arm_name
from netgain.trials.resolve import Trial

SHOWN = 8  # tasks of each domain


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
