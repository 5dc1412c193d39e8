"""What a claim leads with, and what stands beside it in the same publication."""

from collections.abc import Iterator

from netgain.analysis.findings import finding
from netgain.analysis.sentences import points, span
from netgain.analysis.verdict import Comparison, Verdict
from netgain.records.claim import UNTRAINED, Arm, Claim, Finding
from netgain.records.stated import Stated


def led_against(claim: Claim) -> Arm | None:
    """The arm that the claim is stated over: its rival, else the frozen model of the headline arm's setting."""
    lead = next((arm for arm in claim.arms if arm.name == claim.headline), None)
    if lead is None:
        return None
    beside = [arm for arm in claim.arms if arm.setting == lead.setting and arm.name != lead.name]
    rival = next((arm for arm in beside if arm.name == claim.rival), None)
    return rival or next((arm for arm in beside if arm.role == "frozen"), None)


def claimed_gain(claim: Claim) -> float | None:
    """The gain that is claimed: between the two accuracies, else as stated."""
    lead, other = next((arm for arm in claim.arms if arm.name == claim.headline), None), led_against(claim)
    if lead is None:
        return None
    if other is not None and lead.accuracy is not None and other.accuracy is not None:
        return lead.accuracy - other.accuracy
    return (lead.stated or Stated()).gain


def controls(claim: Claim) -> list[Arm]:
    """The controls that the publication itself ran, in the claim's order."""
    return [arm for arm in claim.arms if arm.stated and arm.stated.control and arm.name != claim.headline]


def inference_differs(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """A headline figure that takes more answers to a question than what it is compared with."""
    lead = next((arm for arm in claim.arms if arm.name == claim.headline), None)
    other = led_against(claim)
    if lead is None or other is None:
        return
    mine, theirs = ((arm.stated or Stated()).answers for arm in (lead, other))
    if mine and mine > (theirs or 1):
        known = f"{theirs:,}" if theirs else "an unstated number, one as far as is known,"
        yield finding(
            "inference-differs",
            "high",
            f"{lead.label} draws {mine:,} answers for each question, {other.label} {known}: a part of the difference "
            "is bought at the exam",
            [f"{arm.label}: {arm.stated.answers:,} answers" for arm in claim.arms if arm.stated and arm.stated.answers],
        )


def peak_reported(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Accuracies of a better checkpoint than the last, whose training ended lower."""
    fallen = [
        (arm.label, arm.accuracy, arm.stated.end)
        for arm in claim.arms
        if arm.stated and arm.stated.end is not None and arm.accuracy is not None and arm.stated.end < arm.accuracy
    ]
    if fallen:
        label, best, end = max(fallen, key=lambda row: row[1] - row[2])
        yield finding(
            "peak-reported",
            "medium",
            f"{label} is reported at its best, {best:.1%}; at the end of its training it has {end:.1%} "
            f"({points(end - best)} points): how the checkpoint is chosen is part of the method",
            [f"{name}: {top:.1%} at its best, {last:.1%} at the end" for name, top, last in fallen],
        )


def chosen_on_test(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Checkpoints chosen on the questions that they are then reported on."""
    found = [arm.label for arm in claim.arms if arm.stated and arm.stated.chosen_on == "test"]
    if found:
        yield finding(
            "chosen-on-test",
            "medium",
            f"the checkpoint of {', '.join(found)} was chosen on the questions that it is reported on: the best of "
            "several looks better there than it is",
            [],
        )


def losses_not_claimed(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Figures that got worse and stand in a table, but not in the claim."""
    worse = [loss for loss in claim.losses if loss.after < loss.before and not loss.told]
    if worse:
        lines = [
            f"{loss.what}: {loss.before:.1%} to {loss.after:.1%} ({points(loss.after - loss.before)}); {loss.source}"
            for loss in worse
        ]
        yield finding(
            "losses-not-claimed",
            "medium",
            f"in the publication's own figures {len(worse)} got worse, which its claim does not tell: "
            f"{', '.join(f'{loss.what} {points(loss.after - loss.before)}' for loss in worse)}",
            lines,
        )


def own_control(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """A control that the publication ran itself and that takes most of the gain, without leading with it."""
    lead = next((arm for arm in claim.arms if arm.name == claim.headline), None)
    other = led_against(claim)
    for arm in controls(claim):
        row = next((r for r in verdict.comparisons if (r.a, r.b) == (claim.headline, arm.name)), None)
        if lead is None or row is None or other is arm:
            continue
        claimed = claimed_gain(claim)
        takes = (row.low is not None and row.low <= 0) or (claimed is not None and row.difference < claimed / 2)
        beside = f", where it claims {points(claimed)} over {other.label if other else 'its start'}" if claimed else ""
        yield finding(
            "own-control",
            "high" if takes else "note",
            f"the publication itself ran a control, {arm.label} ({arm.stated.control if arm.stated else ''}): "
            f"{lead.label} is {_difference(row)} over it{beside}",
            [str(source) for source in arm.sources],
        )


def _difference(row: Comparison) -> str:
    known = row.low is not None and row.high is not None
    return f"{points(row.difference)} points" + (f" {span(row.low or 0.0, row.high or 0.0)}" if known else "")


def seeds_not_stated(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Trained arms of which it is not stated how often they were trained."""
    trained = [arm for arm in claim.arms if arm.role not in UNTRAINED and arm.accuracy is not None and not arm.trial]
    silent = [arm.label for arm in trained if arm.seeds is None]
    if silent:
        yield finding(
            "seeds-not-stated",
            "medium",
            f"how often it was trained is not stated of {len(silent)} of {len(trained)} trained arms: the spread "
            "between runs is unknown",
            silent,
        )


def read_in_a_summary(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Figures that were not read in the primary text."""
    if claim.read in ("summary", "primary text in part"):
        which = "its figures" if claim.read == "summary" else "some of its figures"
        yield finding(
            "not-checked-against-primary-text",
            "medium",
            f"{which} were read in somebody's summary, not in the publication: check them there before citing this",
            [str(source) for arm in claim.arms for source in arm.sources if source.sure == "summary"],
        )


CLAIM_CHECKS = (
    inference_differs,
    own_control,
    peak_reported,
    chosen_on_test,
    losses_not_claimed,
    seeds_not_stated,
    read_in_a_summary,
)
