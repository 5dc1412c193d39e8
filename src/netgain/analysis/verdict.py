"""Verdict: what the records support, as data. Its JSON schema is versioned and ships in docs/verdict.schema.json.

Accuracies, differences and intervals are fractions. ``None`` means unknown, never zero. Amounts of work are totals
over all problems of an arm unless the name says ``per_problem``.
"""

from collections.abc import Sequence
from typing import Literal, final

from pydantic import ConfigDict, Field

from netgain.analysis.intervals import Interval
from netgain.analysis.rows import (
    AnswersRow,
    BoundRow,
    BreakEvenRow,
    CardRow,
    ChosenRow,
    ComputeRow,
    CoverageRow,
    DomainRow,
    GradeRow,
    HeadlineKind,
    LoopRow,
    ReadingRow,
    RegimeRow,
    SpreadRow,
    WorstCase,
)
from netgain.records.claim import NOT_VERIFIED, Finding, Terms
from netgain.records.cost import Currency
from netgain.records.learning import PolicyRun, ShownAnswer
from netgain.records.provenance import Judging, RunSetup, Source, StrictModel

SCHEMA: Literal["netgain.verdict/1"] = "netgain.verdict/1"


@final
class ArmRow(StrictModel):
    """One arm: how accurate, trained on what, at what cost. Costs are those of training alone.

    ``charged_per_problem`` adds to each currency the arm's share of its outer loop's training (a lower bound in those
    of ``charged_incomplete``); ``undominated`` names the currencies in which no arm of the setting is at most as dear,
    so charged, and at least as accurate. ``frozen_accuracy`` is that of the frozen model as published beside the arm.

    From ``method`` on, trials of our own: a method at one budget level (``rung``, a multiple; ``own``: that at
    which it is compared), for ``deployments`` where it invested for just so many. ``budget_per_problem`` is in the
    trial's currency, ``spent_share`` the part of it that was used (and of an investment), ``underspent`` says that more
    than 1 % was left. ``exams`` gives the accuracy on each kind of question, ``by_seed`` that of each run on the
    primary kind, ``answering`` what one exam question took.
    """

    name: str
    label: str
    setting: str
    role: str
    prompt: str
    round: int | None
    headline: bool
    accuracy: float | None
    low: float | None
    high: float | None
    accuracy_published: float | None
    accuracy_paper: float | None
    frozen_accuracy: float | None
    frozen_group: str
    n_problems: int | None
    n_questions: int | None
    seeds: int | None
    updates: float | None
    updates_per_problem: float | None
    tokens_real: float | None
    tokens_real_per_problem: float | None
    tokens_padded: float | None
    tokens_padded_per_problem: float | None
    flops_per_problem: float | None
    flops_unpadded_per_problem: float | None
    tokens_estimated: bool
    learning_rate: float | None
    training: dict[str, str]
    invests: list[str]
    invests_unpublished: list[str]
    charged_per_problem: dict[str, float | None]
    charged_incomplete: list[str]
    undominated: list[str]
    sources: list[Source]
    method: str = ""
    rung: float | None = None
    own: bool = True
    learns: bool = False
    deployments: int | None = None
    development: float | None = None
    budget_per_problem: float | None = None
    spent_per_problem: dict[str, float | None] = Field(default_factory=dict)
    spent_share: float | None = None
    underspent: bool = False
    rejected_per_problem: dict[str, float] = Field(default_factory=dict)
    failed: int = 0
    by_seed: list[float] = Field(default_factory=list)
    exams: dict[str, Interval] = Field(default_factory=dict)
    answering: dict[str, float] = Field(default_factory=dict)


@final
class Comparison(StrictModel):
    """Two arms on the questions both answered: difference is a - b. Only one comparison is primary.

    ``b`` is ``frozen`` for the frozen model as published beside ``a``. ``p_equivalent`` is the p value of the claim
    that the true difference lies within ``equivalence_margin`` on either side of 0 (two one-sided tests).
    ``other_frozen``: the frozen models beside the two answer differently, so it is no comparison of methods.
    """

    a: str
    b: str
    kind: Literal["headline", "outer loop", "frozen", "asked"]
    primary: bool
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    p_mcnemar: float | None
    only_a: int | None
    only_b: int | None
    n_problems: int | None
    n_questions: int | None
    smallest_detectable: float | None
    p_equivalent: float | None
    equivalence_margin: float | None
    method: str
    setting: str = ""
    exam: str = ""
    n_seeds: int | None = None
    other_frozen: bool = False


@final
class DecompositionRow(StrictModel):
    """An arm's gap over the frozen model, taken apart against the best conventional arm that cost no more.

    ``basis`` says what the arm is charged: ``with outer loop`` (its share of the outer loop's bill over
    ``deployments`` problems) or ``adapt only`` (the bill forgotten). ``rival`` is None where no such arm exists.
    ``rival_underspent`` says that it cost less by more than 1 %, so that an arm ahead of it is not ahead at equal
    compute. ``dearer`` names the conventional arms left out because they cost more than is known of the budget,
    ``other_frozen`` those left out because the frozen model beside them answers differently. ``prompts_differ``: the
    rival wrote its texts under another prompt, so that the difference is the prompt's as well. ``gap`` and
    ``compute_part`` are over the frozen model as published beside the arm. In trials of our own the rival was chosen on
    development problems, and ``mixture`` says between which of its levels its accuracy was interpolated.

    ``worst_case`` holds the arm against every conventional arm; whether the method adds something rests on it.
    ``cross_fitted`` is the method part when the rival is chosen on other problems and seeds than it is compared on, its
    interval with the uncertainty of that choice; ``cross_fitted_rivals`` says how often each was chosen.
    """

    arm: str
    currency: str
    basis: Literal["with outer loop", "adapt only"]
    deployments: int | None
    budget_per_problem: float | None
    budget_incomplete: bool
    rival: str | None
    rival_cost_per_problem: float | None
    rival_underspent: bool
    dearer: list[str]
    n_problems: int | None
    n_questions: int | None
    gap: Interval | None
    compute_part: Interval | None
    method_part: Interval | None
    share: Interval | None
    cross_fitted: Interval | None
    other_frozen: list[str] = Field(default_factory=list)
    prompts_differ: bool = False
    setting: str = ""
    mixture: dict[str, float] = Field(default_factory=dict)
    n_seeds: int | None = None
    worst_case: WorstCase | None = None
    cross_fitted_rivals: dict[str, float] = Field(default_factory=dict)


@final
class AmortisationRow(StrictModel):
    """After how many problems the outer loop's bill equals what it saves against a rival of no lower accuracy.

    One row for each such rival, the cheapest first. With ``bill_incomplete``, ``break_even`` is a lower bound.
    """

    arm: str
    currency: str
    bill: float | None
    bill_incomplete: bool
    adapt_per_problem: float | None
    rival: str | None
    rival_per_problem: float | None
    break_even: int | None
    never: bool
    note: str


@final
class RewardRow(StrictModel):
    """A round's reward: how reliable, how far the best of k seems ahead, and how far it is on a held-out repeat.

    ``from_means``: only each edit's mean and deviation are known, as they were rounded, and no single evaluation: its
    figures are not to be mixed with those of other rounds.
    """

    arm: str
    prompt: str
    round: int
    problems: int
    edits: int
    repeats: int
    reliability: float | None
    reliability_single: float | None
    apparent_gain: float | None
    heldout_gain: float | None
    heldout: Interval | None
    from_means: bool = False


@final
class OuterLoopRow(StrictModel):
    """The bill of one round of an outer loop. Totals; ``None`` where nothing is known."""

    name: str
    prompt: str
    round: int
    inner_loops: int
    edits: int
    kept: int
    discarded: int
    updates: float | None
    tokens_real: float | None
    tokens_padded: float | None
    tokens_generated: float | None
    flops: float | None
    flops_unpadded: float | None
    answers: int | None
    grader_calls: int | None
    verdicts_stored: int | None
    tokens_estimated: bool
    by_purpose: dict[str, dict[str, float]]
    sources: list[Source]


@final
class StabilityRow(StrictModel):
    """What an arm's training fixed and broke of the frozen model's answers (distinct questions).

    In trials one row a kind of control question, asked after each adaptation: ``accuracy`` on them, its ``change`` from
    the frozen model, and the mean ``divergence`` from it over seeds.
    """

    arm: str
    fixed: int
    broken: int
    previously_correct: int
    questions: int
    kind: str = ""
    accuracy: Interval | None = None
    change: Interval | None = None
    divergence: float | None = None


@final
class AbilityRow(StrictModel):
    """One measure of what the model can do that has nothing to do with the problems: of the frozen model (``before``,
    None where nobody measured it) and after an arm's adaptations, ``adaptations`` of them.

    ``name`` is ``text`` (nats a token) or lm-eval's; ``better`` the direction that is, where it is known. ``change`` is
    after minus before, by Student's interval over the seeds' means (None with a single seed). ``fixed``, ``broken`` and
    ``previously_correct`` count documents, of measures that are right or wrong by document.
    """

    arm: str
    name: str
    better: str
    count: int
    before: float | None
    after: float
    adaptations: int
    seeds: int
    change: Interval | None
    fixed: int | None = None
    broken: int | None = None
    previously_correct: int | None = None


@final
class RetentionTable(StrictModel):
    """A stream of adaptations. The three means are over the earlier problems (all but the last)."""

    name: str
    sequences: int
    matrix: list[list[float | None]]
    untouched: float | None
    right_after: float | None
    after_all: float | None
    runs: int
    change_in_runs: Interval | None
    method: str
    sources: list[Source]


@final
class QuestionRow(StrictModel):
    """One of the four questions of a sceptical reader."""

    question: str
    answer: Literal["yes", "no", "cannot tell"]
    evidence: list[str]


@final
class Headline(StrictModel):
    """The verdict in one sentence, and the few that follow from it."""

    sentence: str
    details: list[str]
    kind: HeadlineKind


@final
class Verdict(StrictModel):
    """All that the records of one claim or trial support."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    format: Literal["netgain.verdict/1"] = Field(default=SCHEMA, alias="schema")
    netgain: str
    claim: str
    title: str
    paper: str
    url: str
    licence: str
    model: str
    tokens: str
    glossary: str
    seed: int
    headline: Headline
    arms: list[ArmRow]
    comparisons: list[Comparison]
    decomposition: list[DecompositionRow]
    amortisation: list[AmortisationRow]
    rewards: list[RewardRow]
    outer_loop: list[OuterLoopRow]
    policy: list[PolicyRun] = Field(default_factory=list)
    loops: list[LoopRow] = Field(default_factory=list)
    stability: list[StabilityRow]
    abilities: list[AbilityRow] = Field(default_factory=list)
    retention: RetentionTable | None
    reported: dict[str, str | None]
    searched: str = ""
    questions: list[QuestionRow]
    findings: list[Finding]
    notes: list[str]
    terms: Terms | None = None
    domains: list[DomainRow] = Field(default_factory=list)
    grades: list[GradeRow] = Field(default_factory=list)
    answers: list[AnswersRow] = Field(default_factory=list)
    coverage: list[CoverageRow] = Field(default_factory=list)
    break_even: list[BreakEvenRow] = Field(default_factory=list)
    regimes: list[RegimeRow] = Field(default_factory=list)
    bounds: list[BoundRow] = Field(default_factory=list)
    spread: list[SpreadRow] = Field(default_factory=list)
    compute: list[ComputeRow] = Field(default_factory=list)
    card: list[CardRow] = Field(default_factory=list)
    reading: list[ReadingRow] = Field(default_factory=list)
    retentions: list[RetentionTable] = Field(default_factory=list)
    chosen: list[ChosenRow] = Field(default_factory=list)
    shown: list[ShownAnswer] = Field(default_factory=list)
    judging: Judging | None = None
    setup: RunSetup | None = None

    def arm(self, name: str) -> ArmRow:
        """The row of this arm. Raises KeyError where there is none."""
        return {row.name: row for row in self.arms}[name]

    @property
    def doubts(self) -> tuple[str, ...]:
        """What in a trial's records does not follow from what was done, the first thing first; mostly nothing."""
        return tuple(line for finding in self.findings if finding.check == NOT_VERIFIED for line in finding.evidence)


def primary_row(rows: Sequence[DecompositionRow], arm: str | None) -> DecompositionRow | None:
    """The row that the verdict rests on: the headline arm, charged for its outer loop, in the first known currency.

    FLOPs come first; where they are unknown, or the outer loop's are, updates, then tokens, then device time.
    """
    mine = [row for row in rows if row.arm == arm and row.basis == "with outer loop"]
    uncharged = {row.currency: row.budget_per_problem for row in rows if row.arm == arm and row.basis == "adapt only"}
    order = (Currency.FLOPS, Currency.UPDATES, Currency.TOKENS_REAL, Currency.TOKENS_PADDED, Currency.SECONDS)
    ranked = [row for currency in order for row in mine if row.currency == currency]
    known = [row for row in ranked if row.method_part]
    priced = [row for row in ranked if row.budget_per_problem is not None]
    charged = [r for r in known if not (r.budget_incomplete and r.budget_per_problem == uncharged.get(r.currency))]
    return next(iter([*charged, *known, *priced, *mine]), None)
