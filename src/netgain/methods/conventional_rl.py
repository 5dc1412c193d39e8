"""Conventional reinforcement learning: GRPO on labelled training questions, then fine-tuning on the passage.

The second of the conventional rivals that SEAL is held against, beside supervised training on the same labels: the
model is trained to answer the training problems' questions, with the passage before it (in context) and without (closed
book), and is rewarded by the grade of each answer. There is no self-edit and no inner loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Annotated, Any, ClassVar, Literal, final

from pydantic import Field

from netgain.domains.problem import Grade, Material, Problem, Question
from netgain.errors import InputError
from netgain.exam.exam import Answerer, sit
from netgain.methods.finetune import PRESETS, FinetuneSettings, fit_passages
from netgain.methods.fitting import Count
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.policy import UNLIMITED
from netgain.methods.policy_gradient import GradientPolicy, GradientSettings, Group
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

    rounds: Count = 8
    contexts: Count | None = None
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
        order = stream(desk.draw("held out"), "order").permutation(len(problems))
        apart = min(settings.held_out, len(problems) - 1) if settings.check_every else 0
        held_out = [one for index in order[:apart] for one in self._asked(problems[index])]
        training = [one for index in order[apart:] for one in self._asked(problems[index])]
        return (yield from self._steps(desk, training, held_out))

    def _asked(self, problem: Problem) -> list[Asked]:
        ways: list[tuple[Material, ...]] = []
        ways += [(problem.material,)] if self.settings.asked != "closed" else []
        ways += [()] if self.settings.asked != "open" else []
        return [(question, way) for question in problem.questions for way in ways]

    def _steps(self, desk: Desk, training: Sequence[Asked], held_out: Sequence[Asked]) -> Steps[Model]:
        settings, policy, price = self.settings, GradientPolicy(self.settings), 0.0
        upcoming = _endless(desk, training)
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
                raise InputError("the investment", "does not pay for even one question of a step", "invest more")
            model = yield from policy.step(own, groups, later + kept)
            desk = desk.at(model=model)
            accuracy = None
            if due:
                price, accuracy = yield from self._check(own.at(model=model), held_out)
            policy.report(own, model, accuracy)
        return policy.kept(desk, desk.model)

    def _gather(
        self, desk: Desk, policy: GradientPolicy, upcoming: Iterator[Asked], whole: int, reserved: float
    ) -> Steps[list[Group]]:
        """The groups of a step, wave after wave: the first by an upper bound, every other by the average so far."""
        settings, start = self.settings, desk.left()
        groups, updating = list[Group](), 0.0
        most = settings.contexts or (whole if start == UNLIMITED else None)
        first = next(upcoming)
        price, waiting = self._bound(desk, policy, first), [first]
        while most is None or len(groups) < most:
            money = desk.left() - reserved - updating
            room = 10**9 if most is None else most - len(groups)
            width = room if money == UNLIMITED or price <= 0 else min(room, int(money // price))
            if width < 1:
                break
            chosen, waiting = [*waiting, *islice(upcoming, width - len(waiting))], []
            groups += yield from self._draw(desk.at(f"question {len(groups)}"), chosen)
            updating = policy.cost(desk, groups)
            price = CAUTION * (start - desk.left() + updating) / len(groups) if start < UNLIMITED else 0.0
            if price <= 0 and most is None:
                break  # questions that cost nothing would go on for ever
        return groups

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
        drawn = size * (desk.model.quote([request])[0].amount(desk.currency) or 0.0)
        longest = desk.model.tokenize(request.prompt)[-1:] * request.max_new_tokens
        return drawn + policy.cost(desk, [Group(request.prompt, [longest] * size, [0.0] * size)])

    def _draw(self, desk: Desk, chosen: Sequence[Asked]) -> Steps[list[Group]]:
        size = self.settings.candidates
        requests = [
            self._request(desk, one, desk.draw(str(number), str(turn)))
            for number, one in enumerate(chosen)
            for turn in range(size)
        ]
        results = yield from ask(desk.model, requests)
        groups = []
        for number, (question, _) in enumerate(chosen):
            own = [one.product for one in results[number * size : (number + 1) * size] if one.product is not None]
            answers = [one for one in own if one.ids]
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


def _endless(desk: Desk, training: Sequence[Asked]) -> Iterator[Asked]:
    """The training questions in an order of the desk's own, again and again."""
    order = stream(desk.draw("questions"), "order").permutation(len(training))
    return (training[order[number % len(training)]] for number in count())
