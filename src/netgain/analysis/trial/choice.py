"""Which rival the arm under test is held against, chosen without a look at the test problems."""

from typing import Literal

from netgain.analysis.trial.evidence import UNTRAINED, TrialEvidence
from netgain.records.claim import BEST_CONVENTIONAL, Role

Chosen = Literal["development", "fixed before the run", "test", "nothing"]


def closed_book(trial: TrialEvidence, setting: str) -> list[str]:
    """The arms that answer from what they were trained on: all but the frozen model and those that read the text."""
    return [name for name in trial.own(setting).values() if trial.arms[name][0].role not in UNTRAINED]


def rivals(trial: TrialEvidence, setting: str) -> list[str]:
    """The conventional arms that may be the best one: trained, and without a teacher that is the world's own writer."""
    out = {Role.SELF_IMPROVING} | ({Role.TEACHER} if trial.terms.oracle else set())
    names = [name for name in closed_book(trial, setting) if trial.arms[name][0].role not in out]
    return [name for name in names if trial.arms[name][1].method != trial.terms.compare]


def best_of(trial: TrialEvidence, names: list[str]) -> tuple[str, Chosen]:
    """The most accurate on development problems; on test problems only where no development accuracy is known."""
    developed = {name: value for name in names if (value := trial.arms[name][1].development) is not None}
    if developed or len(names) == 1:
        return max(developed, key=lambda name: developed[name], default=names[0]), "development"
    tested = {name: found.value for name in names if (found := trial.accuracy(name, trial.terms.exam))}
    return max(tested, key=lambda name: tested[name], default=names[0]), "test"


def choose_rival(trial: TrialEvidence, setting: str) -> tuple[str | None, Chosen]:
    """The rival of one domain and how it was chosen: as the trial fixed it, else the best conventional arm."""
    if trial.terms.against != BEST_CONVENTIONAL:
        return trial.own(setting).get(trial.terms.against), "fixed before the run"
    names = rivals(trial, setting)
    return best_of(trial, names) if names else (None, "nothing")
