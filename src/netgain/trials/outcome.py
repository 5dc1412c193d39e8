"""The rows of a trial sorted by kind, and what they say by themselves: what was spent, and what is wrong with them.

Charges are folds over the rows: adaptations at each budget level, investments, tuning, exams. Findings come before
anything is compared: cheats, failures, spending above the budget.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Self, final

from netgain.errors import InputError
from netgain.records.claim import (
    BEYOND,
    NOT_VERIFIED,
    UNTRAINED,
    Charge,
    Finding,
    RewardRun,
    Role,
    Severity,
    owner_name,
)
from netgain.records.cost import CURRENCIES, Cost, Currency, Purpose, total
from netgain.records.learning import PolicyRun, PolicyStep
from netgain.records.provenance import Source
from netgain.records.samples import Adaptation, AdaptationStream, Amounts, Investment, Row, Tuning
from netgain.trials.spec import MATCHED, TrialSpec
from netgain.trials.tasks import Task, deployments

FILE = "samples.jsonl"
ROUNDING = 1e-6
SHOWN = 5
FLAT = 1e-9  # rewards of a group that lie closer together say nothing
Cell = tuple[str, str, float, int]  # domain, arm, budget level, deployments (0: the arm does not learn)
Spent = Mapping[Purpose, Amounts]


@final
@dataclass(frozen=True)
class Outcome:
    """The rows of a trial sorted by kind; of rows with one identity the last counts."""

    spec: TrialSpec
    adaptations: dict[Cell, dict[tuple[int, str], Adaptation]] = field(default_factory=dict)
    investments: dict[Cell, dict[int, Investment]] = field(default_factory=dict)
    tunings: dict[tuple[str, str, int], Tuning] = field(default_factory=dict)  # 0: for the trial's own deployments
    retentions: dict[tuple[str, str], dict[int, AdaptationStream]] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, spec: TrialSpec, rows: Iterable[Row]) -> Self:
        found = cls(spec)
        for row in rows:
            if row.domain in spec.domains and row.arm in spec.arms:
                found._add(row)
            else:
                found.strangers.add(f"{row.domain}/{row.arm}")
        return found

    def _add(self, row: Row) -> None:
        key = (row.domain, row.arm)
        match row:
            case Adaptation():
                cell = (*key, row.rung, row.deployments or 0)
                self.adaptations.setdefault(cell, {})[row.seed, row.problem] = row
            case Investment():
                self.investments.setdefault((*key, row.rung, row.deployments), {})[row.seed] = row
            case Tuning():
                self.tunings[*key, row.deployments or 0] = row
            case AdaptationStream():
                self.retentions.setdefault(key, {})[row.seed] = row

    def cells(self) -> list[Cell]:
        """Domain, arm, level and deployments of all that was examined, in the order of the spec."""
        places = {(d, a): (i, j) for i, d in enumerate(self.spec.domains) for j, a in enumerate(self.spec.arms)}
        return sorted(self.adaptations, key=lambda cell: (*places[cell[:2]], cell[3], cell[2]))

    def own(self, cell: Cell, role: Role) -> bool:
        """Whether an arm is compared as it is in this cell: at the matched level, for the trial's own deployments.

        What is not trained costs the same at any level, so any will do where the matched one is missing.
        """
        domain, arm, level, found = cell
        there = [other[2] for other in self.adaptations if other[:2] == (domain, arm)]
        wanted = MATCHED
        if role in UNTRAINED and there and wanted not in there:
            wanted = max((level for level in there if level <= wanted), default=min(there))
        return level == wanted and found in (0, deployments(self.spec))


def arm_name(cell: Cell, spec: TrialSpec) -> str:
    """How a claim calls an arm of a trial; what was run for further deployments says for how many."""
    further = "" if cell[3] in (0, deployments(spec)) else f"/{cell[3]}"
    return f"{cell[0]}/{cell[1]}@{cell[2]:g}{further}"


def investment_name(cell: Cell, spec: TrialSpec) -> str:
    """What owns the charges of a cell's investment."""
    return f"{arm_name(cell, spec)} investment"


# -- what was spent


def charges(outcome: Outcome) -> Iterator[Charge]:
    """All charges, one for each arm and level (or investment, or tuning) and purpose."""
    spec = outcome.spec
    for cell, adaptations in outcome.adaptations.items():
        name = arm_name(cell, spec)
        yield from _by_purpose(name, "adaptations", [row.spent for row in adaptations.values()])
        examined = [row for row in adaptations.values() if row.evaluated or row.answers]
        exams = [
            {Purpose.EVALUATE: _without(row.evaluated, row.judging, row.sampling, row.stability)} for row in examined
        ]
        yield from _by_purpose(name, "exams", exams) if exams else ()
        judging = [{Purpose.EVALUATE: row.judging} for row in examined if row.judging]
        yield from _by_purpose(name, "judging", judging) if judging else ()
        sampling = [{Purpose.EVALUATE: row.sampling} for row in examined if row.sampling]
        yield from _by_purpose(name, "coverage", sampling) if sampling else ()
        stability = [{Purpose.EVALUATE: row.stability} for row in examined if row.stability]
        yield from _by_purpose(name, "stability", stability) if stability else ()
    for cell, investments in outcome.investments.items():
        rows = [row.spent for row in investments.values()]
        yield from _by_purpose(investment_name(cell, spec), "investments", rows)
    for (domain, method, _), tuning in outcome.tunings.items():
        yield from _by_purpose(owner_name(domain, method, "tuning"), "tuning", [tuning.spent])
    for key, streams in outcome.retentions.items():
        known = [row for row in streams.values() if row.spent or row.evaluated]
        streamed = [{**row.spent, Purpose.EVALUATE: row.evaluated} for row in known]
        yield from _by_purpose(owner_name(*key, "stream"), "streams", streamed) if streamed else ()


def charges_beyond(beyond: Mapping[Task, Mapping[str, Spent]]) -> Iterator[Charge]:
    """What tasks took that stands in no row: one charge for each arm, stage and purpose."""
    arms: dict[tuple[str, str], list[Mapping[str, Spent]]] = {}
    for task, stages in beyond.items():
        arms.setdefault((task.domain, task.arm), []).append(stages)
    for (domain, arm), found in arms.items():
        for stage in BEYOND:
            yield from _by_purpose(owner_name(domain, arm, stage), stage, [stages.get(stage, {}) for stages in found])


def _by_purpose(name: str, operation: str, spent: Sequence[Spent]) -> Iterator[Charge]:
    """One charge a purpose; work that took nothing is charged too, as known to be nothing."""
    purposes = [purpose for purpose in Purpose if any(purpose in row for row in spent)]
    for purpose in purposes or [Purpose.ADAPT]:
        parts = [row[purpose] for row in spent if purpose in row]
        try:
            cost = total(Cost(**amounts) for amounts in parts) if parts else Cost.zero()
        except (TypeError, ValueError) as problem:
            raise InputError(f"rows of {name}", f"hold amounts that cannot be: {problem}") from None
        yield Charge(
            arm=name,
            purpose=purpose,
            operation=operation,
            count=len(spent),
            problems=len(spent),
            cost=cost,
            source=Source(file=FILE, field="spent"),
        )


def summed(amounts: Iterable[Amounts]) -> dict[str, float]:
    """The sums by currency of rows that took something; a currency that one of them does not name is unknown."""
    rows = [row for row in amounts if row]
    return {name: sum(row[name] for row in rows) for name in CURRENCIES if rows and all(name in row for row in rows)}


def _without(whole: Amounts, *parts: Amounts) -> Amounts:
    """What is left of an amount without parts of it; unknown where a part is."""
    for part in filter(None, parts):
        whole = {name: max(0.0, value - part[name]) for name, value in whole.items() if name in part}
    return whole


def most_spent(rows: Iterable[Adaptation], currency: Currency) -> float | None:
    """The most that one adaptation took in the trial's currency, None where some amount is unknown or there is none."""
    spent = [[part.get(currency.value) for part in row.spent.values()] for row in rows]
    if any(value is None for parts in spent for value in parts):
        return None
    return max((sum(value for value in parts if value is not None) for parts in spent), default=None)


def reward_runs(outcome: Outcome) -> tuple[RewardRun, ...]:
    """The rounds of each arm's outer loop where it is compared; rounds of one name in several seeds are one run of more
    problems."""
    found: list[RewardRun] = []
    own = {cell: rows for cell, rows in outcome.investments.items() if cell[2:] == (MATCHED, deployments(outcome.spec))}
    for cell, rows in own.items():
        groups: dict[str, list[RewardRun]] = {}
        for row in rows.values():
            for run in row.rewards:
                groups.setdefault(run.name, []).append(run)
        found += [_joined(f"{arm_name(cell, outcome.spec)} {name}", runs) for name, runs in groups.items()]
    return tuple(found)


def _joined(name: str, runs: list[RewardRun]) -> RewardRun:
    first = runs[0]
    alike = [run for run in runs if (run.edits, run.repeats) == (first.edits, first.repeats)]
    whole = all(run.correct is not None for run in alike)
    means = [run.means for run in alike if run.means is not None]
    deviations = [run.deviations for run in alike if run.deviations is not None]
    updates = [run.updates for run in alike if run.updates is not None]
    return first.model_copy(
        update={
            "name": name,
            "problems": sum(run.problems for run in alike),
            "kept": sum(run.kept for run in alike),
            "questions": tuple(n for run in alike for n in run.questions) if whole else (),
            "correct": tuple(rows for run in alike for rows in run.correct or ()) if whole else None,
            "means": tuple(row for rows in means for row in rows) if len(means) == len(alike) else None,
            "deviations": tuple(row for rows in deviations for row in rows) if len(deviations) == len(alike) else None,
            "updates": fmean(updates) if updates else None,
            "unread": sum(run.unread for run in alike),
            "chosen": tuple(one for run in alike for one in run.chosen),
        }
    )


def policy_runs(outcome: Outcome) -> tuple[PolicyRun, ...]:
    """The steps of each arm that learns by a policy gradient, where it is compared, one run a seed. Beside such arms,
    the rounds of every other outer loop, so that all are judged alike."""
    own = {cell: rows for cell, rows in outcome.investments.items() if cell[2:] == (MATCHED, deployments(outcome.spec))}
    if not any(row.policy for rows in own.values() for row in rows.values()):
        return ()
    return tuple(
        PolicyRun(
            arm=arm_name(cell, outcome.spec),
            loop=outcome.spec.arms[cell[1]].method,
            seed=seed,
            steps=steps,
            kept=row.policy_kept,
        )
        for cell, rows in own.items()
        for seed, row in sorted(rows.items())
        if (steps := row.policy or tuple(map(_round, row.rewards)))
    )


def _round(run: RewardRun) -> PolicyStep:
    """A round of an outer loop as a step: its edits and their rewards."""
    rewards = [list(row) for row in run.means or ()]
    if run.correct is not None:
        rows = zip(run.correct, run.questions, strict=True)
        rewards = [[fmean(counts) / asked for counts in edits] for edits, asked in rows]
    texts = [reward for row in rewards for reward in row]
    spreads = [pstdev(row) for row in rewards if row]
    return PolicyStep(
        step=run.round,
        groups=run.problems,
        texts=len(texts),
        reward=fmean(texts) if texts else None,
        spread=fmean(spreads) if spreads else None,
        flat=fmean(spread < FLAT for spread in spreads) if spreads else None,
    )


# -- what is wrong


def findings(outcome: Outcome, roles: Mapping[str, Role]) -> Iterator[Finding]:
    """All that is wrong with the rows by themselves; ``roles`` by the name of the arm."""
    spec, currency = outcome.spec, outcome.spec.budget.currency
    if spec.limited_from is not None:
        message = f"a limited run: {spec.problems.test} of the trial's {spec.limited_from} test problems (--limit)"
        yield from _finding("limited", "high", message, ["it shows whether the trial works, and is not its result"])
    there = {cell[:2] for cell in outcome.adaptations}
    absent = [f"{domain}/{arm}" for domain in spec.domains for arm in spec.arms if (domain, arm) not in there]
    message = f"arms that the trial asks for and the record lacks: {len(absent)}"
    yield from _finding("missing", "high", message, absent if there else [])
    for cell, rows in outcome.adaptations.items():
        named = {f"{row.problem}, seed {row.seed}": row for row in rows.values()}
        yield from _of_adaptations(_in_words(cell), named, currency)
    for cell, found in outcome.investments.items():
        name, seeds = f"{_in_words(cell)}: the investment", {f"seed {row.seed}": row for row in found.values()}
        yield from _above(name, seeds, currency)
        lost = _failures(seeds)
        yield from _finding("failed", "high", f"{name} failed in {len(lost)} of {len(found)} seeds", lost)
    strangers = sorted(outcome.strangers)
    message = (
        f"rows of {len(strangers)} {'arms' if len(strangers) > 1 else 'arm'} that the trial does not name are left out"
    )
    yield from _finding("rows-of-no-arm", "low", message, strangers)
    yield from _of_tuning(outcome, roles)


def _of_tuning(outcome: Outcome, roles: Mapping[str, Role]) -> Iterator[Finding]:
    """Rivals that may have been weaker than they had to be: what they could not tune, or tuned to the end of a grid."""
    for (domain, arm, further), tuning in outcome.tunings.items():
        where = f"{domain}/{arm}" + (f" for {further} deployments" if further else "")
        chosen = {} if tuning.chosen is None else tuning.attempts[tuning.chosen].settings
        at_end = [f"{knob} = {chosen.get(knob)}" for knob in tuning.edges]
        severity: Severity = "medium" if roles[arm] is Role.SELF_IMPROVING else "high"
        message = f"{where}: its best settings lie at the end of what was tried, so better ones may lie beyond"
        yield from _finding("tuned-to-the-edge", severity, message, at_end)
    for arm, spec in outcome.spec.arms.items():
        others = {k for name, one in outcome.spec.arms.items() if name != arm for k in (one.tune or {})}
        kept = [knob for knob in spec.fixed if knob in others | set(outcome.spec.tuning.knobs)]
        severity = "medium" if roles[arm] is Role.SELF_IMPROVING else "high"
        yield from _finding("fixed-where-others-tune", severity, f"{arm} keeps settings fixed that others tune", kept)


def _in_words(cell: Cell) -> str:
    domain, arm, level, further = cell
    return f"{domain}/{arm} at {level:g}x the budget" + (f", {further} deployments" if further else "")


def _of_adaptations(name: str, rows: Mapping[str, Adaptation], currency: Currency) -> Iterator[Finding]:
    seen = [f"{where}: {len(row.exposed)} questions" for where, row in rows.items() if row.exposed]
    share = f"{len(seen)} of {len(rows)} adaptations"
    message = f"{name} trained on exam questions or answers that nothing it was given contains, in {share}"
    yield from _finding("exposed", "high", message, seen)
    own = [f"{where}{_seconds(row)}" for where, row in rows.items() if row.unmetered]
    message = f"{name} took more processor time than its charges explain, in {len(own)} of {len(rows)} adaptations"
    yield from _finding("unmetered", "high", message, own)
    beside = [f"{where}: {' and '.join(row.opened)}" for where, row in rows.items() if row.opened]
    message = f"{name} opened what no budget knows, in {len(beside)} of {len(rows)} adaptations"
    yield from _finding("beside-the-books", "medium", message, beside)
    lost = _failures(rows)
    message = f"{name}: {len(lost)} of {len(rows)} adaptations failed; they were paid for, and count as wrong"
    yield from _finding("failed", "high" if len(lost) > len(rows) / 20 else "medium", message, lost)
    yield from _above(name, rows, currency)


def _seconds(row: Adaptation) -> str:
    return "" if row.own_seconds is None else f": {row.own_seconds:g} processor seconds"


def _failures(rows: Mapping[str, Adaptation] | Mapping[str, Investment]) -> list[str]:
    return [f"{where}: {row.error or 'no reason given'}" for where, row in rows.items() if row.status == "failed"]


def _above(
    name: str, rows: Mapping[str, Adaptation] | Mapping[str, Investment], currency: Currency
) -> Iterator[Finding]:
    over = []
    for where, row in rows.items():
        spent = sum(part.get(currency.value, 0.0) for part in row.spent.values())
        if row.budget is not None and spent > row.budget * (1 + ROUNDING):
            over.append(f"{where}: {spent:.6g} of {row.budget:.6g} {currency.value}")
    message = f"{name} spent more than its budget, in {len(over)} of {len(rows)} rows"
    yield from _finding("above-budget", "high", message, over)


def not_verified(doubts: Sequence[str]) -> Iterator[Finding]:
    """That the records do not follow from what was done; what is wrong with them, the first thing first."""
    message = "these records do not verify: the verdict does not follow from what was done"
    yield from _finding(NOT_VERIFIED, "high", message, list(doubts))


def _finding(check: str, severity: Severity, message: str, evidence: list[str]) -> Iterator[Finding]:
    """The finding; none without evidence."""
    if evidence:
        shown = evidence[:SHOWN] + ([f"and {len(evidence) - SHOWN} more"] if len(evidence) > SHOWN else [])
        yield Finding(check=check, severity=severity, message=message, evidence=tuple(shown))
