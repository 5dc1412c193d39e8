"""From the rows of a trial to its claim: the same record that a published comparison is distilled to.

Each domain is a setting of the claim, each method at each level of the budget ladder an arm, each seed a run with its
own verdicts on the same problems. Rows of an unfinished trial make a claim too; it says how much is missing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean

from netgain.domains.grading import agreement, obvious
from netgain.domains.problem import Grade
from netgain.records.claim import (
    BEST_CONVENTIONAL,
    RIGHT,
    UNTRAINED,
    Arm,
    Claim,
    Continual,
    Exam,
    ExamProblem,
    Finding,
    GradeName,
    Role,
    Search,
    SeedRun,
    Terms,
    TrialArm,
)
from netgain.records.learning import ChosenTraining
from netgain.records.provenance import Judging, RunSetup, Source
from netgain.records.samples import Adaptation, GradedAnswer, Row, Tuning
from netgain.trials.outcome import (
    FILE,
    Cell,
    Outcome,
    Spent,
    arm_name,
    charges,
    charges_beyond,
    findings,
    investment_name,
    most_spent,
    policy_runs,
    reward_runs,
    summed,
)
from netgain.trials.run_setup import shown_answers
from netgain.trials.spec import MATCHED, TrialSpec
from netgain.trials.tasks import Task, deployments, tasks

CONTROLS = ("seen", "skill", "known", "composition")
READS = " (in-context learning)"  # of the frozen model, where what is known stands in every question
_WORDS = (
    (Role.FROZEN, ("frozen",)),
    (Role.SELF_IMPROVING, ("seal", "reinforce")),
    (Role.ORACLE, ("oracle-settings",)),
    (Role.TEACHER, ("teacher", "oracle")),
    (Role.IN_CONTEXT, ("in-context", "incontext", "majority")),
    (Role.SYNTHETIC, ("synthetic", "rejection", "entity", "distil", "best-of")),
    (Role.PASSAGE, ("passage", "finetune", "fine-tune", "paraphras", "pretrain")),
)


def guess_role(method: str) -> Role:
    """The role that a method's name suggests, for rows that are read without the method's code at hand."""
    name = method.lower().replace("_", "-")
    return next((role for role, words in _WORDS if any(word in name for word in words)), Role.OTHER)


def claim_of(
    spec: TrialSpec,
    rows: Iterable[Row],
    roles: Mapping[str, Role] | None = None,
    device: str = "",
    setup: RunSetup | None = None,
    beyond: Mapping[Task, Mapping[str, Spent]] | None = None,
) -> Claim:
    """The claim that a trial's rows make. ``roles`` gives each method's role by its name in the spec (``Method.role``);
    what it does not name is guessed from the name. ``device`` says in words what the trial ran on,
    ``setup`` what the run's folder says of its circumstances (``Store.setup``), ``beyond`` what tasks took that stands
    in no row, by stage (``KeptRun.beyond_rows``).

    Raises InputError where a row's amounts cannot be (negative, or in no known currency).
    """
    outcome = Outcome.of(spec, rows)
    role_of = {name: (roles or {}).get(arm.method) or guess_role(arm.method) for name, arm in spec.arms.items()}
    exams = {domain: _exam(outcome, domain) for domain in spec.domains}
    controls = _controls(exams.values(), spec.compare.exam)
    cells = outcome.cells()
    arms = tuple(_arm(outcome, cell, role_of[cell[1]], exams[cell[0]], controls) for cell in cells)
    headline, rival = _headline(spec, arms)
    return Claim(
        name=spec.name,
        title=spec.question or spec.name,
        model=spec.model,
        headline=headline,
        rival=rival,
        exams=tuple(exam for exam in exams.values() if exam.problems),
        arms=arms,
        reward_runs=reward_runs(outcome),
        policy_runs=policy_runs(outcome),
        continual=tuple(_continual(outcome)),
        charges=(*charges(outcome), *charges_beyond(beyond or {})),
        tokens="as counted by the meter",
        findings=(*_warned(setup), *findings(outcome, role_of)),
        terms=_terms(outcome, role_of, controls, device),
        searches=tuple(_searches(outcome.tunings)),
        shown=tuple(shown_answers(outcome, setup, arms, [headline, rival])),
        judging=_judging(spec, [row for rows in outcome.adaptations.values() for row in rows.values()]),
        setup=setup,
    )


def _warned(setup: RunSetup | None) -> Iterator[Finding]:
    for warning in () if setup is None else setup.warnings:
        evidence = ("what it learned of other words is measured; name a model whose tokenizer knows these",)
        yield Finding(check="unknown-words", severity="high", message=warning, evidence=evidence)
    history = None if setup is None else setup.history
    if history is not None and history.changed:
        message = "the trial was changed after it had begun"
        yield Finding(check="trial-changed", severity="high", message=message, evidence=history.changed)
    if history is not None and history.repeated:
        message = f"finished tasks that were done again, and their first results replaced: {len(history.repeated)}"
        yield Finding(check="done-again", severity="high", message=message, evidence=history.repeated)
    if history is not None and history.deleted:
        message = "attempts that were begun and deleted since: what came of them, and what they took, is not known"
        yield Finding(check="attempts-deleted", severity="high", message=message, evidence=history.deleted)


def _exam(outcome: Outcome, domain: str) -> Exam:
    """Every problem and question of a domain that any arm was examined on, in the order in which they were examined.

    An arm that lacks some problems lists the rest too early: the latest place counts, so that the order of arms does
    not matter.
    """
    asked: dict[str, dict[str, str]] = {}
    place: Counter[str] = Counter()
    for cell in outcome.cells():
        if cell[0] == domain:
            of_seed: Counter[int] = Counter()
            for (seed, _), row in outcome.adaptations[cell].items():
                known = asked.setdefault(row.problem, {})
                place[row.problem] = max(place[row.problem], of_seed[seed])
                of_seed[seed] += 1
                for answer in row.answers:
                    known.setdefault(answer.question, answer.kind)
    problems = [
        ExamProblem(id=_problem_id(domain, id_), questions=tuple(q), kinds=tuple(q.values()))
        for id_, q in sorted(asked.items(), key=lambda item: (place[item[0]], item[0]))
    ]
    return Exam(name=domain, problems=tuple(problems))


def _problem_id(domain: str, problem: str) -> str:
    """Two domains may number their problems alike; a claim joins by the problem's id alone."""
    return f"{domain}/{problem}"


def _controls(exams: Iterable[Exam], primary: str) -> tuple[str, ...]:
    """The kinds of questions that no problem owns: named as controls, or most of them asked after several problems."""
    owners: dict[str, Counter[str]] = {}
    for exam in exams:
        for problem in exam.problems:
            for question, kind in zip(problem.questions, problem.kinds, strict=True):
                owners.setdefault(kind, Counter())[f"{exam.name}/{question}"] += 1
    shared = {kind for kind, found in owners.items() if sum(n > 1 for n in found.values()) > len(found) / 2}
    return tuple(sorted((shared | (owners.keys() & set(CONTROLS))) - {primary}))


def _arm(outcome: Outcome, cell: Cell, role: Role, exam: Exam, controls: tuple[str, ...]) -> Arm:
    domain, method, level, further = cell
    spec, rows = outcome.spec, outcome.adaptations[cell]
    seeds = sorted({seed for seed, _ in rows})
    runs = tuple(_run(exam, seed, rows, controls, judged=spec.judge is not None) for seed in seeds)
    noted = [a for row in rows.values() for a in row.answers if a.cut is not None and a.kind not in controls]
    invested = outcome.investments.get(cell, {})
    before = summed(row.rejected for row in invested.values())
    primary = [value for run in runs for value in _means(exam, run, spec.compare.exam, spec.grade)]
    by_seed = {
        seed: [r.divergence for (s, _), r in rows.items() if s == seed and r.divergence is not None] for seed in seeds
    }
    return Arm(
        name=arm_name(cell, spec),
        label=(spec.arms[method].label or method + _read(role, rows.values())) + _at(cell, spec),
        setting=domain,
        role=role,
        model=spec.model,
        exam=domain,
        accuracy=_mean(primary),
        n_problems=len({problem for _, problem in rows}),
        n_questions=sum(kind == spec.compare.exam for problem in exam.problems for kind in problem.kinds),
        seeds=len(seeds),
        invests=(investment_name(cell, spec),) if invested else (),
        sources=(Source(file=FILE, field=f"domain={domain}, arm={method}, rung={level:g}"),),
        trial=TrialArm(
            method=method,
            rung=level,
            own=outcome.own(cell, role),
            learns=bool(invested),
            deployments=further or None,
            development=_development(outcome, cell),
            budget=None if role in UNTRAINED else level * spec.budget.per_problem,
            most_spent=most_spent(rows.values(), spec.budget.currency),
            runs=runs,
            rejected=summed(row.rejected for row in rows.values()),
            rejected_before={name: value / len(invested) for name, value in before.items()},
            divergence=tuple(fmean(values) for values in by_seed.values() if values),
            abilities=tuple(
                ability.model_copy(update={"seed": seed, "problem": problem})
                for (seed, problem), row in sorted(rows.items())
                for ability in row.abilities
            ),
            chosen=tuple(_chosen(rows, controls)),
            empty=fmean(not answer.text.strip() for answer in noted) if noted else None,
            cut=fmean(bool(answer.cut) for answer in noted) if noted else None,
        ),
    )


def _chosen(rows: Mapping[tuple[int, str], Adaptation], controls: tuple[str, ...]) -> Iterator[ChosenTraining]:
    """What adaptations were trained with, each with its problem, its seed and how the problem's own exam went."""
    for (seed, problem), row in sorted(rows.items()):
        scores = [float(answer.correct) for answer in row.answers if answer.kind not in controls]
        for index, one in enumerate(row.chosen):
            score = fmean(scores) if scores and index == 0 else None
            yield one.model_copy(update={"seed": seed, "problem": problem, "score": score})


def _read(role: Role, rows: Iterable[Adaptation]) -> str:
    """What the frozen model of a domain of examples does: it is untrained, and reads the examples at the exam."""
    return READS if role is Role.FROZEN and any(answer.attempts for row in rows for answer in row.answers) else ""


def _at(cell: Cell, spec: TrialSpec) -> str:
    """What distinguishes a cell from that in which its arm is compared, in words."""
    level, further = cell[2:]
    away = "" if level == MATCHED else f" at {level:g}x the budget"
    return away + ("" if further in (0, deployments(spec)) else f", {further} deployments")


def _run(
    exam: Exam, seed: int, rows: dict[tuple[int, str], Adaptation], controls: tuple[str, ...], *, judged: bool
) -> SeedRun:
    verdicts, failed, right = [], 0, list[tuple[int | None, ...]]()
    drawn = any(answer.right is not None for row in rows.values() for answer in row.answers)
    grades: dict[GradeName, list[tuple[float | None, ...]]] = {"exact": [], "contains": [], "f1": []}
    grades |= {"judge": []} if judged else {}
    known = all(row.status == "failed" or _graded(row) for (s, _), row in rows.items() if s == seed)
    of_seed = {_problem_id(exam.name, id_): row for (s, id_), row in rows.items() if s == seed}
    for problem in exam.problems:
        row = of_seed.get(problem.id)
        if row is None:
            verdicts.append("-" * len(problem.questions))
            for scores in grades.values():
                scores.append((None,) * len(problem.questions))
            right.append((None,) * len(problem.questions))
            continue
        given = {answer.question: answer for answer in row.answers}
        lost = row.status == "failed" and not given
        failed += row.status == "failed"
        nothing = [0.0 if lost and kind not in controls else None for kind in problem.kinds]
        asked = list(zip((given.get(q) for q in problem.questions), nothing, strict=True))
        verdicts.append("".join(_bit(none if answer is None else answer.correct) for answer, none in asked))
        right.append(tuple((None if none is None else 0) if answer is None else answer.right for answer, none in asked))
        for name, scores in grades.items():
            scores.append(tuple(none if answer is None else _score(answer, name) for answer, none in asked))
    shown = {name: tuple(scores) for name, scores in grades.items()} if known else {}
    counts = tuple(right) if drawn else ()
    return SeedRun(seed=seed, correct=tuple(verdicts), failed=failed, grades=shown, right=counts)


def _graded(row: Adaptation) -> bool:
    """Whether every answer of an adaptation was given every grade; before there were several, it was not."""
    return all(answer.contains is not None for answer in row.answers)


def _score(answer: GradedAnswer, name: GradeName) -> float:
    return Grade(answer.matched, answer.f1, answer.contains, answer.judged, name).score


def _bit(correct: float | None) -> str:
    return "-" if correct is None else "1" if correct >= RIGHT else "0"


def _means(exam: Exam, run: SeedRun, kind: str, grade: GradeName) -> list[float]:
    """The accuracy on each problem's questions of one kind, for problems that were examined."""
    found = []
    bits = [[None if bit == "-" else float(bit) for bit in row] for row in run.correct]
    for problem, scores in zip(exam.problems, run.grades.get(grade, bits), strict=True):
        mine = [s for s, k in zip(scores, problem.kinds, strict=True) if k == kind and s is not None]
        if mine:
            found.append(sum(mine) / len(mine))
    return found


def _development(outcome: Outcome, cell: Cell) -> float | None:
    """Accuracy on development problems with the settings chosen, at the matched level, as tuning measured it."""
    domain, method, _, further = cell
    own = 0 if further == deployments(outcome.spec) else further
    tuning = outcome.tunings.get((domain, method, own))
    return None if tuning is None else tuning.development


def _headline(spec: TrialSpec, arms: tuple[Arm, ...]) -> tuple[str | None, str | None]:
    """The names of the arm under test and, where the trial fixes one arm, of its rival; in the primary domain."""
    domain = spec.compare.domain or next(iter(spec.domains))
    own = {arm.trial.method: arm.name for arm in arms if arm.trial and arm.trial.own and arm.setting == domain}
    headline = own.get(spec.compare.arm)
    rival = None if spec.compare.against == BEST_CONVENTIONAL else own.get(spec.compare.against)
    return headline, rival if rival != headline else None


def _continual(outcome: Outcome) -> Iterator[Continual]:
    """The mean matrix of each arm's whole streams, one a seed; those that ended early are left out."""
    for key, found in outcome.retentions.items():
        well = [row for row in found.values() if row.status == "ok"]
        most = max((len(row.problems) for row in well), default=0)
        runs = tuple(
            row.matrix
            for row in well
            if most and len(row.matrix) == most + 1 and {len(r) for r in row.matrix} == {most}
        )
        if runs:
            mean = tuple(tuple(_mean(column) for column in zip(*rows, strict=True)) for rows in zip(*runs, strict=True))
            yield Continual(name="/".join(key), sequences=len(runs), mean=mean, runs=runs, sources=(Source(file=FILE),))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _searches(tunings: dict[tuple[str, str, int], Tuning]) -> list[Search]:
    return [
        Search(
            arm=f"{domain}/{method}" + (f", {further} deployments" if further else ""),
            settings=", ".join(f"{name} = {value}" for name, value in attempt.settings.items()),
            accuracy=attempt.accuracy,
            chosen=index == row.chosen,
        )
        for (domain, method, further), row in tunings.items()
        for index, attempt in enumerate(row.attempts)
    ]


def _shows_examples(outcome: Outcome, domain: str) -> bool:
    """Whether answers to its questions are attempts, as those of a domain of examples alone are."""
    rows = (row for cell, found in outcome.adaptations.items() if cell[0] == domain for row in found.values())
    return any(answer.attempts for row in rows for answer in row.answers)


def _terms(outcome: Outcome, roles: dict[str, Role], controls: tuple[str, ...], device: str) -> Terms:
    spec = outcome.spec
    budget = spec.budget
    oracle = spec.teacher == "oracle"
    return Terms(
        currency=budget.currency,
        per_problem=budget.per_problem,
        ladder=budget.ladder,
        deployments=deployments(spec),
        curve=() if budget.curve is None else budget.curve.deployments,
        compare=spec.compare.arm,
        against=spec.compare.against,
        exam=spec.compare.exam,
        setting=spec.compare.domain or next(iter(spec.domains)),
        worlds={name: domain.kind for name, domain in spec.domains.items()},
        few_shot=tuple(name for name in spec.domains if _shows_examples(outcome, name)),
        controls=controls,
        oracle=oracle,
        seeds=spec.seeds,
        test_problems=spec.problems.test,
        tuning_trials=spec.tuning.trials,
        passages=spec.problems.passages,
        runs_planned=sum(task.stage == "run" for task in tasks(spec)),
        runs_done=sum(_done(outcome, roles[task.arm], task) for task in tasks(spec) if task.stage == "run"),
        device=device,
        grade=spec.grade,
        coverage=spec.exam.coverage,
        missing=dict(
            Counter(
                task.domain
                for task in tasks(spec)
                if task.stage == "run" and task.deployments is None and not _done(outcome, roles[task.arm], task)
            )
        ),
    )


def _done(outcome: Outcome, role: Role, task: Task) -> bool:
    """Whether a run has every test problem at every level that was begun.

    What is never trained answers the same under every seed: one run stands for all.
    """
    spec = outcome.spec
    own = (0, deployments(spec)) if task.deployments is None else (task.deployments,)
    mine = (task.domain, task.arm)
    begun = [rows for cell, rows in outcome.adaptations.items() if cell[:2] == mine and cell[3] in own]
    seeds = {seed for rows in begun for seed, _ in rows} if role in UNTRAINED else {task.seed}
    found = [Counter(seed for seed, _ in rows) for rows in begun]
    return bool(found) and any(all(rows[seed or 0] >= spec.problems.test for rows in found) for seed in seeds)


def _judging(spec: TrialSpec, rows: Iterable[Adaptation]) -> Judging | None:
    """Over every answer that was put to the judge: all but the empty ones. None for a trial without a judge."""
    if spec.judge is None:
        return None
    examined = list(rows)
    put = [answer for row in examined for answer in row.answers if obvious(answer.text) is None]
    found = agreement([answer.judged for answer in put], [answer.matched for answer in put])
    checks = [row.judge_check for row in examined if row.judge_check is not None]
    return Judging(
        model=str(spec.judge["model"]),
        decides=spec.grade == "judge",
        count=found.count,
        unreadable=found.ambiguous,
        raw=found.raw,
        kappa=found.kappa,
        lenient=found.lenient,
        strict=found.strict,
        spent=summed(row.judging for row in examined),
        planted_right=sum(check.right for check in checks),
        rejected=sum(check.rejected for check in checks),
        planted_wrong=sum(check.wrong for check in checks),
        accepted=sum(check.accepted for check in checks),
    )
