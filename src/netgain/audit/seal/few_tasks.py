"""What SEAL's paper says of its few-shot experiment, whose files hold one row of the table, with the intervals."""

from collections.abc import Iterator

from netgain.analysis.intervals import Interval, wilson, wilson_over
from netgain.audit.seal.files import SealFiles
from netgain.audit.seal.pricing import PAPER
from netgain.records.claim import Finding

FEW_SHOT_TASKS = 8
# Table 1 of the paper, as counts: what was adapted, how many of its models were right, how many a task had.
FEW_SHOT = (("in context", 0, 1), ("training on unselected self-edits", 8, 5), ("SEAL", 29, 5))


def few_tasks(files: SealFiles) -> Iterator[Finding]:
    """The intervals that table 1 leaves out, where the few-shot experiment is among the files.

    The edits of one task share its training pairs and its test grids, so that the tasks are the independent units.
    """
    if not files.grids:
        return
    told = {
        f"{label}: {right} of {FEW_SHOT_TASKS * edits}": right / (FEW_SHOT_TASKS * edits)
        for label, right, edits in FEW_SHOT
    }
    over = {label: wilson_over(share, FEW_SHOT_TASKS) for label, share in told.items()}
    seal, (_, right, edits) = over[list(over)[-1]], FEW_SHOT[-1]
    models = FEW_SHOT_TASKS * edits
    yield Finding(
        check="few-tasks",
        severity="low",
        message=(
            f"few-shot ARC: SEAL's {100 * seal.value:.1f} % is {right} of {models} adapted models, {edits} for each of "
            f"{FEW_SHOT_TASKS} tasks: 95 % interval {_per_cent(seal)} over tasks, which are what was drawn; "
            f"{_per_cent(wilson(right, models))} if all {models} were independent"
        ),
        evidence=(
            *(f"{label} ({100 * one.value:.1f} %), {_per_cent(one)} over tasks" for label, one in over.items()),
            f"{PAPER}, table 1; which of the {FEW_SHOT_TASKS} tasks were solved how often is in no file",
            "the tasks were chosen for being solved after training with the best settings (100 %)",
            "by the released commands: of 11 training tasks with edits 10 are rewarded (5bd6f4ac is not); of the 8 "
            "tasks examined ce8d95cc has no edits and counts as wrong (self-edit.py, eval-self-edits.py, README.md)",
        ),
    )


def _per_cent(interval: Interval) -> str:
    return f"[{100 * interval.low:.0f}, {100 * interval.high:.0f}]"
