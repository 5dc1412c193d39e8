"""The rows of a verdict that only a trial of our own has. Accuracies, differences and intervals are fractions."""

from typing import Literal, final

from pydantic import Field

from netgain.analysis.intervals import Interval
from netgain.records.provenance import StrictModel

HeadlineKind = Literal["method", "nothing left", "no difference", "no gain", "rival ahead", "unmatched", "cannot tell"]


@final
class DomainRow(StrictModel):
    """The verdict on one domain: the arm under test, the rival that development problems chose, and the sentence."""

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
class AfterDeployments(StrictModel):
    """The method's part when an investment is shared by ``deployments`` problems (None: a free one), at ``spent`` a
    problem for both arms; None where the rival's ladder does not reach so far."""

    deployments: int | None
    spent: float
    method_part: Interval | None


@final
class BreakEvenRow(StrictModel):
    """From how many deployments on an investment is worth it: the arm against its rival at the same total spent.

    ``ahead_from``: from there on the method's part stays above zero; ``clear_from``: its whole interval does. None with
    ``never`` (or ``never_clear``): not even where the investment is free. ``not_before`` is the first number of
    deployments at which the rival's ladder reaches the arm's total: below it nothing is known.
    """

    setting: str
    arm: str
    rival: str
    currency: str
    bill: float
    ahead_from: int | None
    clear_from: int | None
    never: bool
    never_clear: bool
    not_before: int | None
    after: list[AfterDeployments]


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
