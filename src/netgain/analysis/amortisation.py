"""An investment spread over deployments: after ``n`` problems an arm has spent ``bill + n * adapt``."""

import math


def per_problem(adapt: float, bill: float, deployments: int) -> float:
    """What one problem costs when the bill is shared by this many."""
    if deployments < 1:
        raise ValueError(f"deployments = {deployments}: a bill is shared by at least one problem")
    return adapt + bill / deployments


def break_even(bill: float, adapt: float, rival_adapt: float) -> int | None:
    """The number of problems after which ``bill + n * adapt`` is no more than ``n * rival_adapt``.

    None where it never is: the rival costs no more for each problem (or by next to nothing), so a positive bill is
    never earned back.
    """
    saving = rival_adapt - adapt
    if bill <= 0:
        return 0 if saving >= 0 else None
    after = bill / saving if saving > 0 else math.inf
    return math.ceil(after) if math.isfinite(after) else None
