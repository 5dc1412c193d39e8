"""Policy gradients: curves that rise on an easy reward, stay flat under a shuffled one and fall at too high a rate; and
GRPO, RLOO and PPO as outer loops on SEAL's accounts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netgain
from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT
from netgain.methods.gradient_loops import EditGradientSettings, Grpo, Ppo, PpoSettings, Rloo, RlooSettings
from netgain.methods.method import Desk
from netgain.methods.policy_gradient import KEPT, NOTE, GradientPolicy, GradientSettings, Group, advantages_of
from netgain.methods.seal import SealSettings
from netgain.model import Generate, Model, scripted_model
from netgain.model.program import Steps, ask
from netgain.records.chain import read
from netgain.records.cost import Currency, Purpose
from netgain.records.events import Noted
from netgain.records.learning import PolicyStep
from netgain.trials.refusals import least_context
from netgain.trials.task_costs import Lengths

from ..model.conftest import save_model
from ..profiled import EXACT
from .conftest import by_purpose, finish, problem
from .test_seal import knowing

Make = Callable[..., Any]
SMALL: dict[str, Any] = {"outer_rank": 8, "outer_alpha": 16.0}
PROMPT = (
    "Walter Walsh\nWalter Walsh works at Redwood. The pet of Walter Walsh is a goose. Walter Walsh enjoys climbing.\n"
)
PROBLEMS = [problem(number) for number in range(6)]
LOOP = {"rounds": 2, "contexts": 2, "candidates": 3, "reward_epochs": 1}


@pytest.fixture(scope="module")
def shipped() -> Model:
    """The model of the people world: it writes about the passage from the start."""
    load = pytest.importorskip("netgain.model.hugging_face").load_model
    model: Model = load(Path(netgain.__file__).parent / "shipped" / "people", device="cpu")
    return model


def draw(desk: Desk, prompt: str, size: int, tokens: int = 12) -> Steps[Group]:
    """A group drawn by the desk's model, each text rewarded by its share of tokens that its prompt has as well."""
    account = desk.pay(Purpose.PROPOSE)
    requests = [
        Generate(account=account, prompt=prompt, max_new_tokens=tokens, temperature=1.0, seed=desk.draw(str(i)))
        for i in range(size)
    ]
    results = yield from ask(desk.model, requests)
    ids, known = [result.get().ids for result in results], set(desk.model.tokenize(prompt))
    rewards = [float(np.mean([token in known for token in one])) for one in ids]
    return Group(prompt, ids, rewards)


def learn(desk: Desk, rate: float, steps: int, *, placebo: bool = False) -> Steps[list[PolicyStep]]:
    policy, model = GradientPolicy(GradientSettings(**SMALL, outer_learning_rate=rate)), desk.model
    for number in range(steps):
        own = desk.at(f"step {number}", model=model)
        group = yield from draw(own, PROMPT, 10)
        if placebo:
            group.rewards = [float(x) for x in np.random.default_rng(number).permutation(group.rewards)]
        model = yield from policy.step(own, [group], 0.0)
        policy.report(own, model)
    return policy.curve


def rewards(curve: list[PolicyStep]) -> list[float]:
    return [one.reward or 0.0 for one in curve]


def test_an_easy_reward_is_learnt(make_desk: Make, shipped: Model) -> None:
    curve = finish(learn(make_desk(shipped, None, "real"), 3e-3, 6))
    assert np.mean(rewards(curve)[-2:]) > rewards(curve)[0] + 0.05
    assert [one.step for one in curve] == list(range(1, 7))
    assert curve[0].kl == 0  # the first batch is drawn by the model as it began
    assert 0 < (curve[-1].kl or 0) < 1
    assert all(one.updates == 2 and one.length and one.entropy and one.clipped is not None for one in curve)
    spent = [one.flops or 0.0 for one in curve]
    assert spent == sorted(spent)
    assert spent[0] > 0


def test_under_the_placebo_the_same_work_teaches_nothing(make_desk: Make, shipped: Model) -> None:
    curve = finish(learn(make_desk(shipped, None, "real"), 3e-3, 6, placebo=True))
    assert np.mean(rewards(curve)[-2:]) < rewards(curve)[0] + 0.05


def test_a_rate_that_is_too_high_collapses(make_desk: Make, shipped: Model) -> None:
    curve = finish(learn(make_desk(shipped, None, "high"), 0.3, 3))
    assert max(rewards(curve)[1:]) < rewards(curve)[0] / 2
    assert (curve[-1].kl or 0) > 5


def test_a_whole_step_costs_what_the_profiler_sees(make_desk: Make, book: Book, tmp_path: Path) -> None:
    """Scoring under two models, the clipped updates from an adapter that goes on, and the merge."""
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter").FlopCounterMode
    load = pytest.importorskip("netgain.model.hugging_face").load_model
    model = load(save_model(tmp_path / "tiny"), device="cpu", engine="hooks", attention="eager")
    policy = GradientPolicy(GradientSettings(**SMALL))
    desk = make_desk(model, None, "step")
    for number in range(2):
        desk = desk.at(f"step {number}")
        group = finish(draw(desk, "ab", 6, 5))
        before = book.length
        with counter(display=False) as seen, torch.enable_grad():
            desk = desk.at(model=finish(policy.step(desk, [group], 0.0)))
        charges = [charge.cost for charge in book.charges(since=before)]
        weights = 8 * sum(i + o for i, o in [(32, 32), (32, 16), (32, 16), (32, 32), *[(32, 80)] * 2, (80, 32)]) * 3
        optimizer = OPTIMIZER_FLOPS_PER_WEIGHT * weights * sum(cost.updates or 0.0 for cost in charges)
        assert sum(cost.updates or 0.0 for cost in charges) == 2
        assert sum(cost.flops or 0.0 for cost in charges) - optimizer == pytest.approx(
            seen.get_total_flops(), rel=EXACT
        )


def test_advantages_are_the_normalisations_of_trl() -> None:
    rewards = [1.0, 0.0, 0.0, 1.0, 0.5]
    centred = np.array(rewards) - 0.5
    assert advantages_of(rewards, "mean") == pytest.approx(centred)
    assert advantages_of(rewards, "group") == pytest.approx(centred / (np.std(rewards, ddof=1) + 1e-4))
    assert advantages_of(rewards, "leave-one-out") == pytest.approx(centred * 5 / 4)
    assert advantages_of([0.3, 0.3], "group") == [0.0, 0.0]
    assert advantages_of([0.3], "leave-one-out") == [0.0]


# -- as outer loops


def steps_of(book: Book) -> list[PolicyStep]:
    book.flush()
    events = [record.event for record in read(book.journal.path).records]
    noted = [event.data for event in events if isinstance(event, Noted) and event.text == NOTE]
    return [PolicyStep.model_validate({k: v for k, v in data.items() if k != "names"}) for data in noted]


@pytest.mark.parametrize(
    ("method", "settings"), [(Grpo, EditGradientSettings), (Rloo, RlooSettings), (Ppo, PpoSettings)]
)
def test_a_step_learns_from_every_edit_on_seals_accounts(
    make_desk: Make, book: Book, method: Any, settings: Any
) -> None:
    desk = make_desk(scripted_model(knowing), None)
    learned = finish(method(settings(**LOOP)).learn(desk, PROBLEMS))
    assert learned is not desk.model
    edits = 2 * 2 * 3
    spent = by_purpose(book)
    assert (spent[Purpose.PROPOSE], spent[Purpose.ADAPT], spent[Purpose.SCORE]) == (edits, edits, edits * 2)
    # in the first round no other model than the first is asked how likely the edits are
    assert spent[Purpose.LEARN] == 6 + 12 + 2 + 2
    first, second = steps_of(book)
    assert (first.step, first.groups, first.texts, first.invalid) == (1, 2, 6, 0)
    assert 0 <= (first.flat or 0) <= 1
    assert (second.flops or 0) > (first.flops or 0) > 0
    assert not [charge for charge in book.charges() if charge.discarded]


def test_an_edit_that_nothing_can_be_trained_on_is_learnt_from_as_the_worst(make_desk: Make, book: Book) -> None:
    def sometimes(request: Generate) -> str:
        return " " if str(request.prompt).endswith("So:\n") and request.seed % 2 else knowing(request)

    finish(Grpo(EditGradientSettings(**LOOP)).learn(make_desk(scripted_model(sometimes), None), PROBLEMS))
    first, second = steps_of(book)
    assert 0 < first.invalid + second.invalid < 12
    assert first.texts == second.texts == 6


def test_a_policy_that_writes_nothing_of_use_any_more_is_told_so(make_desk: Make, book: Book) -> None:
    """It is a collapse, not an investment that is too small."""
    desk = make_desk(scripted_model(lambda request: " "), None)
    finish(Grpo(EditGradientSettings(**LOOP)).learn(desk, PROBLEMS))
    assert [(one.invalid, one.texts, one.flat) for one in steps_of(book)] == [(6, 6, 1.0)] * 2


def test_checks_are_paid_as_tuning_and_choose_the_checkpoint(make_desk: Make, book: Book) -> None:
    """The model gets worse with every merge, so the best is the one that it began as."""

    def worse(request: Generate) -> str:
        key = getattr(request.adapter, "key", "")
        if str(request.prompt).endswith("So:\n") or "check" not in key:
            return knowing(request)
        name, kind = str(request.prompt).removeprefix("Q: ").partition("?")[0].split()
        return "forgotten" if "policy" in key else f"{kind}{name[1:]}"

    settings = {**LOOP, "check_every": 1, "held_out": 2}
    desk = make_desk(scripted_model(worse), None)
    learned = finish(Grpo(EditGradientSettings(**settings, checkpoint="best")).learn(desk, PROBLEMS))
    assert learned is desk.model
    curve = steps_of(book)
    assert [one.step for one in curve] == [0, 1, 2]
    assert [one.development for one in curve] == [1.0, 0.0, 0.0]
    assert by_purpose(book)[Purpose.TUNE] == 3 * 2 * (1 + 1 + 2)  # an edit, its training, two questions
    kept = [r.event for r in read(book.journal.path).records if isinstance(r.event, Noted) and r.event.text == KEPT]
    assert [event.data["step"] for event in kept] == [0]
    other = make_desk(scripted_model(worse), None, "end")
    assert finish(Grpo(EditGradientSettings(**settings)).learn(other, PROBLEMS)) is not other.model


def test_an_investment_is_used_and_never_exceeded(make_desk: Make, book: Book, tiny: Model) -> None:
    settings = EditGradientSettings(rounds=2, candidates=2, reward_epochs=2, rank=4, alpha=8.0, **SMALL)
    desk = make_desk(tiny, 3e9)
    finish(Grpo(settings).learn(desk, PROBLEMS))
    assert 0 <= desk.left() < 0.1 * 3e9
    assert len(steps_of(book)) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"outer_epochs": None}, "how often a batch is gone through"), ({"checkpoint": "best"}, "write check_every")],
)
def test_settings_that_contradict_themselves_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EditGradientSettings(**settings)


def test_an_adapter_goes_on_only_as_what_it_was_begun_as(make_desk: Make, tiny: Model) -> None:
    desk = make_desk(tiny, None, "first")
    policy = GradientPolicy(GradientSettings(**SMALL))
    finish(policy.step(desk, [finish(draw(desk, "ab", 4, 3))], 0.0))
    policy.settings = GradientSettings(**SMALL | {"outer_rank": 2})
    with pytest.raises(InputError, match="has another rank, alpha or targets"):
        finish(policy.step(desk, [finish(draw(desk, "ab", 4, 3))], 0.0))


@pytest.mark.parametrize("method", [Grpo, Rloo, Ppo])
def test_a_group_of_one_text_is_nothing_to_learn_from(make_desk: Make, book: Book, method: Any) -> None:
    """Whatever the investment pays for, a step compares two texts at the least, or there is none."""
    refused = list[int]()
    for limit in range(4, 40, 2):
        desk = make_desk(scripted_model(knowing), float(limit), f"limit {limit}")
        try:
            finish(method(method.Settings(**LOOP | {"rounds": 1})).learn(desk, PROBLEMS[:1]))
        except InputError:
            refused.append(limit)
    steps = steps_of(book)
    assert len(refused) + len(steps) == 18
    assert len(refused) > 1
    assert steps
    assert all(one.texts >= 2 * one.groups for one in steps)


@pytest.mark.parametrize("method", [Grpo, Rloo, Ppo])
def test_what_a_group_takes_at_the_least_is_never_more_than_one_took(make_desk: Make, tiny: Model, method: Any) -> None:
    """So no trial that could run is refused for its investment; and with less than that none does run."""
    assert tiny.shape is not None
    how = {"rounds": 1, "contexts": 1, "candidates": 2, "reward_epochs": 1, "rank": 4, "alpha": 8.0, **SMALL}
    settings, problem = method.Settings(**how), PROBLEMS[0]
    desk = make_desk(tiny, None, "least")
    finish(method(settings).learn(desk, [problem]))
    prompts = [len(tiny.tokenize(desk.prompts.ask(question.text))) for question in problem.questions]
    passage = len(tiny.tokenize(problem.material.text, special=False))
    lengths = Lengths(passage=passage, question=min(prompts), questions=len(prompts))
    least, spent = least_context(settings, tiny.shape, lengths).flops or 0.0, desk.account.spent(Currency.FLOPS) or 0.0
    assert 0.1 * spent < least < spent
    one = least_context(SealSettings(**{k: v for k, v in how.items() if k != "kl"}), tiny.shape, lengths).flops or 0.0
    assert least > one
    with pytest.raises(InputError, match="does not pay for even one context"):
        finish(method(settings).learn(make_desk(tiny, 0.99 * least, "less"), [problem]))
