"""What a reader of a trial should know: what is missing or unmatched, and whether its world is a test at all."""

from collections import Counter
from collections.abc import Iterator

from netgain.analysis.sentences import interval, points
from netgain.analysis.trial.choice import best_of, closed_book
from netgain.analysis.trial.evidence import UNTRAINED, TrialEvidence
from netgain.analysis.trial.shape import DomainRow
from netgain.analysis.verdict import ArmRow, Comparison, Interval
from netgain.records.claim import Finding, Role, Severity

CHANCE, READS = 0.2, 0.9
UNREADABLE = 0.05  # of a judge's verdicts: more than that is told
INVENTED = ("people",)
ORDER = ("high", "medium", "low", "note")


def findings(
    trial: TrialEvidence, arms: list[ArmRow], domains: list[DomainRow], compared: list[Comparison]
) -> list[Finding]:
    """The findings of the rows and of the analysis, the severest first."""
    found = [
        *trial.claim.findings,
        *_unfinished(trial),
        *_underspent(arms),
        *_seeds(trial),
        *_choice(domains),
        *_tuned(trial),
    ]
    found += [finding for setting in trial.settings for finding in _world(trial, setting)]
    found += _judge(trial)
    found += _unresolvable(compared, {arm.name: arm.label for arm in arms})
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def _unfinished(trial: TrialEvidence) -> Iterator[Finding]:
    terms = trial.terms
    if terms.runs_done < terms.runs_planned:
        lines = [
            f"{arm.setting}, {arm.label}: {len(t.runs)} of {terms.seeds} seeds, {arm.n_problems} of "
            f"{terms.test_problems} problems"
            for arm, t in trial.arms.values()
            if t.own and arm.role not in UNTRAINED
        ]
        message = f"unfinished: {terms.runs_done} of {terms.runs_planned} runs"
        yield _finding("unfinished", "high", message, lines)


def _underspent(arms: list[ArmRow]) -> Iterator[Finding]:
    short = [arm for arm in arms if arm.underspent and arm.own]
    if short:
        lines = [f"{arm.setting}, {arm.label}: {arm.spent_share or 0:.1%} of its budget" for arm in short]
        yield _finding("underspent", "low", f"{len(short)} arms left more than 1 % of their budget unspent", lines)


def _tuned(trial: TrialEvidence) -> Iterator[Finding]:
    """Arms that had fewer tuning trials than another: there was nothing more to try in them."""
    tries = Counter(search.arm for search in trial.claim.searches)
    most = max(tries.values(), default=0)
    fewer = [
        f"{arm.setting}, {arm.label}: {tries[f'{arm.setting}/{t.method}']} of {most}"
        for arm, t in trial.arms.values()
        if t.own and arm.role not in UNTRAINED and tries[f"{arm.setting}/{t.method}"] < most
    ]
    if fewer:
        yield _finding("tuned-less", "medium", f"{len(fewer)} arms had fewer tuning trials than others", fewer)


def _seeds(trial: TrialEvidence) -> Iterator[Finding]:
    once = [
        f"{arm.setting}, {arm.label}"
        for arm, t in trial.arms.values()
        if t.own and arm.role not in UNTRAINED and len(t.runs) == 1
    ]
    if once:
        message = f"{len(once)} arms were run under one seed; the luck of an outer loop is in none of their intervals"
        yield _finding("single-seed", "medium", message, once)


def _choice(domains: list[DomainRow]) -> Iterator[Finding]:
    on_test = [row.setting for row in domains if row.chosen_on == "test"]
    if on_test:
        message = "the rival was chosen on the test problems, which favours it: no development accuracy is known"
        yield _finding("rival-chosen-on-test", "medium", message, on_test)


def _judge(trial: TrialEvidence) -> Iterator[Finding]:
    found = trial.claim.judging
    asked = found.count + found.unreadable if found else 0
    if found is not None and found.unreadable > UNREADABLE * asked:
        message = f"{found.unreadable:,} of {asked:,} verdicts of the judge could not be read"
        message += "; there exact match stands" if found.decides else ""
        yield _finding("judge-unreadable", "high" if found.decides else "medium", message, [f"judge: {found.model}"])


def _unresolvable(compared: list[Comparison], labels: dict[str, str]) -> Iterator[Finding]:
    row = next((row for row in compared if row.primary), None)
    if row is None or row.low is None or row.high is None or not row.low <= 0 <= row.high:
        return
    if row.smallest_detectable is not None and row.smallest_detectable > (row.equivalence_margin or 0.0):
        message = (
            f"{labels[row.a]} against {labels[row.b]}: so many seeds and problems find a difference of "
            f"{points(row.smallest_detectable)} points in 80 % of cases, and smaller ones less often"
        )
        yield _finding("small-differences-unseen", "note", message, [])


def _world(trial: TrialEvidence, setting: str) -> Iterator[Finding]:
    """Is there something to learn, can the model read, does training teach it? Is there room above the passage?"""
    kind, problems = trial.terms.exam, []
    frozen = trial.frozen(setting)
    base = trial.accuracy(frozen, kind) if frozen else None
    if base and trial.terms.worlds.get(setting) in INVENTED and base.low > CHANCE:
        problems.append(
            f"the frozen model knows the answers beforehand: {base.value:.1%}, chance is below {CHANCE:.0%}"
        )
    for name in trial.of_role(setting, Role.IN_CONTEXT)[:1]:
        read = trial.accuracy(name, kind)
        if read and read.value < READS:
            problems.append(f"with the text at hand only {read.value:.1%} are answered, not {READS:.0%}")
    passages = [name for name in closed_book(trial, setting) if trial.arms[name][0].role is Role.PASSAGE]
    passage = best_of(trial, passages)[0] if passages else None
    if passage and frozen and (gain := _over(trial, passage, frozen)) and gain.low <= 0:
        problems.append(
            f"training on the passage teaches nothing that can be told: {interval(gain)} points over the frozen model"
        )
    teachers = trial.of_role(setting, Role.TEACHER) if trial.terms.oracle else []
    if passage and teachers and (room := _over(trial, best_of(trial, teachers)[0], passage)) and room.low <= 0:
        message = (
            f"{setting}: a perfect writer's text is not clearly better than the passage, so no writer can win much"
        )
        yield _finding("no-room-to-win", "medium", message, [f"{interval(room)} points over the passage"])
    if problems:
        yield _finding("world-is-no-test", "high", f"{setting}: the world is no test of self-improvement", problems)


def _over(trial: TrialEvidence, a: str, b: str) -> Interval | None:
    pair = trial.paired([a, b], trial.terms.exam)
    return None if pair is None else Interval.of(trial.estimate(pair[0] - pair[1]))


def _finding(check: str, severity: Severity, message: str, evidence: list[str]) -> Finding:
    return Finding(check=check, severity=severity, message=message, evidence=tuple(evidence))
