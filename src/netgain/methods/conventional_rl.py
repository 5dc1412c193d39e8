"""Conventional reinforcement learning: GRPO on labelled training questions, then fine-tuning on the passage.

The second of the conventional rivals that SEAL is held against, beside supervised training on the same labels: the
model is trained to answer the training problems' questions, with the passage before it (in context) and without (closed
book), and is rewarded by the grade of each answer. There is no self-edit and no inner loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import Field

from netgain.domains.problem import Grade, Material, Problem, Question
from netgain.errors import InputError
from netgain.exam.exam import Answerer, sit
from netgain.methods.finetune import PRESETS, FinetuneSettings, fit_passages
from netgain.methods.fitting import Positive
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.policy import UNLIMITED
from netgain.methods.policy_gradient import SMALLEST_GROUP, GradientPolicy, GradientSettings, Group, apart
from netgain.model.metered import Model
from netgain.model.program import Steps, ask, together
from netgain.model.requests import Generate
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.streams import stream

CAUTION = 1.05  # later answers may be longer
CHECKED = 1.2  # a check costs about what the one before it cost
Asked = tuple[Question, tuple[Material, ...]]  # with what is before it


@final
class ConventionalRlSettings(GradientSettings, FinetuneSettings):
    """``rounds`` are the steps of the policy gradient, each on ``contexts`` questions (None: as many as its part of the
    investment pays for) with ``candidates`` answers.

    ``asked`` puts every question ``open`` (below its passage), ``closed``, or ``both`` ways. ``reward`` is the grade of
    an answer: the ``exam``'s own, or another by name.
    """

    rounds: Positive = 8
    contexts: Positive | None = None
    candidates: Annotated[int, Field(ge=2, le=1000)] = 8
    asked: Literal["both", "closed", "open"] = "both"
    reward: Literal["exam", "exact", "contains", "f1"] = "exam"


@final
class ConventionalRl(Method):
    """Learns by GRPO to answer labelled training questions, in context and closed book; then trains on the passage."""

    role: ClassVar[Role] = Role.OTHER
    Settings = ConventionalRlSettings
    settings: ConventionalRlSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = PRESETS
    learns: ClassVar[bool] = True

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model after all steps, or after the best of those that were checked."""
        settings, desk = self.settings, desk.at("rl")
        if not problems:
            raise InputError("problems.train 0", "there is nothing to learn from", "give training problems")
        if desk.few_shot is not None:
            problem = "draws answers to single questions, and this domain puts each in several views"
            raise InputError("rl-conventional", problem, "leave the arm out of this domain")
        training, held_out = apart(desk, problems, settings)
        asked = [[one for problem in own for one in self._asked(problem)] for own in (training, held_out)]
        return (yield from self._steps(desk, *asked))

    def _asked(self, problem: Problem) -> list[Asked]:
        ways: list[tuple[Material, ...]] = []
        ways += [(problem.material,)] if self.settings.asked != "closed" else []
        ways += [()] if self.settings.asked != "open" else []
        return [(question, way) for question in problem.questions for way in ways]

    def _steps(self, desk: Desk, training: Sequence[Asked], held_out: Sequence[Asked]) -> Steps[Model]:
        settings, policy, price = self.settings, GradientPolicy(self.settings), 0.0
        upcoming = _Upcoming(desk, training)
        if held_out:
            price, accuracy = yield from self._check(desk.at("step 0"), held_out)
            policy.report(desk.at("step 0"), desk.model, accuracy)
        for number in range(1, settings.rounds + 1):
            own, left = desk.at(f"step {number}"), desk.left()
            due = bool(held_out) and (number % settings.check_every == 0 or number == settings.rounds)
            kept = price if due else 0.0
            later = 0.0 if left == UNLIMITED else left - left / (settings.rounds - number + 1)
            groups = yield from self._gather(own, policy, upcoming, len(training), later + kept)
            if not groups and number == 1:
                raise no_question()
            model = yield from policy.step(own, groups, later + kept)
            desk = desk.at(model=model)
            accuracy = None
            if due:
                price, accuracy = yield from self._check(own.at(model=model), held_out)
            policy.report(own, model, accuracy)
        return policy.kept(desk, desk.model)

    def _gather(
        self, desk: Desk, policy: GradientPolicy, upcoming: "_Upcoming", whole: int, reserved: float
    ) -> Steps[list[Group]]:
        """The groups of a step, wave after wave, each question at its own price: by an upper bound at first, then by
        what the bounds so far came to. What is left then pays for further groups, smaller ones if need be."""
        settings, start = self.settings, desk.left()
        groups, updating, bounded, ratio = list[Group](), 0.0, 0.0, 1.0
        most = settings.contexts or (whole if start == UNLIMITED else None)
        while most is None or len(groups) < most:
            room = 10**9 if most is None else most - len(groups)
            chosen, bound = self._affordable(desk, policy, upcoming, room, ratio, reserved + updating)
            if not chosen:
                break
            groups += yield from self._draw(desk.at(f"question {len(groups)}"), chosen, settings.candidates)
            updating, bounded = policy.cost(desk, groups), bounded + bound
            if bounded <= 0 and most is None:
                break  # questions that cost nothing would go on for ever
            ratio = min(1.0, CAUTION * (start - desk.left() + updating) / bounded) if start < UNLIMITED else 1.0
        while groups and desk.left() - reserved < policy.cost(desk, groups):
            desk.note("answers that cannot be learnt from: they were longer than expected", {"groups": 1})
            groups.pop()
        while settings.contexts is None and start < UNLIMITED and (bounded > 0 or not groups):
            size = self._fitting(desk, policy, groups, upcoming.first, reserved)
            if size < SMALLEST_GROUP:
                break
            groups += yield from self._draw(desk.at(f"question {len(groups)}", "more"), [upcoming.take()], size)
        return groups

    def _affordable(
        self, desk: Desk, policy: GradientPolicy, upcoming: "_Upcoming", room: int, ratio: float, reserved: float
    ) -> tuple[list[Asked], float]:
        """The next questions that can be paid for, and the sum of their bounds."""
        money, chosen, total = desk.left() - reserved, list[Asked](), 0.0
        if money == UNLIMITED:
            return [upcoming.take() for _ in range(room)], 0.0
        while len(chosen) < room:
            bound = self._bound(desk, policy, upcoming.first)
            if ratio * (total + bound) > money or (bound <= 0 and chosen):
                break
            chosen.append(upcoming.take())
            total += bound
        return chosen, total

    def _fitting(self, desk: Desk, policy: GradientPolicy, groups: Sequence[Group], one: Asked, reserved: float) -> int:
        """How many answers to one more question fit into a step with these groups, each as long as it may be."""
        request = self._request(desk, one)
        each = desk.bounds([request])[0]
        longest = desk.model.tokenize(request.prompt)[-1:] * request.max_new_tokens
        for size in range(self.settings.candidates, SMALLEST_GROUP - 1, -1):
            more = Group(request.prompt, [longest] * size, [0.0] * size)
            if size * each + policy.cost(desk, [*groups, more]) <= desk.left() - reserved:
                return size
        return 0

    def _request(self, desk: Desk, one: Asked, seed: int = 0) -> Generate:
        question, read = one
        prompts = desk.prompts
        return Generate(
            account=desk.pay(Purpose.LEARN),
            prompt=prompts.ask(question.text, read),
            max_new_tokens=prompts.max_new_tokens,
            temperature=1.0,
            stop=prompts.stop,
            seed=seed,
        )

    def _bound(self, desk: Desk, policy: GradientPolicy, one: Asked) -> float:
        request, size = self._request(desk, one), self.settings.candidates
        drawn = size * desk.bounds([request])[0]
        longest = desk.model.tokenize(request.prompt)[-1:] * request.max_new_tokens
        return drawn + policy.cost(desk, [Group(request.prompt, [longest] * size, [0.0] * size)])

    def _draw(self, desk: Desk, chosen: Sequence[Asked], size: int) -> Steps[list[Group]]:
        requests = [
            self._request(desk, one, desk.draw(str(number), str(turn)))
            for number, one in enumerate(chosen)
            for turn in range(size)
        ]
        results = yield from ask(desk.model, requests)
        groups = []
        for number, (question, _) in enumerate(chosen):
            own = [one.value for one in results[number * size : (number + 1) * size]]
            answers = [one for one in own if one is not None and one.ids]
            said = [desk.prompts.answer(one.text) for one in answers]
            rewards = [self._reward(desk.grade(question, answer)) for answer in said]
            ids, empty = [one.ids for one in answers], sum(not answer for answer in said)
            groups.append(Group(requests[number * size].prompt, ids, rewards, empty))
        return groups

    def _reward(self, grade: Grade) -> float:
        name = self.settings.reward
        return grade.score if name == "exam" else replace(grade, decides=name).score

    def _check(self, desk: Desk, held_out: Sequence[Asked]) -> Steps[tuple[float, float | None]]:
        """What a check will cost the next time, and the accuracy on what was held out, answered greedily."""
        before, account = desk.left(), desk.pay(Purpose.TUNE)
        marked = yield from together(
            [
                sit(Answerer(model=desk.model, context=read), [question], desk.prompts, account, desk.grade)
                for question, read in held_out
            ]
        )
        scores = [self._reward(mark.grade) for marks in marked for mark in marks]
        return CHECKED * (before - desk.left()) if before < UNLIMITED else 0.0, sum(scores) / len(scores)

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Fine-tune the model that has learned."""
        return (yield from fit_passages(desk.at(model=learned), materials, self.settings))


def no_question() -> InputError:
    """Said of an investment, before a trial or in the middle of it."""
    return InputError("the investment", "does not pay for even one question of a step", "invest more")


@final
class _Upcoming:
    """The training questions in an order of the desk's own, again and again; the first can be looked at."""

    def __init__(self, desk: Desk, training: Sequence[Asked]) -> None:
        order = stream(desk.draw("questions"), "order").permutation(len(training))
        self._endless: Iterator[Asked] = (training[int(order[number % len(training)])] for number in count())
        self.first = next(self._endless)

    def take(self) -> Asked:
        """The first, which the next one then is."""
        taken, self.first = self.first, next(self._endless)
        return taken
