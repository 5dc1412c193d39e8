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

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.few_shot_training import ChoiceSettings, examples_of
from netgain.methods.fitting import Positive
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.settings_edit import SEAL_ARC, TRIAL_SHARE, Score, fit_recipe, kept_back, single, try_recipe
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.records.learning import ChosenTraining
from netgain.streams import stream

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
    score: Score = "likelihood"
    trial_share: Annotated[float, Field(gt=0, lt=1)] = TRIAL_SHARE
    most_trials: Positive = 50

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
        "seal-arc": SEAL_ARC,
        "seal-arc-optuna": SEAL_ARC | {"sampler": "tpe"},
    }

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Propose, try, tell, until the trials' part is used; then train on all pairs with the best."""
        settings, material, examples = self.settings, single(materials), examples_of(desk)
        tools, seed = tuple(examples.tools), desk.draw("sampler", material.id)
        sampler = _Parzen(settings, tools, seed) if settings.sampler == "tpe" else _ByLot(settings, tools, seed)
        best: tuple[float, ChosenTraining] | None = None
        folds, first = examples.held_out(material)[-1:], None  # one for all, or the pairs would be compared
        kept = kept_back(desk, settings.trial_share)
        tried = vain = 0
        while folds and tried < settings.most_trials and vain < IN_VAIN:
            chosen = sampler.propose()
            first = first or chosen
            own = desk.at(f"trial {tried + vain}")
            recipe = settings.recipe(own, folds[0].material, chosen)
            score = yield from try_recipe(own, folds[0], recipe, settings, kept, settings.score)
            sampler.tell(score)
            tried, vain = (tried, vain + 1) if score is None else (tried + 1, 0)
            if score is not None and (best is None or score > best[0]):
                best = (score, chosen)
        desk.note("settings tried", {"trials": tried, "not paid for": vain})
        winner = best[1] if best is not None else first or sampler.propose()
        return (yield from fit_recipe(desk.at("final"), settings.recipe(desk, material, winner), settings))
