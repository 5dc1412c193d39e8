"""GRPO through a whole trial, on the shipped model and a planted reward: its curve rises, it stays flat under the
placebo, and at too high a learning rate it collapses, which the page says."""

import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from netgain.analysis.policy_curves import collapsed
from netgain.analysis.verdict import Verdict
from netgain.api import judge_folder
from netgain.domains.domain import Domain
from netgain.domains.people import People
from netgain.domains.problem import text_of
from netgain.extensions import find_method
from netgain.methods.rubric import ASPECTS
from netgain.model import Generate, Model, scripted_model
from netgain.records.samples import Investment, read_rows
from netgain.report.page import render
from netgain.strict_yaml import SourceLines
from netgain.trials.resolve import SHIPPED_FOLDER, Trial, resolve_spec
from netgain.trials.schedule import run_trial
from netgain.trials.spec import TrialSpec
from netgain.trials.store import SAMPLES

pytestmark = pytest.mark.skipif(not SHIPPED_FOLDER.is_dir(), reason="needs the shipped model")
pytest.importorskip("netgain.model.hugging_face")

LOOP: dict[str, Any] = {
    **{"method": "grpo", "format": "implications", "reward": "rubric", "rounds": 6, "contexts": 1, "candidates": 10},
    **{"outer_rank": 8, "outer_alpha": 16.0, "outer_epochs": 2, "outer_batch": 10, "outer_learning_rate": 5e-3},
}
ARMS = {
    "frozen": {"method": "frozen"},
    "passage": {"method": "finetune"},
    "grpo": LOOP,
    "placebo": {**LOOP, "placebo": True},
    "too-high": {**LOOP, "outer_learning_rate": 0.3},
}


class ShortPeople(People):
    """The people world with edits of ten tokens."""

    prompts = replace(
        People.prompts,
        formats={name: replace(form, max_new_tokens=10) for name, form in People.prompts.formats.items()},
    )


def load_judge(trial: Trial, device: str) -> Model:
    """Rates notes by how many different words of theirs are in the passage, and begin with one of the first letters."""

    def rate(request: Generate) -> str:
        passage, _, rest = text_of(request.prompt).partition("Notes:")
        notes, known = rest.partition("<<<\n")[2].partition("\n>>>")[0].lower().split(), set(passage.lower().split())
        good = len({word for word in notes if word[0] < "m"}) + 2 * len({word for word in notes if word in known})
        total = len(ASPECTS) + round(4 * len(ASPECTS) * good / 3 / max(1, len(notes)))
        return "\n".join(
            f"{aspect}: {total // len(ASPECTS) + (place < total % len(ASPECTS))}"
            for place, aspect in enumerate(ASPECTS)
        )

    return scripted_model(rate, name="judge")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdict]:
    folder = tmp_path_factory.mktemp("planted")
    spec = TrialSpec.model_validate(
        {
            **{"name": "planted", "domains": {"plain": {"kind": "people", "style": "plain"}}, "seeds": 1},
            **{"problems": {"train": 1, "development": 0, "test": 1}, "tuning": {"trials": 0}},
            **{"budget": {"per_problem": 1e9, "ladder": [1], "deployments": 200}, "judge": {"model": "judge"}},
            **{"arms": ARMS, "compare": {"arm": "grpo", "against": "passage"}, "exam": {"controls": 0, "drift": 0}},
        }
    )

    def find_domain(kind: str, folder: Path | None = None) -> type[Domain]:
        return ShortPeople

    trial = resolve_spec(spec, SourceLines("trial"), find_method, find_domain)
    assert run_trial(trial, folder, device="cpu", load_judge=load_judge).failed == {}
    return folder, judge_folder(folder)


def curve(verdict: Verdict, arm: str) -> list[float]:
    (found,) = (run for run in verdict.policy if run.arm == f"plain/{arm}@1")
    return [step.reward or 0.0 for step in found.steps]


def test_the_reward_that_is_planted_is_learnt(run: tuple[Path, Verdict]) -> None:
    rewards = curve(run[1], "grpo")
    assert len(rewards) == 6
    assert fmean(rewards[-2:]) > fmean(rewards[:2]) + 0.1


def test_under_the_placebo_the_same_work_teaches_nothing(run: tuple[Path, Verdict]) -> None:
    rewards = curve(run[1], "placebo")
    assert abs(fmean(rewards[-2:]) - fmean(rewards[:2])) < 0.1
    assert fmean(rewards[-2:]) < fmean(curve(run[1], "grpo")[-2:]) - 0.1


def test_a_rate_that_is_too_high_collapses_and_the_page_says_so(run: tuple[Path, Verdict]) -> None:
    verdict = run[1]
    assert {one.arm.split("/")[1] for one in verdict.policy if collapsed(one)} == {"too-high@1"}
    (finding,) = (one for one in verdict.findings if one.check == "policy-collapse")
    assert "it collapsed" in finding.evidence[0]
    text = " ".join(re.sub(r"<[^>]+>", " ", render(verdict)).split())
    assert "too-high, seed 0: reward" in text
    assert "1 of 3" in text  # of the three settings of GRPO


def test_the_judge_is_paid_by_the_arm_and_nothing_was_trained_for_the_reward(run: tuple[Path, Verdict]) -> None:
    rows = {row.arm: row for row in read_rows(run[0] / SAMPLES) if isinstance(row, Investment)}
    assert set(rows) == {"grpo", "placebo", "too-high"}
    for row in rows.values():
        assert set(row.spent) == {"propose", "score", "learn"}
        assert 6 * 5 < row.spent["score"]["flops"] <= 6 * 10  # the scripted judge takes one a rating of a usable edit
        assert [one.repeats for one in row.rewards] == [0] * 6
