"""A self-edit of settings decides its own training; what cannot be read or done is refused, counted and paid for."""

import json
from typing import Any

import pytest

from netgain.domains.problem import Material
from netgain.domains.wording import settings_format
from netgain.engine.forms import DIGIT, POSITIVE, TokenForm
from netgain.errors import InputError
from netgain.metering.account import Book
from netgain.methods.fitting import Inner
from netgain.methods.settings_edit import fit_edits, read_settings, recipe_of, settings_form, written_settings
from netgain.methods.synthetic import Synthetic, SyntheticSettings
from netgain.methods.writing import Ask, SelfEdit
from netgain.model import Model
from netgain.records.cost import Currency, Purpose
from netgain.records.learning import ChosenTraining
from netgain.streams import stream

from ..trials import letters
from .conftest import by_purpose, finish
from .examples import MATERIAL, TOOLS, chooser, few_shot, jobs, settings

GOOD = json.loads(settings("backwards"))


def changed(part: str, **changes: Any) -> str:
    return json.dumps({**GOOD, part: GOOD[part] | changes})


def without(part: str, key: str) -> str:
    return json.dumps({**GOOD, part: {name: value for name, value in GOOD[part].items() if name != key}})


def test_an_edit_is_read_as_it_was_written() -> None:
    chosen = ChosenTraining(tools=("order",), loss="all", learning_rate=3e-4, epochs=3)
    assert read_settings(written_settings(chosen, TOOLS), TOOLS) == chosen
    assert read_settings(f"Here it is:\n```json\n{written_settings(chosen, TOOLS)}\n```\n{{}}", TOOLS) == chosen


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON object"),
        ("train well", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        (settings()[:-10], "no JSON object"),
        ('{"a": ' * 2000, "no JSON object"),
        ("{}", "missing key"),
        (json.dumps({**GOOD, "note": "hello"}), "unknown key"),
        (changed("training", optimizer="sgd"), "unknown key"),
        (changed("data_generation", use_magic_augmentations=True), "unknown key"),
        (without("data_generation", "use_order_augmentations"), "missing key"),
        (without("training", "strategy"), "missing key"),
        (changed("training", strategy="train_on_the_test"), "impossible value"),
        (changed("training", learning_rate=0), "impossible value"),
        (changed("training", learning_rate=-1e-4), "impossible value"),
        (changed("training", learning_rate=2.0), "impossible value"),
        (changed("training", learning_rate="1e-4"), "impossible value"),
        (changed("training", learning_rate=float("nan")), "impossible value"),
        (changed("training", learning_rate=float("inf")), "impossible value"),
        (changed("training", num_train_epochs=0), "impossible value"),
        (changed("training", num_train_epochs=2.5), "impossible value"),
        (changed("training", num_train_epochs=True), "impossible value"),
        (changed("data_generation", use_order_augmentations="yes"), "impossible value"),
        (settings().replace('"num_train_epochs"', '"learning_rate"'), "impossible value"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert read_settings(text, TOOLS) == ChosenTraining(refused=reason)


def test_an_edit_decides_its_sequences_its_loss_its_rate_and_its_epochs(make_desk: Any) -> None:
    desk = few_shot(make_desk, chooser(""), None)
    chosen = read_settings(settings("backwards", loss="all", rate=0.25, epochs=3), TOOLS)
    recipe = recipe_of(desk, MATERIAL, chosen, Inner(rank=7, batch_size=2))
    assert len(recipe.texts) == 6  # three pairs, forwards and backwards
    assert recipe.settings == Inner(rank=7, batch_size=2, learning_rate=0.25, max_epochs=3, loss="all")
    assert recipe.chosen == chosen.model_copy(update={"steps": 9})
    assert recipe_of(desk, MATERIAL, chosen, Inner()).texts == recipe.texts  # the same draw for every edit


def test_runaway_steps_and_nothing_to_train_on_are_refused(make_desk: Any) -> None:
    desk = few_shot(make_desk, chooser(""), None)
    chosen = read_settings(settings(epochs=126), TOOLS)  # of three steps each
    recipe = recipe_of(desk, MATERIAL, chosen, Inner(), most_steps=375)
    assert not recipe.texts
    assert recipe.chosen == chosen.model_copy(update={"steps": 378, "refused": "too many steps"})
    assert recipe_of(desk, MATERIAL, chosen, Inner(), most_steps=378).texts
    none = recipe_of(desk, Material("bare", "", ""), chosen, Inner())
    assert none.chosen is not None


def test_settings_are_chosen_for_one_task_of_examples_and_no_other(make_desk: Any) -> None:
    chosen = read_settings(settings(), TOOLS)
    with pytest.raises(InputError, match="few examples"):
        recipe_of(make_desk(chooser(""), None), MATERIAL, chosen, Inner())
    desk = few_shot(make_desk, chooser(settings()), None, "several")
    with pytest.raises(InputError, match="passages to 1"):
        finish(Synthetic(SyntheticSettings()).adapt(desk, [MATERIAL, MATERIAL], None))


def test_the_model_chooses_and_is_trained_so(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, chooser(settings("order", rate=0.01, epochs=2)), None)
    answerer = finish(Synthetic(SyntheticSettings(rank=4)).adapt(desk, [MATERIAL], None))
    (chosen,) = answerer.chosen
    assert (chosen.tools, chosen.learning_rate, chosen.epochs, chosen.steps) == (("order",), 0.01, 2, 6)
    (job,) = jobs(book)
    assert (job["learning_rate"], job["epochs"], job["sequences"], job["rank"]) == (0.01, 2, 3, 4)
    assert by_purpose(book).keys() == {Purpose.PROPOSE, Purpose.ADAPT}


def test_a_refused_edit_is_paid_for_and_leaves_the_model_as_it_is(make_desk: Any, book: Book) -> None:
    desk = few_shot(make_desk, chooser("I would rather not."), None)
    answerer = finish(Synthetic(SyntheticSettings()).adapt(desk, [MATERIAL], None))
    assert answerer.adapter is None
    assert [one.refused for one in answerer.chosen] == ["no JSON object"]
    (charge,) = book.charges()
    assert charge.purpose is Purpose.PROPOSE
    assert charge.discarded


def test_of_several_edits_the_first_that_is_not_refused_is_trained_with(make_desk: Any, book: Book) -> None:
    written = iter(["no", settings(epochs=1), settings(epochs=2)])
    desk = few_shot(make_desk, chooser(lambda _: next(written)), None)
    answerer = finish(Synthetic(SyntheticSettings(edits=3)).adapt(desk, [MATERIAL], None))
    assert [one.epochs for one in answerer.chosen] == [1, None, 2]
    assert [bool(charge.discarded) for charge in book.charges()] == [True, False, True, False]


def test_a_budget_cuts_what_an_edit_asks_for_and_what_it_does_not_ask_for_is_left(tiny: Model, make_desk: Any) -> None:
    form = settings_format(letters.Letters.tools)
    edit = SelfEdit(Ask(MATERIAL, form, ""), settings(epochs=10), ("",), ())
    rich, poor = few_shot(make_desk, tiny, 1e10, "rich"), few_shot(make_desk, tiny, 1e8, "poor")
    finish(fit_edits(rich, [MATERIAL], [edit], Inner(rank=4)))
    finish(fit_edits(poor, [MATERIAL], [edit], Inner(rank=4)))
    spent = rich.account.spent(Currency.FLOPS)
    assert 2e8 < spent < 5e9
    assert 0.8e8 < poor.account.spent(Currency.FLOPS) <= 1e8


def test_what_the_form_allows_is_what_can_be_read_and_what_is_written_is_allowed() -> None:
    form = settings_form(TOOLS)
    rng = stream(0, "form")
    for _ in range(200):
        parts = [alternatives[int(rng.integers(len(alternatives)))] for alternatives in form]
        text = (
            "".join(parts).replace(DIGIT, str(int(rng.integers(10)))).replace(POSITIVE, str(1 + int(rng.integers(9))))
        )
        assert not read_settings(text, TOOLS).refused, text
    letters = [chr(code) for code in range(128)]
    held = TokenForm(form, 128, lambda tokens: "".join(letters[token] for token in tokens))
    for chosen in (
        ChosenTraining(tools=TOOLS, loss="all", learning_rate=rate, epochs=12) for rate in (1e-4, 3e-5, 1.0, 0.123)
    ):
        assert held.done(held.after(written_settings(chosen, TOOLS)))


def test_a_model_whose_tokens_are_drawn_elsewhere_is_refused(make_desk: Any) -> None:
    desk = few_shot(make_desk, chooser(settings()), None)
    with pytest.raises(InputError, match="not drawn here"):
        finish(Synthetic(SyntheticSettings(constrained=True)).adapt(desk, [MATERIAL], None))
