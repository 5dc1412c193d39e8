"""What the curves of outer loops say: where a run began, its peak, its end, whether it collapsed; and how often each
kind of loop does, whatever its settings."""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from scipy import special

from netgain.analysis.evidence import Evidence
from netgain.analysis.intervals import LEVEL, Interval
from netgain.analysis.matching import best_of
from netgain.analysis.rows import LoopRow
from netgain.records.claim import Claim, Finding
from netgain.records.learning import PolicyRun, PolicyStep

WINDOW = 2  # steps: the reward of a single batch is mostly luck
USELESS = 0.5  # of a step's texts of no use: more than that is a collapse whatever the others earn
Series = list[tuple[int, float]]


def measured(steps: Sequence[PolicyStep]) -> tuple[str, Series]:
    """What a run is judged by, and its values by step: accuracy on problems held out where it was measured twice, else
    the reward, as means over neighbouring steps."""
    checked = [(one.step, one.development) for one in steps if one.development is not None]
    if len(checked) > 1:
        return "accuracy on problems held out", checked
    rewarded = [(one.step, one.reward) for one in steps if one.reward is not None]
    width = max(1, min(WINDOW, len(rewarded) - 1))
    means = [fmean(value for _, value in rewarded[i : i + width]) for i in range(len(rewarded) - width + 1)]
    return "reward", [(rewarded[i + width - 1][0], mean) for i, mean in enumerate(means)]


def collapsed(run: PolicyRun) -> bool:
    """Whether a run ended below half of its peak or three quarters of where it began, or in texts of no use.

    A reward that may be below 0 has no such halves; of that only the texts are told.
    """
    drawn = [one for one in run.steps if one.texts]
    if drawn and drawn[-1].invalid > USELESS * drawn[-1].texts >= drawn[0].invalid:
        return True
    _, values = measured(run.steps)
    first = next((one.reward for one in drawn if one.reward is not None), None)
    numbers = [value for _, value in values]
    if len(numbers) < 2 or min(numbers) < 0:
        return False
    began = numbers[0] if first is None or values[0][0] == 0 else first
    return numbers[-1] < max(max(numbers) / 2, 0.75 * began)


def told(run: PolicyRun, label: str) -> str:
    """A run in one sentence."""
    name, values = measured(run.steps)
    who = f"{label}, seed {run.seed}"
    if not values:
        return f"{who}: no reward was measured."
    step, peak = max(values, key=lambda one: (one[1], -one[0]))
    last, end = values[-1]
    text = f"{who}: {name} {values[0][1]:.2f} at step {values[0][0]}, highest {peak:.2f} at step {step}"
    text += f", {end:.2f} at the end (step {last})" + (": it collapsed" if collapsed(run) else "")
    return text + ("" if run.kept is None or run.kept == run.steps[-1].step else f"; step {run.kept} was kept") + "."


def findings_of(claim: Claim) -> Iterator[Finding]:
    """The runs that collapsed, each with its course."""
    labels = {arm.name: arm.label for arm in claim.arms}
    for run in claim.policy_runs:
        if collapsed(run):
            course = told(run, labels.get(run.arm, run.arm))
            yield Finding(
                check="policy-collapse",
                severity="medium",
                message="an outer loop collapsed: its arm is not what the method can do with other settings",
                evidence=(course,),
            )


# -- how stable each kind of loop is


def loop_rows(evidence: Evidence) -> list[LoopRow]:
    """Each kind of outer loop of a trial that has policy gradients among them, a setting after the other."""
    runs = [run for run in evidence.claim.policy_runs if run.loop and run.arm in evidence.arms]
    rows = []
    for setting in evidence.domains:
        own = [run for run in runs if evidence.arms[run.arm].setting == setting]
        loops = list(dict.fromkeys(run.loop for run in own))
        best = {loop: _best(evidence, [run.arm for run in own if run.loop == loop]) for loop in loops}
        for loop in loops:
            rows.append(_loop(evidence, setting, loop, [run for run in own if run.loop == loop], best[loops[0]]))
    return rows


def _best(evidence: Evidence, arms: Sequence[str]) -> str | None:
    """The arm with the highest accuracy on development problems; None where nobody measured it."""
    known = [arm for arm in dict.fromkeys(arms) if evidence.trial(arm).development is not None]
    return best_of(evidence, known)[0] if known else None


def _loop(evidence: Evidence, setting: str, loop: str, runs: Sequence[PolicyRun], first: str | None) -> LoopRow:
    arms = list(dict.fromkeys(run.arm for run in runs))
    seeds = [evidence.by_seed(arm) for arm in arms]
    spreads = [stdev(values) for values in seeds if len(values) > 1]
    best, fallen = _best(evidence, arms), sum(map(collapsed, runs))
    return LoopRow(
        setting=setting,
        loop=loop,
        arms=len(arms),
        runs=len(runs),
        collapsed=fallen,
        share=share_of(fallen, len(runs)),
        deviation=fmean(spread**2 for spread in spreads) ** 0.5 if spreads else None,
        accuracy=fmean(fmean(values) for values in seeds if values) if any(seeds) else None,
        best=best,
        best_accuracy=None if best is None else evidence.accuracy(best, evidence.exam),
        over=evidence.over(first, best) if first and best and first != best else None,
    )


def share_of(count: int, whole: int) -> Interval:
    """A share of independent runs with its exact interval (Clopper and Pearson 1934, Biometrika 26)."""
    tail = (1 - LEVEL) / 2
    low = float(special.betaincinv(count, whole - count + 1, tail)) if count else 0.0
    high = float(special.betaincinv(count + 1, whole - count, 1 - tail)) if count < whole else 1.0
    return Interval(count / whole, low, high)
