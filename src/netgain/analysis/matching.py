"""What an arm is held against: the conventional arms, which are all its rivals, and where their ladders meet its cost.

Between two budget levels accuracy is taken as linear in the logarithm of what was spent, question by question;
beyond the lowest and highest nothing is said. A level within 1 % of the amount asked for is taken as it is. A
published arm is a ladder of one level: it can be afforded, exactly or with something left, or it cannot.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from netgain.analysis import crossed
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Floats, Interval
from netgain.records.claim import BEST_CONVENTIONAL, UNTRAINED, Arm, Role, Terms

TOLERANCE = 0.01
FOLDS = 10
REPEATS = 20
CHOICES = 2_000  # resamples in which the rival is chosen again
DIGITS = 9  # of an accuracy, in which two count as different when the rival is chosen
SURE = 1.96  # standard deviations of the choice to either side
ENOUGH_OVERLAP = 0.9

Chosen = Literal["development", "fixed before the run", "test", "nothing"]
Ladder = tuple[str, ...]


@final
@dataclass(frozen=True)
class Contest:
    """An arm under test, the frozen model's row to hold it against, and its rivals, each with its ladder.

    The rivals are all conventional arms: those of a trial that are trained, of a published claim those that answered
    the same questions. ``chosen`` is the one of them that a trial fixed or chose on development problems; of published
    arms none is known beforehand: the best is chosen on the very questions (``chosen_on`` is ``test``), which
    cross-fitting mends.
    """

    setting: str
    arm: str
    frozen: str | None
    rivals: Mapping[str, Ladder]
    chosen: str | None
    chosen_on: Chosen


@final
@dataclass(frozen=True)
class Point:
    """Where a ladder meets an amount: the levels mixed, what they spent, and whether that is less than the amount."""

    mixture: Mapping[str, float]
    spent: float
    short: bool


def meet(costs: Mapping[str, float | None], amount: float) -> Point | None:
    """The point of a ladder at ``amount``; its top, marked as short, beyond the end; None below its beginning."""
    rungs = sorted(((name, cost) for name, cost in costs.items() if cost is not None), key=lambda rung: rung[1])
    near = [rung for rung in rungs if abs(rung[1] - amount) <= TOLERANCE * amount]
    if near:
        return Point({near[-1][0]: 1.0}, near[-1][1], short=False)
    below = [rung for rung in rungs if rung[1] < amount]
    above = [rung for rung in rungs if rung[1] > amount]
    if not below:
        return None
    low = below[-1]
    if not above or low[1] <= 0:
        return Point({low[0]: 1.0}, low[1], short=True)
    high = above[0]
    weight = math.log2(amount / low[1]) / math.log2(high[1] / low[1])
    return Point({low[0]: 1.0 - weight, high[0]: weight}, amount, short=False)


def contests(evidence: Evidence) -> list[Contest]:
    """Whom the claim is about: the arm under test in each setting, or every prompt's last self-improving round."""
    terms = evidence.claim.terms
    if terms is None:
        return [_published(evidence, arm) for arm in last_rounds(evidence)]
    tested = [(setting, evidence.method(setting, terms.compare)) for setting in evidence.settings]
    return [_tested(evidence, setting, arm, terms) for setting, arm in tested if arm is not None]


def _published(evidence: Evidence, arm: Arm) -> Contest:
    rivals = {name: (name,) for name in sorted(comparable(evidence, arm))}
    return Contest(arm.setting, arm.name, evidence.frozen(arm.name), rivals, None, "test")


def _tested(evidence: Evidence, setting: str, arm: str, terms: Terms) -> Contest:
    chosen, how = choose_rival(evidence, setting, terms)
    names = dict.fromkeys([*([chosen] if chosen else []), *conventional(evidence, setting, terms)])
    rivals = {name: tuple(evidence.ladder(name)) for name in names if name != arm}
    return Contest(setting, arm, evidence.frozen(arm), rivals, chosen if chosen in rivals else None, how)


def comparable(evidence: Evidence, arm: Arm) -> list[str]:
    """The other conventional arms of the arm's setting that answered (nearly) all the questions it answered, and whose
    frozen model gave the same answers as the arm's own."""
    return [name for name in _alike(evidence, arm) if not other_frozen(arm, evidence.arms[name])]


def beside_another(evidence: Evidence, arm: Arm) -> list[str]:
    """Those that would be comparable, had they been measured beside the same frozen model."""
    return sorted(name for name in _alike(evidence, arm) if other_frozen(arm, evidence.arms[name]))


def other_frozen(arm: Arm, other: Arm) -> bool:
    """Whether the frozen models beside two arms are known to answer differently: then so does the set-up, and how far
    the arms are apart says nothing about what was done to the model."""
    return bool(arm.frozen_group and other.frozen_group) and arm.frozen_group != other.frozen_group


def other_model(arm: Arm, other: Arm) -> bool:
    """Whether two arms are known to be made of different base models: then one is no rival of the other."""
    return bool(arm.model and other.model) and arm.model != other.model


def _alike(evidence: Evidence, arm: Arm) -> list[str]:
    others = [other for other in evidence.claim.arms if other.setting == arm.setting and other.name != arm.name]
    others = [other for other in others if not other_model(arm, other)]
    return [other.name for other in others if other.conventional and _comparable(evidence, arm, other)]


def _comparable(evidence: Evidence, arm: Arm, other: Arm) -> bool:
    table = evidence.table
    if arm.name not in table and other.name not in table:
        return other.accuracy is not None
    if arm.name not in table or other.name not in table:
        return False
    asked = int(table.common(arm.name).sum())
    return bool(asked) and int(table.common(arm.name, other.name).sum()) / asked >= ENOUGH_OVERLAP


def last_rounds(evidence: Evidence) -> list[Arm]:
    """Of each setting and prompt the self-improving arm of the highest round; the headline arm first."""
    last: dict[tuple[str, str], Arm] = {}
    claim = evidence.claim
    for arm in sorted(claim.arms, key=lambda arm: (-(arm.round or 0), arm.name)):
        if arm.role is Role.SELF_IMPROVING:
            last.setdefault((arm.setting, arm.prompt), arm)
    chosen = {arm.name for arm in last.values()} | ({claim.headline} if claim.headline else set())
    return sorted((arm for arm in claim.arms if arm.name in chosen), key=lambda arm: arm.name != claim.headline)


def closed_book(evidence: Evidence, setting: str) -> list[str]:
    """The arms that answer from what they were trained on: all but the frozen model and those that read the text."""
    return [name for name in evidence.own(setting) if evidence.arms[name].role not in UNTRAINED]


def conventional(evidence: Evidence, setting: str, terms: Terms) -> list[str]:
    """The arms of a trial that the arm under test has to beat, by name: all that are trained and not self-improving.

    What learns beforehand (from labelled examples, say) is one of them; a teacher that is the world's own writer, and
    what chooses by the exam's labels, are upper bounds and no rivals.
    """
    out = {Role.SELF_IMPROVING, Role.ORACLE} | ({Role.TEACHER} if terms.oracle else set())
    names = [name for name in closed_book(evidence, setting) if evidence.arms[name].role not in out]
    return sorted(name for name in names if evidence.trial(name).method != terms.compare)


def choose_rival(evidence: Evidence, setting: str, terms: Terms) -> tuple[str | None, Chosen]:
    """The rival of one domain of a trial and how it was chosen: as the trial fixed it, else the best conventional arm
    on development problems."""
    if terms.against != BEST_CONVENTIONAL:
        named = evidence.method(setting, terms.against)
        bound = named is not None and evidence.arms[named].role is Role.ORACLE
        return (None, "nothing") if bound else (named, "fixed before the run")
    names = conventional(evidence, setting, terms)
    return best_of(evidence, names) if names else (None, "nothing")


def best_of(evidence: Evidence, names: list[str]) -> tuple[str, Chosen]:
    """The most accurate on development problems. On test problems where no development accuracy is known, and between
    those that do equally well in development: one of them drawn by lot may be the weakest of all."""
    among = equally_best(evidence, names)
    if len(among) == 1:
        return among[0], "development"
    tested = {name: found.value for name in among if (found := evidence.accuracy(name, evidence.exam))}
    return max(tested, key=lambda name: tested[name], default=among[0]), "test"


def equally_best(evidence: Evidence, names: Sequence[str]) -> list[str]:
    """The most accurate on development problems, usually one; all of them, by name, where none was measured there."""
    developed = {name: value for name in sorted(names) if (value := evidence.trial(name).development) is not None}
    most = max(developed.values(), default=None)
    return [name for name, value in developed.items() if value == most] or sorted(names)


def cross_fitted(
    arm: Floats,
    rivals: Floats,
    development: Sequence[float | None],
    rng: np.random.Generator,
    weights: Floats,
    questions: float | None = None,
) -> tuple[Interval, Floats]:
    """The arm minus the best rival, chosen on other problems and other seeds than it is compared on.

    ``arm``: accuracies as seeds by problems; ``rivals``: rivals by seeds by problems; ``development``: each rival's
    accuracy on development problems, which counts as one more fold where it is known of all; ``weights``: bootstrap
    weights, resamples by problems; ``questions``: how many each value is a mean of.

    Choosing the best of several on the problems and runs that it is then compared on favours the rivals; choosing it on
    a few development problems favours the arm, since a worse one than the best is sometimes chosen. Here each cell's
    rival is the best on the other folds' problems in the other runs (a single run has no others), averaged over 20
    random divisions into folds.

    No choice finds the best of rivals that can hardly be told apart, so that the difference still errs to the arm's
    side there: by 0.6 points for two that are 5 apart, by 2.2 for nine that are 5 behind one, against 1.5 and 3.6 with
    the choice on development problems (``benchmarks/simulated_rivals.py``). The test over all rivals does not.

    The interval contains the choice: in each resample of seeds and problems the rival is chosen again, and the spread
    of the differences to whom it chose is added in squares to the margin of the differences themselves. Returns the
    difference with that interval, and the share of cells in which each rival was chosen.
    """
    problems = arm.shape[1]
    folds = min(FOLDS, problems)
    known = [value for value in development if value is not None]
    before = np.array(known) / folds if len(known) == len(rivals) else np.zeros(len(rivals))
    cells, share = np.zeros_like(arm), np.zeros(len(rivals))
    for _ in range(REPEATS):
        fold = rng.permutation(problems) % folds
        scores = _elsewhere(rivals, fold, folds) * (folds - 1) / folds + before[:, None, None]
        best = _most(scores)[:, fold]
        cells += arm - np.take_along_axis(rivals, best[None], axis=0)[0]
        share += np.bincount(best.ravel(), minlength=len(rivals))
    found = crossed.estimate(cells / REPEATS, weights, questions=questions)
    spread = SURE * _choice_deviation(arm, rivals, before, rng, weights)
    low = found.value - float(np.hypot(found.value - found.low, spread))
    high = found.value + float(np.hypot(found.high - found.value, spread))
    return Interval(found.value, max(low, -1.0), min(high, 1.0)), share / share.sum()


def _most(scores: Floats) -> NDArray[np.int64]:
    """The place of the highest score along the first axis, the first of equals: sums are rounded before, for the last
    bits of what a processor adds up in its own order are not to choose a rival."""
    return np.asarray(scores.round(DIGITS).argmax(axis=0))


def _elsewhere(rivals: Floats, fold: NDArray[np.int64], folds: int) -> Floats:
    """Mean accuracy on the other folds in the other seeds: rivals by seeds by folds; zero where there are none."""
    belongs = (fold[:, None] == np.arange(folds)).astype(np.float64)
    sums, counts = rivals @ belongs, belongs.sum(axis=0)
    sums, counts = sums.sum(axis=2, keepdims=True) - sums, counts.sum() - counts
    if (seeds := rivals.shape[1]) > 1:
        sums, counts = sums.sum(axis=1, keepdims=True) - sums, counts * (seeds - 1)
    result: Floats = sums / np.maximum(counts, 1.0)
    return result


def _choice_deviation(arm: Floats, rivals: Floats, before: Floats, rng: np.random.Generator, weights: Floats) -> float:
    """Standard deviation of the difference to the rival that is chosen, over resamples of seeds and problems."""
    seeds, problems = arm.shape
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=CHOICES) / seeds
    by_seed = rivals @ weights[:CHOICES].T  # rivals by seeds by resamples
    folds = min(FOLDS, problems)
    scores = np.einsum("rsb,bs->rb", by_seed, of_seeds) * (folds - 1) / folds + before[:, None]
    differences = (arm - rivals).mean(axis=(1, 2))
    return float(differences[_most(scores)].std())
