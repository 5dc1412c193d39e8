"""The outer loop (ReST-EM): write edits, measure their rewards, fine-tune on the good ones, merge, and again.

Each round: some training problems (contexts); several edits of each; every edit trained on and examined; what a rule
keeps becomes pairs of prompt and edit, on which the policy is fine-tuned with loss on the edit only; the adapter is
merged, and the next round writes, trains and examines with the merged model, so edits and rewards are on-policy. The
investment is split evenly over the rounds, and contexts are taken up as long as it lasts.

Source: SEAL, arXiv 2506.10943, section 3 and appendix B; ``train_SFT.sh``, ``query_server.sh`` of its repository.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import count as counted
from itertools import islice
from typing import Annotated, ClassVar

from pydantic import Field

from netgain.domains.problem import EditFormat, Material, Problem
from netgain.errors import InputError
from netgain.exam.exam import Answerer, accuracy
from netgain.methods.finetune import Outer, merged
from netgain.methods.fit import Count, Inner, Rate, job_of
from netgain.methods.method import Desk, Learned
from netgain.methods.policy import fit_policy, policy_cost
from netgain.methods.propose import Edit, asks, find_format, write
from netgain.methods.rewards import reward_run
from netgain.methods.score import discard, examine
from netgain.methods.selection import Rule
from netgain.methods.synthetic import Synthetic, SyntheticSettings, passages
from netgain.methods.trial_edits import Context, Trial, evaluate, evaluate_some, exam_quote
from netgain.model.interface import Generate, Train
from netgain.model.lockstep import Steps
from netgain.model.metered import Model
from netgain.records.claim import Role
from netgain.records.purpose import Purpose
from netgain.streams import stream

LOST = "lost: the outer loop did not keep it"
CAUTION = 1.05  # how much dearer than those before a context may be


class LoopSettings(SyntheticSettings, Outer):
    """An outer loop. ``contexts`` None takes up as many training problems a round as the investment pays for.

    Every context has ``candidates`` edits, each trained on for ``reward_epochs`` (with ``reward_learning_rate``, or the
    one of adaptation) and examined, ``repeats`` times. ``edits`` is how many are written at adaptation. The ``outer_``
    settings are those of the fine-tuning on kept edits.
    """

    rounds: Count = 2
    contexts: Count | None = None
    candidates: Annotated[int, Field(ge=1, le=1000)] = 5
    repeats: Count = 3
    reward_epochs: Count = 10
    reward_learning_rate: Rate | None = None


class OuterLoop(Synthetic):
    """Base of methods with an outer loop: they differ in how edits are evaluated and which are kept how often."""

    role: ClassVar[Role] = Role.SELF_IMPROVING
    Settings = LoopSettings
    learns: ClassVar[bool] = True

    @property
    def candidates(self) -> int:
        """How many edits are written about each context."""
        return int(self.settings.candidates)

    @property
    def wants_baseline(self) -> bool:
        """Whether each context's accuracy without any edit is measured."""
        return False

    @abstractmethod
    def rule(self) -> Rule:
        """Which edits are evaluated, and how often."""

    @abstractmethod
    def keep(self, desk: Desk, contexts: Sequence[Context]) -> list[tuple[Context, int]]:
        """The edits to fine-tune on, each as often as it is to be trained on in an epoch."""

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The policy after all rounds: a model that writes better edits, if the rewards were worth anything."""
        if not problems:
            raise InputError("problems.train 0", "an outer loop learns from training problems", "give some")
        coming = _without_end(desk, problems)
        for number in range(self.settings.rounds):
            left = desk.left()
            later = 0.0 if left == float("inf") else left - left / (self.settings.rounds - number)
            most = self.settings.contexts or (len(problems) if left == float("inf") else None)
            model = yield from self._round(desk.at(f"round {number + 1}"), coming, most, later, number + 1)
            desk = desk.at(model=model)
        return desk.model

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """As without an outer loop, by the model that has learnt: it writes the edits and is trained on them."""
        answerer = yield from super().adapt(desk.at(model=learned), materials, None)
        return answerer

    def _round(
        self, desk: Desk, coming: Iterator[tuple[str, Problem]], most: int | None, later: float, number: int
    ) -> Steps[Model]:
        """One round, which leaves ``later`` on the account; the model with its policy merged."""
        settings, outer = self.settings, self.settings.outer()
        contexts = yield from self._gather(desk, coming, most, later)
        if most is None:
            tail = 1.02 * policy_cost(desk, _edits(self.keep(desk, contexts)), outer)
            yield from _further_repeats(desk, contexts, self._trial(), later + tail)
        kept = self.keep(desk, contexts)
        name, form = "/".join(desk.names), find_format(desk, settings.format).name
        run = reward_run(
            name, form, number, contexts, settings.repeats, self._inner(), settings.reward_epochs, len(kept)
        )
        desk.note("rewards", run.model_dump(mode="json"))
        _discard_others(desk, contexts, kept)
        trained = yield from fit_policy(desk, _edits(kept), outer, later)
        model = yield from merged(desk, trained)
        return model

    def _gather(
        self, desk: Desk, coming: Iterator[tuple[str, Problem]], most: int | None, later: float
    ) -> Steps[list[Context]]:
        """Contexts with their rewards, wave after wave, until the money or ``most`` is reached.

        What fine-tuning on them will take is kept back. A wave is as wide as the prices of those before it allow.
        """
        form, outer = find_format(desk, self.settings.format), self.settings.outer()
        first = next(coming)
        waiting: list[tuple[str, Problem]] = [first]
        contexts: list[Context] = []
        price, tail, taken, start = self._guess(desk, form, first[1]), 0.0, 0, desk.left()
        while most is None or taken < most:
            money = desk.left() - later - tail
            room = 10**9 if most is None else most - taken
            count = room if money == float("inf") or price <= 0 else min(room, int(money // price))
            if count < 1 and contexts:
                break
            chosen = [*waiting, *islice(coming, max(1, count) - len(waiting))]
            waiting, taken = [], taken + len(chosen)
            wave = yield from self._wave(desk, form, chosen, later + tail)
            if not wave:
                break
            contexts += wave
            tail = policy_cost(desk, _edits(self.keep(desk, contexts)), outer)
            price = CAUTION * (start - desk.left() + tail) / taken if start < float("inf") else 0.0
            if price <= 0 and most is None:
                break  # what takes nothing could go on for ever
        if not contexts:
            raise InputError("the investment", "pays not even for one context of a round", "invest more")
        return contexts

    def _wave(
        self, desk: Desk, form: EditFormat, chosen: Sequence[tuple[str, Problem]], kept_back: float
    ) -> Steps[list[Context]]:
        """These contexts with edits and rewards; where none could be paid for, what was written is thrown away."""
        settings = self.settings
        baselines: list[float | None] = [None] * len(chosen)
        if self.wants_baseline:
            marked = yield from examine(desk, [(Answerer(model=desk.model), problem) for _, problem in chosen])
            baselines = [accuracy(marks) for marks in marked]
        found: list[Context] = []
        wanted = [one for _, problem in chosen for one in asks([problem.material], form, self.candidates)]
        left = desk.left()
        share = 1.0 if left == float("inf") else max(0.0, left - kept_back) / left
        written = yield from write(
            desk.at(chosen[0][0]), wanted, temperature=settings.temperature, top_p=settings.top_p, share=share
        )
        for place, ((name, problem), baseline) in enumerate(zip(chosen, baselines, strict=True)):
            own = written[place * self.candidates : (place + 1) * self.candidates]
            found.append(Context(name, problem, [edit for edit in own if edit is not None], baseline))
        yield from evaluate(desk, found, self.rule(), self._trial(), kept_back)
        unpaid = [context for context in found if not any(context.tally.counts())]
        discard(desk, [row for context in unpaid for rows in context.charges for row in rows], "could not be evaluated")
        return [context for context in found if any(context.tally.counts())]

    def _inner(self) -> Inner:
        settings = self.settings
        return Inner(
            rank=settings.rank,
            alpha=settings.alpha,
            target_modules=settings.target_modules,
            learning_rate=settings.reward_learning_rate or settings.learning_rate,
            batch_size=settings.batch_size,
            max_length=settings.max_length,
        )

    def _trial(self) -> Trial:
        return Trial(self._inner(), self.settings.reward_epochs, self.settings.with_passage)

    def _guess(self, desk: Desk, form: EditFormat, problem: Problem) -> float:
        """What a context may cost, before there was one: its edits as long as they may be, trained on and examined."""
        request = Generate(
            account=desk.pay(Purpose.PROPOSE), prompt=form.prompt(problem.material), max_new_tokens=form.max_new_tokens
        )
        job = job_of(desk, passages(desk, [problem.material]), self._inner(), epochs=self.settings.reward_epochs)
        length = max(1, sum(map(len, job.sequences)))
        written, trained = (
            desk.model.quote([request])[0],
            desk.model.quote([Train(account=desk.pay(Purpose.ADAPT), job=job)])[0],
        )
        loop: float = (trained.amount(desk.currency) or 0.0) * (1 + 2 * form.max_new_tokens / length)
        evaluations = self.candidates * self.settings.repeats
        cost = self.candidates * (written.amount(desk.currency) or 0.0)
        guess: float = max(cost + evaluations * (loop + exam_quote(desk, problem)), 1e-12)
        return guess


def _without_end(desk: Desk, problems: Sequence[Problem]) -> Iterator[tuple[str, Problem]]:
    """The training problems in an order of the desk's own, again and again, each time under another name."""
    order = stream(desk.draw("contexts"), "order").permutation(len(problems))
    return ((f"context {number}", problems[order[number % len(problems)]]) for number in counted())


def _further_repeats(desk: Desk, contexts: Sequence[Context], trial: Trial, kept_back: float) -> Steps[None]:
    """What does not pay for another context buys further repeats, one for each edit, the least evaluated first.

    It ends as well where evaluating takes nothing, as trainings do that fail before their first step.
    """
    done, before = 1, float("inf")
    while done and desk.left() < before:
        before = desk.left()
        pairs = [(context, edit) for context in contexts for edit in range(len(context.edits))]
        wanted = sorted(pairs, key=lambda pair: len(pair[0].tally.rewards[pair[1]]))
        done = yield from evaluate_some(desk, wanted, trial, kept_back)


def _edits(kept: Sequence[tuple[Context, int]]) -> list[Edit]:
    return [context.edits[edit] for context, edit in kept]


def _discard_others(desk: Desk, contexts: Sequence[Context], kept: Sequence[tuple[Context, int]]) -> None:
    chosen = {(context.name, edit) for context, edit in kept}
    lost = [
        row
        for context in contexts
        for edit, rows in enumerate(context.charges)
        if (context.name, edit) not in chosen
        for row in rows
    ]
    discard(desk, lost, LOST)
