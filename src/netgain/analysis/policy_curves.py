"""What the curves of a policy gradient say in words: where it began, its peak, its end, and whether it collapsed."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from netgain.records.claim import Claim, Finding
from netgain.records.policy_run import PolicyRun, PolicyStep

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
    width = min(WINDOW, len(rewarded))
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
                message="a policy gradient collapsed: its arm is not what the method can do at a lower rate",
                evidence=(course,),
            )
