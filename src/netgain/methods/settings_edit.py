"""Self-edits of settings: the model chooses, as JSON, how it is trained on a problem of a few examples.

The schema is SEAL's (Zweiger et al. 2025, arXiv 2506.10943, ``few-shot/utils/prompts.py`` of its repository)::

    {"data_generation": {"use_basic_augmentations": true, ...},
     "training": {"strategy": "train_using_output_tokens", "learning_rate": 1e-4, "num_train_epochs": 2}}

with one ``use_..._augmentations`` for each of the domain's tools. What cannot be read, names what there is not, says
what cannot be, or asks for more optimizer steps than there may be, is *refused*: it stays paid for, is worth nothing
as a candidate, and leaves the model as it is at adaptation. SEAL's code draws it again uncounted, or trains 0 epochs.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NoReturn, final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from netgain.domains.problem import Material, Problem
from netgain.engine.forms import DIGIT, POSITIVE
from netgain.engine.jobs import Form
from netgain.errors import InputError
from netgain.exam.exam import Answerer, accuracy
from netgain.methods.fitting import Inner, Recipe, fit, job_of, train
from netgain.methods.method import Desk
from netgain.methods.policy import UNLIMITED
from netgain.methods.self_evaluation import discard, exam_quote, examine, likelihood
from netgain.methods.writing import Pair, SelfEdit
from netgain.model.program import Steps
from netgain.model.requests import Train
from netgain.records.cost import Purpose
from netgain.records.learning import ChosenTraining

KEY = "use_{}_augmentations"
LOSSES: dict[str, Literal["all", "answers"]] = {
    "train_using_all_tokens": "all",
    "train_using_output_tokens": "answers",
}
MOST_STEPS = 375  # SEAL's, beyond which its code trains nothing
# SEAL's inner loop on ARC, whatever a self-edit chooses (appendix A, ``arclib/update_model.py``)
SEAL_ARC: dict[str, Any] = {
    **{"rank": 128, "alpha": 16.0, "target_modules": ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj")},
    **{"batch_size": 2, "schedule": "cosine", "warmup_steps": 11, "max_length": 8192},
}
NO_JSON, UNKNOWN, MISSING, IMPOSSIBLE = "no JSON object", "unknown key", "missing key", "impossible value"
TOO_MANY, NOTHING = "too many steps", "no training sequence"
REFUSED = "refused: these settings cannot be trained with"
NOT_CHOSEN = "lost: the settings of another edit were trained with"
TRIED = "lost: it was a trial, on the shown pairs but one"
WORST = -1e9  # the score of settings under which training fails
TRIAL_SHARE = 0.6  # of a budget, that trials may take
Score = Literal["likelihood", "answers"]


@final
class _Training(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    strategy: Literal["train_using_all_tokens", "train_using_output_tokens"]
    learning_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
    num_train_epochs: Annotated[int, Field(ge=1, le=100_000)]


@final
class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data_generation: dict[str, StrictBool]
    training: _Training


# -- reading


def read_settings(text: str, tools: Collection[str]) -> ChosenTraining:
    """What a self-edit chose among these tools, or why it is refused. The first JSON object in the text is read."""
    try:
        given = _object(text)
        read = _Settings.model_validate(given)
    except ValidationError as error:
        kinds = {detail["type"] for detail in error.errors(include_url=False)}
        unknown, missing = "extra_forbidden" in kinds, "missing" in kinds
        return ChosenTraining(refused=UNKNOWN if unknown else MISSING if missing else IMPOSSIBLE)
    except ValueError as error:
        return ChosenTraining(refused=str(error))
    wanted = {KEY.format(tool): tool for tool in tools}
    if read.data_generation.keys() != wanted.keys():
        return ChosenTraining(refused=UNKNOWN if read.data_generation.keys() - wanted.keys() else MISSING)
    return ChosenTraining(
        tools=tuple(tool for key, tool in wanted.items() if read.data_generation[key]),
        loss=LOSSES[read.training.strategy],
        learning_rate=read.training.learning_rate,
        epochs=read.training.num_train_epochs,
    )


def written_settings(chosen: ChosenTraining, tools: Collection[str]) -> str:
    """The way back: a choice as a writer of self-edits would write it."""
    strategies = {loss: strategy for strategy, loss in LOSSES.items()}
    return json.dumps(
        {
            "data_generation": {KEY.format(tool): tool in chosen.tools for tool in tools},
            "training": {
                "strategy": strategies[chosen.loss or "all"],
                "learning_rate": chosen.learning_rate,
                "num_train_epochs": chosen.epochs,
            },
        }
    )


def settings_form(tools: Collection[str]) -> Form:
    """What a self-edit among these tools may be, character by character, for decoding that is held to the schema.

    Keys in the schema's order, at most a space (or a line break with an indentation) between two marks; rates from 1
    down to 1e-9 with up to three digits, as decimals or with an exponent; up to 99,999 epochs. All of these are valid;
    how many steps they come to is not the schema's to say.
    """
    gap = ("", " ", "\n", *("\n" + " " * indent for indent in (2, 4, 8)))
    parts: list[tuple[str, ...]] = [gap, ("{",), gap, ('"data_generation"',), gap, (":",), gap, ("{",)]
    for number, tool in enumerate(tools):
        parts += [gap, (",",)] if number else []
        parts += [gap, (f'"{KEY.format(tool)}"',), gap, (":",), gap, ("true", "false")]
    parts += [gap, ("}",), gap, (",",), gap, ('"training"',), gap, (":",), gap, ("{",)]
    decimals = tuple(f"0.{'0' * zeros}{POSITIVE}{DIGIT * more}" for zeros in range(7) for more in range(3))
    powers = tuple(f"{POSITIVE}{more}e-{power}" for more in ("", f".{DIGIT}") for power in (f"0{POSITIVE}", POSITIVE))
    values = {
        "strategy": tuple(f'"{strategy}"' for strategy in LOSSES),
        "learning_rate": (*decimals, *powers, "1", "1.0"),
        "num_train_epochs": tuple(f"{POSITIVE}{DIGIT * more}" for more in range(5)),
    }
    for number, (key, value) in enumerate(values.items()):
        parts += [gap, (",",)] if number else []
        parts += [gap, (f'"{key}"',), gap, (":",), gap, value]
    return (*parts, gap, ("}",), gap, ("}",))


def no_form() -> InputError:
    """Said of an arm whose edits have no form to be held to, before a trial or in the middle of it."""
    return InputError("constrained", "edits of text have no form", "use it with a format of settings, on grids or arc")


def _object(text: str) -> Any:
    """The first JSON object. Raises ValueError, with the reason, where there is none that says one thing only."""
    start = text.find("{")
    decoder = json.JSONDecoder(object_pairs_hook=_unequivocal, parse_constant=_no_number)
    try:
        return decoder.raw_decode(text, start)[0] if start >= 0 else _refuse(NO_JSON)
    except (json.JSONDecodeError, RecursionError):
        _refuse(NO_JSON)


def _unequivocal(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs) if len(dict(pairs)) == len(pairs) else _refuse(IMPOSSIBLE)


def _no_number(name: str) -> Any:
    _refuse(IMPOSSIBLE)


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)


# -- what is trained


def recipe_of(
    desk: Desk, material: Material, chosen: ChosenTraining, inner: Inner, most_steps: int = MOST_STEPS
) -> Recipe:
    """What these settings train on, and how; nothing where they are refused. ``inner`` gives what nobody chooses.

    All choices of one kind for a material get the same sequences: what is random in them belongs to the desk.
    Raises InputError where the domain has no examples.
    """
    if chosen.refused:
        return Recipe((), chosen=chosen)
    if desk.few_shot is None:
        raise InputError("settings", "are chosen for problems of a few examples, which this domain has not")
    texts = desk.few_shot.lessons(material, chosen.tools, desk.draw("lessons", material.id))
    epochs = chosen.epochs or 1
    changed = {"learning_rate": chosen.learning_rate, "max_epochs": epochs, "loss": chosen.loss}
    settings = inner.model_copy(update=changed)
    steps = epochs * -(-len(texts) // settings.batch_size)
    chosen = chosen.model_copy(update={"steps": steps})
    if not texts or steps > most_steps:
        return Recipe((), chosen=chosen.model_copy(update={"refused": TOO_MANY if texts else NOTHING}))
    return Recipe(texts, settings, chosen)


def longest_recipe(desk: Desk, material: Material, inner: Inner, most_steps: int = MOST_STEPS) -> Recipe:
    """The most that an edit may choose: every tool, and as many epochs as the limit of steps allows."""
    tools = tuple(desk.few_shot.tools) if desk.few_shot else ()
    chosen = ChosenTraining(tools=tools, loss="all", learning_rate=inner.learning_rate, epochs=1)
    once = recipe_of(desk, material, chosen, inner, 10**9)
    epochs = max(1, most_steps // (once.chosen.steps or 1)) if once.chosen else 1
    return replace(once, settings=inner.model_copy(update={"max_epochs": epochs, "loss": "all"}))


def single(materials: Sequence[Material]) -> Material:
    """The only material. Raises InputError for several: what is chosen for one task suits no other."""
    if len(materials) != 1:
        problem = f"are chosen for one task, and {len(materials)} are adapted to at once"
        raise InputError("settings", problem, "set problems.passages to 1")
    return materials[0]


def fit_recipe(desk: Desk, recipe: Recipe, inner: Inner) -> Steps[Answerer]:
    """Train as the recipe says, as far as the budget goes; the model as it is where the recipe was refused."""
    chosen = () if recipe.chosen is None else (recipe.chosen,)
    if not recipe.texts:
        return Answerer(model=desk.model, chosen=chosen)
    answerer = yield from fit(desk, recipe.texts, recipe.settings or inner)
    return replace(answerer, chosen=chosen)


def fit_edits(
    desk: Desk,
    materials: Sequence[Material],
    edits: Sequence[SelfEdit],
    inner: Inner,
    most_steps: int = MOST_STEPS,
    *,
    tried: bool = False,
) -> Steps[Answerer]:
    """Train as one of these edits says: the first that is not refused or, where they are ``tried``, the best on a shown
    pair that is held out. What was written beside it is discarded.

    Raises InputError for several materials.
    """
    material = single(materials)
    recipes = [recipe_of(desk, material, read_edit(desk, edit), inner, most_steps) for edit in edits]
    usable = [index for index, recipe in enumerate(recipes) if recipe.texts]
    used = next(iter(usable), None)
    folds = desk.few_shot.held_out(material)[-1:] if tried and len(usable) > 1 and desk.few_shot else ()
    best, kept = float("-inf"), kept_back(desk)
    for index, fold in ((index, fold) for fold in folds for index in usable):
        own = desk.at(f"trial {index}")
        recipe = recipe_of(own, fold.material, read_edit(desk, edits[index]), inner, most_steps)
        score = yield from try_recipe(own, fold, recipe, inner, kept)
        if score is not None and score > best:
            best, used = score, index
    for index, edit in enumerate(edits):
        if index != used and edit.charges:
            discard(desk, edit.charges, NOT_CHOSEN if recipes[index].texts else REFUSED)
    ordered = [*([] if used is None else [recipes[used]]), *(r for i, r in enumerate(recipes) if i != used)]
    answerer = yield from fit_recipe(desk, ordered[0] if ordered else Recipe(()), inner)
    return replace(answerer, chosen=tuple(recipe.chosen for recipe in ordered if recipe.chosen is not None))


def read_edit(desk: Desk, edit: SelfEdit) -> ChosenTraining:
    """What an edit chose among the domain's tools, or why it is refused."""
    chosen = read_settings(edit.raw, tuple(desk.few_shot.tools) if desk.few_shot else ())
    return chosen.model_copy(update={"constrained": True}) if edit.constrained else chosen


# -- trying a choice


def kept_back(desk: Desk, trial_share: float = TRIAL_SHARE) -> float:
    """What trials have to leave of the budget for the training that counts."""
    return 0.0 if desk.left() == UNLIMITED else (1 - trial_share) * desk.left()


def try_recipe(
    desk: Desk, fold: Problem, recipe: Recipe, inner: Inner, kept: float, score: Score = "likelihood"
) -> Steps[float | None]:
    """How good a training on a problem's shown pairs is for the pair that it holds out: how likely that makes its
    output (nats), or whether it is answered. The training is discarded; None where it is refused, or cannot be paid for
    with so much ``kept``."""
    settings = recipe.settings or inner
    job = job_of(desk, recipe.texts, settings, epochs=settings.max_epochs or 1)
    (training,) = desk.bounds([Train(account=desk.pay(Purpose.ADAPT), job=job)])
    cost = training + exam_quote(desk, fold)  # more than a likelihood takes
    if not recipe.texts or cost > desk.left() - kept:
        return None
    (result,) = yield from train(desk, [job])
    discard(desk, result.charges, TRIED)
    if result.value is None:
        return WORST
    answerer = Answerer(model=desk.model, adapter=result.value.adapter)
    if score == "answers":
        (marked,) = yield from examine(desk, [(answerer, fold)])
        return accuracy(marked)
    asked = [part for question in fold.questions for part in question.asked]
    pairs = [Pair(fold.material, part.text, part.answers[0]) for part in asked]
    return (yield from likelihood(desk, answerer, pairs))
