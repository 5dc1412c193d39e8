"""The course of a policy gradient in words: peak and end are told apart, and a collapse is called one."""

import re
from math import comb
from types import ModuleType

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.policy_curves import collapsed, share_of, told
from netgain.analysis.verdict import Verdict
from netgain.records.claim import Role
from netgain.records.learning import PolicyRun, PolicyStep
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


# -- how stable each kind of loop is


def test_a_share_of_runs_has_the_exact_interval() -> None:
    """Clopper and Pearson's, against its definition by the binomial distribution."""
    none, some, every = share_of(0, 10), share_of(3, 10), share_of(10, 10)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 10))
    assert every.low == pytest.approx(0.025 ** (1 / 10))
    assert sum(comb(10, k) * some.low**k * (1 - some.low) ** (10 - k) for k in range(3, 11)) == pytest.approx(0.025)
    assert sum(comb(10, k) * some.high**k * (1 - some.high) ** (10 - k) for k in range(4)) == pytest.approx(0.025)


@pytest.fixture(scope="module")
def grid(simulated: ModuleType) -> Verdict:
    """SEAL, which never collapses, beside GRPO under two settings; the second collapses under two of three seeds."""
    arms = {name: simulated.STANDARD[name] for name in ("frozen", "passage", "seal")}
    arms |= {f"grpo-{n}": simulated.Arm("grpo", 0.5 - 0.2 * n, luck=0.05, learns=True) for n in range(2)}
    design = simulated.Design(arms, problems=12, ladder=(1.0,))
    rows = []
    for row in simulated.rows_of(design):
        if isinstance(row, Investment) and row.arm.startswith("grpo"):
            fallen = row.arm == "grpo-1" and row.seed > 0
            course = run_of(*((0.6, 0.4, 0.05) if fallen else (0.4, 0.5, 0.6)))
            row = row.model_copy(update={"policy": course.steps, "policy_kept": 3})
        rows.append(row)
    roles = {**simulated.ROLES, "grpo": Role.SELF_IMPROVING}
    return judge(claim_of(simulated.spec_of(design), rows, roles))


def test_every_kind_of_loop_is_counted_over_its_settings_and_seeds(grid: Verdict) -> None:
    seal, grpo = grid.loops
    assert (seal.loop, seal.arms, seal.runs) == ("seal", 1, 3)
    assert (grpo.loop, grpo.arms, grpo.runs, grpo.collapsed) == ("grpo", 2, 6, 2)
    assert (grpo.share.low, grpo.share.high) == (share_of(2, 6).low, share_of(2, 6).high)
    assert grpo.best == "plain/grpo-0@1"
    assert grpo.deviation is not None
    assert grpo.over is not None
    found, other = grid.arm(seal.best or ""), grid.arm(grpo.best)
    assert grpo.over.value == pytest.approx((found.accuracy or 0) - (other.accuracy or 0))
    assert (seal.over, seal.best) == (None, "plain/seal@1")


def test_the_page_has_them_in_one_table(grid: Verdict) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", render(grid)).split())
    assert "Outer loops over all of their settings and seeds, at equal compute" in text
    assert "2 of 6" in text
    assert "best seal minus it" in text


def test_a_trial_without_policy_gradients_has_no_such_rows(simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, problems=6)
    found = judge(claim_of(simulated.spec_of(design), simulated.rows_of(design), simulated.ROLES))
    assert (found.loops, found.policy) == ([], [])
