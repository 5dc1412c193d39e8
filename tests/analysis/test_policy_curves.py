"""The course of a policy gradient in words: peak and end are told apart, and a collapse is called one."""

from types import ModuleType

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.policy_curves import collapsed, told
from netgain.records.policy_run import PolicyRun, PolicyStep
from netgain.records.samples import Investment
from netgain.report.page import render
from netgain.trials.trial_claim import claim_of


def run_of(*rewards: float, kept: int | None = None, **more: list[float]) -> PolicyRun:
    steps = [
        PolicyStep(step=step, texts=8, reward=reward, flops=1e9 * step, **{k: v[step - 1] for k, v in more.items()})
        for step, reward in enumerate(rewards, start=1)
    ]
    return PolicyRun(arm="grpo", seed=0, steps=tuple(steps), kept=kept or len(steps))


def test_a_run_that_rises_and_stays_up_has_not_collapsed() -> None:
    run = run_of(0.4, 0.5, 0.6, 0.7, 0.65)
    assert not collapsed(run)
    assert told(run, "GRPO") == (
        "GRPO, seed 0: reward 0.45 at step 2, highest 0.68 at step 5, 0.68 at the end (step 5)."
    )


@pytest.mark.parametrize("rewards", [(0.4, 0.6, 0.8, 0.3, 0.2), (0.6, 0.4, 0.4), (0.6, 0.1, 0.0)])
def test_one_that_ends_far_below_its_peak_or_its_beginning_has(rewards: tuple[float, ...]) -> None:
    assert collapsed(run_of(*rewards))
    assert "it collapsed" in told(run_of(*rewards), "GRPO")


def test_one_that_ends_in_texts_of_no_use_has_whatever_its_reward_says() -> None:
    assert collapsed(run_of(-1.0, -1.0, -1.0, invalid=[0, 3, 6]))
    assert not collapsed(run_of(-1.0, -2.0, -3.0, invalid=[0, 0, 0]))


def test_what_was_measured_on_problems_held_out_decides_over_the_reward() -> None:
    run = run_of(0.2, 0.5, 0.9, development=[0.6, 0.7, 0.2], kept=2)
    assert collapsed(run)
    course = "accuracy on problems held out 0.60 at step 1, highest 0.70 at step 2, 0.20 at the end (step 3)"
    assert told(run, "GRPO") == f"GRPO, seed 0: {course}: it collapsed; step 2 was kept."


def test_the_page_shows_the_curves_and_says_which_run_collapsed(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, problems=6)
    rows = simulated.rows_of(design)
    learner = next(row for row in rows if isinstance(row, Investment) and row.rung == 1.0)
    bad, good = run_of(0.6, 0.5, 0.05), run_of(0.4, 0.5, 0.6)
    planted = [
        row.model_copy(update={"policy": (bad if row is learner else good).steps, "policy_kept": 3})
        if isinstance(row, Investment) and row.arm == learner.arm
        else row
        for row in rows
    ]
    verdict = judge(claim_of(simulated.spec_of(design), planted, simulated.ROLES))
    page = render(verdict)
    assert [one.check for one in verdict.findings].count("policy-collapse") == 1
    assert page.count("it collapsed") >= 2  # in the findings and below the curves
    assert "the course of its policy gradient" in page
    plain = judge(claim_of(simulated.spec_of(design), rows, simulated.ROLES))
    assert "The course of policy gradients" not in render(plain)
