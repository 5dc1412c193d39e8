"""SEAL: rewards measured and paid, the best kept, the policy fine-tuned and merged, and again with what has learnt."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netgain.domains.problem import Grade, Question
from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.metering.verification import verify
from netgain.methods import edit_rewards
from netgain.methods.fitting import Inner
from netgain.methods.policy import LOST
from netgain.methods.reinforce import Reinforce, ReinforceSettings
from netgain.methods.seal import Seal, SealSettings
from netgain.model import Generate, Model, scripted_model
from netgain.model.program import ask
from netgain.model.scripted import ScriptedAdapter
from netgain.records.chain import read
from netgain.records.claim import RewardRun
from netgain.records.cost import Cost, Currency, Purpose
from netgain.records.events import Noted, Reserved
from netgain.records.learning import EditRound

from .conftest import MATERIAL, by_purpose, finish, problem

Make = Callable[..., Any]
SMALL = {"rank": 4, "alpha": 8.0, "outer_rank": 4, "outer_alpha": 8.0, "reward_epochs": 2}
PROBLEMS = [problem(number) for number in range(4)]


def knowing(request: Generate) -> str:
    """Writes a good or a bad edit by the seed, and answers right where it was trained on a good one."""
    prompt = str(request.prompt)
    if prompt.endswith("So:\n"):
        return "good" if request.seed % 3 == 0 else f"bad {request.seed}"
    known = request.adapter.sequences if isinstance(request.adapter, ScriptedAdapter) else ()
    text = b"|".join(map(bytes, known)).decode()
    if prompt == "what do you know?":
        return text
    name, kind = prompt.removeprefix("Q: ").partition("?")[0].split()
    return f"{kind}{name[1:]}" if "good" in text else "no idea"


def runs(book: Book) -> list[RewardRun]:
    events = [record.event for record in read(book.journal.path).records]
    notes = [event for event in events if isinstance(event, Noted) and event.text == "rewards"]
    return [RewardRun.model_validate({k: v for k, v in note.data.items() if k != "names"}) for note in notes]


def test_every_candidate_is_noted_with_its_text_its_scores_and_whether_it_won(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(knowing), None)
    finish(Seal(SealSettings(rounds=1, contexts=4)).learn(desk, PROBLEMS))
    events = [record.event for record in read(book.journal.path).records]
    (noted,) = [event.data for event in events if isinstance(event, Noted) and event.text == "edits"]
    found = EditRound.model_validate({key: value for key, value in noted.items() if key != "names"})
    (run,) = runs(book)
    assert run.correct is not None
    assert len(found.contexts) == 4
    for context in found.contexts:
        assert len(context) == run.edits
        assert {edit.text.partition(" ")[0] for edit in context} <= {"good", "bad"}
        (kept,) = [edit for edit in context if edit.kept]
        assert sum(kept.scores) == max(sum(edit.scores) for edit in context)


def outer_jobs(book: Book) -> Iterator[dict[str, Any]]:
    for record in read(book.journal.path).records:
        if isinstance(record.event, Reserved) and "policy" in str(record.event.settings.get("key", "")):
            yield dict(record.event.settings)


def test_f1_is_a_reward_like_any_other(make_desk: Make, book: Book) -> None:
    """Edits after which half of an answer's words are right earn a half; those that earn nothing are not kept."""

    def half(question: Question, answer: str) -> Grade:
        return Grade(False, 0.5 if answer in question.answers else 0.0, decides="f1")

    desk = make_desk(scripted_model(knowing), None, grade=half)
    finish(Seal(SealSettings(rounds=1, contexts=4)).learn(desk, PROBLEMS))
    (run,) = runs(book)
    assert run.correct is not None
    assert {count for rows in run.correct for counts in rows for count in counts} == {0, 1}
    third = make_desk(
        scripted_model(knowing), None, "third", grade=lambda q, a: replace(half(q, a), f1=half(q, a).f1 / 2)
    )
    finish(Seal(SealSettings(rounds=1, contexts=4)).learn(third, PROBLEMS))
    assert {count for rows in runs(book)[1].correct or () for counts in rows for count in counts} == {0, 0.5}
    assert runs(book)[1].kept == run.kept == 4


def test_one_round_as_published_costs_what_it_must(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(knowing), None)
    learned = finish(Seal(SealSettings(rounds=1, contexts=4)).learn(desk, PROBLEMS))
    assert learned is not desk.model
    edits, loops, answers = 4 * 5, 4 * 5 * 3, 4 * 5 * 3 * 2
    assert by_purpose(book) == {
        Purpose.PROPOSE: edits,
        Purpose.ADAPT: loops,
        Purpose.SCORE: answers,
        Purpose.LEARN: 2,
    }
    (run,) = runs(book)
    assert (run.problems, run.edits, run.repeats, run.kept, run.prompt) == (4, 5, 3, 4, "implications")
    assert run.questions == (2, 2, 2, 2)
    assert run.correct is not None
    assert {count for rows in run.correct for counts in rows for count in counts} == {0, 2}


def test_the_best_edit_of_each_context_is_kept_and_the_others_are_thrown_away(make_desk: Make, book: Book) -> None:
    written: dict[str, list[str]] = {}

    def watch(request: Generate) -> str:
        text = knowing(request)
        if str(request.prompt).endswith("So:\n"):
            written.setdefault(str(request.prompt), []).append(text)
        return text

    desk = make_desk(scripted_model(watch), None)
    learned = finish(Seal(SealSettings(rounds=1, contexts=4)).learn(desk, PROBLEMS))
    lost = Counter(charge.operation for charge in book.charges() if charge.discarded == LOST)
    assert lost == {"generate": 4 * 4, "train": 4 * 4 * 3}
    (result,) = finish(ask(learned, [Generate(account=desk.pay(Purpose.ADAPT), prompt="what do you know?")]))
    learnt = result.get().text.split("|")
    assert len(learnt) == 4
    for pair in learnt:
        prompt, edit = next((prompt, pair.removeprefix(prompt)) for prompt in written if pair.startswith(prompt))
        assert edit == ("good" if "good" in written[prompt] else written[prompt][0])


def test_the_next_round_writes_and_is_examined_with_the_merged_policy(make_desk: Make) -> None:
    adapters: list[str] = []

    def watch(request: Generate) -> str:
        if str(request.prompt).endswith("So:\n"):
            adapters.append(request.adapter.key if isinstance(request.adapter, ScriptedAdapter) else "")
        return knowing(request)

    desk = make_desk(scripted_model(watch), None, "two")
    method = Seal(SealSettings(rounds=2, contexts=2))
    learned = finish(method.learn(desk, PROBLEMS))
    assert adapters == [""] * 10 + ["two/round 1/policy"] * 10
    finish(method.adapt(make_desk(desk.model, None, "adapt"), [MATERIAL], learned))
    assert adapters[20:] == ["two/round 1/policy+two/round 2/policy"]


def test_the_outer_training_has_seals_settings_and_a_loss_on_the_edit_alone(tiny: Model, make_desk: Make) -> None:
    desk = make_desk(tiny, None)
    asked: list[Any] = []
    train: Any = tiny.train

    def watch(requests: Any) -> Any:
        asked.extend(requests)
        return train(requests)

    tiny.train = watch  # type: ignore[method-assign]
    try:
        finish(Seal(SealSettings(rounds=1, contexts=2, candidates=2, repeats=1, reward_epochs=1)).learn(desk, PROBLEMS))
    finally:
        tiny.train = train  # type: ignore[method-assign]
    outer = asked[-1].job
    assert (outer.rank, outer.alpha, outer.epochs, outer.batch_size, outer.learning_rate) == (64, 128, 2, 10, 3e-4)
    assert len(outer.target_modules) == 7
    for sequence, mask in zip(outer.sequences, outer.loss_masks, strict=True):
        prompt = len(tiny.tokenize("P1: P1 lives in town1. It is far.\nSo:\n"))
        assert list(mask) == [False] * prompt + [True] * (len(sequence) - prompt)
        assert sequence[-1] in tiny.ends


def test_a_full_run_fills_its_investment_and_its_books_agree(tiny: Model, make_desk: Make, book: Book) -> None:
    desk = make_desk(tiny, 2e9)
    method = Seal(SealSettings(**SMALL, rounds=2))
    learned = finish(method.learn(desk, PROBLEMS))
    assert 0.98 * 2e9 <= desk.account.spent(Currency.FLOPS) <= 2e9
    assert [run.round for run in runs(book)] == [1, 2]
    assert len(list(outer_jobs(book))) == 2
    assert {charge.purpose for charge in book.charges()} == set(Purpose) - {
        *(Purpose.TEACH, Purpose.TUNE, Purpose.EVALUATE),
    }
    answerer = finish(method.adapt(make_desk(tiny, 2e8, "adapt"), [MATERIAL], learned))
    assert answerer.model is learned
    assert book.account("adapt", limit=Cost(flops=2e8)).spent(Currency.FLOPS) >= 0.99 * 2e8
    path = book.journal.path
    book.close()
    assert verify(path).ok


def test_random_selection_does_and_pays_for_the_same_work(make_desk: Make, tmp_path: Path) -> None:
    bills = {}
    kept = {}
    for select in ("reward", "random"):
        with Book.open(tmp_path / select) as own:
            settings = SealSettings(rounds=1, contexts=4, select=select)
            desk = _desk_in(own, make_desk, scripted_model(knowing))
            finish(Seal(settings).learn(desk, PROBLEMS))
            bills[select] = (by_purpose(own), [charge.operation for charge in own.charges()])
            kept[select] = [charge.reservation for charge in own.charges() if not charge.discarded]
    assert bills["reward"] == bills["random"]
    assert kept["reward"] != kept["random"]


def _desk_in(book: Book, make_desk: Make, model: Model, seed: int = 0, limit: float | None = None) -> Any:
    desk = make_desk(model, None, "elsewhere")
    return replace(desk, account=book.account("arm", limit=Cost(flops=limit)), seed=seed, names=("arm",))


def test_adaptive_selection_spends_as_many_evaluations_on_more_edits(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(knowing), None)
    finish(Seal(SealSettings(rounds=1, contexts=4, select="adaptive")).learn(desk, PROBLEMS))
    spent = by_purpose(book)
    assert (spent[Purpose.PROPOSE], spent[Purpose.ADAPT], spent[Purpose.SCORE]) == (4 * 8, 4 * 15, 4 * 15 * 2)
    (run,) = runs(book)
    assert (run.correct, run.edits, run.repeats) == (None, 8, 4)
    assert run.means is not None
    assert len(run.means) == 4


def test_every_edit_that_helps_is_kept_where_the_setting_says_so(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(knowing), None)
    finish(Seal(SealSettings(rounds=1, contexts=4, keep="positive")).learn(desk, PROBLEMS))
    (run,) = runs(book)
    assert run.correct is not None
    assert run.kept == sum(sum(counts) > 0 for rows in run.correct for counts in rows)
    assert by_purpose(book)[Purpose.SCORE] == 4 * 2 + 4 * 5 * 3 * 2  # the accuracy without any edit is paid for too


def test_reinforce_counts_every_edit_by_how_much_better_than_its_group_it_did(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(knowing), None)
    finish(Reinforce(ReinforceSettings(rounds=1, contexts=4, repeats=1)).learn(desk, PROBLEMS))
    (run,) = runs(book)
    assert run.correct is not None
    (job,) = outer_jobs(book)
    assert job["sequences"] == run.kept > 0
    good = sum(counts[0] > 0 for rows in run.correct for counts in rows)
    unequal = [rows for rows in run.correct if len({counts[0] for counts in rows}) > 1]
    assert run.kept <= 3 * len(unequal)
    assert good > 0


def test_an_edit_that_cannot_be_trained_on_is_worth_nothing_and_stays_paid(make_desk: Make, book: Book) -> None:
    model = scripted_model(lambda request: f"edit {request.seed}")
    train: Any = model.train

    def failing(requests: Any) -> Any:
        return train(
            [
                request if "edit 1" in request.job.key or "policy" in request.job.key else _empty(request)
                for request in requests
            ]
        )

    model.train = failing  # type: ignore[method-assign]
    finish(Seal(SealSettings(rounds=1, contexts=1)).learn(make_desk(model, None), PROBLEMS))
    (run,) = runs(book)
    assert run.correct == (((0, 0, 0),) * 5,)
    assert Counter(charge.outcome for charge in book.charges() if charge.operation == "train") == {
        "failed": 12,
        "completed": 4,
    }
    assert by_purpose(book)[Purpose.ADAPT] == 15


def _empty(request: Any) -> Any:
    return replace(request, job=replace(request.job, epochs=0))


def test_contexts_are_taken_up_again_where_there_is_money_for_more_than_there_are(make_desk: Make, book: Book) -> None:
    desk = make_desk(scripted_model(knowing), 600)
    finish(Seal(SealSettings(rounds=1)).learn(desk, PROBLEMS))
    (run,) = runs(book)
    assert run.problems > len(PROBLEMS)
    assert 0.98 * 600 <= desk.account.spent(Currency.FLOPS) <= 600


def test_an_investment_that_pays_for_nothing_is_an_error(make_desk: Make) -> None:
    with pytest.raises(InputError, match="does not pay for even one context"):
        finish(Seal(SealSettings()).learn(make_desk(scripted_model(knowing), 3), PROBLEMS))
    with pytest.raises(InputError, match="learns from training problems"):
        finish(Seal(SealSettings()).learn(make_desk(scripted_model(knowing), 3, "b"), []))


@pytest.mark.parametrize("select", ["reward", "adaptive", "random"])
def test_the_same_seed_writes_the_same_journal_and_another_seed_another(
    tiny: Model, make_desk: Make, tmp_path: Path, select: str
) -> None:
    def journal(name: str, seed: int) -> list[Any]:
        with Book.open(tmp_path / f"{select}{name}") as own:
            desk = _desk_in(own, make_desk, tiny, seed, 6e8)
            learned = finish(Seal(SealSettings(**SMALL, rounds=2, select=select)).learn(desk, PROBLEMS))
            charges = [(c.operation, c.outcome, c.cost.flops, c.discarded) for c in own.charges()]
            return [learned.name, [run.model_dump() for run in runs(own)], charges]

    first = journal("a", 1)
    assert first == journal("b", 1)
    assert first != journal("c", 2)


def preset(name: str) -> SealSettings:
    return SealSettings.model_validate(Seal.presets[name])


def test_seal_v1_is_as_published() -> None:
    published = {
        **{"rounds": 2, "contexts": 50, "candidates": 5, "repeats": 3, "keep": "best", "select": "reward"},
        **{"format": "implications", "temperature": 1.0, "top_p": 0.95, "with_passage": True, "edits": 1},
        **{"rank": 32, "alpha": 64.0, "learning_rate": 1e-3, "reward_epochs": 10, "max_epochs": 10, "batch_size": 1},
        **{"target_modules": ("q_proj", "v_proj"), "max_length": 2048, "kind": "lora"},
        **{"outer_rank": 64, "outer_alpha": 128.0, "outer_epochs": 2, "outer_batch": 10, "outer_learning_rate": 3e-4},
        "outer_modules": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    }
    settings = preset("seal-v1")
    assert {field: getattr(settings, field) for field in published} == published
    loops = settings.contexts * settings.candidates * settings.repeats
    assert loops == 750


def test_seal_v2_is_full_fine_tuning_on_five_edits_a_passage_with_the_same_loop() -> None:
    first, second = preset("seal-v1"), preset("seal-v2")
    assert (second.kind, second.edits, second.reward_learning_rate) == ("full", 5, 1e-3)
    assert (second.learning_rate, second.max_epochs, second.batch_size, second.max_length) == (7e-5, 1, 4 * 2, 2048)
    changed = {field for field in type(first).model_fields if getattr(first, field) != getattr(second, field)}
    assert changed == {"kind", "edits", "learning_rate", "max_epochs", "batch_size"}


def test_an_investment_may_be_counted_in_updates(make_desk: Make) -> None:
    desk = make_desk(scripted_model(knowing), 200, currency=Currency.UPDATES)
    finish(Seal(SealSettings(rounds=1)).learn(desk, PROBLEMS))
    assert 0.95 * 200 <= desk.account.spent(Currency.UPDATES) <= 200


def test_further_repeats_end_where_they_take_nothing(make_desk: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Money that nothing uses up would buy them for ever."""
    bought = []

    def free(*_: Any) -> Any:
        bought.append(1)
        yield from ()
        return 3

    monkeypatch.setattr(edit_rewards, "evaluate_once", free)
    finish(edit_rewards.evaluate_again(make_desk(scripted_model(knowing), 9), [], Inner(), 0.0))
    assert len(bought) == 1


def test_seal_v2_trains_as_its_published_results_say() -> None:
    """The settings stand in every published result of its continued pretraining."""
    folder = Path(__file__).parents[3] / "shared/data/seal-v2/general-knowledge/results/cpt/200"
    if not folder.is_dir():
        pytest.skip("version 2's results are not here (../shared/data/seal-v2)")
    settings = preset("seal-v2")
    for name in ("base_200.json", "iter2_200.json", "gpt4_1_200.json", "naive_200.json"):
        args = json.loads((folder / name).read_text(encoding="utf-8"))["args"]
        assert (args["lr"], args["epochs"]) == (settings.learning_rate, settings.max_epochs)
        assert args["batch_size"] * args["gradient_accumulation_steps"] == settings.batch_size
        assert args["max_seq_length"] == settings.max_length
        assert args["weight_decay"] == 0
        assert args["k_completions"] in (0, settings.edits)
