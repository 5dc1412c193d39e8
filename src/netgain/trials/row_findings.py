"""What is wrong with a trial's rows, before anything is compared: cheats, failures, spending above the budget."""

from collections.abc import Iterator, Mapping

from netgain.records.claim import Finding, Role, Severity
from netgain.records.cost import Currency
from netgain.records.samples import Adaptation, Investment, Tuning
from netgain.trials.spec import TrialSpec

ROUNDING = 1e-6
SHOWN = 5
Rows = Mapping[tuple[str, str, float], Mapping[tuple[int, str], Adaptation]]
Investments = Mapping[tuple[str, str], Mapping[int, Investment]]


def findings(adaptations: Rows, investments: Investments, strangers: set[str], currency: Currency) -> Iterator[Finding]:
    """All findings that rows give by themselves."""
    groups = {f"{d}/{a} at {rung:g}x the budget": list(rows.values()) for (d, a, rung), rows in adaptations.items()}
    for name, rows in groups.items():
        yield from _exposed(name, rows)
        yield from _unmetered(name, rows)
        yield from _failed(name, rows)
        yield from _above(name, [(f"{row.problem}, seed {row.seed}", row) for row in rows], currency)
    for (domain, arm), found in investments.items():
        name = f"{domain}/{arm}'s investment"
        yield from _above(name, [(f"seed {row.seed}", row) for row in found.values()], currency)
        lost = [
            f"seed {row.seed}: {row.error or 'no reason given'}" for row in found.values() if row.status == "failed"
        ]
        if lost:
            yield _finding("failed", "high", f"{name} failed in {len(lost)} of {len(found)} seeds", lost)
    if strangers:
        names = sorted(strangers)
        yield _finding(
            "rows-of-no-arm", "low", f"rows of {len(names)} arms that the trial does not name are left out", names
        )


def limited(spec: TrialSpec) -> Iterator[Finding]:
    """A run on fewer test problems than its trial asks for is a try, and no result."""
    if spec.limited_from is not None:
        message = f"a limited run: {spec.problems.test} of the trial's {spec.limited_from} test problems (--limit)"
        yield _finding("limited", "high", message, ["it shows whether the trial works, and is not its result"])


def unlearned(
    investments: Investments,
    tunings: Mapping[tuple[str, str], Tuning],
    development: Mapping[tuple[str, str, float], list[Adaptation]],
    roles: Mapping[str, Role],
) -> Iterator[Finding]:
    """Arms that learn and could be chosen as rivals, but of which only their adaptation was measured on development."""
    examined = {(domain, arm) for domain, arm, _ in development}
    alone = [
        f"{domain}/{arm}"
        for domain, arm in investments
        if (domain, arm) in tunings and (domain, arm) not in examined and roles[arm] is not Role.SELF_IMPROVING
    ]
    if alone:
        message = (
            "the rival was chosen without what these arms learned: development problems were only met before learning"
        )
        yield _finding("chosen-without-learning", "medium", message, alone)


def _exposed(name: str, rows: list[Adaptation]) -> Iterator[Finding]:
    seen = [f"{row.problem}, seed {row.seed}: {len(row.exposed)} questions" for row in rows if row.exposed]
    if seen:
        share = f"{len(seen)} of {len(rows)} adaptations"
        message = f"{name} trained on exam questions or answers that nothing it was given contains, in {share}"
        yield _finding("exposed", "high", message, seen)


def _unmetered(name: str, rows: list[Adaptation]) -> Iterator[Finding]:
    found = [f"{row.problem}, seed {row.seed}" for row in rows if row.unmetered]
    if found:
        message = (
            f"{name} took more processor time than its charges explain, in {len(found)} of {len(rows)} adaptations"
        )
        yield _finding("unmetered", "high", message, found)


def _failed(name: str, rows: list[Adaptation]) -> Iterator[Finding]:
    lost = [
        f"{row.problem}, seed {row.seed}: {row.error or 'no reason given'}" for row in rows if row.status == "failed"
    ]
    if lost:
        message = f"{name}: {len(lost)} of {len(rows)} adaptations failed; they were paid for, and count as wrong"
        yield _finding("failed", "high" if len(lost) > len(rows) / 20 else "medium", message, lost)


def _above(name: str, rows: list[tuple[str, Adaptation | Investment]], currency: Currency) -> Iterator[Finding]:
    over = []
    for where, row in rows:
        spent = sum(part.get(currency.value, 0.0) for part in row.spent.values())
        if row.budget is not None and spent > row.budget * (1 + ROUNDING):
            over.append(f"{where}: {spent:.6g} of {row.budget:.6g} {currency.value}")
    if over:
        message = f"{name} spent more than its budget, in {len(over)} of {len(rows)} rows"
        yield _finding("above-budget", "high", message, over)


def _finding(check: str, severity: Severity, message: str, evidence: list[str]) -> Finding:
    shown = evidence[:SHOWN] + ([f"and {len(evidence) - SHOWN} more"] if len(evidence) > SHOWN else [])
    return Finding(check=check, severity=severity, message=message, evidence=tuple(shown))
