"""Tables and logs of whole comparisons: CSV with a mapping, PEFT's methods, AlgoPerf, rasbt's runs."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.audit.runs.spoiling import endures

from netgain.audit.audit import audit, read_claim
from netgain.audit.runs.algoperf_reader import AlgoperfReader
from netgain.audit.runs.csv_reader import CsvReader
from netgain.audit.runs.peft_reader import PeftReader
from netgain.audit.runs.rasbt_reader import RasbtReader
from netgain.errors import InputError
from netgain.records.claim import Claim, Finding
from netgain.records.cost import Cost

DATA = Path(__file__).parents[4] / "shared" / "data"


def real(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"needs the public files of {name}, which the project does not ship")
    return DATA / name


def table(path: Path, *rows: tuple[Any, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def cost(claim: Claim, arm: str) -> Cost:
    return next(charge.cost for charge in claim.charges if charge.arm == arm)


def finding(claim: Claim, check: str) -> Finding:
    return next(found for found in audit(claim).findings if found.check == check)


# -- CSV with a mapping


def mapped(folder: Path) -> Path:
    table(
        folder / "arms.csv",
        ("method", "acc", "steps"),
        ("base", "15.2", ""),
        ("sft", "40.0", 500),
        ("ours", "47.4", 50),
    )
    table(
        folder / "log.csv", ("step", "s", "score", "toks"), (10, 60, 0.2, 100), (20, 120, 0.5, 100), (30, 180, 0.3, 90)
    )
    (folder / "mapping.yaml").write_text(
        "title: Ours against SFT\nsetting: MATH-500\nheadline: ours\nrival: sft\n"
        "arms:\n- {file: arms.csv, name: method, accuracy: acc, scale: percent, n_questions: 500, updates: steps,"
        " roles: {base: frozen}}\n"
        "runs:\n- {file: log.csv, name: grpo, step: step, seconds: s, metric: score, tokens: toks}\n"
    )
    return folder


def test_a_mapping_says_what_the_columns_of_a_table_mean(tmp_path: Path) -> None:
    claim = read_claim(mapped(tmp_path / "own"))
    verdict = audit(claim)
    assert (claim.headline, claim.rival) == ("ours", "sft")
    assert claim.arm("ours").accuracy == pytest.approx(0.474)
    assert cost(claim, "grpo").tokens_real == 290
    assert "50.0% at step 20, 30.0% at step 30" in finding(claim, "peak-is-not-the-end").message
    row = verdict.comparisons[0]
    assert row.low is not None
    assert row.difference == pytest.approx(0.074)


def answered(folder: Path) -> Path:
    marks = {"base": "0010000000", "sft": "0110010000", "ours": "0111011010"}
    rows = [(arm, i // 2, i, mark) for arm, text in marks.items() for i, mark in enumerate(text)]
    table(folder / "answers.csv", ("arm", "passage", "question", "right"), *rows, ("ours", 9, 99, "perhaps"))
    (folder / "mapping.yaml").write_text(
        "setting: mine\nheadline: ours\nrival: sft\n"
        "answers:\n- {file: answers.csv, arm: arm, problem: passage, question: question, correct: right}\n"
    )
    return folder


def test_a_table_may_lie_outside_of_its_folder(tmp_path: Path) -> None:
    path = mapped(tmp_path / "own") / "mapping.yaml"
    (tmp_path / "own" / "log.csv").rename(tmp_path / "log.csv")
    path.write_text(path.read_text().replace("file: log.csv", f"file: {tmp_path / 'log.csv'}"))
    assert {arm.name for arm in read_claim(tmp_path / "own").arms} >= {"grpo", "ours"}


def test_a_table_of_answers_pairs_the_arms(tmp_path: Path) -> None:
    claim = read_claim(answered(tmp_path / "own"))
    row = audit(claim).comparisons[0]
    assert (row.a, row.b, row.only_a, row.only_b) == ("ours", "sft", 3, 0)
    assert (row.n_problems, row.n_questions) == (5, 10)
    assert "1 answers are neither right nor wrong" in claim.findings[0].message


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("accuracy: acc", "accuracy: ac", "has no column 'ac'; did you mean 'acc'"),
        ("headline: ours", "headline: our", "headline 'our' is in no table; did you mean 'ours'"),
        ("file: log.csv", "file: lag.csv", "there is no table lag.csv"),
        ("title: Ours", "tilte: Ours", "mapping.yaml:1: .*did you mean"),
        ("file: arms.csv", f"file: {300 * 'x'}", r"mapping.yaml: there is no table x+"),
        ("file: log.csv", f"file: {300 * 'x'}", r"mapping.yaml: there is no table x+"),
    ],
)
def test_a_mistake_in_a_mapping_is_one_line(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = mapped(tmp_path / "own") / "mapping.yaml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=problem):
        read_claim(path.parent)


# -- PEFT


def peft(folder: Path) -> Path:
    results = folder / "MetaMathQA" / "results"
    results.mkdir(parents=True)
    for name, right, seconds, lost, kind in (
        ("lora--llama-3.2-3B-rank32", 631, 940.0, 0.05, "LORA"),
        ("lily--llama-3.2-3B-default", 694, 1324.0, 0.21, "LILY"),
        ("full-finetuning--llama-3.2-3B-lr_0.00001", 622, 2147.0, 0.03, None),
    ):
        rows = [{"step": s, "valid accuracy": s / 1000, "train time": seconds / 4} for s in (125, 250, 375, 500)]
        rows.append({"step": 500, "test accuracy": right / 1319, "train total tokens": 419_805, "forgetting": lost})
        config = {"model_id": "meta-llama/Llama-3.2-3B", "seed": 0, "max_steps": 500, "batch_size": 4}
        data = {
            "run_info": {"train_config": config, "peft_config": {"peft_type": kind, "r": 32} if kind else None},
            "train_info": {
                "train_time": seconds,
                "accelerator_memory_max": 2**34,
                "metrics": rows,
                "status": "success",
            },
            "meta_info": {"dataset_info": {"metamath": {}}},
        }
        (results / f"{name}.json").write_text(json.dumps(data))
    return folder


def test_the_number_of_questions_follows_from_the_digits_of_all_accuracies(tmp_path: Path) -> None:
    claim = read_claim(peft(tmp_path / "peft"))
    assert {arm.n_questions for arm in claim.arms} == {1319}
    assert any("n itself is not stated" in note for note in claim.notes)
    assert claim.headline == "lily--llama-3.2-3B-default"
    assert cost(claim, "lora--llama-3.2-3B-rank32").seconds == 940


def test_methods_are_compared_at_equal_steps_and_at_equal_time_with_what_they_forget(tmp_path: Path) -> None:
    claim = read_claim(peft(tmp_path / "peft"))
    verdict = audit(claim)
    rows = {row.currency: row for row in verdict.decomposition}
    assert rows["updates"].rival == "lora--llama-3.2-3B-rank32"
    assert rows["seconds"].rival == "lora--llama-3.2-3B-rank32"
    assert rows["seconds"].dearer == ["full-finetuning--llama-3.2-3B-lr_0.00001"]  # took longer than the headline arm
    assert "lora rank32 is ahead in valid accuracy" in finding(claim, "at-equal-time").message
    assert "lily has 0.21, 2 of 3 arms are better" in finding(claim, "traded-off").message
    checked = next(row for row in verdict.questions if row.question.startswith("Are regressions"))
    assert checked.answer == "yes"
    assert "forgetting" in checked.evidence[0]
    assert "measured of 3 of 3 methods" in checked.evidence[0]
    assert "not distinguishable from zero" in verdict.headline.sentence or "ahead" in verdict.headline.sentence


# -- AlgoPerf


def algoperf(folder: Path) -> Path:
    for submission, pace, trials in (("baseline", 1.0, 2), ("shampoo", 2.0, 2)):
        for trial in range(1, trials + 1):
            home = folder / "external_tuning" / submission / "study_0" / "ogbg_jax" / f"trial_{trial}"
            rows: list[tuple[Any, ...]] = [("accumulated_submission_time", "global_step", "validation/map", "test/map")]
            rows += [(240 * i, 700 * i, 0.02 * i * pace / trial, 0.019 * i * pace / trial) for i in range(1, 11)]
            table(home / "eval_measurements.csv", *rows)
            table(home / "measurements.csv", *rows, (2500, 7100, "", ""))
            meta = {"workload.target_metric_name": "map", "workload.validation_target_value": 0.15, "gpu_count": 8}
            (home / "meta_data_0.json").write_text(json.dumps(meta))
            (home / "hparams.json").write_text(json.dumps({"learning_rate": 0.001 * trial}))
            (home / "flags_0.json").write_text(json.dumps({"rng_seed": 7}))
    return folder


def test_submissions_count_by_their_fastest_trial_at_equal_time(tmp_path: Path) -> None:
    claim = read_claim(algoperf(tmp_path / "logs"))
    assert (claim.headline, claim.rival) == ("external_tuning/shampoo/trial_1", "external_tuning/baseline/trial_1")
    for arm in claim.arms:  # each as it was when the first had reached the target
        assert arm.setting == "ogbg, map after 960 s"
        assert (cost(claim, arm.name).seconds, cost(claim, arm.name).updates) == (960 * 8, 2800)
    assert claim.arm("external_tuning/shampoo/trial_1").accuracy == pytest.approx(0.019 * 4 * 2)
    assert claim.arm("external_tuning/baseline/trial_1").accuracy == pytest.approx(0.019 * 4)
    assert claim.arms[0].curves[-1].points[-1].seconds == 2400  # the rest is in the curve
    told = finding(claim, "time-to-target")
    assert "external_tuning/shampoo is the first, after 960 s" in told.message
    assert "external_tuning/baseline: 1 of 2 trials, the fastest after 1,920 s" in told.evidence
    sentence = audit(claim).headline.sentence
    assert "on how many questions that rests is not stated" in sentence


# -- rasbt

README = """| | Method | Step | MATH-500 Acc |
| - | - | - | - |
| 1 | Base (chapter 3) | - | 15.2% |
| 2 | GRPO | 50 | 47.4% |
| 3 | GRPO | 100 | 44.0% |

| | Teacher data | Epoch | MATH-500 Acc | Final val loss |
| - | - | - | - | - |
| 1 | Qwen3 data | 1 | 45.0% | 0.4043 |
"""


def rasbt(folder: Path) -> Path:
    rows = [(s, 100, 0.1, 6.125 + s, "" if s % 50 else 48.0 - 0.3 * s) for s in range(1, 101)]
    table(folder / "kl_metrics.csv", ("step", "total_steps", "reward_avg", "avg_response_len", "eval_acc"), *rows)
    steps = [(1, 50, 0.5), (1, 100, 0.40431), (2, 200, 0.39)]
    table(folder / "distill_metrics.csv", ("epoch", "total_steps", "val_loss"), *steps)
    (folder / "README.md").write_text(README)
    return folder


def test_peak_and_end_of_a_run_are_told_apart(tmp_path: Path) -> None:
    claim = read_claim(rasbt(tmp_path / "runs"))
    assert claim.arm("Base (chapter 3)").role == "frozen"
    assert claim.headline == "GRPO, step 50"
    assert claim.arm("kl").accuracy == pytest.approx(0.18)
    assert cost(claim, "kl").tokens_generated == pytest.approx(8 * sum(6.125 + s for s in range(1, 101)))
    assert cost(claim, "Qwen3 data, epoch 1").updates == 100  # the one log that ends epoch 1 with this loss
    assert cost(claim, "kl").tokens_real is None


# -- all of them


@pytest.mark.parametrize(
    ("write", "reader"),
    [
        (mapped, CsvReader()),
        (answered, CsvReader()),
        (peft, PeftReader()),
        (algoperf, AlgoperfReader()),
        (rasbt, RasbtReader()),
    ],
    ids=["csv", "csv-answers", "peft", "algoperf", "rasbt"],
)
def test_300_spoiled_variants_are_a_claim_or_one_line(tmp_path: Path, write: Any, reader: Any) -> None:
    endures(reader, write(tmp_path / "published"), tmp_path)


def test_pefts_63_arms_in_one_verdict() -> None:
    claim = read_claim(real("peft-comparison"))
    verdict = audit(claim)
    assert len(claim.arms) == 63
    assert {arm.n_questions for arm in claim.arms} == {1319}
    assert claim.headline == "lily--llama-3.2-3B-rank140-mlp-a2-b2-s8.0"
    assert {row.currency: row.rival for row in verdict.decomposition if row.currency in ("updates", "seconds")} == {
        "updates": "hira--llama-3.2-3B-rank32-lr4.5e-3",
        "seconds": "hira--llama-3.2-3B-rank32-lr4.5e-3",
    }
    assert verdict.headline.kind == "nothing left"
    assert {charge.cost.updates for charge in claim.charges} == {5000}


def test_a_fall_that_the_few_questions_of_a_curve_explain_is_not_told() -> None:
    told = finding(read_claim(real("peft-comparison")), "peak-is-not-the-end")
    assert "2 of 63 logged curves" in told.message  # by their digits on 50 questions each: 37 smaller falls are noise


def test_algoperfs_real_trials_at_equal_wall_clock() -> None:
    claim = read_claim(real("algoperf"))
    assert (claim.headline, claim.rival) == (
        "external_tuning/shampoo_submission/trial_4",
        "external_tuning/baseline/trial_5",
    )
    assert {round(charge.cost.seconds or 0) for charge in claim.charges} == {26909}  # 3,364 s on eight devices
    assert audit(claim).comparisons[0].difference == pytest.approx(0.024, abs=0.001)  # at their ends -0.003
    told = finding(claim, "time-to-target")
    assert "shampoo_submission is the first, after 3,364 s" in told.message


def test_rasbts_real_runs() -> None:
    claim = read_claim(real("rasbt"))
    lines = " ".join(finding(claim, "peak-is-not-the-end").evidence)
    for told in ("40.8% at step 50, 0.0% at step 500", "33.0% at step 500", "56.2%", "35.0% at step 500"):
        assert told in lines
    assert claim.headline == "GRPO original but no KL (this chapter), step 50"
