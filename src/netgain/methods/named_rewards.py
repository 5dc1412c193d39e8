"""The rewards that need more than the edits: what each needs, where it is from, and what is said where it is missing.

``net`` needs control questions, which the model answers without any edit first; ``own-questions`` a format of the
domain in which the model asks itself; ``rubric`` the trial's judge (``rubric.py``). All of it is paid by who learns.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from netgain.domains.problem import Material, Problem, Question
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.methods.edit_rewards import Reward, RewardName
from netgain.methods.fitting import Positive
from netgain.methods.method import LATER, Desk, Settings
from netgain.methods.self_evaluation import examine
from netgain.methods.writing import own_questions
from netgain.model.program import Steps
from netgain.streams import stream

QUESTIONS = 0.25  # of what is left may go to the model's own questions
UNREWARDED = {
    "own-questions": (
        "the model asked itself no question that can be graded, or none was paid for",
        "invest more, or use reward: exam",
    ),
    "rubric": ("no rating of the judge's could be read", "name a judge that follows instructions, or use reward: exam"),
}


def unrewarded(reward: str) -> InputError:
    """Said where a reward came to nothing in the first contexts."""
    return InputError(f"reward {reward!r}", *UNREWARDED[reward])


class RewardSettings(Settings):
    """``reward`` is what an evaluation of an edit measures, by name (``edit_rewards.py``).

    ``net`` takes ``broken_weight`` times the share of ``reward_controls`` control questions that broke off the score;
    ``own-questions`` has ``questions`` texts of questions about each context written, in the domain's format
    ``asking``. With ``placebo`` the rewards of each context are measured, paid for and shuffled among its edits: the
    control of whatever reward is named.
    """

    reward: Annotated[RewardName, LATER] = "exam"
    broken_weight: Annotated[float, Field(ge=0, le=100), LATER] = 1.0
    reward_controls: Annotated[Positive, LATER] = 16
    asking: Annotated[str, LATER] = "self-qa"
    questions: Annotated[Positive, LATER] = 1
    placebo: Annotated[bool, LATER] = False


def rewards_of(
    desk: Desk, contexts: Sequence[tuple[str, Problem]], settings: RewardSettings, reserved: float
) -> Steps[list[Reward]]:
    """The reward of each named context, with what it needs beside the edits: the control questions answered without
    any, or the model's own questions."""
    problems = [problem for _, problem in contexts]
    if settings.reward == "net":
        controls = yield from _answered(desk, settings.reward_controls)
        return [Reward("net", controls=controls, weight=settings.broken_weight) for _ in problems]
    if settings.reward != "own-questions":
        return [Reward(settings.reward) for _ in problems]
    if desk.few_shot is not None:
        raise no_questions(settings.asking)
    left = desk.left()
    share = QUESTIONS if left == float("inf") else QUESTIONS * max(0.0, left - reserved) / left if left else 0.0
    materials = list({problem.material.id: problem.material for problem in problems}.values())
    pairs = yield from own_questions(
        desk.at(contexts[0][0], "questions"), materials, settings.asking, settings.questions, share=share
    )
    asked = [(pair, Question(pair.question, (pair.answer,))) for pair in pairs]
    sound = [(pair, one) for pair, one in asked if desk.grade(one, pair.answer).correct]
    return [
        Reward("own-questions", tuple(one for pair, one in sound if pair.material.id == problem.material.id))
        for problem in problems
    ]


def _answered(desk: Desk, count: int) -> Steps[tuple[tuple[Question, bool], ...]]:
    """Control questions, the same all through a round, and whether the model is right on each without any edit."""
    if not desk.controls:
        raise no_controls()
    order = stream(desk.draw("controls"), "order").permutation(len(desk.controls))
    controls = tuple(desk.controls[index] for index in sorted(order[:count]))
    problem = Problem(Material("controls", "", ""), controls)
    (marks,) = yield from examine(desk, [(Answerer(model=desk.model), problem)])
    return tuple((mark.question, mark.grade.correct) for mark in marks)


def no_controls() -> InputError:
    """Said of an arm whose reward asks control questions, before a trial or in the middle of it."""
    problem = "control questions tell what broke, and this domain has none"
    return InputError("reward 'net'", problem, "use reward: gain, or another domain")


def no_questions(name: str) -> InputError:
    """Said of an arm whose reward is the model's own questions, before a trial or in the middle of it."""
    problem = f"this domain has no edit format {name!r} that is cut into questions with answers"
    return InputError("reward 'own-questions'", problem, "name one under asking, or use reward: exam")
