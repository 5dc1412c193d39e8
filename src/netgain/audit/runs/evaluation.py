"""An evaluation as its log describes it, and the claim that several of them make.

Whoever answered the same samples is compared answer by answer; without samples, by score and number alone. A log says
what answering took and nothing about training: that stays unknown unless the run's own files are joined to it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

from netgain import SOFTWARE
from netgain.audit.runs.lenient import number, whole, words
from netgain.records.claim import Arm, Charge, Claim, Exam, ExamProblem, Finding, Purpose, Role
from netgain.records.cost import Cost
from netgain.records.identity import short_hash
from netgain.records.provenance import Source

ENOUGH = 0.9  # of its samples have to be there for a score to be taken from them
ROUNDED = 6e-4  # a score is given to a tenth of a per cent at worst
NOT_REPORTED = ("gradient updates", "training tokens", "FLOPs")


@final
@dataclass
class Usage:
    """Tokens that some models read and wrote: ``read`` with what came from a cache, which is input too."""

    read: float | None = None
    cached: float | None = None
    written: float | None = None
    dollars: float | None = None

    @property
    def cost(self) -> Cost:
        """As a cost, each amount unknown where the log has none."""
        known = self.read is not None and self.written is not None
        real = (self.read or 0.0) + (self.written or 0.0) if known else None
        return Cost(tokens_real=real, tokens_generated=self.written, dollars=self.dollars)


@final
@dataclass
class EvaluationLog:
    """One model on one task by one metric. ``model`` is a name: of a checkpoint the base model is not known.

    ``score`` is a fraction; None where its scale is not known. ``answers`` has for every sample, by a key that hangs on
    its content, whether each of its attempts was right (None: not graded). ``conditions`` are what has to be alike for
    two scores to be comparable: shots, sampling, limit.
    """

    file: str
    model: str
    task: str
    metric: str
    score: float | None = None
    error: float | None = None
    n: int | None = None
    answers: dict[str, list[bool | None]] = field(default_factory=dict)
    partial: int = 0
    conditions: dict[str, str] = field(default_factory=dict)
    answering: Usage | None = None
    judging: Usage | None = None
    seconds: float | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def setting(self) -> str:
        """What it has in common with the evaluations that it is compared to."""
        return f"{self.task or 'unnamed task'}, {self.metric or 'unnamed metric'}"

    def say(self, check: str, message: str, severity: Literal["medium", "low", "note"] = "low") -> None:
        """Note something odd about this evaluation."""
        told = f"{self.file}: {self.setting}: {message}"
        self.findings.append(Finding(check=check, severity=severity, message=told, evidence=(self.file,)))

    def add(self, sample: str, right: bool | None) -> None:
        """One more attempt at a sample."""
        self.answers.setdefault(sample, []).append(right)


def sample_key(*parts: object) -> str:
    """A key of a sample that hangs on what it is, whatever is in its parts."""
    return short_hash("\x1f".join(map(str, parts)).encode("utf-8", "replace").decode())


def graded(value: object) -> bool | float | None:
    """Whether a grade says right or wrong: true and false, 1 and 0, C and I. A number between is partial credit."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.upper() in ("C", "I", "P", "N"):
        return {"C": True, "I": False, "P": 0.5, "N": False}[value.upper()]
    found = number(value, 0.0, 1.0)
    return bool(found) if found in (0.0, 1.0) else found


def claim_of_evaluations(
    name: str,
    title: str,
    evaluations: Sequence[EvaluationLog],
    *,
    findings: Iterable[Finding] = (),
    notes: Iterable[str] = (),
) -> Claim:
    """The claim that these evaluations make; who is treated and who the baseline is for the person who asks."""
    for one in evaluations:
        _check_score(one)
    names = _names(evaluations)
    exams = {exam.name: exam for exam in _exams(evaluations)}
    return Claim(
        name=name,
        title=title,
        distilled_by=SOFTWARE,
        exams=tuple(exams.values()),
        arms=tuple(_arm(label, one, exams.get(one.setting)) for label, one in zip(names, evaluations, strict=True)),
        charges=tuple(c for label, one in zip(names, evaluations, strict=True) for c in _charges(label, one)),
        reported=dict.fromkeys(NOT_REPORTED),
        searched=f"{len({one.file for one in evaluations})} logs of evaluations",
        findings=(*findings, *(f for one in evaluations for f in one.findings), *_unlike(names, evaluations)),
        notes=tuple(notes),
    )


def _names(evaluations: Sequence[EvaluationLog]) -> list[str]:
    """The model, with the setting where there are several, and the file where that is not enough."""
    several = len({one.setting for one in evaluations}) > 1
    short = [
        f"{e.model or 'unnamed model'}: {e.setting}" if several else e.model or "unnamed model" for e in evaluations
    ]
    names: list[str] = []
    for one, plain in zip(evaluations, short, strict=True):
        name = plain if short.count(plain) == 1 else f"{plain} ({one.file})"
        name = name if name not in ("frozen", *names) else f"{name} {len(names) + 1}"
        names.append(name)
    return names


def _exams(evaluations: Sequence[EvaluationLog]) -> list[Exam]:
    """Of each setting the samples that anybody answered, each a problem with as many questions as it was attempted."""
    attempts: dict[str, dict[str, int]] = {}
    for one in evaluations:
        if not one.partial:
            asked = attempts.setdefault(one.setting, {})
            for sample, grades in one.answers.items():
                asked[sample] = max(asked.get(sample, 0), len(grades))
    return [
        Exam(
            name=setting,
            problems=tuple(
                ExamProblem(id=sample, questions=tuple(f"{sample}#{attempt}" for attempt in range(count)))
                for sample, count in asked.items()
            ),
        )
        for setting, asked in attempts.items()
        if asked
    ]


def _arm(name: str, one: EvaluationLog, exam: Exam | None) -> Arm:
    correct = None
    if exam is not None and one.answers and not one.partial:
        marks = {sample: "".join(MARKS[grade] for grade in grades) for sample, grades in one.answers.items()}
        correct = tuple(marks.get(p.id, "").ljust(len(p.questions), "-") for p in exam.problems)
    stated = "" if one.error is None else f"standard error {one.error:.4g}"
    return Arm(
        name=name,
        label=name,
        setting=one.setting,
        role=Role.OTHER,
        exam=exam.name if exam is not None and correct else None,
        correct=correct,
        averaged="questions",
        accuracy=one.score,
        n_questions=one.n if one.n is not None or correct is None else len(one.answers),
        sources=(Source(file=one.file, field=one.setting, note=stated),),
    )


MARKS: Mapping[bool | None, str] = {True: "1", False: "0", None: "-"}


def _charges(name: str, one: EvaluationLog) -> list[Charge]:
    """What answering took and what judging took, outside every budget."""
    source = Source(file=one.file)
    parts = [("answer", one.answering), ("judge", one.judging)]
    return [
        Charge(arm=name, purpose=Purpose.EVALUATE, operation=work, count=one.n, cost=usage.cost, source=source)
        for work, usage in parts
        if usage is not None
    ]


def _check_score(one: EvaluationLog) -> None:
    """Whether all samples are there, and whether the score is their mean. A score stands for itself where they are not
    (nearly) all there: a handful that somebody kept to show is no exam."""
    grades = [grade for attempts in one.answers.values() for grade in attempts if grade is not None]
    if not one.answers:
        return
    if one.partial:
        one.say("partial-credit", f"{one.partial} samples have partial credit: no paired test, only its score", "note")
    elif one.n is not None and one.n not in (len(one.answers), len(grades)):
        used = len(one.answers) >= ENOUGH * one.n
        rest = "compared on those" if used else "too few to stand for its score, which is taken as stated"
        one.say("samples-incomplete", f"{len(one.answers)} samples are there of {one.n}: {rest}", "medium")
        one.answers = one.answers if used else {}
    elif grades and one.score is not None and abs(sum(grades) / len(grades) - one.score) > ROUNDED:
        told = f"its score is {one.score:.4f}, the mean of its {len(grades)} samples {sum(grades) / len(grades):.4f}"
        one.say("score-is-not-the-mean", f"{told}: another average, or a slip", "medium")


def _unlike(names: Sequence[str], evaluations: Sequence[EvaluationLog]) -> list[Finding]:
    """Conditions that differ between evaluations of one setting."""
    found = []
    for setting in dict.fromkeys(one.setting for one in evaluations):
        group = [(n, one) for n, one in zip(names, evaluations, strict=True) if one.setting == setting]
        for key in dict.fromkeys(key for _, one in group for key in one.conditions):
            values = {name: one.conditions.get(key, "not stated") for name, one in group}
            if len(set(values.values())) > 1:
                message = f"{setting}: {key} differs between the evaluations that are compared"
                evidence = tuple(f"{name}: {value}" for name, value in values.items())
                found.append(Finding(check="conditions-differ", severity="medium", message=message, evidence=evidence))
    return found


def condition(value: Any) -> str:
    """A setting as text, so that two of them can be told apart; empty where it is none."""
    if value is None or isinstance(value, dict | list):
        return ""
    return words(value) if isinstance(value, str) else str(value)[:60]


def count(value: object) -> int | None:
    """A number of samples, None where there are none."""
    return whole(value, least=1)
