"""Arithmetic of stated figures: what counts and standard errors allow, and whether places agree.

None of these calls a figure wrong: each says what the arithmetic excludes and what would explain it.
"""

import math
from collections.abc import Iterator

from netgain.analysis.findings import finding
from netgain.analysis.sentences import points
from netgain.analysis.verdict import Verdict
from netgain.records.claim import Arm, Claim, Finding
from netgain.records.stated import Stated

EXPLAINED = "a macro-average, several seeds, partial credit or a slip would explain it"
SLACK = 0.03  # of a standard error: it is itself rounded
HALF = 0.5 + 1e-6  # of the last digit, whichever way a half is rounded


def unreachable(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Accuracies that no whole number of right answers gives at the digits stated: k of n, samples and runs counted."""
    found = [text for arm in claim.arms if (text := _unreachable(arm)) is not None]
    if found:
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        yield finding("unreachable-score", "medium", f"{found[0]}{others}; {EXPLAINED}", found)


def _unreachable(arm: Arm) -> str | None:
    stated = arm.stated
    if stated is None or stated.digits is None or arm.accuracy is None or not arm.n_questions or stated.partial_credit:
        return None
    if arm.correct is not None and arm.averaged == "problems":
        return None  # a mean of problems' means is no k of n, and its verdicts are there
    answers = arm.n_questions * (stated.samples or 1) * (arm.seeds or 1)
    step = 10.0**-stated.digits
    below = math.floor(arm.accuracy * answers)
    near = [count for count in (below, below + 1) if count <= answers]
    if any(abs(count / answers - arm.accuracy) <= HALF * step for count in near):
        return None
    places = max(0, stated.digits - 2)
    counts = " and ".join(f"{count} of {answers:,} is {100 * count / answers:.{places + 1}f} %" for count in near)
    return f"{arm.label}: {100 * arm.accuracy:.{places}f} % of {answers:,} answers is no count of right ones ({counts})"


def standard_error_misfits(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """Standard errors that independent questions do not give for the accuracy and number stated."""
    for arm in claim.arms:
        stated, n, p = arm.stated, arm.n_questions, arm.accuracy
        if stated is None or stated.standard_error is None or not n or n < 2 or p is None or (stated.samples or 1) > 1:
            continue
        expected = [math.sqrt(p * (1 - p) / count) for count in (n, n - 1)]
        low, high = min(expected) * (1 - SLACK) - 0.0005, max(expected) * (1 + SLACK) + 0.0005
        if low <= stated.standard_error <= high:
            continue
        asked = f"{100 * p:.1f} % of {n:,} questions"
        yield finding(
            "standard-error-misfits",
            "medium",
            f"{arm.label}: a standard error of {100 * stated.standard_error:.1f} points is stated with {asked}, where "
            f"independent questions give {100 * min(expected):.1f} to {100 * max(expected):.1f}"
            f"{_belongs(stated.standard_error, n, p)}; clusters, several samples or a slip would explain it",
            [str(source) for source in arm.sources],
        )


def _belongs(error: float, n: int, p: float) -> str:
    """The count of right answers that a standard error belongs to, where it is one."""
    spread = 1 - 4 * error**2 * (n - 1)
    if spread < 0:
        return ""
    share = (1 - math.sqrt(spread)) / 2 if p <= 0.5 else (1 + math.sqrt(spread)) / 2
    count = round(share * n)
    fits = abs(math.sqrt(count / n * (1 - count / n) / (n - 1)) - error) <= 0.0005
    return f" and {100 * error:.1f} is that of {count} of {n} ({100 * count / n:.1f} %)" if fits else ""


def places_disagree(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """One figure that text, table and log of a publication state differently."""
    for arm in claim.arms:
        stated = arm.stated or Stated()
        digits = stated.digits if stated.digits is not None else 3
        apart = {
            place: value
            for place, value in stated.elsewhere.items()
            if arm.accuracy is not None and abs(value - arm.accuracy) > HALF * 10.0**-digits
        }
        if apart and arm.accuracy is not None:
            others = ", ".join(f"{100 * value:.1f} % in {place}" for place, value in apart.items())
            first = max(apart.values(), key=lambda value: abs(value - (arm.accuracy or 0.0)))
            yield finding(
                "places-disagree",
                "medium",
                f"{arm.label} is {100 * arm.accuracy:.1f} % where it is claimed and {others}: "
                f"{points(first - arm.accuracy)} points",
                [str(source) for source in arm.sources],
            )


def measured_differently(claim: Claim, verdict: Verdict) -> Iterator[Finding]:
    """The same arm measured again, by others or under another protocol, and how much of that its questions scatter."""
    for arm in claim.arms:
        again = (arm.stated or Stated()).again
        if not again or arm.accuracy is None:
            continue
        place, other = max(again.items(), key=lambda item: abs(item[1] - (arm.accuracy or 0.0)))
        apart, mine = abs(other - arm.accuracy), arm.accuracy
        answers = (arm.n_questions or 0) * ((arm.stated or Stated()).samples or 1)
        noise = 2 * math.sqrt((mine * (1 - mine) + other * (1 - other)) / answers) if answers else None
        beyond = noise is not None and apart > noise
        scatter = (
            "; how many questions it answered is not stated, so its own noise is unknown"
            if noise is None
            else f", {'more than' if beyond else 'within'} what {answers:,} answers scatter ({100 * noise:.1f})"
        )
        yield finding(
            "measured-differently",
            "medium" if beyond else "low",
            f"{arm.label} is {100 * mine:.1f} % here and {100 * other:.1f} % in {place}: {100 * apart:.1f} points "
            f"apart{scatter}; a gain over one protocol is not a gain over another",
            [f"{name}: {100 * value:.1f} %" for name, value in again.items()],
        )


STATED_CHECKS = (unreachable, standard_error_misfits, places_disagree, measured_differently)
