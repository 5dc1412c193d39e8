"""A budget is a promise on both sides: filled to within one per cent, and never exceeded."""

from dataclasses import replace
from typing import Any

import pytest

from netgain.domains.problem import Material, Message
from netgain.metering.account import Book
from netgain.methods.finetune import Finetune, FinetuneSettings
from netgain.methods.fitting import Inner, Outer, fit, job_of
from netgain.model import Model, scripted_model
from netgain.records.cost import Currency

from .conftest import MATERIAL, finish

TEXTS = ["Ada lives in Rome.", "Rome is where Ada lives, with a cat.", "A cat."]
SMALL = {"rank": 4, "alpha": 8.0}


@pytest.mark.parametrize("settings", [{}, {"batch_size": 2}, {"target_modules": ("q_proj", "down_proj")}])
@pytest.mark.parametrize("budget", [2e7, 1.1e8, 5.3e8])
def test_a_fit_spends_its_budget_to_within_one_per_cent_and_never_more(
    tiny: Model, make_desk: Any, budget: float, settings: dict[str, Any]
) -> None:
    desk = make_desk(tiny, budget, "fill")
    answerer = finish(fit(desk, TEXTS, Inner(**SMALL | settings)))
    assert answerer.adapter is not None
    assert 0.99 * budget <= desk.account.spent(Currency.FLOPS) <= budget


@pytest.mark.parametrize("currency", [Currency.TOKENS_TRAINING, Currency.TOKENS_REAL, Currency.UPDATES])
def test_a_budget_may_be_in_another_currency(tiny: Model, make_desk: Any, currency: Currency) -> None:
    desk = make_desk(tiny, 200, "fill", currency=currency)
    finish(fit(desk, TEXTS, Inner(**SMALL)))
    assert 198 <= desk.account.spent(currency) <= 200


def test_full_fine_tuning_fills_its_budget_too(tiny: Model, make_desk: Any) -> None:
    desk = make_desk(tiny, 3e8, "full")
    answerer = finish(fit(desk, TEXTS, Inner(kind="full", learning_rate=1e-4)))
    assert answerer.model is not tiny
    assert answerer.adapter is None
    assert 0.99 * 3e8 <= desk.account.spent(Currency.FLOPS) <= 3e8


def test_a_share_of_the_budget_leaves_the_rest(tiny: Model, make_desk: Any) -> None:
    desk = make_desk(tiny, 1e8, "share")
    finish(fit(desk, TEXTS, Inner(**SMALL), share=0.5, spare=1e7))
    assert 0.396e8 <= desk.account.spent(Currency.FLOPS) <= 0.4e8


def test_max_epochs_ends_training_before_the_budget_does(tiny: Model, make_desk: Any, book: Book) -> None:
    desk = make_desk(tiny, 1e9, "short")
    finish(fit(desk, TEXTS, Inner(**SMALL, max_epochs=2)))
    assert book.charges()[0].cost.updates == 6
    free = make_desk(tiny, None, "unlimited")
    finish(fit(free, TEXTS, Inner(**SMALL)))
    assert book.charges()[1].cost.updates == 30


def test_what_does_not_pay_for_a_step_trains_nothing_and_costs_nothing(tiny: Model, make_desk: Any) -> None:
    for texts, budget in ((TEXTS, 1e3), ([], 1e8), (["", "x"], 1e8)):
        desk = make_desk(tiny, budget, f"none {len(texts)}")
        assert finish(fit(desk, texts if texts != ["", "x"] else [""], Inner(**SMALL))).adapter is None
        assert desk.account.spent(Currency.FLOPS) == 0


def test_many_passages_share_one_budget(tiny: Model, make_desk: Any, book: Book) -> None:
    desk = make_desk(tiny, 1e8, "many")
    materials = [MATERIAL, Material("bob", "Bob", "Bob is a baker."), Material("cy", "Cy", "Cy flies.")]
    finish(Finetune(FinetuneSettings(**SMALL, paraphrases=2)).adapt(desk, materials, None))
    assert len(book.charges()) == 1
    assert 0.99e8 <= desk.account.spent(Currency.FLOPS) <= 1e8


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(tiny: Model, make_desk: Any) -> None:
    def trained(name: str, seed: int) -> list[float]:
        desk = make_desk(tiny, 3e7, name, seed=seed)
        desk = desk.at(model=tiny)
        adapter = finish(fit(type(desk)(**{**_fields(desk), "names": ("same",)}), TEXTS, Inner(**SMALL))).adapter
        return list(adapter.row.tolist())

    assert trained("a", 1) == trained("b", 1)
    assert trained("c", 1) != trained("d", 2)


def _fields(desk: Any) -> dict[str, Any]:
    return {name: getattr(desk, name) for name in type(desk).__dataclass_fields__}


def test_loss_on_answers_alone_is_on_what_the_model_is_to_say(make_desk: Any) -> None:
    desk = make_desk(scripted_model({}), None)
    asked = (Message("user", "Where does Ada live?"), Message("assistant", "Rome"))
    whole = job_of(desk, [asked, "A cat."], Inner(), epochs=1)
    job = job_of(desk, [asked, "A cat."], Inner(loss="answers"), epochs=1)
    assert whole.loss_masks is None
    assert job.loss_masks is not None
    assert job.sequences == whole.sequences
    told = [
        [token for token, marked in zip(*pair, strict=True) if marked]
        for pair in zip(job.sequences, job.loss_masks, strict=True)
    ]
    assert bytes(told[0]).startswith(b"Rome")
    assert told[1] == list(job.sequences[1])  # a text is no answer to anything: all of it is learnt
    cut = job_of(desk, [asked], Inner(loss="answers", max_length=8), epochs=1)
    assert cut.sequences == []  # nothing of the answer is left


def test_where_answers_alone_are_learnt_a_budget_ends_with_a_whole_step(
    tiny: Model, make_desk: Any, book: Book
) -> None:
    desk = make_desk(tiny, 2e8, "answers")
    asked = [(Message("user", name), Message("assistant", "Rome " * 3)) for name in ("Ada", "Bob")]
    desk = replace(desk, model=tiny)
    finish(fit(desk, asked, Inner(**SMALL, loss="answers")))
    assert 0.8 * 2e8 <= desk.account.spent(Currency.FLOPS) <= 2e8


def test_a_setting_that_came_later_is_recorded_where_it_is_not_the_usual_one() -> None:
    """Records that are older than the setting keep their identity."""
    later = {"loss", "schedule", "warmup_steps", "outer_schedule"}
    assert not later & Outer().recorded().keys()
    assert Outer().recorded().keys() | later == Outer().model_dump().keys()
    assert Outer(schedule="cosine").recorded()["schedule"] == "cosine"
    assert Outer.model_validate(Outer(warmup_steps=3).recorded()) == Outer(warmup_steps=3)
