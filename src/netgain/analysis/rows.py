"""Rows of a verdict: what an arm is against each of its rivals, and those that only a trial of our own has.

Accuracies, differences and intervals are fractions.
"""

from typing import Literal, final

from pydantic import Field

from netgain.analysis.intervals import Interval
from netgain.records.claim import GradeName
from netgain.records.provenance import StrictModel

EQUIVALENCE_MARGIN = 0.05  # arms that differ by less are called equal
HeadlineKind = Literal[
    "method", "nothing left", "no difference", "no gain", "rival ahead", "unmatched", "too few runs", "cannot tell"
]


@final
class RivalRow(StrictModel):
    """The arm under test minus one conventional arm at equal cost (``cost_per_problem``; ``underspent`` where that is
    more than 1 % less), on the seeds and problems that both have.

    ``p`` is one-sided: of the claim that the arm is ahead. ``p_behind`` is the one-sided p of the opposite claim,
    Holm-adjusted over all rivals; ``p_not_worse`` and ``p_not_better`` those of the claims that the arm is behind, or
    ahead, by less than 5 points (None for published arms).
    """

    rival: str
    difference: Interval
    p: float
    p_behind: float
    p_not_worse: float | None
    p_not_better: float | None
    cost_per_problem: float
    underspent: bool
    n_seeds: int | None
    n_problems: int | None


@final
class WorstCase(StrictModel):
    """Whether an arm is ahead of *every* conventional arm at equal cost: an intersection-union test.

    ``rival`` is the strongest, ``difference`` the arm minus it: the smallest difference of ``all``. ``p`` is the
    largest of the one-sided p's; no adjustment for their number is needed to call the arm ahead of all where it is at
    most ``level`` (Berger 1982, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24(4)).
    ``ahead``: so it is, and every interval lies above zero. ``behind`` names the rivals that the arm lies below (each
    with its Holm-adjusted one-sided p at most ``level``), the strongest first. ``p_equivalent`` is that of the claim
    that the arm lies within 5 points of the best: less than 5 behind each (again the largest p), and less than 5 ahead
    of the one that was chosen beforehand (where none was, of any, Holm-adjusted). ``left_out`` names the conventional
    arms that could not be compared at equal cost.
    """

    rival: str
    difference: Interval
    p: float
    level: float
    ahead: bool
    behind: list[str]
    p_equivalent: float | None
    all: list[RivalRow]
    left_out: list[str]


@final
class DomainRow(StrictModel):
    """The verdict on one domain: the arm under test, the rival that development problems chose, and the sentence.

    ``p_equivalent`` is that of the worst case over all rivals (``WorstCase``).
    """

    setting: str
    primary: bool
    arm: str | None
    rival: str | None
    chosen_on: Literal["development", "fixed before the run", "test", "nothing"]
    frozen: str | None
    sentence: str
    kind: HeadlineKind
    p_equivalent: float | None
    n_problems: int | None
    n_seeds: int | None
    method: str


@final
class GradeRow(StrictModel):
    """The verdict on one domain by one grade of the very same answers; ``decides``: by the one fixed before the run.

    ``difference`` is the arm under test minus the rival that was chosen beforehand, at equal compute.
    """

    setting: str
    grade: GradeName
    decides: bool
    kind: HeadlineKind
    sentence: str
    difference: Interval | None


@final
class AnswersRow(StrictModel):
    """The answers of one arm by every grade: the mean score on the kind of question that decides, and over all kinds
    but controls the share of answers that hold nothing, and that were cut because they were as long as they may be."""

    setting: str
    arm: str
    scores: dict[GradeName, Interval]
    empty: float | None
    cut: float | None


CoverageKind = Literal["more able", "sharper", "sharper at most", "less able", "cannot tell"]


@final
class CoveragePoint(StrictModel):
    """The chance that one of ``k`` drawn answers is right (pass@k), and an arm's minus the frozen model's."""

    k: int
    passed: Interval | None
    over_frozen: Interval | None


@final
class CoverageRow(StrictModel):
    """How much of the questions an arm answers rightly when it may try several times, as it is compared.

    ``overtaken`` is the smallest k up to ``samples`` at which the frozen model passes more, ``surely_overtaken`` that
    from whose interval zero is excluded; None where there is none. ``kind``: an arm is ``more able`` that passes more
    at the largest k asked for, ``sharper`` where it passes more at the smallest and less at the largest, ``sharper at
    most`` where the largest says nothing; all by the intervals.
    """

    setting: str
    arm: str
    frozen: str | None
    samples: int
    temperature: float
    points: list[CoveragePoint]
    overtaken: int | None
    surely_overtaken: int | None
    kind: CoverageKind


@final
class LoopRow(StrictModel):
    """How stable one kind of outer loop is, over all of its ``arms`` (its grid of settings) and their seeds.

    ``collapsed`` of ``runs`` collapsed; ``share`` with its interval (Clopper and Pearson 1934, as if runs were
    independent). ``deviation`` is that of a seed's accuracy within one arm, over arms. ``accuracy`` is the mean over
    arms, as one has it who picks settings blindly; ``best`` the arm that did best on development problems, with its
    accuracy there, ``over`` that of the first loop's best minus it.
    """

    setting: str
    loop: str
    arms: int
    runs: int
    collapsed: int
    share: Interval
    deviation: float | None
    accuracy: float | None
    best: str | None
    best_accuracy: Interval | None
    over: Interval | None


@final
class DeploymentsPoint(StrictModel):
    """One number of deployments at which learners invested anew: ``arm``, the run of the arm under test that was made
    for it, at ``cost_per_problem`` in all, against every conventional arm at the same total; None where none of them
    could be compared.

    ``stand_ins`` maps each rival that learns and was not run for this number to its run for the next smaller one, which
    bounds it from below; ``missing`` names those without any. An arm ahead of these is not ahead at equal compute.
    """

    deployments: int
    arm: str
    cost_per_problem: float
    worst_case: WorstCase | None
    stand_ins: dict[str, str]
    missing: list[str]


@final
class BreakEvenRow(StrictModel):
    """From how many deployments on an investment is worth it: the arm against every rival at the same total, at each
    number of deployments for which it invested anew. Between them nothing is interpolated.

    ``ahead_from``: there and at every larger number that was run, of which there is at least one, the arm is ahead of
    every conventional arm. None with the reason in ``reason``. ``bill`` is the investment at the trial's own number.
    """

    setting: str
    arm: str
    currency: str
    bill: float
    points: list[DeploymentsPoint]
    ahead_from: int | None
    reason: str


@final
class RegimeRow(StrictModel):
    """What is best where something is not allowed: chosen on development problems, accuracy on test problems.

    ``over`` is the arm under test minus this one, each at its own budget level.
    """

    regime: str
    setting: str
    arm: str
    accuracy: Interval
    over: Interval | None


@final
class BoundRow(StrictModel):
    """An arm on the ladder from the untouched model up to the bound that the exam's own labels set (``bound``, an arm).

    ``over`` is its gain over the frozen model, ``below`` the bound minus it, both paired; each at its own budget level.
    """

    setting: str
    bound: str
    arm: str
    accuracy: Interval
    over: Interval | None
    below: Interval | None


@final
class SpreadRow(StrictModel):
    """How much luck there is: an arm's accuracy in each seed, and the development accuracy of each setting tried.

    ``deviation`` is the standard deviation of a run's true accuracy, the chance of its problems taken out.
    """

    setting: str
    arm: str
    by_seed: list[float]
    deviation: float | None
    settings: dict[str, float]
    chosen: str | None


@final
class ComputeRow(StrictModel):
    """What an arm spent on one purpose for one problem at its own level; ``before``: its share of the investment."""

    setting: str
    arm: str
    purpose: str
    before: bool
    per_problem: dict[str, float]


@final
class CardRow(StrictModel):
    """All that one method took in a trial: adaptations at every level, investments, tuning, exams; totals by currency.

    ``rejected`` is the part of adaptations and investments whose results were thrown away or failed. What a stage took
    is named in the currencies in which all of it is known; ``total`` is what is known, at least, and lacks the
    currencies in which nothing is. ``incomplete`` names those of which some part is unknown.
    """

    setting: str
    method: str
    label: str
    seeds: int
    adaptations: int
    spent: dict[str, dict[str, float]]
    rejected: dict[str, float]
    total: dict[str, float]
    incomplete: list[str] = Field(default_factory=list)


@final
class ReadingRow(StrictModel):
    """What an arm that reads at the exam pays for every question, beside what a trained one paid once for a problem.

    ``reading`` and ``answering`` are what one question takes of either, ``training`` what a problem took before the
    exam, its share of an investment included; ``questions`` how many were asked about a problem. From ``crossing``
    questions a problem on the trained arm has cost no more in all; ``never``: a question costs it as much. None where
    something is unknown.
    """

    setting: str
    reader: str
    trained: str
    currency: str
    questions: float | None
    reading: float | None
    answering: float | None
    training: float | None
    crossing: int | None
    never: bool


@final
class ChosenRow(StrictModel):
    """What an arm chose of its trainings at test time, at one ``stage``: counts over ``written`` choices.

    ``valid`` are those that could be trained with; the counts of ``tools``, ``losses``, ``rates`` and ``epochs`` are of
    these, ``refused`` of the others by reason. ``steps`` is the mean of what was asked for, ``score`` the mean accuracy
    where it was measured. ``constrained`` of them were written with only such tokens as keep to the schema, and
    ``constrained_valid`` of those are valid.
    """

    setting: str
    arm: str
    stage: str
    written: int
    valid: int
    constrained: int = 0
    constrained_valid: int = 0
    refused: dict[str, int] = Field(default_factory=dict)
    tools: dict[str, int] = Field(default_factory=dict)
    losses: dict[str, int] = Field(default_factory=dict)
    rates: dict[str, int] = Field(default_factory=dict)
    epochs: dict[str, int] = Field(default_factory=dict)
    steps: float | None = None
    score: float | None = None
