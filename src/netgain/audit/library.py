"""The library: published claims that ship with the package, each read again by the same judge, in one table.

A card holds what a publication states, each figure with the place where it was read; what it does not state stays
unknown, and then the table says that it cannot tell.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from typing import Any, Literal, final

from netgain.analysis.intervals import Interval
from netgain.analysis.verdict import Verdict, primary_row
from netgain.audit.audit import audit, read_claim
from netgain.audit.checks.claim_checks import claimed_gain, controls, led_against
from netgain.records.claim import UNTRAINED, Arm, Claim

MATCHED = ("method", "nothing left", "rival ahead", "no gain", "no difference")
# Which finding tells most about a claim that cannot be matched, in this order, and in words.
DECIDING = {
    "places-disagree": "text, table and log differ",
    "inference-differs": "answers drawn at the exam",
    "starts-differ": "where training starts",
    "frozen-model-differs": "the frozen baselines differ",
    "fine-tuning-starved": "the baseline's updates",
    "unequal-training": "what the arms were trained on",
    "peak-reported": "the best checkpoint is reported, not the last",
    "no-fine-tuning-arm": "no trained baseline",
    "compute-not-reported": "the arms' compute is not stated",
}
Outcome = Literal["stands", "changes", "cannot tell"]


@final
@dataclass(frozen=True)
class LibraryRow:
    """One claim: what each side was given, the gain as claimed, and what is left of it at equal compute.

    ``claimed`` is a fraction, ``left`` what remains against ``against``; both None where unknown. ``decides`` is the
    check on which the outcome rests. ``read`` says whether it was read in data, the primary text or a summary.
    """

    name: str
    title: str
    paper: str
    read: str
    treated: str
    baseline: str
    claimed: float | None
    left: Interval | None
    left_value: float | None
    against: str
    outcome: Outcome
    decides: str
    reports_compute: bool
    reports_seeds: bool
    trained_baseline: bool
    regressions: bool

    def dump(self) -> dict[str, Any]:
        """The row as JSON-ready data."""
        return asdict(self)


@final
@dataclass(frozen=True)
class LibrarySummary:
    """Of so many claims, how many report what, and how many verdicts change at equal compute."""

    claims: int
    from_data: int
    from_primary_text: int
    report_compute: int
    report_seeds: int
    trained_baseline: int
    regressions: int
    comparable: int
    stand: int
    change: int

    @property
    def lines(self) -> list[str]:
        """The summary as sentences."""
        n = self.claims
        return [
            f"Of {n} claims {self.report_compute} report the training compute of their arms (updates, tokens, FLOPs or "
            f"device time), as far as was read.",
            f"{self.report_seeds} of {n} report several training runs.",
            f"{self.trained_baseline} of {n} have a trained baseline with a figure.",
            f"{self.regressions} of {n} show what got worse.",
            f"At equal compute, or against a control that the publication ran itself, {self.comparable} of {n} can be "
            f"judged: {self.change} of them change (less than half of the gain is left, or its interval contains "
            f"zero), {self.stand} stand. Of the other {n - self.comparable} nobody can tell from what was read.",
            f"{self.from_data} of {n} were read from result files, {self.from_primary_text} in the primary text; the "
            f"other {n - self.from_data - self.from_primary_text} wholly or partly in summaries, and say so.",
        ]


def library() -> list[Claim]:
    """All claims that ship, by name. Raises InputError for a card that breaks a rule."""
    found = []
    with as_file(files("netgain.audit") / "published") as folder:
        for path in sorted(folder.iterdir()):
            if path.suffix in {".yaml", ".json"}:
                found.append(read_claim(path).model_copy(update={"name": path.stem}))
    return found


def library_rows(claims: Sequence[Claim]) -> list[LibraryRow]:
    """Every claim judged."""
    return [library_row(claim, audit(claim)) for claim in claims]


def library_row(claim: Claim, verdict: Verdict) -> LibraryRow:
    """One claim's row from its verdict."""
    lead = next((arm for arm in claim.arms if arm.name == claim.headline), None)
    from_data = _from_data(claim)
    other = _frozen(claim, lead) if from_data else led_against(claim)
    claimed = _gain(verdict, lead, other) if from_data else claimed_gain(claim)
    left, value, against = _left(claim, verdict)
    changed = value is not None and ((left is not None and left.low <= 0) or (claimed and value < claimed / 2))
    outcome: Outcome = "cannot tell" if value is None else "changes" if changed else "stands"
    return LibraryRow(
        name=claim.name,
        title=claim.title,
        paper=claim.paper or claim.url,
        read=claim.read or ("data" if from_data else ""),
        treated=_given(verdict, lead),
        baseline=_given(verdict, other),
        claimed=claimed,
        left=left,
        left_value=value,
        against=against,
        outcome=outcome,
        decides=_decides(claim, verdict, value),
        reports_compute=_reports_compute(claim),
        reports_seeds=any((arm.seeds or 0) > 1 for arm in claim.arms) or any(len(c.runs) > 1 for c in claim.continual),
        trained_baseline=any(_trained(arm) for arm in claim.arms if lead and arm.setting == lead.setting),
        regressions=bool(claim.losses) or bool(claim.regressions and claim.regressions.answer == "yes"),
    )


def library_summary(rows: Sequence[LibraryRow]) -> LibrarySummary:
    """The rows counted."""
    return LibrarySummary(
        claims=len(rows),
        from_data=sum(row.read == "data" for row in rows),
        from_primary_text=sum(row.read == "primary text" for row in rows),
        report_compute=sum(row.reports_compute for row in rows),
        report_seeds=sum(row.reports_seeds for row in rows),
        trained_baseline=sum(row.trained_baseline for row in rows),
        regressions=sum(row.regressions for row in rows),
        comparable=sum(row.outcome != "cannot tell" for row in rows),
        stand=sum(row.outcome == "stands" for row in rows),
        change=sum(row.outcome == "changes" for row in rows),
    )


def _from_data(claim: Claim) -> bool:
    return any(arm.correct is not None for arm in claim.arms)


def _frozen(claim: Claim, lead: Arm | None) -> Arm | None:
    beside = (arm for arm in claim.arms if lead and arm.setting == lead.setting and arm.role == "frozen")
    return next(beside, None)


def _gain(verdict: Verdict, lead: Arm | None, other: Arm | None) -> float | None:
    """Of result files: over the untrained model, as measured beside the arm where it was."""
    if lead is None:
        return None
    mine = verdict.arm(lead.name)
    base = mine.frozen_accuracy if mine.frozen_accuracy is not None else other.accuracy if other else None
    return None if mine.accuracy is None or base is None else mine.accuracy - base


def _left(claim: Claim, verdict: Verdict) -> tuple[Interval | None, float | None, str]:
    """What is left at equal compute; else against the publication's own control that leaves least; else unknown."""
    labels = {arm.name: arm.label for arm in claim.arms}
    row = primary_row(verdict.decomposition, claim.headline)
    if row is not None and row.method_part is not None and verdict.headline.kind in MATCHED:
        unknown = [] if verdict.arm(row.arm).flops_per_problem is not None else ["tokens and FLOPs unknown"]
        against = "; ".join([f"{labels[row.rival or '']}, equal {row.currency}", *unknown])
        return row.method_part, row.method_part.value, against
    beside = {arm.name for arm in controls(claim)}
    found = [one for one in verdict.comparisons if one.a == claim.headline and one.b in beside]
    if not found:
        return None, None, ""
    least = min(found, key=lambda one: one.difference)
    known = least.low is not None and least.high is not None
    interval = Interval(least.difference, least.low or 0.0, least.high or 0.0) if known else None
    return interval, least.difference, f"{labels[least.b]}, the publication's own control"


def _decides(claim: Claim, verdict: Verdict, left: float | None) -> str:
    lead = next((arm.label for arm in claim.arms if arm.name == claim.headline), "")
    about = [f for f in verdict.findings if f.check != "places-disagree" or f.message.startswith(lead)]
    checks = [finding.check for finding in about]
    if left is not None:
        return "own control" if verdict.headline.kind not in MATCHED else "equal compute"
    other = None if _from_data(claim) else led_against(claim)
    against = [row for row in verdict.comparisons if other and (row.a, row.b) == (claim.headline, other.name)]
    if "places-disagree" not in checks and any(row.low is not None and row.low <= 0 for row in against):
        return "the interval of the claimed gain contains zero"
    return next((words for check, words in DECIDING.items() if check in checks), "what each arm took is not stated")


def _given(verdict: Verdict, arm: Arm | None) -> str:
    """An arm with what it was given: in the publication's words, else as counted."""
    if arm is None:
        return "not stated"
    if arm.stated and arm.stated.given:
        return f"{arm.label}: {arm.stated.given}"
    if arm.role in UNTRAINED:
        return f"{arm.label}: no training"
    updates = verdict.arm(arm.name).updates_per_problem
    return f"{arm.label}: {f'{updates:,.3g} updates a problem' if updates is not None else 'not stated'}"


def _reports_compute(claim: Claim) -> bool:
    kinds = ("gradient updates", "training tokens", "FLOPs", "device time of each arm")
    return any(claim.reported.get(kind) is not None for kind in kinds)


def _trained(arm: Arm) -> bool:
    return arm.conventional and arm.role not in UNTRAINED and arm.accuracy is not None
