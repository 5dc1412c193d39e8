"""Searching for a task's own settings at test time: what choosing them is worth without a model that chooses.

One shown pair is held out. Each proposed choice trains on the sequences that the others give, and its score is how
likely that makes the pair's output (or whether it is answered). All of it is paid from the budget of the adaptation,
the losing trials too; the best choice is then trained with on all pairs, with what is left. Proposals are drawn by lot
(Bergstra and Bengio 2012) or come from Optuna's tree-structured Parzen estimator (Bergstra et al. 2011; Akiba et al.
2019), which learns from the scores so far.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, final

from pydantic import Field, model_validator

from netgain.domains.problem import Material, Problem
from netgain.exam.exam import Answerer, accuracy
from netgain.methods.few_shot_training import FIXED, ChoiceSettings, examples_of
from netgain.methods.fitting import Count, Recipe, job_of, train
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.policy import UNLIMITED
from netgain.methods.self_evaluation import discard, exam_quote, examine, likelihood
from netgain.methods.settings_edit import fit_recipe, single
from netgain.methods.writing import Pair
from netgain.model.program import Steps
from netgain.model.requests import Train
from netgain.records.choices import ChosenTraining
from netgain.records.claim import Role
from netgain.records.cost import Purpose
from netgain.streams import stream

TRIED = "lost: it was a trial, on the shown pairs but one"
WORST = -1e9  # the score of settings under which training fails
IN_VAIN = 8  # proposals in a row that cannot be paid for, after which no cheaper one is looked for


def _optuna() -> Any:
    """Optuna, where it is installed. Raises ValueError where it is not."""
    try:
        import optuna
    except ImportError:
        raise ValueError("sampler: tpe needs Optuna, which is not here: pip install 'netgain[optuna]'") from None
    return optuna


@final
class SearchSettings(ChoiceSettings):
    """``sampler`` says where proposals come from, ``score`` what they are judged by on the pair that is held out.

    Trials may take ``trial_share`` of the budget, and there are ``most_trials`` at most.
    """

    sampler: Literal["random", "tpe"] = "random"
    score: Literal["likelihood", "answers"] = "likelihood"
    trial_share: Annotated[float, Field(gt=0, lt=1)] = 0.6
    most_trials: Count = 50

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if self.sampler == "tpe":
            _optuna()
        return self


class _Sampler(ABC):
    """Where proposals come from, one after another; each is told its score, or None where it was not tried."""

    @abstractmethod
    def propose(self) -> ChosenTraining:
        """The next choice."""

    @abstractmethod
    def tell(self, score: float | None) -> None:
        """How the last one did: more is better."""


@final
class _ByLot(_Sampler):
    def __init__(self, settings: SearchSettings, tools: Sequence[str], seed: int) -> None:
        self._settings, self._tools, self._rng = settings, tools, stream(seed, "settings")

    def propose(self) -> ChosenTraining:
        return self._settings.draw(self._tools, self._rng)

    def tell(self, score: float | None) -> None:
        pass


@final
class _Parzen(_Sampler):
    """Optuna's TPE over the same choices as those drawn by lot."""

    def __init__(self, settings: SearchSettings, tools: Sequence[str], seed: int) -> None:
        optuna = _optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._states = optuna.trial.TrialState
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._settings, self._tools = settings, tools
        self._trial: Any = None

    def propose(self) -> ChosenTraining:
        self._trial, settings = self._study.ask(), self._settings
        choose = self._trial.suggest_categorical
        return ChosenTraining(
            tools=tuple(tool for tool in self._tools if choose(f"tool {tool}", [False, True])),
            loss=choose("loss", list(settings.losses)),
            learning_rate=choose("learning_rate", list(settings.rates)),
            epochs=choose("epochs", list(settings.epochs)),
        )

    def tell(self, score: float | None) -> None:
        if score is None:
            self._study.tell(self._trial, state=self._states.FAIL)
        else:
            self._study.tell(self._trial, score)


@final
class SettingsSearch(Method):
    """Tries settings of its training on a shown pair that is held out, and trains with the best: random search.

    Preset ``optuna`` proposes by Optuna's TPE, an extra of this package.
    """

    role: ClassVar[Role] = Role.PASSAGE
    Settings = SearchSettings
    settings: SearchSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "optuna": {"sampler": "tpe"},
        "seal-arc": FIXED,
        "seal-arc-optuna": FIXED | {"sampler": "tpe"},
    }

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Propose, try, tell, until the trials' part is used; then train on all pairs with the best."""
        settings, material, examples = self.settings, single(materials), examples_of(desk)
        tools, seed = tuple(examples.tools), desk.draw("sampler", material.id)
        sampler = _Parzen(settings, tools, seed) if settings.sampler == "tpe" else _ByLot(settings, tools, seed)
        best: tuple[float, ChosenTraining] | None = None
        folds, first = examples.held_out(material)[-1:], None  # one for all, or the pairs would be compared
        kept = 0.0 if desk.left() == UNLIMITED else (1 - settings.trial_share) * desk.left()
        tried = vain = 0
        while folds and tried < settings.most_trials and vain < IN_VAIN:
            chosen = sampler.propose()
            first = first or chosen
            score = yield from self._try(desk.at(f"trial {tried + vain}"), folds[0], chosen, kept)
            sampler.tell(score)
            tried, vain = (tried, vain + 1) if score is None else (tried + 1, 0)
            if score is not None and (best is None or score > best[0]):
                best = (score, chosen)
        desk.note("settings tried", {"trials": tried, "not paid for": vain})
        winner = best[1] if best is not None else first or sampler.propose()
        return (yield from fit_recipe(desk.at("final"), settings.recipe(desk, material, winner), settings))

    def _try(self, desk: Desk, fold: Problem, chosen: ChosenTraining, kept: float) -> Steps[float | None]:
        """The score of one choice on a fold; None where it cannot be paid for with so much kept, or is refused."""
        recipe = self.settings.recipe(desk, fold.material, chosen)
        if not recipe.texts or self._cost(desk, recipe, fold) > desk.left() - kept:
            return None
        inner = recipe.settings or self.settings
        (result,) = yield from train(desk, [job_of(desk, recipe.texts, inner, epochs=inner.max_epochs or 1)])
        discard(desk, result.charges, TRIED)
        if result.failure is not None or result.product is None:
            return WORST
        answerer = Answerer(model=desk.model, adapter=result.product.adapter)
        if self.settings.score == "answers":
            (marked,) = yield from examine(desk, [(answerer, fold)])
            return accuracy(marked)
        asked = [part for question in fold.questions for part in question.asked]
        pairs = [Pair(fold.material, part.text, part.answers[0]) for part in asked]
        return (yield from likelihood(desk, answerer, pairs))

    def _cost(self, desk: Desk, recipe: Recipe, fold: Problem) -> float:
        """An upper bound on a trial: its training, and an exam, which costs more than a likelihood."""
        inner = recipe.settings or self.settings
        job = job_of(desk, recipe.texts, inner, epochs=inner.max_epochs or 1)
        (training,) = desk.model.quote([Train(account=desk.pay(Purpose.ADAPT), job=job)])
        return (training.amount(desk.currency) or 0.0) + exam_quote(desk, fold)
