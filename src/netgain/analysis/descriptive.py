"""The descriptive rows of a verdict: arms, the luck of runs, where compute went, what is best under a restriction."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from netgain.analysis import crossed
from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import Interval
from netgain.analysis.matching import TOLERANCE, Contest, best_of, closed_book
from netgain.analysis.rows import BoundRow, CardRow, ComputeRow, ReadingRow, RegimeRow, SpreadRow
from netgain.analysis.verdict import ArmRow
from netgain.metering import ledger
from netgain.records.claim import BEYOND, UNTRAINED, Arm, Charge, Purpose, Role, owner_name
from netgain.records.cost import Currency


def arm_rows(evidence: Evidence) -> list[ArmRow]:
    """One row an arm and budget level, in the claim's order; accuracy on the primary kind of question."""
    return [_arm(evidence, arm) for arm in evidence.claim.arms]


def _arm(evidence: Evidence, arm: Arm) -> ArmRow:
    cost, trial, name = evidence.costs[arm.name], evidence.trial(arm.name), arm.name
    per_problem = {currency: cost.adapt_per_problem(currency) for currency in evidence.currencies}
    exams = {kind: found for kind in evidence.kinds(arm.setting) if (found := evidence.accuracy(name, kind))}
    found = exams.get(evidence.exam) or (None if arm.trial else evidence.stated(name))
    unpadded = cost.adapt.flops_unpadded
    share = _spent_share(evidence, name)
    return ArmRow(
        name=name,
        label=arm.label,
        setting=arm.setting,
        role=arm.role,
        prompt=arm.prompt,
        round=arm.round,
        headline=name == evidence.claim.headline,
        accuracy=evidence.accuracies[name],
        low=found.low if found else None,
        high=found.high if found else None,
        accuracy_published=None if arm.trial else arm.accuracy,
        accuracy_paper=arm.paper_accuracy,
        frozen_accuracy=evidence.frozen_accuracy(name),
        frozen_group=arm.frozen_group,
        n_problems=arm.n_problems,
        n_questions=arm.n_questions,
        seeds=arm.seeds,
        updates=cost.adapt.exact(Currency.UPDATES),
        updates_per_problem=per_problem[Currency.UPDATES],
        tokens_real=cost.adapt.exact(Currency.TOKENS_REAL),
        tokens_real_per_problem=per_problem[Currency.TOKENS_REAL],
        tokens_padded=cost.adapt.exact(Currency.TOKENS_PADDED),
        tokens_padded_per_problem=per_problem[Currency.TOKENS_PADDED],
        flops_per_problem=per_problem[Currency.FLOPS],
        flops_unpadded_per_problem=unpadded / cost.problems if unpadded and cost.problems else None,
        tokens_estimated=Currency.TOKENS_REAL in cost.adapt.estimated,
        learning_rate=arm.training.learning_rate if arm.training else None,
        training=_settings(arm),
        invests=list(arm.invests),
        invests_unpublished=list(arm.invests_unpublished),
        charged_per_problem={currency.value: cost.charged(currency) for currency in evidence.currencies},
        charged_incomplete=[c.value for c in evidence.currencies if c in cost.bill_incomplete],
        undominated=_undominated_in(evidence, arm),
        sources=list(arm.sources),
        method=arm.trial.method if arm.trial else "",
        rung=arm.trial.rung if arm.trial else None,
        own=trial.own,
        learns=trial.learns,
        deployments=trial.deployments,
        development=trial.development,
        budget_per_problem=trial.budget,
        spent_per_problem={c.value: amount for c, amount in per_problem.items()} if arm.trial else {},
        spent_share=share,
        underspent=share is not None and share < 1 - TOLERANCE and arm.role not in UNTRAINED,
        rejected_per_problem=_rejected(evidence, arm),
        failed=sum(run.failed for run in trial.runs),
        by_seed=evidence.by_seed(name),
        exams={kind: found for kind, found in exams.items() if kind},
        answering=answering(evidence, name) if arm.trial else {},
    )


def _settings(arm: Arm) -> dict[str, str]:
    known = arm.training.model_dump(exclude_none=True) if arm.training else {}
    return {key: ", ".join(value) if isinstance(value, tuple) else str(value) for key, value in known.items()}


def _undominated_in(evidence: Evidence, arm: Arm) -> list[str]:
    """The currencies in which no arm of the setting is at most as dear, so charged, and at least as accurate.

    Arms that read at the exam pay for every question instead of before it, and an upper bound has labels that nobody
    has: they are no points of this front.
    """
    known = {
        other.name: accuracy
        for other in evidence.claim.arms
        if other.setting == arm.setting
        and other.role not in (Role.IN_CONTEXT, Role.ORACLE)
        and (accuracy := evidence.accuracies[other.name]) is not None
    }
    found = []
    for currency in evidence.currencies:
        points = {n: (c, a) for n, a in known.items() if (c := evidence.costs[n].charged(currency)) is not None}
        if arm.name in undominated(points):
            found.append(currency.value)
    return found


def undominated(points: Mapping[str, tuple[float, float]]) -> set[str]:
    """Names of the (cost, accuracy) points that no other beats: at most as dear, at least as accurate, not equal."""
    return {
        name
        for name, (cost, accuracy) in points.items()
        if not any(
            other_cost <= cost and other_accuracy >= accuracy and (other_cost, other_accuracy) != (cost, accuracy)
            for other_cost, other_accuracy in points.values()
        )
    }


def _spent_share(evidence: Evidence, name: str) -> float | None:
    """What was spent of what an arm might spend on a problem, in both with its investment's share."""
    terms, trial = evidence.claim.terms, evidence.trial(name)
    if terms is None or not trial.budget:
        return None
    spent = evidence.costs[name].exactly(evidence.costs[name].deployments, terms.currency)
    return spent / trial.budget if spent is not None else None


def _rejected(evidence: Evidence, arm: Arm) -> dict[str, float]:
    """For one problem: thrown away or failed in adapting, and the share of what was in investing."""
    trial, cost = evidence.trial(arm.name), evidence.costs[arm.name]
    shares = [
        {name: value / over for name, value in part.items()}
        for part, over in ((trial.rejected, cost.problems), (trial.rejected_before, cost.deployments))
        if part and over
    ]
    return _known_in_all(shares)


def _known_in_all(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sums of the currencies that every part knows; a part without any took nothing."""
    found = [part for part in parts if part]
    names = sorted(set.intersection(*(set(part) for part in found))) if found else []
    return {name: sum(part[name] for part in found) for name in names}


def spread_rows(evidence: Evidence) -> list[SpreadRow]:
    """The luck of runs and of settings, for every trained arm of a trial at its own budget level."""
    return [_spread(evidence, setting, name) for setting in evidence.domains for name in closed_book(evidence, setting)]


def _spread(evidence: Evidence, setting: str, name: str) -> SpreadRow:
    values = evidence.table.means(name, kind=evidence.exam)
    several = values is not None and min(values[0].shape) > 1
    method = evidence.trial(name).method
    tried = [search for search in evidence.claim.searches if search.arm == f"{setting}/{method}"]
    return SpreadRow(
        setting=setting,
        arm=name,
        by_seed=evidence.by_seed(name),
        deviation=crossed.Squares.of(values[0]).seed_deviation() if several and values is not None else None,
        settings={search.settings: search.accuracy for search in tried if search.accuracy is not None},
        chosen=next((search.settings for search in tried if search.chosen), None),
    )


def compute_rows(evidence: Evidence) -> list[ComputeRow]:
    """Where each arm's compute went at its own budget level of a trial, by purpose, for one problem."""
    return [row for setting in evidence.domains for name in evidence.own(setting) for row in _compute(evidence, name)]


def _compute(evidence: Evidence, name: str) -> list[ComputeRow]:
    arm, shared = evidence.arms[name], evidence.costs[name].deployments or 1
    rows = []
    for before, owner in [(False, name), *((True, invested) for invested in arm.invests)]:
        for charge in ledger.of(evidence.claim.charges, owner):
            amounts = (charge.cost * (1 / (charge.count or 1) / (shared if before else 1))).known()
            known = {c.value: amounts[c.value] for c in evidence.currencies if amounts.get(c.value)}
            if known:
                purpose = charge.purpose.value
                rows.append(
                    ComputeRow(setting=arm.setting, arm=name, purpose=purpose, before=before, per_problem=known)
                )
    return rows


def card_rows(evidence: Evidence) -> list[CardRow]:
    """What each method took in a whole trial, those included of which no run is finished."""
    rows = [_card(evidence, setting, name) for setting in evidence.domains for name in evidence.own(setting)]
    return [*rows, *_unfinished(evidence, {f"{row.setting}/{row.method}" for row in rows})]


def _unfinished(evidence: Evidence, shown: set[str]) -> Iterator[CardRow]:
    """What was spent on arms that have no row at the level that is compared."""
    stages = {f" {stage}": stage for stage in (*BEYOND, "tuning")}
    found: dict[str, dict[str, list[Charge]]] = {}
    settings = evidence.claim.terms.worlds if evidence.claim.terms else {}
    for charge in evidence.claim.charges:
        for end, stage in stages.items():
            name = charge.arm.removesuffix(end)
            if charge.arm.endswith(end) and name not in shown and name.partition("/")[0] in settings:
                found.setdefault(name, {}).setdefault(stage, []).append(charge)
    for name, spent in found.items():
        setting, _, method = name.partition("/")
        whole = ledger.sum_up(charge for charges in spent.values() for charge in charges)
        if any(whole.at_least.known().values()):
            yield CardRow(
                setting=setting,
                method=method,
                label=f"{method} (not finished)",
                seeds=0,
                adaptations=0,
                spent={stage: ledger.sum_up(charges).spent.known() for stage, charges in spent.items()},
                rejected=ledger.sum_up(spent.get("cut off", [])).spent.known(),
                total={n: value for n, value in whole.at_least.known().items() if value},
                incomplete=[currency.value for currency in whole.incomplete],
            )


def _card(evidence: Evidence, setting: str, own: str) -> CardRow:
    ladder, charges = evidence.runs(own), evidence.claim.charges
    arms = [(evidence.arms[name], evidence.trial(name)) for name in ladder]
    method = evidence.trial(own).method
    invested = {name for arm, _ in arms for name in arm.invests}
    tuning, streams = (owner_name(setting, method, "tuning"), owner_name(setting, method, "stream"))
    stages = {
        "adaptations": [charge for name in ladder for charge in ledger.of(charges, name)],
        "investments": [charge for charge in charges if charge.arm in invested],
        "tuning": [charge for charge in charges if charge.arm == tuning],
        "streams": [charge for charge in charges if charge.arm == streams],
        "exams": [charge for name in ladder for charge in ledger.of(charges, name, Purpose.EVALUATE)],
    }
    stages |= {
        stage: [charge for charge in charges if charge.arm == owner_name(setting, method, stage)] for stage in BEYOND
    }
    nothing = {"investments"} if not invested else set()
    # what no arm of the trial has was not asked for; what only this one lacks is unknown
    unknown = {stage for stage in _recorded(evidence) - nothing if not stages[stage]}
    spent = {stage: ledger.sum_up(found).spent.known() for stage, found in stages.items() if found or stage in nothing}
    whole = ledger.sum_up(charge for found in stages.values() for charge in found)
    incomplete = [currency.value for currency in Currency if unknown or currency in whole.incomplete]
    at_least = whole.at_least.known()
    times = {charge.arm: charge.count or 1 for charge in stages["investments"]}
    thrown = {investment: trial.rejected_before for arm, trial in arms for investment in arm.invests}
    before = [{n: times.get(of, 0) * value for n, value in found.items()} for of, found in thrown.items()]
    lost = [charge.cost.known() for charge in stages["cut off"] if any(charge.cost.known().values())]
    return CardRow(
        setting=setting,
        method=method,
        label=evidence.arms[own].label,
        seeds=len({run.seed for _, trial in arms for run in trial.runs}),
        adaptations=sum(evidence.costs[name].problems or 0 for name in ladder),
        spent=spent,
        rejected=_known_in_all([*(trial.rejected for _, trial in arms), *before, *lost]),
        total={name: value for name, value in at_least.items() if value or name not in incomplete},
        incomplete=incomplete,
    )


def _recorded(evidence: Evidence) -> set[str]:
    """The stages of which the records of some arm hold what they took."""
    charges = evidence.claim.charges
    ends = {"investments": " investment", "tuning": " tuning", "streams": " stream"}
    ends |= {stage: f" {stage}" for stage in BEYOND}
    found = {stage for stage, end in ends.items() if any(charge.arm.endswith(end) for charge in charges)}
    exams = any(charge.purpose is Purpose.EVALUATE for charge in charges if charge.arm in evidence.arms)
    return found | {"adaptations"} | ({"exams"} if exams else set())


def reading_rows(evidence: Evidence) -> list[ReadingRow]:
    """What reading at the exam costs beside what training costs, in each domain of a trial."""
    terms = evidence.claim.terms
    currencies = dict.fromkeys((terms.currency, Currency.FLOPS)) if terms else ()
    return [
        _reading(evidence, reader, trained, currency)
        for setting in evidence.domains
        for reader in evidence.own(setting, Role.IN_CONTEXT)
        for trained in closed_book(evidence, setting)
        for currency in currencies
    ]


def _reading(evidence: Evidence, reader: str, trained: str, currency: Currency) -> ReadingRow:
    reads, answers = (answering(evidence, name).get(currency.value) for name in (reader, trained))
    votes, asked = evidence.costs[reader].adapt_per_problem(currency), questions_a_problem(evidence, reader)
    if reads is not None:  # what an untrained arm spends is spent at the exam: on votes
        reads = reads + votes / asked if votes is not None and asked else None
    training, arm = evidence.costs[trained].charged(currency), evidence.arms[reader]
    saves = reads - answers if reads is not None and answers is not None else None
    return ReadingRow(
        setting=arm.setting,
        reader=reader,
        trained=trained,
        currency=currency.value,
        questions=asked,
        reading=reads,
        answering=answers,
        training=training,
        crossing=math.ceil(training / saves) if saves and saves > 0 and training is not None else None,
        never=saves is not None and saves <= 0,
    )


def questions_a_problem(evidence: Evidence, name: str) -> float | None:
    """How many questions of its own an arm was asked about a problem, on average."""
    found = _asked(evidence, name)
    return found[0] / found[1] if found and found[1] else None


def answering(evidence: Evidence, name: str) -> dict[str, float]:
    """What answering one question of a problem took, by currency: from the levels of an arm's ladder at whose exams
    nothing else was asked or measured, or where that is charged apart. Empty where there is none."""
    levels = []
    for level in evidence.ladder(name):
        found, trial = _asked(evidence, level), evidence.trial(level)
        drift = trial.divergence and evidence.arms[level].role not in UNTRAINED
        evaluated = ledger.of(evidence.claim.charges, level, Purpose.EVALUATE)
        exams = [charge for charge in evaluated if charge.operation == "exams"]
        mixed = not any(charge.operation == "stability" for charge in evaluated) and (drift or (found and found[2]))
        failed = sum(run.failed for run in trial.runs)  # these were not asked anything
        if found is not None and not mixed and exams and found[1] > failed:
            each = found[0] / found[1] * (found[1] - failed)
            levels.append((exams[0].cost * (1 / each)).known())
    return {key: value / len(levels) for key, value in _known_in_all(levels).items()}


def _asked(evidence: Evidence, name: str) -> tuple[int, int, int] | None:
    """Of an arm of a trial: its answers to problems' own questions, its exams, its answers to control questions."""
    arm = evidence.arms[name]
    exam = next((exam for exam in evidence.claim.exams if exam.name == arm.exam), None)
    if arm.trial is None or exam is None:
        return None
    own, sat, controls = 0, 0, 0
    for run in arm.trial.runs:
        for problem, bits in zip(exam.problems, run.correct, strict=True):
            kinds = [kind for kind, bit in zip(problem.kinds, bits, strict=True) if bit != "-"]
            asked = sum(kind not in evidence.controls for kind in kinds)
            own, sat, controls = own + asked, sat + bool(asked), controls + len(kinds) - asked
    return own, sat, controls


def regime_rows(evidence: Evidence, contests: Sequence[Contest]) -> list[RegimeRow]:
    """What to do in a trial's domains where something is not allowed; each choice made on development problems."""
    tested = [contest for contest in contests if contest.setting in evidence.domains]
    return [row for contest in tested for row in _regimes(evidence, contest.setting, contest.arm)]


def _regimes(evidence: Evidence, setting: str, arm: str) -> Iterable[RegimeRow]:
    trained = [name for name in closed_book(evidence, setting) if evidence.arms[name].role is not Role.ORACLE]
    untaught = [name for name in trained if evidence.arms[name].role is not Role.TEACHER]
    allowed = {
        "anything that is trained": trained,
        "no teacher": untaught,
        "no teacher, and nothing that learns from labelled examples": [
            name for name in untaught if not evidence.trial(name).learns
        ],
        "no training at all, the text at hand": evidence.own(setting, Role.IN_CONTEXT),
        "no training and no text": evidence.own(setting, Role.FROZEN),
    }
    for regime, names in allowed.items():
        best = best_of(evidence, names)[0] if names else None
        if best and (accuracy := evidence.accuracy(best, evidence.exam)):
            over: Interval | None = evidence.over(arm, best) if best != arm else None
            yield RegimeRow(regime=regime, setting=setting, arm=best, accuracy=accuracy, over=over)


def bound_rows(evidence: Evidence) -> list[BoundRow]:
    """Of each of a trial's domains with an upper bound by the exam's labels all arms, the least accurate first."""

    def place(row: BoundRow) -> tuple[float, bool, bool]:
        return (
            row.accuracy.value,
            row.over is not None,
            row.arm == row.bound,
        )  # among equals frozen first, the bound last

    bounds = [(setting, bound) for setting in evidence.domains for bound in evidence.own(setting, Role.ORACLE)]
    return [row for setting, bound in bounds for row in sorted(_below(evidence, setting, bound), key=place)]


def _below(evidence: Evidence, setting: str, bound: str) -> Iterable[BoundRow]:
    frozen = next(iter(evidence.own(setting, Role.FROZEN)), None)
    for arm in evidence.own(setting):
        if accuracy := evidence.accuracy(arm, evidence.exam):
            over = evidence.over(arm, frozen) if frozen and arm != frozen else None
            below = evidence.over(bound, arm) if arm != bound else None
            yield BoundRow(setting=setting, bound=bound, arm=arm, accuracy=accuracy, over=over, below=below)
