"""SEAL and its rivals on problems of a few examples: settings by an outer loop, fixed, by lot, by search, by labels."""

import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.methods.few_shot_training import (
    BestSettings,
    ChoiceSettings,
    FewShotTraining,
    FixedSettings,
    LabelledSettings,
    OracleSettings,
    RandomSettings,
    TunedSettings,
)
from netgain.methods.method import Desk
from netgain.methods.reinforce import Reinforce, ReinforceSettings
from netgain.methods.seal import Seal, SealSettings
from netgain.methods.settings_edit import SEAL_ARC
from netgain.methods.settings_search import SearchSettings, SettingsSearch
from netgain.methods.synthetic import Synthetic, SyntheticSettings
from netgain.methods.taught import ModelTeacher, Taught, TaughtSettings
from netgain.methods.trained_writers import Sharpened, SharpenedSettings
from netgain.model import Generate, Model, Score
from netgain.model.scripted import ScriptedAdapter
from netgain.records.chain import read
from netgain.records.claim import RewardRun
from netgain.records.cost import Currency, Purpose
from netgain.records.events import Noted

from ..trials import letters
from .conftest import by_purpose, finish
from .examples import MATERIAL, PROBLEMS, TOOLS, chooser, few_shot, jobs, settings

SMALL = {"rank": 4, "alpha": 8.0, "outer_rank": 4, "outer_alpha": 8.0, "rounds": 1}
RIGHT, USELESS, REFUSED = settings("backwards", epochs=1), settings("order", epochs=1), "Let me think."


def answer(request: Generate) -> str:
    """Right after a training on words put backwards as well, and only then."""
    *pairs, (word, _) = letters.read(str(request.prompt))
    learnt = request.adapter.sequences if isinstance(request.adapter, ScriptedAdapter) else ()
    text = b"|".join(map(bytes, learnt)).decode()
    by = (ord(pairs[0][1][0]) - ord(pairs[0][0][0])) % 26
    return letters.shifted(word, by) if " > ".join(part[::-1] for part in pairs[0]) in text else "no"


def thirds() -> Model:
    """Chooses what helps, what does not help and what cannot be read, by the seed."""
    return chooser(lambda request: (RIGHT, USELESS, REFUSED)[request.seed % 3], answer)


def rounds(book: Book) -> list[RewardRun]:
    events = [record.event for record in read(book.journal.path).records]
    notes = [event for event in events if isinstance(event, Noted) and event.text == "rewards"]
    return [RewardRun.model_validate({k: v for k, v in note.data.items() if k != "names"}) for note in notes]


def policy(book: Book) -> list[dict[str, Any]]:
    return [job for job in jobs(book) if "policy" in job["key"]]


# -- SEAL


def seal(**changes: Any) -> Seal:
    given = SMALL | {"contexts": 4, "candidates": 6, "repeats": 1, "keep": "positive"} | changes
    return Seal(SealSettings(**given))


def test_the_outer_loop_keeps_every_edit_that_helps_and_records_what_all_of_them_chose(
    make_desk: Any, book: Book
) -> None:
    desk = few_shot(make_desk, thirds(), None)
    finish(seal().learn(desk, PROBLEMS))
    (run,) = rounds(book)
    assert run.correct is not None
    rewards = [counts[0] for edits in run.correct for counts in edits]
    assert len(run.chosen) == len(rewards) == 24
    for chosen, reward in zip(run.chosen, rewards, strict=True):
        assert chosen.score == reward == (chosen.tools == ("backwards",))
    assert {chosen.refused for chosen in run.chosen} == {"", "no JSON object"}
    assert {chosen.problem for chosen in run.chosen} == {problem.id for problem in PROBLEMS}
    (job,) = policy(book)
    assert run.kept == job["sequences"] == sum(map(int, rewards))


def test_a_refused_edit_is_a_candidate_that_is_worth_nothing_and_is_paid_for(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, chooser(REFUSED), None)
    finish(seal(contexts=1).learn(desk, PROBLEMS[:1]))
    (run,) = rounds(book)
    assert run.correct == (((0,),) * 6,)
    assert run.kept == 0
    written = [charge for charge in book.charges() if charge.purpose is Purpose.PROPOSE]
    assert len(written) == 6
    assert all(charge.discarded and charge.cost.flops for charge in written)


@pytest.mark.parametrize("keep", ["best", "positive"])
def test_random_selection_keeps_as_many_of_those_that_can_be_trained_on(make_desk: Any, book: Book, keep: Any) -> None:
    by_reward, by_lot = few_shot(make_desk, thirds(), None), few_shot(make_desk, thirds(), None, "lot")
    finish(seal(keep=keep).learn(by_reward, PROBLEMS))
    finish(seal(keep=keep, select="random").learn(by_lot, PROBLEMS))
    first, second = rounds(book)
    assert 0 < second.kept <= first.kept
    assert [job["sequences"] for job in policy(book)] == [first.kept, second.kept]


def test_no_text_that_cannot_be_read_is_ever_taught(make_desk: Any, book: Book) -> None:
    """Neither by lot nor by a writer without a reward."""
    desk = few_shot(make_desk, chooser(REFUSED), None)
    finish(seal(keep="best", select="random").learn(desk, PROBLEMS))
    finish(Sharpened(SharpenedSettings(**SMALL, contexts=2)).learn(desk.at("sharpened"), PROBLEMS))
    assert policy(book) == []


def test_every_outer_loop_learns_to_choose_settings(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, thirds(), None)
    finish(Reinforce(ReinforceSettings(**SMALL, contexts=4, repeats=1)).learn(desk, PROBLEMS))
    assert len(rounds(book)[0].chosen) == 20
    assert len(policy(book)) == 1


def test_seals_own_settings_are_a_preset(make_desk: Any, book: Book) -> None:
    given = SealSettings(**Seal.presets["seal-arc"])
    assert (given.contexts, given.candidates, given.repeats, given.keep) == (11, 15, 1, "positive")
    assert (given.temperature, given.most_steps) == (0.8, 375)
    desk = few_shot(make_desk, thirds(), None)
    finish(Seal(given.model_copy(update={"contexts": 2, "candidates": 5})).learn(desk, PROBLEMS))
    inner = [job for job in jobs(book) if "policy" not in job["key"]]
    assert {(job["rank"], job["alpha"], job["batch_size"]) for job in inner} == {(128, 16.0, 2)}
    assert {(job["schedule"], job["warmup_steps"]) for job in inner} == {("cosine", 11)}
    (outer,) = policy(book)
    assert (outer["rank"], outer["alpha"], outer["epochs"], outer["batch_size"]) == (16, 16.0, 8, 5)
    assert (outer["learning_rate"], outer["schedule"]) == (5e-5, "cosine")


def test_an_investment_is_never_exceeded_by_what_edits_choose(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, thirds(), 120.0, "limited")
    finish(seal(contexts=None).learn(desk, PROBLEMS))
    assert 60 < desk.account.spent(Currency.FLOPS) <= 120


# -- fixed settings


def test_fixed_settings_train_on_the_sequences_of_every_tool(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, chooser("", answer), None)
    finish(FewShotTraining(FixedSettings(**FewShotTraining.presets["akyurek"])).adapt(desk, [MATERIAL], None))
    finish(FewShotTraining(FixedSettings(tools=())).adapt(desk.at("bare"), [MATERIAL], None))
    first, second = jobs(book)
    assert (first["sequences"], first["epochs"], first["rank"], first["learning_rate"]) == (6, 2, 128, 1e-4)
    assert second["sequences"] == 3
    with pytest.raises(InputError, match=r"'ordre'.*order"):
        finish(FewShotTraining(FixedSettings(tools=("ordre",))).adapt(desk, [MATERIAL], None))


def test_training_on_examples_is_refused_where_there_are_none(make_desk: Any) -> None:
    desk = make_desk(chooser(""), None)
    for method in (FewShotTraining(), RandomSettings(), SettingsSearch()):
        with pytest.raises(InputError, match="domain of examples"):
            finish(method.adapt(desk, [MATERIAL], None))


def test_settings_by_lot_are_in_the_record_and_stay_within_the_steps(make_desk: Any, book: Book) -> None:
    drawn = Counter[Any]()
    for seed in range(12):
        desk: Desk = few_shot(make_desk, chooser("", answer), None, f"lot {seed}", seed=seed)
        choice = ChoiceSettings(rates=(1e-3, 2e-3), epochs=(1, 8), most_steps=20)
        (chosen,) = finish(RandomSettings(choice).adapt(desk, [MATERIAL], None)).chosen
        assert not chosen.refused
        assert chosen.steps is not None
        assert chosen.steps <= 20
        drawn.update([chosen.tools, chosen.loss, chosen.learning_rate, f"{chosen.epochs} epochs"])
    assert drawn.keys() >= {(), TOOLS, "all", "answers", 1e-3, 2e-3, "1 epochs"}
    assert len(jobs(book)) == 12


# -- searches


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_finds_what_helps_on_a_pair_that_is_held_out_and_pays_for_every_trial(
    make_desk: Any, book: Book, sampler: Any
) -> None:
    if sampler == "tpe":
        pytest.importorskip("optuna")
    desk = few_shot(make_desk, chooser("", answer), None)
    search = SearchSettings(sampler=sampler, score="answers", most_trials=12)
    answerer = finish(SettingsSearch(search).adapt(desk, [MATERIAL], None))
    assert "backwards" in answerer.chosen[0].tools
    asked = jobs(book)
    assert len(asked) == 13
    assert {job["sequences"] for job in asked[:-1]} == {2, 4}  # of the two pairs that are left
    assert asked[-1]["sequences"] == 6
    trials = [charge for charge in book.charges() if charge.purpose is Purpose.ADAPT]
    assert [bool(charge.discarded) for charge in trials] == [True] * 12 + [False]
    assert by_purpose(book).keys() == {Purpose.ADAPT, Purpose.SCORE}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_keeps_to_its_budget_and_keeps_the_last_training_back(
    make_desk: Any, book: Book, sampler: Any
) -> None:
    if sampler == "tpe":
        pytest.importorskip("optuna")
    desk = few_shot(make_desk, chooser("", answer), 20.0, "limited")
    search = SearchSettings(sampler=sampler, trial_share=0.5)
    answerer = finish(SettingsSearch(search).adapt(desk, [MATERIAL], None))
    assert answerer.adapter is not None
    assert desk.account.spent(Currency.FLOPS) <= 20
    assert 2 <= len(jobs(book)) < 20


def test_the_same_seed_searches_alike(make_desk: Any, book: Book) -> None:
    pytest.importorskip("optuna")
    found = []
    for seed in (1, 1, 2):
        before = len(jobs(book))
        desk = few_shot(make_desk, chooser("", answer), None, "search", seed=seed)
        finish(SettingsSearch(SearchSettings(sampler="tpe", most_trials=6)).adapt(desk, [MATERIAL], None))
        found.append(jobs(book)[before:])
    assert found[0] == found[1] != found[2]


def test_without_optuna_its_search_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValidationError, match=r"pip install 'netgain\[optuna\]'"):
        SearchSettings(sampler="tpe")
    SearchSettings(sampler="random")


# -- settings by the training problems' labels


def test_the_settings_that_do_best_on_training_problems_are_trained_with(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, chooser("", answer), None)
    method = BestSettings(TunedSettings(candidates=6, problems_each=2))
    learned = finish(method.learn(desk, PROBLEMS))
    assert "backwards" in learned.tools
    assert all(charge.discarded for charge in book.charges() if charge.purpose is Purpose.ADAPT)
    assert len(jobs(book)) == 2 * 6 + 2 * 3
    answerer = finish(method.adapt(few_shot(make_desk, chooser("", answer), None, "adapt"), [MATERIAL], learned))
    assert answerer.chosen[0].tools == learned.tools


def test_comparing_settings_keeps_to_the_investment(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, chooser("", answer), 90.0, "limited")
    finish(BestSettings(TunedSettings(candidates=4)).learn(desk, PROBLEMS))
    assert 45 < desk.account.spent(Currency.FLOPS) <= 90


def test_a_teacher_may_choose_the_settings(make_desk: Any, book: Book) -> None:
    teacher = ModelTeacher(chooser(settings("backwards", epochs=3)))
    desk = few_shot(make_desk, chooser("", answer), None, teacher=teacher)
    answerer = finish(Taught(TaughtSettings()).adapt(desk, [MATERIAL], None))
    (job,) = jobs(book)
    assert (job["sequences"], job["epochs"]) == (6, 3)
    assert answerer.chosen[0].tools == ("backwards",)
    assert by_purpose(book).keys() == {Purpose.TEACH, Purpose.ADAPT}


def test_edits_that_are_tried_compete_on_a_held_out_pair_and_all_of_it_is_paid_for(make_desk: Any, book: Book) -> None:
    """The writer proposes as a sampler would; without the trials the first that can be read is taken."""
    written = iter([USELESS, REFUSED, RIGHT, USELESS] * 2)

    def score(request: Score) -> float:
        learnt = request.adapter.sequences if isinstance(request.adapter, ScriptedAdapter) else ()
        return -1.0 if len(learnt) == 4 else -2.0  # forwards and backwards, of the two pairs that are left

    model = chooser(lambda _: next(written), answer, scores=score)
    first = few_shot(make_desk, model, None, "first")
    assert finish(Synthetic(SyntheticSettings(edits=4)).adapt(first, [MATERIAL], None)).chosen[0].tools == ("order",)
    before = len(book.charges())
    desk = few_shot(make_desk, model, None, "tried")
    answerer = finish(Synthetic(SyntheticSettings(edits=4, tried=True)).adapt(desk, [MATERIAL], None))
    assert [one.tools for one in answerer.chosen] == [("backwards",), ("order",), (), ("order",)]
    rows = book.charges()[before:]
    trained = [charge for charge in rows if charge.purpose is Purpose.ADAPT]
    assert [bool(charge.discarded) for charge in trained] == [True, True, True, False]
    assert sum(charge.purpose is Purpose.SCORE for charge in rows) == 3


def test_every_arm_of_seals_few_shot_learning_has_its_inner_loop() -> None:
    """What differs between them is who chooses, and nothing that is not chosen."""
    given = Seal.presets["seal-arc"]
    for method in (Synthetic, RandomSettings, SettingsSearch, BestSettings):
        preset = method.presets["seal-arc"]
        assert method.Settings.model_validate(preset)
        assert {name: given[name] for name in preset} == preset
    assert FewShotTraining.presets["akyurek"].items() >= SEAL_ARC.items()


# -- settings by the exam's own labels


def oracle(desk: Desk, **changes: Any) -> Any:
    method = OracleSettings(LabelledSettings(**{"tool_sets": ((), ("order",), ("backwards",), TOOLS)} | changes))
    return finish(method.adapt(replace(desk, exam=PROBLEMS[:1]), [MATERIAL], None))


def test_the_upper_bound_takes_what_the_exams_own_labels_say_and_pays_for_every_candidate(
    make_desk: Any, book: Book
) -> None:
    desk = few_shot(make_desk, chooser("", answer), None)
    answerer = oracle(desk, rates=(1e-3,), epochs=(1,))
    assert answerer.chosen[0].tools == ("backwards",)
    trained = [charge for charge in book.charges() if charge.purpose is Purpose.ADAPT]
    assert [bool(charge.discarded) for charge in trained] == [True, True, False]  # the fourth cannot be better
    assert sum(charge.purpose is Purpose.SCORE for charge in book.charges()) == 3
    assert len(jobs(book)) == 3  # the winner's own adapter answers


def test_each_candidate_of_the_upper_bound_has_one_budget_and_no_more(make_desk: Any, book: Book) -> None:
    one = 12.0
    asked = LabelledSettings(tool_sets=((), ("order",)), rates=(1e-3, 2e-3))
    assert (asked.candidates, asked.budgets) == (4, 5.0)
    desk = few_shot(make_desk, chooser("", lambda _: "no"), asked.budgets * one, "limited")
    oracle(desk, tool_sets=asked.tool_sets, rates=asked.rates)
    trained = [charge for charge in book.charges() if charge.purpose is Purpose.ADAPT]
    assert len(trained) == 4
    assert desk.account.spent(Currency.FLOPS) <= asked.budgets * one


def test_the_upper_bound_is_refused_without_labels_and_with_too_many_candidates(make_desk: Any) -> None:
    desk = few_shot(make_desk, chooser(""), None)
    with pytest.raises(InputError, match="exam's labels"):
        finish(OracleSettings().adapt(desk, [MATERIAL], None))
    with pytest.raises(InputError, match=r"'ordre'.*order"):
        oracle(desk, tool_sets=(("ordre",),))
    with pytest.raises(ValidationError, match="256 combinations: at most 200"):
        LabelledSettings(tool_sets=((),) * 2, epochs=(1,) * 128, rates=(1e-3,))
