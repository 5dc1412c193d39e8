"""The gap taken apart: what compute buys and what the method adds."""

from dataclasses import dataclass
from typing import final

from netgain.analysis.intervals import FEWEST_TO_RESAMPLE, Estimate, estimate, from_resamples, newcombe
from netgain.analysis.table import Floats


@final
@dataclass(frozen=True, slots=True)
class Decomposition:
    """``gap`` = arm - frozen, ``compute_part`` = rival - frozen, ``method_part`` = arm - rival.

    All three come from the same resamples, so compute and method part add up to the gap in each. ``share`` is the
    method's part of the gap, given only where the gap's interval excludes zero.
    """

    gap: Estimate
    compute_part: Estimate
    method_part: Estimate
    share: Estimate | None


def decompose_unpaired(arm: Estimate, rival: Estimate, frozen: Estimate) -> Decomposition:
    """The same from three independent proportions (Newcombe's intervals); no share, since nothing is paired."""
    return Decomposition(newcombe(arm, frozen), newcombe(rival, frozen), newcombe(arm, rival), None)


def decompose(arm: Floats, rival: Floats, frozen: Floats, weights: Floats) -> Decomposition:
    """Take the gap apart from per-problem means (same problems, same order) and shared bootstrap weights."""
    gap = estimate(arm - frozen, weights)
    method = estimate(arm - rival, weights)
    share = None
    if gap.excludes_zero and len(arm) >= FEWEST_TO_RESAMPLE:
        ratios = (weights @ (arm - rival)) / (weights @ (arm - frozen))
        share = from_resamples(method.value / gap.value, ratios, len(arm))
    return Decomposition(gap, estimate(rival - frozen, weights), method, share)
