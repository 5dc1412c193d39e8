"""SEAL: the model writes self-edits, and an outer loop teaches it to write better ones (ReST-EM).

A round of the outer loop, for some training problems (contexts):

1. propose    the model writes several edits about each context
2. evaluate   every edit is trained on and examined, several times; its mean accuracy is its reward
3. select     what is kept becomes pairs of prompt and edit
4. fine-tune  on those pairs, with loss on the edit only
5. merge      the adapter into the weights; the next round writes, trains and examines with the merged model, so that
              edits and rewards are on-policy

Adaptation is then the inner loop alone: the model that has learned writes edits and is trained on them.

Source: Zweiger et al. 2025, arXiv 2506.10943, section 3 and appendix B, and ``query_server.sh`` and ``train_SFT.sh`` of
its repository. Knowledge incorporation keeps the single best edit of each context (the paper's footnote), few-shot
learning every edit that helps (``keep: positive``, against the accuracy without any edit).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Annotated, Any, ClassVar, Literal, Self, final

from pydantic import Field, model_validator

from netgain.domains.problem import EditFormat, Material, Problem
from netgain.errors import InputError
from netgain.exam.exam import Answerer, accuracy
from netgain.methods.edit_rewards import (
    Context,
    Reward,
    context_quote,
    edit_round,
    evaluate,
    evaluate_again,
    reward_run,
)
from netgain.methods.fitting import SEVEN, Inner, Outer, Positive, Rate, Recipe
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.named_rewards import UNREWARDED, RewardSettings, rewards_of, unrewarded
from netgain.methods.policy import UNLIMITED, Imitation, Improvement, Keep, policy_bound
from netgain.methods.selection import RELIABILITY, Rule, best, halving, uniform
from netgain.methods.self_evaluation import discard, examine
from netgain.methods.settings_edit import SEAL_ARC, longest_recipe
from netgain.methods.synthetic import SyntheticSettings, write_and_fit
from netgain.methods.writing import asks, passages, write
from netgain.model.metered import Model
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.streams import stream

CAUTION = 1.05  # later contexts may be longer; without slack a whole wave is refused
SLACK = 1.02  # further repeats may change which edits are kept, and those may be longer

# -- settings


class LoopSettings(SyntheticSettings, RewardSettings, Outer):
    """What every outer loop needs.

    ``contexts`` is how many training problems a round takes up; None takes up as many as the investment pays for. Each
    has ``candidates`` edits, each trained on for ``reward_epochs`` (with ``reward_learning_rate``; None: the learning
    rate of adaptation) and examined, ``repeats`` times. ``edits`` is how many are written at adaptation. The ``outer_``
    settings are those of the fine-tuning on kept edits.
    """

    rounds: Positive = 2
    contexts: Positive | None = None
    candidates: Annotated[int, Field(ge=1, le=1000)] = 5
    repeats: Positive = 3
    reward_epochs: Positive = 10
    reward_learning_rate: Rate | None = None

    def reward_training(self) -> Inner:
        """How an edit is trained on for its reward."""
        return Inner(
            rank=self.rank,
            alpha=self.alpha,
            target_modules=self.target_modules,
            learning_rate=self.reward_learning_rate or self.learning_rate,
            batch_size=self.batch_size,
            max_epochs=self.reward_epochs,
            max_length=self.max_length,
            loss=self.loss,
            schedule=self.schedule,
            warmup_steps=self.warmup_steps,
        )

    def longest(self, desk: Desk, material: Material, form: EditFormat) -> Recipe:
        """What bounds the training of one edit in this format: the most that it may choose, or the passage, to which
        an edit of it is in proportion."""
        inner = self.reward_training()
        if form.splitting == "settings":
            return longest_recipe(desk, material, inner, self.most_steps)
        return Recipe(passages(desk, [material]), inner)


@final
class SealSettings(LoopSettings):
    """``select`` isolates what the reward is worth, ``keep`` says which edits become pairs to fine-tune on.

    ``reward``    the published rule: ``candidates`` edits, each evaluated ``repeats`` times, the best mean kept
    ``random``    the same work, rewards measured and paid for; which edit is kept is drawn at random
    ``unpaid``    no reward is measured; the edit that is kept is drawn at random, and what rewards would have taken
                  pays for more contexts
    ``adaptive``  as many evaluations (``candidates`` x ``repeats``), spent by successive halving with shrinkage over
                  ``wide`` edits; ``reliability`` is that of one evaluation (ICC(1,1)), see ``selection.py``
    """

    select: Literal["reward", "random", "unpaid", "adaptive"] = "reward"
    keep: Literal["best", "positive"] = "best"
    wide: Positive = 8
    reliability: Annotated[float, Field(gt=0, lt=1)] = RELIABILITY

    @model_validator(mode="after")
    def _rewarded(self) -> Self:
        if self.select == "unpaid" and self.keep == "positive":
            raise ValueError("select: unpaid measures no reward by which keep: positive could choose; write keep: best")
        if self.keep == "positive" and self.reward not in ("exam", "gain", "net", "random"):
            raise ValueError(
                f"keep: positive compares accuracies, and reward: {self.reward} is none; write reward: exam"
            )
        return self


_LOOP = {
    **{"rounds": 2, "contexts": 50, "candidates": 5, "repeats": 3, "keep": "best"},
    **{"format": "implications", "temperature": 1.0, "top_p": 0.95, "with_passage": True},
    **{"rank": 32, "alpha": 64.0, "target_modules": ("q_proj", "v_proj"), "max_length": 2048},
    **{"reward_epochs": 10, "reward_learning_rate": 1e-3},
    **{"outer_rank": 64, "outer_alpha": 128.0, "outer_modules": SEVEN},
    **{"outer_epochs": 2, "outer_batch": 10, "outer_learning_rate": 3e-4},
}


# Its few-shot learning (appendix A, `BC-self-edit.py` and `arclib/update_model.py`); the modules of the outer LoRA are
# not stated. Tasks are chosen so that none is solved without an edit: all that helps is all that is right.
_FEW_SHOT = {
    **{"rounds": 1, "contexts": 11, "candidates": 15, "repeats": 1, "keep": "positive"},
    **{"format": "settings", "edits": 1, "temperature": 0.8, "top_p": 1.0, "with_passage": False},
    **SEAL_ARC,
    "most_steps": 375,
    **{"outer_rank": 16, "outer_alpha": 16.0, "outer_modules": SEVEN, "outer_epochs": 8, "outer_batch": 5},
    **{"outer_learning_rate": 5e-5, "outer_schedule": "cosine"},
}


# -- the method


@final
class Seal(Method):
    """SEAL's outer loop (ReST-EM): edits, rewards, the best kept, fine-tuning, merging, and again.

    ``seal-v1`` is the paper's first version to the letter (its inner loop has ten epochs, so a larger budget is not
    used up), ``seal-v1-cpt`` its continued pretraining (LoRA, 3 epochs, 5 edits a passage), ``seal-v2`` that of version
    2: all weights, 7e-5, one epoch, 4 sequences x 2 accumulated, 5 edits a passage, up to 2,048 tokens, as ``args`` of
    its published results say (``results/cpt/200/iter2_200.json`` and the four beside it). They also say what ours has
    not: 3 % warm-up, and every edit as one text (``split_newlines: false``), where ours are cut as their format says.
    ``seal-arc`` is its few-shot learning: edits of settings, a yes or no as reward, all that help kept.
    """

    role: ClassVar[Role] = Role.SELF_IMPROVING
    Settings = SealSettings
    settings: SealSettings
    learns: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "seal-v1": {**_LOOP, "learning_rate": 1e-3, "batch_size": 1, "max_epochs": 10, "edits": 1},
        "seal-v1-cpt": {**_LOOP, "learning_rate": 1e-3, "batch_size": 1, "max_epochs": 3, "edits": 5},
        "seal-v2": {**_LOOP, "kind": "full", "learning_rate": 7e-5, "batch_size": 8, "max_epochs": 1, "edits": 5},
        "seal-arc": _FEW_SHOT,
        "random": {"select": "random"},
        "unpaid": {"select": "unpaid", "candidates": 1},
        "adaptive": {"select": "adaptive"},
    }

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model after all rounds. It writes better edits if the rewards were worth anything."""
        settings = self.settings
        adaptive = settings.select == "adaptive"
        evaluations = settings.candidates * settings.repeats
        rule = halving(evaluations, settings.reliability) if adaptive else uniform(settings.repeats)
        return (
            yield from outer_loop(
                desk,
                problems,
                settings,
                candidates=settings.wide if adaptive else settings.candidates,
                rule=None if settings.select == "unpaid" else rule,
                keep=self._keep,
                baseline=settings.keep == "positive",
            )
        )

    def _keep(self, desk: Desk, context: Context) -> list[int]:
        """The best edit, or all that beat the baseline; at random, as many edits drawn by lot."""
        settings = self.settings
        reliability = settings.reliability if settings.select == "adaptive" else None
        if not context.usable:
            return []
        if settings.keep == "best":
            kept = [best(context.tally, reliability, context.usable)]
        else:
            scores = context.tally.scores(reliability)
            least = 0.0 if settings.reward == "gain" else context.baseline or 0.0
            kept = [edit for edit, score in enumerate(scores) if score > least]
        if settings.select not in ("random", "unpaid"):
            return kept
        lot = stream(desk.draw("lot", context.name), "keep").permutation(context.usable)
        return sorted(int(edit) for edit in lot[: len(kept)])

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """The inner loop, by the model that has learned: it writes the edits and is trained on them."""
        return (yield from write_and_fit(desk.at(model=learned), materials, self.settings))


# -- the outer loop

Named = tuple[str, Problem]


@final
@dataclass(frozen=True, slots=True)
class _Loop:
    """What stays the same from round to round; the fields are the arguments of :func:`outer_loop`."""

    settings: LoopSettings
    candidates: int
    rule: Rule | None
    improvement: Improvement
    baseline: bool

    @property
    def evaluations(self) -> int:
        """About how many evaluations a context takes."""
        return self.candidates * self.settings.repeats if self.rule else 0


def outer_loop(
    desk: Desk,
    problems: Sequence[Problem],
    settings: LoopSettings,
    *,
    candidates: int,
    rule: Rule | None,
    keep: Keep | Improvement,
    baseline: bool = False,
) -> Steps[Model]:
    """All rounds of an outer loop, on the desk's account; the model after them.

    ``candidates`` edits are written about each context and evaluated as ``rule`` says; ``keep`` chooses among them, to
    be imitated, or improves the model in another way.
    Without a rule no reward is measured, and the money goes to more contexts.
    With ``baseline`` each context's accuracy without any edit is measured first. The investment is split evenly over
    the rounds; a round takes up contexts as long as its part lasts. Raises InputError where that is not even one.
    """
    if not problems:
        raise InputError("problems.train 0", "an outer loop learns from training problems", "give some")
    improvement = keep if isinstance(keep, Improvement) else Imitation(keep, settings.outer())
    loop = _Loop(settings, candidates, rule, improvement, baseline or settings.reward == "gain")
    upcoming = _endless(desk, problems)
    for number in range(1, settings.rounds + 1):
        left = desk.left()
        later = 0.0 if left == UNLIMITED else left - left / (settings.rounds - number + 1)  # for the rounds after it
        most = settings.contexts or (len(problems) if left == UNLIMITED else None)
        model = yield from _round(desk.at(f"round {number}"), loop, upcoming, most, later, number)
        desk = desk.at(model=model)
    return desk.model


def _endless(desk: Desk, problems: Sequence[Problem]) -> Iterator[Named]:
    """The training problems in an order of the desk's own, again and again, each time under another name."""
    order = stream(desk.draw("contexts"), "order").permutation(len(problems))
    return ((f"context {number}", problems[order[number % len(problems)]]) for number in count())


def _round(
    desk: Desk, loop: _Loop, upcoming: Iterator[Named], most: int | None, later: float, number: int
) -> Steps[Model]:
    """One round on at most ``most`` contexts, which leaves ``later`` on the account; the model with its policy merged.

    Without ``most`` the round is to use up its money: what does not pay for another context buys further repeats, where
    there are any.
    """
    settings = loop.settings
    contexts = yield from _gather(desk, loop, upcoming, most, later)  # 1. propose, 2. evaluate
    if most is None and loop.rule:
        fine_tuning = SLACK * loop.improvement.cost(desk, contexts)
        yield from evaluate_again(desk, contexts, settings.reward_training(), later + fine_tuning)
    for context in contexts if settings.placebo or settings.reward == "random" else ():
        context.shuffle(stream(desk.draw("placebo", context.name), "shuffle"))
    kept = loop.improvement.kept(desk, contexts)  # 3. select
    if loop.rule and any(context.edits for context in contexts):
        name, inner = "/".join(desk.names), settings.reward_training()
        run = reward_run(name, settings.prompt(desk), number, contexts, settings.repeats, inner, len(kept))
        desk.note("rewards", run.model_dump(mode="json"))
    else:
        desk.note("no rewards", {"round": number, "contexts": len(contexts), "kept": len(kept)})
    desk.note("edits", edit_round(number, contexts, kept).model_dump(mode="json"))
    return (yield from loop.improvement.improve(desk, contexts, later))  # 4. fine-tune, 5. merge


def _gather(desk: Desk, loop: _Loop, upcoming: Iterator[Named], most: int | None, later: float) -> Steps[list[Context]]:
    """Contexts with their rewards, if any, wave after wave (one batch each), until ``most`` or the round's money is up.

    Nobody knows what a context costs before its edits are written, so the first wave goes by an upper bound and every
    other by the average so far. What fine-tuning on the edits gathered so far would take is kept back.
    """
    settings, outer, start = loop.settings, loop.settings.outer(), desk.left()
    first = next(upcoming)
    upcoming = chain([first], upcoming)
    sizes = (loop.candidates, loop.evaluations)
    price = max(
        context_quote(desk, first[1], form, settings.longest(desk, first[1].material, form), *sizes, settings.reward)
        + loop.improvement.bound(desk, first[1].material, form, loop.candidates)
        + (0.0 if loop.rule else loop.candidates * policy_bound(desk, first[1].material, form, outer))
        for form in settings.formats(desk)
    )  # beside rewards, fine-tuning on what is kept is nothing; without them it is most of what there is to pay
    contexts, taken, fine_tuning = list[Context](), 0, 0.0
    while most is None or taken < most:
        money = desk.left() - later - fine_tuning
        room = 10**9 if most is None else most - taken
        width = room if money == UNLIMITED or price <= 0 else min(room, int(money // price))
        if width < 1 and contexts:
            break
        chosen = list(islice(upcoming, max(1, width)))  # the first by all means: a bound may be far too high
        taken += len(chosen)
        wave = yield from _wave(desk, loop, chosen, later + fine_tuning)
        if not wave:
            break
        contexts += wave
        fine_tuning = loop.improvement.cost(desk, contexts)
        price = CAUTION * (start - desk.left() + fine_tuning) / taken if start < UNLIMITED else 0.0
        if price <= 0 and most is None:
            break  # contexts that cost nothing would go on for ever
    if not contexts:
        raise unrewarded(settings.reward) if taken and settings.reward in UNREWARDED else too_small()
    return contexts


def too_small() -> InputError:
    """Said of an investment, before a trial or in the middle of it."""
    return InputError("the investment", "does not pay for even one context of a round", "invest more")


def _wave(desk: Desk, loop: _Loop, chosen: Sequence[Named], reserved: float) -> Steps[list[Context]]:
    """Edits and rewards of these contexts. One without any evaluation is left out, and what it cost is discarded:
    such as one that the model asks itself nothing about, where its own questions are the reward. So is one of fewer
    edits than the improvement can learn from.

    Without a rule one without any edit is left out.
    """
    settings = loop.settings
    forms = settings.formats(desk)
    baselines: list[float | None] = [None] * len(chosen)
    if loop.baseline:
        marked = yield from examine(desk, [(Answerer(model=desk.model), problem) for _, problem in chosen])
        baselines = [accuracy(marks) for marks in marked]
    requested = [
        one
        for turn, (_, problem) in enumerate(chosen)  # each begins with another format, so that all of them have a turn
        for one in asks([problem.material], [*forms[turn % len(forms) :], *forms[: turn % len(forms)]], loop.candidates)
    ]
    rewards = [Reward(settings.reward)] * len(chosen)
    if loop.rule is not None:
        rewards = yield from rewards_of(desk, chosen, settings, reserved)
    left = desk.left()
    share = 1.0 if left == UNLIMITED else max(0.0, left - reserved) / left if left else 0.0
    written = yield from write(
        desk.at(chosen[0][0]),
        requested,
        temperature=settings.temperature,
        top_p=settings.top_p,
        share=share,
        invalid=loop.improvement.invalid,
        within=settings.within(desk),
    )
    contexts = []
    for index, ((name, problem), baseline, reward) in enumerate(zip(chosen, baselines, rewards, strict=True)):
        own = [edit for edit in written[index * loop.candidates : (index + 1) * loop.candidates] if edit is not None]
        edits = [edit for edit in own if edit.texts]
        recipes = [settings.recipe(desk, edit, settings.reward_training()) for edit in edits]
        invalid = [edit for edit in own if not edit.texts]
        contexts.append(Context(name, problem, edits, recipes, baseline, invalid, reward))
    if loop.rule is None:
        return [context for context in contexts if context.edits]
    reserved += loop.improvement.held(desk, contexts)
    yield from evaluate(desk, contexts, loop.rule, settings.reward_training(), reserved)
    unpaid = [context for context in contexts if not loop.improvement.learns_from(context)]
    discard(desk, [row for context in unpaid for rows in context.charges for row in rows], "could not be evaluated")
    return [context for context in contexts if loop.improvement.learns_from(context)]
