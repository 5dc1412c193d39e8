"""A script of one's own as an arm: a command that trains the model in a process of its own, on the books.

The script is given a task (:mod:`netgain.model.script_task`) with the material, the model's folder and the budget, puts
a meter around its training and leaves an adapter or a model; see docs/scripts.md. ``learning-script`` starts it once
more before all problems, with the training problems whole, and then on the model that came of it.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from netgain.domains.problem import Material, Problem, Prompt
from netgain.errors import NetgainError
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Rate, merged
from netgain.methods.method import Desk, Learned, Learning, Method, Settings
from netgain.methods.writing import passages
from netgain.model.metered import Model
from netgain.model.program import Steps, ask
from netgain.model.requests import RunScript
from netgain.records.claim import Role
from netgain.records.cost import Cost, Purpose

PYTHON = ("python", "python3")  # the one that runs netgain
MERGE = 0.005  # of an investment is kept back for adding an adapter to the weights
Seconds = Annotated[float, Field(gt=0, le=10**7, allow_inf_nan=False)]


class ScriptSettings(Settings):
    """``command`` is a program with its arguments; files among them lie beside the trial's file, and ``python`` is the
    one that runs netgain. ``reads`` are further files whose content decides what the script does, such as modules of
    its own. ``options`` are passed on in the task, and so is a ``learning_rate`` that is stated, which is then tuned as
    every other arm's is.

    It is stopped after ``time_limit`` seconds, and not believed if it works more than ``startup`` processor seconds
    (importing, loading, saving) beside what it books.
    """

    command: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    reads: tuple[str, ...] = ()
    options: Annotated[dict[str, Any], Field(default_factory=dict)]
    learning_rate: Rate | None = None
    time_limit: Seconds = 3600.0
    startup: Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)] = 20.0

    private: ClassVar[frozenset[str]] = frozenset({"command", "reads", "options", "time_limit", "startup"})

    def tunes(self, name: str) -> bool:
        """Not the learning rate of a script that is given none."""
        return super().tunes(name) and (name != "learning_rate" or self.learning_rate is not None)

    @property
    def files(self) -> tuple[str, ...]:
        """The script itself, and what it reads."""
        return (*self.command, *self.reads)


class LearningScriptSettings(ScriptSettings, Learning):
    """Those of a script, and ``split``."""


@final
class Script(Method):
    """Runs a script of your own for every problem: whatever it trains, metered, under the budget."""

    role: ClassVar[Role] = Role.OTHER
    Settings = ScriptSettings
    settings: ScriptSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """What the script makes of these passages."""
        return (yield from _run(desk, self.settings, Purpose.ADAPT, materials=materials))


@final
class LearningScript(Method):
    """Runs a script of your own once on training problems, then for every problem on the model that came of it."""

    role: ClassVar[Role] = Role.OTHER
    learns: ClassVar[bool] = True
    Settings = LearningScriptSettings
    settings: LearningScriptSettings

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model that the script leaves, with its adapter merged where it leaves one."""
        kept = Cost(**{name.value: amount * (1 - MERGE) for name, amount in desk.account.remaining().items()})
        within = desk.at(account=desk.account.child("script", limit=kept))
        learned = yield from _run(within, self.settings, Purpose.LEARN, problems=problems)
        return (yield from merged(desk, learned))

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """What the script makes of these passages, beginning with the model that has learned."""
        model = learned if isinstance(learned, Model) else desk.model
        return (yield from _run(desk.at(model=model), self.settings, Purpose.ADAPT, materials=materials))


def _run(
    desk: Desk,
    settings: ScriptSettings,
    purpose: Purpose,
    materials: Sequence[Material] = (),
    problems: Sequence[Problem] = (),
) -> Steps[Answerer]:
    request = RunScript(
        account=desk.account,
        command=located(settings.command, desk.folder),
        task=_task(desk, settings, materials, problems) | {"stage": "learn" if problems else "adapt"},
        purpose=purpose,
        time_limit=settings.time_limit,
        startup=settings.startup,
    )
    (result,) = yield from ask(desk.model, [request])
    if result.failure is not None:
        raise NetgainError(f"script {' '.join(settings.command)}: {result.failure.detail}")
    return Answerer(model=result.get().model, adapter=result.get().adapter)


def located(command: Sequence[str], folder: Path) -> tuple[str, ...]:
    """The command with the files among its words where they are: beside the trial's file."""
    first = [sys.executable] if command[:1] and command[0] in PYTHON else []
    rest = command[len(first) :]
    return (*first, *(str((folder / word).resolve()) if (folder / word).is_file() else word for word in rest))


def _task(
    desk: Desk, settings: ScriptSettings, materials: Sequence[Material], problems: Sequence[Problem]
) -> dict[str, Any]:
    """What stands in the task file: material, or training problems whole; never a question of the exam."""
    rate = settings.learning_rate
    seen = [*materials, *(problem.material for problem in problems)]
    questions = [question for problem in problems for question in problem.questions]
    return {
        "seed": desk.draw("script"),
        "options": settings.options | ({} if rate is None else {"learning_rate": rate}),
        "materials": [_material(one) for one in materials],
        "problems": [
            {
                "material": _material(problem.material),
                "questions": [
                    {"text": one.text, "answers": list(one.answers), "kind": one.kind} for one in problem.questions
                ],
            }
            for problem in problems
        ],
        "texts": passages(desk, seen),
        "prompts": [_plain(desk.prompts.ask(one.text)) for one in questions],
        "lessons": [_plain(desk.prompts.lesson(one.text, one.answers[0])) for one in questions],
    }


def _material(material: Material) -> dict[str, str]:
    return {"id": material.id, "title": material.title, "text": material.text}


def _plain(prompt: Prompt) -> str | list[Mapping[str, str]]:
    """A text, or a conversation as transformers and TRL take one."""
    return prompt if isinstance(prompt, str) else [{"role": one.role, "content": one.content} for one in prompt]
