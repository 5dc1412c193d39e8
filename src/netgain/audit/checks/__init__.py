"""What can be wrong with a comparison: one pure function a check, each from a claim and its verdict to findings.

Severity: ``high`` can by itself overturn the headline, ``medium`` weakens it, ``low`` should be mended, ``note`` is
for information. A check that has nothing to work on says nothing, and none calls a figure wrong: it says what would
explain it. They are divided by what they look at: what the arms were given, whether figures agree, what is not told.
"""

from netgain.analysis.findings import severest_first
from netgain.analysis.verdict import Verdict
from netgain.audit.checks.agreeing import (
    baseline_drifts,
    does_not_regenerate,
    few_problems,
    little_overlap,
    unresolvable,
)
from netgain.audit.checks.claim_checks import CLAIM_CHECKS
from netgain.audit.checks.curve_checks import CURVE_CHECKS
from netgain.audit.checks.form import Check
from netgain.audit.checks.given import (
    bill_left_out,
    hyperparameters_differ,
    no_strong_rival,
    other_models,
    settings_changed,
    starts_differ,
    unequal_training,
)
from netgain.audit.checks.stated_checks import STATED_CHECKS
from netgain.audit.checks.untold import (
    compute_not_reported,
    noisy_selection,
    per_question_missing,
    regressions_not_shown,
    rounds_unpublished,
    single_seed,
)
from netgain.records.claim import Claim, Finding

__all__ = [
    "CHECKS",
    "baseline_drifts",
    "bill_left_out",
    "compute_not_reported",
    "does_not_regenerate",
    "few_problems",
    "hyperparameters_differ",
    "little_overlap",
    "no_strong_rival",
    "noisy_selection",
    "other_models",
    "per_question_missing",
    "regressions_not_shown",
    "rounds_unpublished",
    "run_checks",
    "settings_changed",
    "single_seed",
    "starts_differ",
    "unequal_training",
    "unresolvable",
]

CHECKS: tuple[Check, ...] = (
    unequal_training,
    bill_left_out,
    starts_differ,
    other_models,
    hyperparameters_differ,
    baseline_drifts,
    little_overlap,
    compute_not_reported,
    no_strong_rival,
    unresolvable,
    noisy_selection,
    settings_changed,
    regressions_not_shown,
    single_seed,
    per_question_missing,
    does_not_regenerate,
    rounds_unpublished,
    few_problems,
    *STATED_CHECKS,
    *CLAIM_CHECKS,
    *CURVE_CHECKS,
)


def run_checks(claim: Claim, verdict: Verdict) -> list[Finding]:
    """All findings: the reader's own and every check's, the severest first."""
    found = [finding for check in CHECKS for finding in check(claim, verdict)]
    return severest_first([*claim.findings, *found])
