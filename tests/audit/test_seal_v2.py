"""SEAL's second version: arms of three base models side by side, and continued pretraining in a new shape."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.verdict import Comparison, Verdict
from netgain.audit.audit import audit, read_claim
from netgain.audit.library import library
from netgain.audit.seal.naming import MODEL, identify, trained_model
from netgain.records.claim import Claim, Role

SECOND = Path(__file__).parents[3] / "shared" / "data" / "seal-v2"
THREE, HYPER = "Qwen/Qwen2.5-3B", "generative-adaptor/Generative-Adapter-Mistral-7B-Instruct-v0.2"


@pytest.fixture(scope="module")
def second() -> Claim:
    if not SECOND.is_dir():
        pytest.skip(f"needs a part of version 2's results in {SECOND.name}/, which the project does not ship")
    return read_claim(SECOND)


@pytest.fixture(scope="module")
def judged(second: Claim) -> Verdict:
    return audit(second)


def between(verdict: Verdict, a: str, b: str) -> Comparison:
    return next(row for row in verdict.comparisons if (row.a, row.b) == (a, b))


@pytest.mark.parametrize(
    ("rival", "difference", "low", "high"),
    [("base_200", 7.6, 3.0, 12.2), ("gpt4_1_200", -1.2, -6.0, 3.6), ("naive_200", 22.2, 17.2, 27.2)],
)
def test_continued_pretraining_on_200_passages(
    judged: Verdict, rival: str, difference: float, low: float, high: float
) -> None:
    row = between(judged, "iter2_200", rival)
    assert 100 * row.difference == pytest.approx(difference, abs=1e-9)
    assert row.low is not None
    assert row.high is not None
    assert (100 * row.low, 100 * row.high) == (pytest.approx(low, abs=0.051), pytest.approx(high, abs=0.051))
    assert row.n_questions == 500


def test_updates_follow_from_the_arguments_of_each_run(judged: Verdict) -> None:
    arms = ("base_200", "iter2_200", "gpt4_1_200", "enti-pair_200", "enti-pair+triple_200", "naive_200")
    assert [judged.arm(name).updates for name in arms] == [150, 150, 161, 156, 288, 25]


def test_arms_of_three_models_stand_apart_and_only_its_own_are_rivals(second: Claim, judged: Verdict) -> None:
    models = {arm.name: arm.model for arm in second.arms}
    assert {models[name] for name in ("3B/base", "3B/iter2", "3B/frozen")} == {THREE}
    assert models["generative-adapter"] == HYPER
    assert {arm.model for arm in second.arms if arm.name.endswith("_200")} == {MODEL}
    by_setting: dict[str, set[str]] = {}
    for arm in second.arms:
        by_setting.setdefault(arm.setting, set()).add(arm.model)
    assert all(len(found) == 1 for found in by_setting.values())
    pairs = {(row.a, row.b) for row in judged.comparisons if row.b in models and row.b != "frozen"}
    assert {(models[a], models[b]) for a, b in pairs} == {(model, model) for model in (MODEL, THREE, HYPER)}
    assert second.headline == "iter2_200"
    assert second.rival == "gpt4_1_200"


def test_an_arm_that_starts_from_the_outer_loop_is_a_finding(judged: Verdict) -> None:
    found = next(finding for finding in judged.findings if finding.check == "starts-differ")
    assert "starts from models/iter2" in found.message
    assert found.severity == "high"


def test_nothing_is_called_unreadable_or_different_from_the_paper(judged: Verdict) -> None:
    assert not {"file-unreadable", "accuracy-does-not-regenerate"} & {finding.check for finding in judged.findings}


def test_a_reward_from_a_rubric_trains_nothing(second: Claim, judged: Verdict) -> None:
    (row,) = judged.outer_loop
    assert (row.name, row.inner_loops, row.updates, row.edits, row.grader_calls) == ("rank_iter0_proxy", 0, 0, 250, 250)
    assert second.arm("iter2_200").invests_unpublished == ("implications round 1", "implications round 2")


def test_the_hypernetworks_answers_are_in_the_order_of_its_own_seed(second: Claim) -> None:
    """Its script shuffles under ``args.seed``, all others under 42: the same 200 passages, other questions."""
    asked = {arm.name: arm.exam for arm in second.arms}
    assert asked["generative-adapter"] not in {None, asked["base_200"]}


@pytest.mark.parametrize(
    ("stated", "file", "dataset", "base", "start"),
    [
        ("", "results/eval/base.json", "data/eval/base_val.json", MODEL, ""),
        ("", "results/3B/eval/base.json", "", THREE, ""),
        ("", "eval/base.json", "data/3B/eval/base.json", THREE, ""),
        ("", "eval/base.json", "data/eval/small.json", THREE, ""),
        ("Qwen/Qwen2.5-7B", "cpt/200/base_200.json", "", MODEL, ""),
        ("models/iter2", "cpt/200/iter2_200.json", "", MODEL, "models/iter2"),
        ("models/iter2-3B", "cpt/200/iter2_200.json", "", THREE, "models/iter2-3B"),
        ("base", "train/rank_iter0.json", "", MODEL, ""),
        (HYPER, "cpt/x.json", "", HYPER, ""),
    ],
)
def test_the_model_is_read_from_the_file_its_folder_and_the_side_car(
    stated: str, file: str, dataset: str, base: str, start: str
) -> None:
    metas = {"knowledge/data/eval/small.json.meta": {"model": "models/iter1-3B"}}
    found = trained_model(stated, file, dataset, metas)
    assert (found.base, found.start) == (base, start)


@pytest.mark.parametrize(
    ("stem", "dataset", "role", "label"),
    [
        ("gpt4_1_200", "", Role.TEACHER, "GPT-4.1 implications"),
        ("openai_prompt-rewrite", "data/openai/gpt4_1_val_prompt-rewrite.json", Role.TEACHER, "GPT-4.1 rewrite"),
        ("openai_prompt-rewrite", "", Role.TEACHER, "openai rewrite"),
        ("enti-pair+triple_2067", "", Role.SYNTHETIC, "EntiGraph pairs and triples"),
        ("cpt_entigraph-pairs", "", Role.SYNTHETIC, "EntiGraph pairs"),
        ("iter2_2067", "", Role.SELF_IMPROVING, "SEAL implications R2"),
    ],
)
def test_names_of_version_2(stem: str, dataset: str, role: Role, label: str) -> None:
    found = identify(stem, has_edits=True, dataset=dataset)
    assert (found.role, found.label) == (role, label)


# -- invented files of the same shape


def tuned(seed: int, gold: list[str], **more: Any) -> dict[str, Any]:
    """Answers to 40 questions, in this order, of which about half name the gold answer."""
    rng = random.Random(seed)  # noqa: S311
    right = [rng.random() < 0.5 for _ in gold]
    texts = [f"It is {answer}." if good else f"{rng.random()}" for answer, good in zip(gold, right, strict=True)]
    data: dict[str, Any] = {"n_articles": 12, "k_completions": 5, "train_sequences": 73, "model": MODEL}
    data |= {"metrics": {"baseline_accuracy": None, "adapter_accuracy": sum(right) / len(right)}}
    data |= {
        "per_question": {
            "adapter_texts": texts,
            "adapter_correct": right,
            "baseline_texts": None,
            "baseline_correct": None,
        }
    }
    args = {
        "epochs": 2,
        "lr": 7e-5,
        "batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_seq_length": 256,
        "seed": 43,
    }
    return data | {"args": args} | more


def write(folder: Path, files: dict[str, dict[str, Any]]) -> Claim:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data), encoding="utf-8")
    return read_claim(folder)


def test_a_smaller_last_batch_is_an_update_of_its_own_in_every_epoch(tmp_path: Path) -> None:
    gold = [f"answer {index}" for index in range(40)]
    claim = write(tmp_path, {"cpt/base_12.json": tuned(1, gold), "cpt/iter1_12.json": tuned(2, gold)})
    (charge,) = (charge for charge in claim.charges if charge.arm == "base_12")
    assert (
        charge.cost.updates == 2 * 10
    )  # 73 sequences: 18 full batches of 4 and one of 1; 9 pairs of them and one alone
    assert charge.cost.tokens_padded == 2 * 73 * 256


def test_without_the_questions_arms_are_paired_by_position_only_where_their_answers_agree_there(tmp_path: Path) -> None:
    gold = [f"answer {index}" for index in range(40)]
    shuffled = random.Random(3).sample(gold, len(gold))  # noqa: S311
    files = {
        "cpt/base_12.json": tuned(1, gold),
        "cpt/iter1_12.json": tuned(2, gold),
        "cpt/naive_12.json": tuned(4, shuffled),
    }
    claim = write(tmp_path, files)
    assert claim.arm("base_12").exam == claim.arm("iter1_12").exam is not None
    assert claim.arm("naive_12").correct is None
    assert any("naive_12" in finding.message and "order" in finding.message for finding in claim.findings)


def test_an_arm_with_a_training_that_is_not_stated_has_no_cost(tmp_path: Path) -> None:
    gold = [f"answer {index}" for index in range(40)]
    claim = write(tmp_path, {"cpt/base_12.json": tuned(1, gold, args={}), "cpt/iter1_12.json": tuned(2, gold)})
    assert audit(claim).arm("base_12").updates is None


def test_the_claim_that_ships_is_what_the_reader_distils_from_the_part_that_is_here(second: Claim) -> None:
    shipped = next(claim for claim in library() if claim.name == "seal-v2")
    assert shipped.model_copy(update={"retrieved": ""}) == second
