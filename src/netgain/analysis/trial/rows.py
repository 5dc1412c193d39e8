"""The descriptive rows of a trial's verdict: arms, stability, luck, where compute went, regimes, the compute card."""

from statistics import fmean

import numpy as np

from netgain.analysis import crossed, rows, stability
from netgain.analysis.costs import TRIAL_CURRENCIES
from netgain.analysis.matching import TOLERANCE
from netgain.analysis.trial.choice import best_of, closed_book
from netgain.analysis.trial.evidence import UNTRAINED, TrialEvidence
from netgain.analysis.trial.gap import Duel
from netgain.analysis.trial.shape import CardRow, ComputeRow, RegimeRow, SpreadRow
from netgain.analysis.verdict import ArmRow, Interval, StabilityRow
from netgain.metering import ledger
from netgain.records.claim import Arm, Charge, Purpose, Role, TrialArm, owner_name
from netgain.records.cost import Cost, known_total


def arm_rows(trial: TrialEvidence) -> list[ArmRow]:
    """One row an arm and rung; accuracy on the primary kind of question."""
    return [_arm(trial, row) for row in rows.arm_rows(trial.evidence)]


def _arm(trial: TrialEvidence, row: ArmRow) -> ArmRow:
    arm, terms = trial.arms[row.name]
    exams = {kind: found for kind in trial.kinds(arm.setting) if (found := trial.accuracy(row.name, kind))}
    primary = exams.get(trial.terms.exam)
    deployments = trial.terms.deployments
    spent = {c.value: trial.spent(row.name, c, deployments) for c in TRIAL_CURRENCIES}
    share = _spent_share(trial, row.name, terms)
    frozen = trial.frozen(arm.setting)
    beside = trial.accuracy(frozen, trial.terms.exam) if frozen else None
    return row.model_copy(
        update={
            "accuracy": primary.value if primary else row.accuracy,
            "low": primary.low if primary else None,
            "high": primary.high if primary else None,
            "accuracy_published": None,
            "frozen_accuracy": beside.value if beside else None,
            "charged_per_problem": spent,
            "method": terms.method,
            "rung": terms.rung,
            "own": terms.own,
            "learns": terms.learns,
            "development": terms.development,
            "budget_per_problem": terms.budget,
            "spent_per_problem": {c.value: trial.adapt(row.name, c) for c in TRIAL_CURRENCIES},
            "spent_share": share,
            "underspent": share is not None and share < 1 - TOLERANCE and arm.role not in UNTRAINED,
            "rejected_per_problem": _rejected(trial, arm, terms),
            "failed": sum(run.failed for run in terms.runs),
            "by_seed": by_seed(trial, row.name),
            "exams": {kind: Interval.of(found) for kind, found in exams.items()},
        }
    )


def _spent_share(trial: TrialEvidence, name: str, terms: TrialArm) -> float | None:
    """What was spent of what an arm might spend on a problem, its share of the investment in both."""
    whole = (terms.budget or 0.0) + (trial.terms.learn * trial.terms.per_problem if terms.learns else 0.0)
    spent = trial.spent(name, trial.terms.currency, trial.terms.deployments)
    return spent / whole if spent is not None and terms.budget and whole else None


def by_seed(trial: TrialEvidence, name: str) -> list[float]:
    """The accuracy of each seed on the primary kind of question, over the problems that it was examined on."""
    values = trial.table(name, trial.terms.exam).values
    return [float(np.nanmean(row)) for row in values if not np.isnan(row).all()]


def _rejected(trial: TrialEvidence, arm: Arm, terms: TrialArm) -> dict[str, float]:
    """For one problem: thrown away or failed in adapting, and the share of what was in investing."""
    times = trial.evidence.costs[arm.name].problems or 1
    names = {*terms.rejected, *terms.rejected_before}
    deployments = trial.terms.deployments
    return {
        name: terms.rejected.get(name, 0.0) / times + terms.rejected_before.get(name, 0.0) / deployments
        for name in sorted(names)
    }


def stability_rows(trial: TrialEvidence) -> list[StabilityRow]:
    """What adapting fixed and broke of the control questions, for every arm that was asked some, by kind."""
    return [
        row
        for name, (arm, _) in trial.arms.items()
        if arm.role is not Role.FROZEN
        for kind in trial.terms.controls
        if (row := _stability(trial, name, kind)) is not None
    ]


Marks = dict[tuple[int, str, str], bool]


def _marks(trial: TrialEvidence, name: str, kind: str) -> Marks:
    """Verdicts on one kind of question by seed, problem and question."""
    arm, terms = trial.arms[name]
    exam = next(exam for exam in trial.claim.exams if exam.name == arm.setting)
    return {
        (run.seed, problem.id, question): bit == "1"
        for run in terms.runs
        for problem, bits in zip(exam.problems, run.correct, strict=True)
        for question, k, bit in zip(problem.questions, problem.kinds, bits, strict=True)
        if k == kind and bit != "-"
    }


def _stability(trial: TrialEvidence, name: str, kind: str) -> StabilityRow | None:
    arm, terms = trial.arms[name]
    after = _marks(trial, name, kind)
    if not after:
        return None
    rungs = trial.ladder(arm.setting, _method(trial, trial.frozen(arm.setting)))
    untouched: dict[str, bool] = {}
    for rung in rungs:
        untouched |= {question: right for (_, _, question), right in _marks(trial, rung, kind).items()}
    paired = [(untouched[key[2]], right) for key, right in after.items() if key[2] in untouched]
    before, now = (np.array([float(pair[side]) for pair in paired]) for side in (0, 1))
    found = stability.fixed_broken(before, now)
    changes = _by_cell({key: float(right) - untouched[key[2]] for key, right in after.items() if key[2] in untouched})
    accuracy = _by_cell({key: float(right) for key, right in after.items()})
    return StabilityRow(
        arm=name,
        fixed=found.fixed,
        broken=found.broken,
        previously_correct=found.previously_correct,
        questions=found.questions if paired else len(after),
        kind=kind,
        accuracy=Interval.of(trial.estimate(accuracy, (0.0, 1.0))),
        change=Interval.of(trial.estimate(changes)) if paired else None,
        divergence=fmean(terms.divergence) if terms.divergence else None,
    )


def _method(trial: TrialEvidence, name: str | None) -> str:
    return trial.arms[name][1].method if name else ""


def _by_cell(values: dict[tuple[int, str, str], float]) -> np.ndarray:
    """Means by seed and problem; problems that not every seed has are left out, or seeds where none is shared."""
    cells: dict[tuple[int, str], list[float]] = {}
    for (seed, problem, _), value in values.items():
        cells.setdefault((seed, problem), []).append(value)
    seeds = sorted({seed for seed, _ in cells})
    problems = [p for p in dict.fromkeys(p for _, p in cells) if all((seed, p) in cells for seed in seeds)]
    if not problems:
        return np.array([[fmean(found) for found in cells.values()]])
    return np.array([[fmean(cells[seed, problem]) for problem in problems] for seed in seeds])


def spread_rows(trial: TrialEvidence) -> list[SpreadRow]:
    """The luck of runs and of settings, for every trained arm on its own rung."""
    return [
        _spread(trial, setting, method, name) for setting in trial.settings for method, name in _trained(trial, setting)
    ]


def _trained(trial: TrialEvidence, setting: str) -> list[tuple[str, str]]:
    return [(m, name) for m, name in trial.own(setting).items() if trial.arms[name][0].role not in UNTRAINED]


def _spread(trial: TrialEvidence, setting: str, method: str, name: str) -> SpreadRow:
    values = trial.paired([name], trial.terms.exam)
    several = values is not None and crossed.crossed(values[0])
    tried = [search for search in trial.claim.searches if search.arm == f"{setting}/{method}"]
    return SpreadRow(
        setting=setting,
        arm=name,
        by_seed=by_seed(trial, name),
        deviation=crossed.Squares.of(values[0]).seed_deviation() if several and values is not None else None,
        settings={search.settings: search.accuracy for search in tried if search.accuracy is not None},
        chosen=next((search.settings for search in tried if search.chosen), None),
    )


def compute_rows(trial: TrialEvidence) -> list[ComputeRow]:
    """Where each arm's compute went on its own rung, by purpose, for one problem."""
    return [
        row
        for setting in trial.settings
        for name in trial.own(setting).values()
        for row in _compute(trial, trial.arms[name][0])
    ]


def _compute(trial: TrialEvidence, arm: Arm) -> list[ComputeRow]:
    found = []
    parts = [(False, name, 1) for name in (arm.name,)] + [(True, name, trial.terms.deployments) for name in arm.invests]
    for before, name, shared in parts:
        for charge in ledger.of(trial.claim.charges, name):
            amounts = (charge.cost * (1 / (charge.count or 1) / shared)).known()
            known = {c.value: amounts[c.value] for c in TRIAL_CURRENCIES if amounts.get(c.value)}
            if known:
                purpose = charge.purpose.value
                found.append(
                    ComputeRow(setting=arm.setting, arm=arm.name, purpose=purpose, before=before, per_problem=known)
                )
    return found


def card_rows(trial: TrialEvidence) -> list[CardRow]:
    """What each method took in the whole trial."""
    return [_card(trial, setting, method) for setting in trial.settings for method in trial.own(setting)]


def _card(trial: TrialEvidence, setting: str, method: str) -> CardRow:
    names = trial.ladder(setting, method)
    arms = [trial.arms[name] for name in names]
    invests = {name for arm, _ in arms for name in arm.invests}
    charges = trial.claim.charges
    investing = [charge for charge in charges if charge.arm in invests]
    stages = {
        "adaptations": [charge for name in names for charge in ledger.of(charges, name)],
        "investments": investing,
        "tuning": [charge for charge in charges if charge.arm == owner_name(setting, method, "tuning")],
        "streams": [charge for charge in charges if charge.arm == owner_name(setting, method, "stream")],
        "exams": [charge for name in names for charge in ledger.of(charges, name, Purpose.EVALUATE)],
    }
    spent = {stage: _sum(found).known() for stage, found in stages.items() if found}
    times = next((charge.count or 1 for charge in investing), 0)
    before = next((terms.rejected_before for _, terms in arms), {})
    rejected = {
        key: sum(terms.rejected.get(key, 0.0) for _, terms in arms) + times * before.get(key, 0.0)
        for key in sorted({key for _, terms in arms for key in (*terms.rejected, *terms.rejected_before)})
    }
    return CardRow(
        setting=setting,
        method=method,
        label=_own_label(arms),
        seeds=len({run.seed for _, terms in arms for run in terms.runs}),
        adaptations=sum(trial.evidence.costs[name].problems or 0 for name in names),
        spent=spent,
        rejected=rejected,
        total=_sum([charge for found in stages.values() for charge in found]).known(),
    )


def _own_label(arms: list[tuple[Arm, TrialArm]]) -> str:
    return next((arm.label for arm, terms in arms if terms.own), arms[0][0].label)


def _sum(charges: list[Charge]) -> Cost:
    return known_total(charge.cost for charge in charges)[0]


def regime_rows(trial: TrialEvidence, duel: Duel) -> list[RegimeRow]:
    """What to do where something is not allowed; each choice made on development problems."""
    setting = duel.setting
    trained = closed_book(trial, setting)
    role = {name: trial.arms[name][0].role for name in trained}
    asked = {
        "anything that is trained": trained,
        "no teacher": [name for name in trained if role[name] is not Role.TEACHER],
        "no teacher and few labelled examples: nothing that learns": _unlearned(trial, trained),
        "no training at all, the text at hand": trial.of_role(setting, Role.IN_CONTEXT),
        "no training and no text": trial.of_role(setting, Role.FROZEN),
    }
    chosen = {regime: best_of(trial, names)[0] for regime, names in asked.items() if names}
    return [
        _regime(trial, duel, regime, name) for regime, name in chosen.items() if trial.accuracy(name, trial.terms.exam)
    ]


def _unlearned(trial: TrialEvidence, names: list[str]) -> list[str]:
    """The arms without a teacher and without a learn stage."""
    return [n for n in names if not trial.arms[n][1].learns and trial.arms[n][0].role is not Role.TEACHER]


def _regime(trial: TrialEvidence, duel: Duel, regime: str, name: str) -> RegimeRow:
    kind = trial.terms.exam
    accuracy = trial.accuracy(name, kind)
    pair = trial.paired([duel.arm, name], kind) if name != duel.arm else None
    assert accuracy is not None  # noqa: S101 - only such arms are asked for
    return RegimeRow(
        regime=regime,
        setting=duel.setting,
        arm=name,
        accuracy=Interval.of(accuracy),
        over=Interval.of(trial.estimate(pair[0] - pair[1])) if pair is not None else None,
    )
