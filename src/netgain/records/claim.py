"""Claim: somebody's comparison of methods as data, every number with its source.

A reader distils one from published files, a card states one by hand, a trial of our own ends in one (with its
:class:`Terms`, and a :class:`TrialArm` in each arm). Analysis and report know nothing else. A claim holds figures only:
verdicts are strings of 0 and 1, questions are hashes.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self, final

from pydantic import ConfigDict, Field, field_serializer, field_validator, model_validator

from netgain.records.cost import Cost, Currency
from netgain.records.cost import Purpose as Purpose
from netgain.records.learning import ChosenTraining, PolicyRun, ShownAnswer
from netgain.records.measurements import Ability, Coverage, Curve, Finite
from netgain.records.measurements import Continual as Continual
from netgain.records.measurements import Fraction as Fraction
from netgain.records.provenance import Judging, RunSetup, Source, StrictModel
from netgain.records.stated import Loss, Stated

SCHEMA: Literal["netgain.claim/1"] = "netgain.claim/1"
Read = Literal["", "data", "primary text", "primary text in part", "summary"]

BoundedCount = Annotated[int, Field(ge=0, le=10**12)]
GradeName = Literal["exact", "contains", "f1", "judge"]
RIGHT = 0.5  # of a score: from here on an answer counts as right where yes or no is asked
Name = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$", description="no control characters")]
Verdicts = Annotated[str, Field(pattern=r"^[01-]*$", description="one character a question: 1 right, 0 wrong, - none")]


class Role(StrEnum):
    """What kind of rival an arm is. All but ``self_improving``, ``frozen`` and ``oracle`` are conventional.

    An ``oracle`` chose by the labels that it is examined on: an upper bound, and nobody's rival.
    """

    FROZEN = "frozen"
    IN_CONTEXT = "in_context"
    PASSAGE = "passage"
    SYNTHETIC = "synthetic"
    TEACHER = "teacher"
    SELF_IMPROVING = "self_improving"
    ORACLE = "oracle"
    OTHER = "other"


UNTRAINED = frozenset({Role.FROZEN, Role.IN_CONTEXT})
BEST_CONVENTIONAL = "best conventional"


@final
class ExamProblem(StrictModel):
    """One thing to adapt to: a hash of its material, and a hash of each of its questions in order.

    ``kinds`` says of each question what it examines (knowledge, reasoning, a control), where that is known.
    """

    id: str
    questions: tuple[str, ...]
    kinds: tuple[str, ...] = ()


@final
class Exam(StrictModel):
    """The problems and questions that several arms answered."""

    name: str
    problems: tuple[ExamProblem, ...]


@final
class Training(StrictModel):
    """The settings of a training loop as published; ``None`` where they are not stated."""

    epochs: float | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    grad_accumulation: int | None = None
    rank: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    target_modules: tuple[str, ...] | None = None
    max_length: int | None = None
    split_newlines: bool | None = None
    sequences: BoundedCount | None = None
    completions: BoundedCount | None = None


@final
class Charge(StrictModel):
    """Work that was done: by which arm or outer-loop round, for what purpose, how often, and what it took in all.

    ``problems`` is how many problems the cost covers where that is not all of the arm's. ``estimated`` names the
    currencies whose amounts rest on an estimate (of tokens, or a rule of thumb).
    """

    arm: str
    purpose: Purpose
    operation: str
    count: BoundedCount | None = None
    problems: BoundedCount | None = None
    cost: Cost
    flops_unpadded: float | None = None
    estimated: tuple[Currency, ...] = ()
    source: Source

    @field_serializer("cost")
    def _only_known(self, cost: Cost) -> dict[str, float]:
        return cost.known()


@final
class SeedRun(StrictModel):
    """The verdicts of one run of a trial: one string a problem of the exam, ``-`` where a question was not answered.

    A failed adaptation counts as wrong in the problem's own questions; ``failed`` counts them. ``grades`` holds the
    scores of the same answers by each grade in the same shape, None where there is no answer; empty for a record that
    is older than they. ``correct`` is by the grade that decides (F1: from one half on). ``right`` counts, in the same
    shape, the right ones among the answers that were drawn for coverage (``Terms.coverage``); empty where none were.
    """

    seed: int
    correct: tuple[Verdicts, ...]
    failed: BoundedCount = 0
    grades: dict[GradeName, tuple[tuple[Fraction | None, ...], ...]] = Field(default_factory=dict)
    right: tuple[tuple[BoundedCount | None, ...], ...] = ()


@final
class TrialArm(StrictModel):
    """What a trial of our own knows of an arm beyond what papers publish. Amounts are in the trial's currency.

    ``method`` is the arm as the trial calls it; ``rung`` the step of the budget ladder; ``own`` marks the rung on which
    it is compared. ``deployments`` is over how many problems an arm that learns spread its investment, made for just so
    many; None for others. ``budget`` and ``most_spent`` are for one problem; ``rejected`` is the part of all its
    charges, and ``rejected_before`` that of one investment, whose results were thrown away or failed. ``divergence``
    holds the mean divergence from the base model of each seed, ``abilities`` what was measured after its adaptations.
    ``empty`` and ``cut`` are the shares of its answers to problems' own questions that hold nothing, and that were as
    long as they may be; None where that was not recorded. ``chosen``: the first of a problem and seed was trained.
    """

    method: str
    rung: float
    own: bool
    learns: bool = False
    deployments: BoundedCount | None = None
    development: Fraction | None = None
    budget: float | None = None
    most_spent: float | None = None
    runs: tuple[SeedRun, ...] = ()
    rejected: dict[str, float] = Field(default_factory=dict)
    rejected_before: dict[str, float] = Field(default_factory=dict)
    divergence: tuple[Finite, ...] = ()
    abilities: tuple[Ability, ...] = ()
    empty: Fraction | None = None
    cut: Fraction | None = None
    chosen: tuple[ChosenTraining, ...] = ()


@final
class Search(StrictModel):
    """One setting that was tried in the tuning of an arm (``setting/method``), and its accuracy on development."""

    arm: str
    settings: str
    accuracy: Fraction | None
    chosen: bool


@final
class Terms(StrictModel):
    """The terms of a trial, fixed before it ran: budgets, the primary comparison, and how much of it is done.

    ``compare`` and ``against`` name methods; ``exam`` is the kind of question and ``setting`` the domain that the
    verdict rests on; ``controls`` are the kinds of questions that no problem owns. ``oracle``: the teacher is the
    world's own writer, an upper bound and no rival. ``worlds`` gives the kind of each domain, ``few_shot`` those whose
    questions show examples; ``passages`` is how many problems are adapted to at once. ``curve`` are further numbers of
    deployments, at each of which arms that learn invested anew. ``grade`` is what an answer counts by, ``coverage``
    what was drawn of answers beside. ``missing`` is how many of the runs that are compared (those at further
    deployments aside) are not done, by domain.
    """

    currency: Currency
    per_problem: float
    ladder: tuple[float, ...]
    learn: float = 0.0
    deployments: BoundedCount
    curve: tuple[BoundedCount, ...] = ()
    compare: str
    against: str
    exam: str
    setting: str
    worlds: dict[str, str]
    few_shot: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    oracle: bool = False
    seeds: BoundedCount
    test_problems: BoundedCount
    tuning_trials: BoundedCount
    passages: BoundedCount = 1
    runs_planned: BoundedCount
    runs_done: BoundedCount
    device: str = ""
    grade: GradeName = "exact"
    coverage: Coverage | None = None
    missing: dict[str, BoundedCount] = Field(default_factory=dict)


@final
class Arm(StrictModel):
    """One method with its settings, its verdicts where they were published, and what is known about its training.

    ``correct`` and ``frozen_correct`` hold one string a problem of ``exam``; where ``n_problems`` is not stated, it is
    how many of those in ``correct`` were answered. ``invests`` names the outer-loop rounds
    whose bill this arm carries; ``invests_unpublished`` the rounds that it must have run but that were not found.
    ``model`` is the base model: arms of two are not held against each other. ``starts_from`` names the checkpoint that
    training starts from where that is another (what an outer loop made, say).
    ``frozen_group`` is the same for arms whose frozen model gave the same answers; ``averaged`` says whether accuracy
    is a mean of problems' means or of single questions. ``curves`` is what a run's own log measured on its way, and
    whatever else was measured at its end (what it forgot); ``stated`` what a publication says of it beside that.
    """

    name: Name
    label: str
    setting: str
    role: Role
    prompt: str = ""
    round: int | None = None
    generator: str = ""
    model: str = ""
    starts_from: str = ""
    exam: str | None = None
    correct: tuple[Verdicts, ...] | None = None
    frozen_correct: tuple[Verdicts, ...] | None = None
    averaged: Literal["problems", "questions"] = "problems"
    accuracy: Fraction | None = None
    frozen_accuracy: Fraction | None = None
    frozen_questions: BoundedCount | None = None
    paper_accuracy: Fraction | None = None
    n_problems: BoundedCount | None = None
    n_questions: BoundedCount | None = None
    seeds: BoundedCount | None = None
    training: Training | None = None
    invests: tuple[str, ...] = ()
    invests_unpublished: tuple[str, ...] = ()
    frozen_group: str = ""
    sources: tuple[Source, ...] = ()
    curves: tuple[Curve, ...] = ()
    stated: Stated | None = None
    trial: TrialArm | None = None

    @model_validator(mode="before")
    @classmethod
    def _problems_are_counted(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and fields.get("correct") and fields.get("n_problems") is None:
            return fields | {"n_problems": sum(bool(row.strip("-")) for row in fields["correct"])}
        return fields

    @property
    def conventional(self) -> bool:
        """Whether the arm is a rival without self-improvement (the frozen model and an upper bound not counted)."""
        return self.role not in {Role.SELF_IMPROVING, Role.FROZEN, Role.ORACLE}


@final
class RewardRun(StrictModel):
    """One round of an outer loop: several edits of each problem, each trained and examined several times.

    ``correct[problem][edit][repeat]`` counts right answers of ``questions[problem]`` (or sums their F1), where they
    were published; else ``means[problem][edit]`` and ``deviations`` (over repeats, one less in the denominator).
    ``model`` is the base model where that is another than the claim's. ``repeats`` is 0 where nothing was trained for
    the reward (a rubric, say); ``unread`` counts ratings that could not be read. ``chosen`` is what edits of settings
    chose, problem after problem.
    """

    name: str
    prompt: str
    round: int
    model: str = ""
    problems: BoundedCount
    edits: BoundedCount
    repeats: BoundedCount
    kept: BoundedCount
    questions: tuple[BoundedCount, ...] = ()
    correct: tuple[tuple[tuple[int | Finite, ...], ...], ...] | None = None
    means: tuple[tuple[Finite, ...], ...] | None = None
    deviations: tuple[tuple[Finite | None, ...], ...] | None = None
    training: Training | None = None
    updates: float | None = None
    verdicts_stored: BoundedCount | None = None
    unread: BoundedCount = 0
    chosen: tuple[ChosenTraining, ...] = ()
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _shapes_hold(self) -> Self:
        if self.correct is not None:
            if len(self.questions) != len(self.correct) or not all(self.questions):
                raise ValueError(f"reward run {self.name!r}: questions must hold a positive number for each problem")
            if any(len(counts) != self.repeats for rows in self.correct for counts in rows):
                raise ValueError(f"reward run {self.name!r}: correct must hold {self.repeats} counts for each edit")
        shapes = [[len(row) for row in rows] for rows in (self.means, self.deviations) if rows is not None]
        if len(shapes) == 2 and shapes[0] != shapes[1]:
            raise ValueError(f"reward run {self.name!r}: means and deviations differ in shape")
        return self


BEYOND: tuple[Literal["cut off", "other"], ...] = ("cut off", "other")  # what a trial's tasks took that is in no row


def owner_name(setting: str, method: str, stage: Literal["tuning", "stream", "cut off", "other"]) -> str:
    """The ``arm`` of charges that belong to no single rung of a trial's method."""
    return f"{setting}/{method} {stage}"


Severity = Literal["high", "medium", "low", "note"]


NOT_VERIFIED = "not-verified"  # the check of the finding that a trial's records do not follow from what was done


@final
class Finding(StrictModel):
    """Something a reader of the comparison should know, with the evidence for it."""

    check: str
    severity: Severity
    message: str
    evidence: tuple[str, ...] = ()


@final
class PublishedAnswer(StrictModel):
    """A question about the comparison that figures cannot settle, answered in the claim itself."""

    answer: Literal["yes", "no", "cannot tell"]
    evidence: tuple[str, ...] = ()


@final
class Claim(StrictModel):
    """A published comparison. ``reported`` says of each kind of compute where it is stated, or None where that was not
    found in what was looked through: ``searched``, in words. ``read``: whether it was read in the primary text or in
    somebody's summary of it. ``losses`` are figures of the publication that got worse. ``shown`` are answers to the
    tasks that the set-up shows."""

    format: Literal["netgain.claim/1"] = Field(default=SCHEMA, alias="schema")
    name: str
    title: str
    paper: str = ""
    url: str = ""
    licence: str = ""
    retrieved: str = ""
    model: str = ""
    distilled_by: str = ""
    headline: str | None = None
    rival: str | None = None
    exams: tuple[Exam, ...] = ()
    arms: tuple[Arm, ...]
    reward_runs: tuple[RewardRun, ...] = ()
    policy_runs: tuple[PolicyRun, ...] = ()
    continual: tuple[Continual, ...] = ()
    charges: tuple[Charge, ...] = ()
    reported: dict[str, Source | None] = Field(default_factory=dict)
    searched: str = ""
    read: Read = ""
    regressions: PublishedAnswer | None = None
    losses: tuple[Loss, ...] = ()
    tokens: str = ""
    glossary: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    terms: Terms | None = None
    searches: tuple[Search, ...] = ()
    shown: tuple[ShownAnswer, ...] = ()
    judging: Judging | None = None
    setup: RunSetup | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("arms")
    @classmethod
    def _names_are_unique(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        names = [arm.name for arm in arms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"arm names must be unique, {twice[0]!r} is used twice")
        return arms

    @model_validator(mode="after")
    def _references_hold(self) -> Self:
        exams = {exam.name: exam for exam in self.exams}
        names = {arm.name for arm in self.arms}
        for arm in self.arms:
            _check_arm(arm, exams)
        if self.headline is not None and self.headline == self.rival:
            raise ValueError(f"headline and rival are both {self.headline!r}")
        for field, value in (("headline", self.headline), ("rival", self.rival)):
            if value is not None and value not in names:
                raise ValueError(f"{field} {value!r} is not the name of an arm")
        return self

    def arm(self, name: str) -> Arm:
        """The arm of this name. Raises KeyError where there is none."""
        return {arm.name: arm for arm in self.arms}[name]

    def dump(self) -> dict[str, Any]:
        """The claim as JSON-ready data, without the fields that are not known."""
        known = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        return known | {"schema": SCHEMA}


def _check_arm(arm: Arm, exams: dict[str, Exam]) -> None:
    if arm.name == "frozen" and arm.role is not Role.FROZEN:
        raise ValueError("the name 'frozen' is kept for an arm of role frozen")
    runs = arm.trial.runs if arm.trial else ()
    if arm.correct is None and arm.frozen_correct is None and not runs:
        return
    exam = exams.get(arm.exam or "")
    if exam is None:
        raise ValueError(f"arm {arm.name!r} has verdicts but its exam {arm.exam!r} is not among the exams")
    lengths = [len(problem.questions) for problem in exam.problems]
    beside = (("correct", arm.correct), ("frozen_correct", arm.frozen_correct))
    for field, verdicts in (*beside, *((f"seed {run.seed}", run.correct) for run in runs)):
        if verdicts is not None and [len(row) for row in verdicts] != lengths:
            problem = f"{field} does not have one character for each question of {exam.name!r}"
            raise ValueError(f"arm {arm.name!r}: {problem}")
    for run in runs:
        for name, scores in run.grades.items():
            if [len(row) for row in scores] != lengths:
                raise ValueError(f"arm {arm.name!r}: seed {run.seed} has no {name} for each question of {exam.name!r}")
        if run.right and [len(row) for row in run.right] != lengths:
            raise ValueError(f"arm {arm.name!r}: seed {run.seed} has no count for each question of {exam.name!r}")
