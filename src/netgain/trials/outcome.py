"""The rows of a trial sorted by kind, and what they say by themselves: what was spent, and what is wrong with them.

Charges are folds over the rows: adaptations at each budget level, investments, tuning, exams. Findings come before
anything is compared: cheats, failures, spending above the budget.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Self, final

from netgain.errors import InputError
from netgain.records.claim import UNTRAINED, Charge, Finding, RewardRun, Role, Severity, owner_name
from netgain.records.cost import CURRENCIES, Cost, Currency, Purpose, total
from netgain.records.provenance import Source
from netgain.records.samples import Adaptation, AdaptationStream, Amounts, Investment, Row, Tuning
from netgain.trials.spec import TrialSpec

FILE = "samples.jsonl"
ROUNDING = 1e-6
SHOWN = 5
Cell = tuple[str, str, float]  # domain, arm, budget level
Spent = Mapping[Purpose, Amounts]


@final
@dataclass(frozen=True)
class Outcome:
    """The rows of a trial sorted by kind; of rows with one identity the last counts."""

    spec: TrialSpec
    adaptations: dict[Cell, dict[tuple[int, str], Adaptation]] = field(default_factory=dict)
    development: dict[Cell, list[Adaptation]] = field(default_factory=dict)
    investments: dict[tuple[str, str], dict[int, Investment]] = field(default_factory=dict)
    tunings: dict[tuple[str, str], Tuning] = field(default_factory=dict)
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
            case Adaptation(stage="development"):
                self.development.setdefault((*key, row.rung), []).append(row)
            case Adaptation():
                self.adaptations.setdefault((*key, row.rung), {})[row.seed, row.problem] = row
            case Investment():
                self.investments.setdefault(key, {})[row.seed] = row
            case Tuning():
                self.tunings[key] = row
            case AdaptationStream():
                self.retentions.setdefault(key, {})[row.seed] = row

    def cells(self) -> list[Cell]:
        """Domain, arm and level of all that was examined, in the order of the spec."""
        places = {(d, a): (i, j) for i, d in enumerate(self.spec.domains) for j, a in enumerate(self.spec.arms)}
        return sorted(self.adaptations, key=lambda cell: (*places[cell[:2]], cell[2]))

    def own_level(self, domain: str, arm: str, role: Role) -> float:
        """The level at which an arm is compared; what is not trained costs the same at any level, so any will do."""
        learns = (domain, arm) in self.investments
        wanted = 1.0 if learns else self.spec.budget.matched_level
        there = [level for d, a, level in self.adaptations if (d, a) == (domain, arm)]
        if role in UNTRAINED and there and wanted not in there:
            return max((level for level in there if level <= wanted), default=min(there))
        return wanted


def arm_name(cell: Cell) -> str:
    """How a claim calls an arm of a trial."""
    return f"{cell[0]}/{cell[1]}@{cell[2]:g}"


# -- what was spent


def charges(outcome: Outcome) -> Iterator[Charge]:
    """All charges, one for each arm and level (or investment, or tuning) and purpose."""
    for cell, adaptations in outcome.adaptations.items():
        yield from _by_purpose(arm_name(cell), "adaptations", [row.spent for row in adaptations.values()])
        examined = [row for row in adaptations.values() if row.evaluated or row.answers]
        exams = [{Purpose.EVALUATE: _without(row.evaluated, row.judging)} for row in examined]
        yield from _by_purpose(arm_name(cell), "exams", exams) if exams else ()
        judging = [{Purpose.EVALUATE: row.judging} for row in examined if row.judging]
        yield from _by_purpose(arm_name(cell), "judging", judging) if judging else ()
    for key, investments in outcome.investments.items():
        name = owner_name(*key, "investment")
        yield from _by_purpose(name, "investments", [row.spent for row in investments.values()])
    for key, tuning in outcome.tunings.items():
        yield from _by_purpose(owner_name(*key, "tuning"), "tuning", [tuning.spent])
    for (domain, method, _), developed in outcome.development.items():
        spent = [{Purpose.TUNE: found} for row in developed for found in (*row.spent.values(), row.evaluated) if found]
        yield from _by_purpose(owner_name(domain, method, "tuning"), "development", spent)
    for key, streams in outcome.retentions.items():
        known = [row for row in streams.values() if row.spent or row.evaluated]
        streamed = [{**row.spent, Purpose.EVALUATE: row.evaluated} for row in known]
        yield from _by_purpose(owner_name(*key, "stream"), "streams", streamed) if streamed else ()


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


def _without(whole: Amounts, part: Amounts) -> Amounts:
    """What is left of an amount without a part of it; unknown where the part is."""
    if not part:
        return whole
    return {name: max(0.0, value - part[name]) for name, value in whole.items() if name in part}


def most_spent(rows: Iterable[Adaptation], currency: Currency) -> float | None:
    """The most that one adaptation took in the trial's currency, None where some amount is unknown or there is none."""
    spent = [[part.get(currency.value) for part in row.spent.values()] for row in rows]
    if any(value is None for parts in spent for value in parts):
        return None
    return max((sum(value for value in parts if value is not None) for parts in spent), default=None)


def reward_runs(outcome: Outcome) -> tuple[RewardRun, ...]:
    """The rounds of each arm's outer loop; rounds of one name in several seeds are one run of more problems."""
    found: list[RewardRun] = []
    for (domain, method), rows in outcome.investments.items():
        groups: dict[str, list[RewardRun]] = {}
        for row in rows.values():
            for run in row.rewards:
                groups.setdefault(run.name, []).append(run)
        found += [_joined(f"{domain}/{method} {name}", runs) for name, runs in groups.items()]
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
        }
    )


# -- what is wrong


def findings(outcome: Outcome, roles: Mapping[str, Role]) -> Iterator[Finding]:
    """All that is wrong with the rows by themselves; ``roles`` by the name of the arm."""
    spec, currency = outcome.spec, outcome.spec.budget.currency
    if spec.limited_from is not None:
        message = f"a limited run: {spec.problems.test} of the trial's {spec.limited_from} test problems (--limit)"
        yield from _finding("limited", "high", message, ["it shows whether the trial works, and is not its result"])
    for (domain, arm, level), rows in outcome.adaptations.items():
        named = {f"{row.problem}, seed {row.seed}": row for row in rows.values()}
        yield from _of_adaptations(f"{domain}/{arm} at {level:g}x the budget", named, currency)
    for (domain, arm), found in outcome.investments.items():
        name, seeds = f"{domain}/{arm}'s investment", {f"seed {row.seed}": row for row in found.values()}
        yield from _above(name, seeds, currency)
        lost = _failures(seeds)
        yield from _finding("failed", "high", f"{name} failed in {len(lost)} of {len(found)} seeds", lost)
    strangers = sorted(outcome.strangers)
    message = f"rows of {len(strangers)} arms that the trial does not name are left out"
    yield from _finding("rows-of-no-arm", "low", message, strangers)
    examined = {cell[:2] for cell in outcome.development}
    unlearned = [
        "/".join(key)
        for key in outcome.investments
        if key in outcome.tunings and key not in examined and roles[key[1]] is not Role.SELF_IMPROVING
    ]
    message = "the rival was chosen without what these arms learned: development problems were only met before learning"
    yield from _finding("chosen-without-learning", "medium", message, unlearned)


def _of_adaptations(name: str, rows: Mapping[str, Adaptation], currency: Currency) -> Iterator[Finding]:
    seen = [f"{where}: {len(row.exposed)} questions" for where, row in rows.items() if row.exposed]
    share = f"{len(seen)} of {len(rows)} adaptations"
    message = f"{name} trained on exam questions or answers that nothing it was given contains, in {share}"
    yield from _finding("exposed", "high", message, seen)
    own = [where for where, row in rows.items() if row.unmetered]
    message = f"{name} took more processor time than its charges explain, in {len(own)} of {len(rows)} adaptations"
    yield from _finding("unmetered", "high", message, own)
    lost = _failures(rows)
    message = f"{name}: {len(lost)} of {len(rows)} adaptations failed; they were paid for, and count as wrong"
    yield from _finding("failed", "high" if len(lost) > len(rows) / 20 else "medium", message, lost)
    yield from _above(name, rows, currency)


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


def _finding(check: str, severity: Severity, message: str, evidence: list[str]) -> Iterator[Finding]:
    """The finding; none without evidence."""
    if evidence:
        shown = evidence[:SHOWN] + ([f"and {len(evidence) - SHOWN} more"] if len(evidence) > SHOWN else [])
        yield Finding(check=check, severity=severity, message=message, evidence=tuple(shown))
