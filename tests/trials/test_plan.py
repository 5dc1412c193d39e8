"""A plan needs no weights; what is wrong with a trial is said with file, line and the nearest valid word."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from netgain.analysis import crossed
from netgain.errors import InputError
from netgain.streams import stream
from netgain.trials.plan import LUCK, Plan, detectable, make_plan
from netgain.trials.resolve import SHIPPED_FOLDER, Trial, resolve

EXAMPLES = Path(__file__).parents[2] / "examples"
TRIAL = """\
name: mine
model: Qwen2.5-7B
domains:
  people: {kind: people}
problems: {train: 8, development: 4, test: 12}
budget: {per_problem: 1.0e+15, ladder: [0.5, 1, 2]}
arms:
  frozen: {method: frozen}
  seal: {method: seal, candidates: 3}
  passage:
    method: finetune
    rank: 8
compare: {arm: seal}
"""


def resolved(tmp_path: Path, text: str = TRIAL) -> Trial:
    path = tmp_path / "trial.yaml"
    path.write_text(text)
    return resolve(path)


def planned(path: Path) -> Plan:
    return make_plan(resolve(path), "H100", None)


def test_a_plan_without_weights_has_hours_and_dollars_for_every_arm(tmp_path: Path) -> None:
    plan = make_plan(resolved(tmp_path), "H100", 3.0)
    assert plan.model == "Qwen/Qwen2.5-7B"
    by_arm = {arm.arm: arm for arm in plan.arms}
    for arm in plan.arms:
        assert (arm.whole.seconds or 0) > 0
        assert arm.whole.dollars == pytest.approx((arm.whole.seconds or 0) / 3600 * 3)
    runs = 3 * 12 * 3.5 * 1e15
    assert by_arm["passage"].budget["adapt"] == runs
    assert by_arm["seal"].budget["learn"] == by_arm["seal"].budget["adapt"] == 0.5 * runs  # its split
    assert by_arm["frozen"].costs.keys() == {"evaluate", "tune"}
    held = 16 * 2**30  # float32: the model, and a merged one for each of two rounds and for the level before
    assert plan.memory > 3 * held
    assert not plan.fits
    assert make_plan(resolved(tmp_path, TRIAL + "dtype: bfloat16\n"), "H200").fits


@pytest.mark.parametrize("role", ["teacher", "judge"])
def test_a_teacher_and_a_judge_are_in_a_workers_memory(tmp_path: Path, role: str) -> None:
    alone = make_plan(resolved(tmp_path), "H100").memory
    beside = make_plan(resolved(tmp_path, TRIAL + f"{role}: {{model: Qwen2.5-1.5B, dtype: bfloat16}}\n"), "H100").memory
    weights = 2 * 1.54e9
    assert weights < beside - alone < 1.2 * weights
    for elsewhere in ("{model: Qwen2.5-1.5B, url: 'http://127.0.0.1:9/v1'}", "{model: somebody/unknown}"):
        assert make_plan(resolved(tmp_path, TRIAL + f"{role}: {elsewhere}\n"), "H100").memory == alone


def test_estimates_fill_the_budget_that_is_exact(tmp_path: Path) -> None:
    (passage,) = (arm for arm in make_plan(resolved(tmp_path), "H100", None).arms if arm.arm == "passage")
    assert passage.costs["adapt"].flops == pytest.approx(passage.budget["adapt"], rel=1e-6)


@pytest.mark.parametrize("grade", ["exact", "judge"])
def test_a_judges_tokens_are_planned_beside_every_budget(tmp_path: Path, grade: str) -> None:
    alone = make_plan(resolved(tmp_path), "H100", 3.0)
    judged = make_plan(resolved(tmp_path, TRIAL + f"judge: {{model: Qwen2.5-7B}}\ngrade: {grade}\n"), "H100", 3.0)
    assert judged.arms == alone.arms
    assert judged.judging is not None
    questions = round(next(float(told.split()[1]) for told in alone.assumptions if "questions a problem" in told), 1)
    runs = 3 * 3 * (12 * 3 * questions + 12 * 2 * 8 + 24)  # 24 planted answers are put to it first
    tunings = (4 + 4 * 4 + 4 * 4) * questions if grade == "judge" else 0
    generated = judged.judging.tokens_generated or 0
    assert generated == pytest.approx(16 * (runs + tunings), rel=0.02)
    assert (judged.whole.dollars or 0) > (alone.whole.dollars or 0)
    assert any("put to the judge" in told for told in judged.assumptions)
    assert "judging" in judged.dump()


def test_a_server_without_prices_is_planned_in_tokens_alone(tmp_path: Path) -> None:
    url = 'judge: {url: "http://127.0.0.1:1/v1", model: some-judge}\n'
    judging = make_plan(resolved(tmp_path, TRIAL + url), "H100", 3.0).judging
    assert judging is not None
    assert (judging.flops, judging.dollars, judging.seconds) == (None, None, 0.0)
    assert (judging.tokens_real or 0) > 0


def test_more_problems_see_smaller_effects() -> None:
    known = [detectable(problems, 6, 5) for problems in (2, 12, 48, 200)]
    assert known[0] is None
    assert 0 < (known[3] or 0) < (known[2] or 0) < (known[1] or 0) < 0.5


def test_below_three_seeds_no_effect_is_promised() -> None:
    assert [detectable(48, 6, seeds) is None for seeds in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(("seeds", "luck"), [(3, LUCK), (5, LUCK), (5, 0.0), (8, 0.08)])
def test_the_promised_effect_is_found_four_times_in_five(seeds: int, luck: float) -> None:
    effect, rng, found = detectable(48, 6, seeds, luck), stream(0, "power", str(seeds), str(luck)), 0
    assert effect
    single = 0.3 * (1 + 0.2 * 5) / 6  # variance of one problem's difference under one run, half of it the run's
    for _ in range(1000):
        values = rng.normal(effect, np.sqrt(single / 2), (1, 48)) + rng.normal(0, np.sqrt(single / 2), (seeds, 48))
        values += rng.normal(0, luck, (seeds, 1)) - rng.normal(0, luck, (seeds, 1))
        found += crossed.Squares.of(values).margin(0.025) < values.mean()
    assert found / 1000 == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_can_be_planned(path: Path) -> None:
    if "model: shipped" in path.read_text() and not SHIPPED_FOLDER.is_dir():
        pytest.skip("needs the shipped model")
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    teacher = fields.get("teacher")
    stated = {"model": fields.get("model"), "teacher.model": teacher["model"] if isinstance(teacher, dict) else None}
    fetched = [name for name, model in stated.items() if str(model).endswith(".gguf")]  # which a plan would convert
    plan = make_plan(resolve(path, [], [f"{name}=HuggingFaceTB/SmolLM2-135M-Instruct" for name in fetched]), "H100")
    assert plan.whole.dollars
    assert bool(plan.detectable) == (plan.seeds >= crossed.FEWEST_RUNS)


def test_the_demo_can_be_read() -> None:
    assert resolve(None).spec.compare.arm == "seal"


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("candidates: 3", "candidats: 3", 9, "did you mean 'candidates'?"),
        ("rank: 8", "rank: none", 12, "arms.passage.rank = 'none'"),
        ("method: finetune", "method: finetun", 11, "did you mean 'finetune'?"),
        ("kind: people", "kind: poeple", 4, "did you mean 'people'?"),
        ("kind: people", "kind: people, stile: plain", 4, "did you mean 'style'?"),
        ("candidates: 3", "preset: seal-v3", 9, "did you mean 'seal-v"),
        ("candidates: 3", "tune: {rnak: [1]}", 9, "did you mean 'rank'?"),
        ("candidates: 3", "tune: {rank: [0]}", 9, "rank = 0"),
        ("problems: {train: 8", "problems: {train: 0", 5, "no training problems"),
        ("ladder: [0.5, 1, 2]", "ladder: [0.5, 2]", 6, "level 1 is missing"),
        ("ladder: [0.5, 1, 2]", "learn: 1", 6, "every level is a total"),
        ("ladder: [0.5, 1, 2]", "curve: {deployments: [40, 20], arms: [seal]}", 6, "must rise"),
        ("ladder: [0.5, 1, 2]", "curve: {deployments: [40], arms: [passage]}", 6, "not the name of an arm that learns"),
        ("ladder: [0.5, 1, 2]", "curve: {deployments: [12], arms: [seal]}", 6, "12 is the trial's own number"),
        ("candidates: 3", "fixed: [rnak]", 9, "did you mean 'rank'?"),
        ("{arm: seal}", "{arm: seal}\ntuning: {knobs: {rnak: [8]}}", 14, "no arm has a setting of this name"),
        ("per_problem: 1.0e+15", "per_problem: 1.0, currency: seconds", 6, "known only afterwards"),
        ("{arm: seal}", "{arm: seal}\njudge: {folder: x}", 14, "names no model"),
        ("{arm: seal}", "{arm: seal}\ngrade: judge", 1, "no judge"),
        ("{arm: seal}", "{arm: sael}", 13, "compare.arm = 'sael': is not the name of an arm; did you mean 'seal'?"),
        ("{arm: seal}", "{arm: seal, domain: peple}", 13, "compare.domain = 'peple': is not the name of a domain"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in TRIAL
    with pytest.raises(InputError) as caught:
        resolved(tmp_path, TRIAL.replace(old, new))
    assert f"trial.yaml:{line}:" in str(caught.value)
    assert message in str(caught.value)


def evaluated(tmp_path: Path, arm: str, **exam: Any) -> float:
    """What evaluating an arm is planned to take."""
    spec = {"kind": "people", "style": "plain"}
    fields = {
        "name": "mine",
        "domains": {"plain": spec},
        "problems": {"train": 0, "development": 1, "test": 4, "passages": 2},
        "seeds": 1,
        "budget": {"per_problem": 1e9, "ladder": [1]},
        "tuning": {"trials": 0},
        "arms": {"frozen": {"method": "frozen"}, "passage": {"method": "finetune"}},
        "compare": {"arm": "passage", "against": "frozen"},
        "exam": {"controls": 0, "drift": 0} | exam,
    }
    plan = make_plan(resolve(fields), "H100")
    costs = next(one for one in plan.arms if one.arm == arm).costs
    return costs["evaluate"].flops or 0.0


def test_a_text_and_control_questions_are_planned_once_for_each_adaptation(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("\n\n".join(["The cat sat on the mat."] * 20))
    (tmp_path / "longer.txt").write_text("\n\n".join(["The cat sat on the mat."] * 40))
    asked = evaluated(tmp_path, "passage")
    once, twice = (evaluated(tmp_path, "passage", text=str(tmp_path / name)) for name in ("long.txt", "longer.txt"))
    assert twice - asked == pytest.approx(2 * (once - asked), rel=0.2)
    assert once > asked
    frozen = evaluated(tmp_path, "frozen")
    assert evaluated(tmp_path, "frozen", text=str(tmp_path / "long.txt")) == frozen
    few, many = (evaluated(tmp_path, "passage", controls=count) for count in (2, 4))
    assert many - asked == pytest.approx(2 * (few - asked), rel=0.5)
    assert few > asked
