"""The charges of a trial's claim, as folds over its rows: adaptations on each rung, investments, tuning, exams."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from netgain.errors import InputError
from netgain.records.claim import Charge, RewardRun, owner_name
from netgain.records.cost import CURRENCIES, Cost, Currency, Purpose, total
from netgain.records.provenance import Source
from netgain.records.samples import Adaptation, AdaptationStream, Amounts, Investment, Tuning

Spent = Mapping[Purpose, Amounts]


def charges(
    adaptations: Mapping[tuple[str, str, float], Mapping[tuple[int, str], Adaptation]],
    investments: Mapping[tuple[str, str], Mapping[int, Investment]],
    tunings: Mapping[tuple[str, str], Tuning],
    development: Mapping[tuple[str, str, float], list[Adaptation]],
    retentions: Mapping[tuple[str, str], Mapping[int, AdaptationStream]],
    file: str,
) -> Iterator[Charge]:
    """All charges, one for each arm and rung (or investment, or tuning) and purpose."""
    source = Source(file=file, field="spent")
    for (domain, method, rung), rows in adaptations.items():
        name = f"{domain}/{method}@{rung:g}"
        yield from _by_purpose(name, [row.spent for row in rows.values()], "adaptations", source)
        examined = [row.evaluated for row in rows.values() if row.evaluated]
        if examined:
            cost, count = _total(name, examined), len(examined)
            yield Charge(
                arm=name,
                purpose=Purpose.EVALUATE,
                operation="exams",
                count=count,
                problems=count,
                cost=cost,
                source=source,
            )
    for key, found in investments.items():
        yield from _by_purpose(
            owner_name(*key, "investment"), [row.spent for row in found.values()], "investments", source
        )
    for key, tuning in tunings.items():
        yield from _by_purpose(owner_name(*key, "tuning"), [tuning.spent], "tuning", source)
    for (domain, method, _), developed in development.items():
        spent = [{Purpose.TUNE: found} for row in developed for found in (*row.spent.values(), row.evaluated) if found]
        yield from _by_purpose(owner_name(domain, method, "tuning"), spent, "development", source)
    for key, streams in retentions.items():
        known = [row for row in streams.values() if row.spent or row.evaluated]
        spent = [{**row.spent, Purpose.EVALUATE: row.evaluated} for row in known]
        yield from _by_purpose(owner_name(*key, "stream"), spent, "streams", source) if spent else ()


def _by_purpose(name: str, spent: Sequence[Spent], operation: str, source: Source) -> Iterator[Charge]:
    """One charge a purpose; work that took nothing is charged too, as known to be nothing."""
    purposes = [purpose for purpose in Purpose if any(purpose in row for row in spent)]
    for purpose in purposes or [Purpose.ADAPT]:
        parts = [row[purpose] for row in spent if purpose in row]
        cost = _total(name, parts) if parts else Cost.zero()
        yield Charge(
            arm=name,
            purpose=purpose,
            operation=operation,
            count=len(spent),
            problems=len(spent),
            cost=cost,
            source=source,
        )


def _total(name: str, amounts: Iterable[Amounts]) -> Cost:
    try:
        return total(Cost(**found) for found in amounts)
    except (TypeError, ValueError) as problem:
        raise InputError(f"rows of {name}", f"hold amounts that cannot be: {problem}") from None


def summed(amounts: Iterable[Amounts]) -> dict[str, float]:
    """The sums by currency; one that a row does not name counts as nothing there."""
    rows = list(amounts)
    found = {name: sum(row.get(name, 0.0) for row in rows) for name in CURRENCIES}
    return {name: value for name, value in found.items() if value}


def mean(amounts: Iterable[Amounts]) -> dict[str, float]:
    """The same for one row on average."""
    rows = list(amounts)
    return {name: value / len(rows) for name, value in summed(rows).items()}


def most_spent(rows: Iterable[Adaptation], currency: Currency) -> float | None:
    """The most that one adaptation took in the trial's currency, None where some amount is unknown or there is none."""
    spent = [[part.get(currency.value) for part in row.spent.values()] for row in rows]
    if any(value is None for parts in spent for value in parts):
        return None
    return max((sum(value for value in parts if value is not None) for parts in spent), default=None)


def reward_runs(investments: Mapping[tuple[str, str], Mapping[int, Investment]]) -> tuple[RewardRun, ...]:
    """The rounds of each arm's outer loop; rounds of one name in several seeds are one run of more problems."""
    found: list[RewardRun] = []
    for (domain, method), rows in investments.items():
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
    return first.model_copy(
        update={
            "name": name,
            "problems": sum(run.problems for run in alike),
            "kept": sum(run.kept for run in alike),
            "questions": tuple(n for run in alike for n in run.questions) if whole else (),
            "correct": tuple(rows for run in alike for rows in run.correct or ()) if whole else None,
            "means": tuple(row for rows in means for row in rows) if len(means) == len(alike) else None,
            "deviations": tuple(row for rows in deviations for row in rows) if len(deviations) == len(alike) else None,
            "updates": fmean(known) if len(known := [r.updates for r in alike if r.updates is not None]) else None,
        }
    )
