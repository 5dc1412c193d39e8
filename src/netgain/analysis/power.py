"""What a design can see: the smallest true difference that it would detect."""

import numpy as np
from scipy import optimize, stats

from netgain.analysis.intervals import constant
from netgain.analysis.table import Floats


def smallest_detectable(differences: Floats, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The true mean difference that a two-sided test at ``alpha`` over these problems finds with this ``power``.

    From the spread of the paired differences (one a problem), by the non-central t distribution. A fraction; None
    for fewer than three problems. Where all differences are equal there is no spread to plan with: None. Only the
    tail on the effect's side is counted; the other holds less than 1e-6 at usual powers.
    """
    units = len(differences)
    if units < 3 or constant(differences):
        return None
    error = float(np.std(differences, ddof=1) / np.sqrt(units))
    critical = float(stats.t.ppf(1 - alpha / 2, units - 1))

    def shortfall(shift: float) -> float:
        return float(stats.nct.sf(critical, units - 1, shift)) - power

    return float(optimize.brentq(shortfall, 0.1, critical + 3.0)) * error
