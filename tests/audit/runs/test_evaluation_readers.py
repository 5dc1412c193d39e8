"""Logs of evaluations: paired where the samples are the same, by score and number where there are none."""

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.audit.runs.spoiling import endures

from netgain.audit.audit import audit, find_readers, read_claim
from netgain.audit.runs.every_eval_reader import EveryEvalReader
from netgain.audit.runs.inspect_reader import InspectReader
from netgain.audit.runs.lm_eval_reader import LmEvalReader
from netgain.errors import InputError
from netgain.records.claim import Arm, Claim
from netgain.records.cost import Cost, Purpose

DATA = Path(__file__).parents[4] / "shared" / "data"
STAMP = "2026-01-21T03-44-18.458309"
RIGHT = {"base": "0110010000", "tuned": "0111011010"}


@pytest.fixture(scope="module")
def real() -> Path:
    if not (DATA / "inspect").is_dir():
        pytest.skip("needs the public logs of Inspect and lm-eval, which the project does not ship")
    return DATA


def lm_eval(folder: Path, model: str, marks: str, **config: Any) -> Path:
    """Results and samples of version 0.4.13: model_args an object, the time a text."""
    home = folder / model
    home.mkdir(parents=True)
    score = marks.count("1") / len(marks)
    results = {
        "results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict": score, "exact_match_stderr,strict": 0.1}},
        "group_subtasks": {"gsm8k": []},
        "configs": {"gsm8k": {"generation_kwargs": {"do_sample": False}}},
        "versions": {"gsm8k": 3.0},
        "n-shot": {"gsm8k": 5},
        "higher_is_better": {"gsm8k": {"exact_match": True}},
        "n-samples": {"gsm8k": {"original": 1319, "effective": len(marks)}},
        "config": {"model": "hf", "model_args": {"pretrained": model}, "limit": None} | config,
        "total_evaluation_time_seconds": "12.5",
    }
    (home / f"results_{STAMP}.json").write_text(json.dumps(results))
    rows = [
        {"doc_id": i, "doc_hash": f"doc{i}", "target_hash": f"t{i}", "filter": "strict", "exact_match": float(mark)}
        for i, mark in enumerate(marks)
    ]
    (home / f"samples_gsm8k_{STAMP}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def inspect_log(model: str, marks: str, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 100, "output_tokens": 10, "input_tokens_cache_read": 1000, "input_tokens_cache_write": 50}
    score = marks.count("C") / len(marks)
    return {
        "version": 2,
        "status": "success",
        "eval": {"task": "arc", "model": model, "config": {"limit": None}, "dataset": {"location": "arc.jsonl"}},
        "plan": {"config": {"temperature": 0.0}},
        "results": {
            "completed_samples": len(marks),
            "scores": [{"name": "choice", "metrics": {"accuracy": {"value": score}, "stderr": {"value": 0.1}}}],
        },
        "stats": {"model_usage": {model: usage, "judge": {"input_tokens": 7, "output_tokens": 3}}},
        "samples": [
            {"id": i, "epoch": 1, "input": f"question {i}", "scores": {"choice": {"value": mark}}}
            for i, mark in enumerate(marks)
        ],
    } | more


def zipped(path: Path, log: dict[str, Any], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("header.json", json.dumps({key: value for key, value in log.items() if key != "samples"}))
        archive.writestr("summaries.json", json.dumps(log["samples"]))
    return path


def every_eval(folder: Path) -> Path:
    folder.mkdir()
    for name, marks in RIGHT.items():
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        rows = [
            {
                "evaluation_name": "demo",
                "sample_id": str(i),
                "sample_hash": f"h{i}",
                "evaluation": {"score": float(mark), "is_correct": mark == "1"},
                "token_usage": usage,
            }
            for i, mark in enumerate(marks)
        ]
        result = {
            "evaluation_name": "demo",
            "metric_config": {
                "metric_name": "accuracy",
                "lower_is_better": False,
                "min_score": 0.0,
                "max_score": 100.0,
            },
            "score_details": {"score": 10.0 * marks.count("1"), "uncertainty": {"num_samples": 10}},
        }
        whole = {"schema_version": "0.3.0", "model_info": {"id": name}, "evaluation_results": [result]}
        (folder / f"{name}.json").write_text(json.dumps(whole))
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def spent(claim: Claim, arm: Arm, operation: str) -> Cost:
    return next(c.cost for c in claim.charges if (c.arm, c.operation) == (arm.name, operation))


def arms(claim: Claim) -> dict[str, Arm]:
    return {arm.label.partition(": ")[0]: arm for arm in claim.arms}


def test_samples_are_joined_by_what_was_asked(tmp_path: Path) -> None:
    for name, marks in RIGHT.items():
        lm_eval(tmp_path, name, marks)
    claim = read_claim(tmp_path)
    row = audit(claim, asked=[("tuned", "base")]).comparisons[0]
    assert (row.n_questions, row.only_a, row.only_b) == (10, 3, 0)
    assert row.difference == pytest.approx(0.3)
    assert all(charge.purpose is Purpose.EVALUATE for charge in claim.charges)
    assert "counts no tokens" in claim.notes[0]


def test_an_old_result_has_its_model_in_a_text_and_its_metric_without_a_filter(tmp_path: Path) -> None:
    old = {
        "results": {"arc_easy": {"acc": 0.55, "acc_stderr": 0.01}, "wikitext": {"word_perplexity": 12.0}},
        "versions": {"arc_easy": 0},
        "config": {"model": "hf-causal", "model_args": "pretrained=gpt2,dtype=float16", "num_fewshot": 5},
    }
    (tmp_path / "gpt2.json").write_text(json.dumps(old))
    (arm,) = read_claim(tmp_path).arms
    assert (arm.label, arm.setting, arm.accuracy, arm.n_questions) == ("gpt2", "arc_easy, acc", 0.55, None)


def test_other_shots_are_another_condition(tmp_path: Path) -> None:
    for name, limit in (("base", None), ("tuned", 10)):
        lm_eval(tmp_path, name, RIGHT[name], limit=limit)
    found = {finding.check: finding for finding in read_claim(tmp_path).findings}
    assert "limit differs" in found["conditions-differ"].message


def test_a_score_that_its_samples_do_not_have_is_told_and_not_called_wrong(tmp_path: Path) -> None:
    lm_eval(tmp_path, "base", RIGHT["base"])
    path = next(tmp_path.rglob("results*.json"))
    path.write_text(path.read_text().replace('"exact_match,strict": 0.3', '"exact_match,strict": 0.55'))
    found = next(f for f in read_claim(tmp_path).findings if f.check == "score-is-not-the-mean")
    assert "another average, or a slip" in found.message


def test_a_few_samples_kept_to_show_are_no_exam(tmp_path: Path) -> None:
    lm_eval(tmp_path, "base", RIGHT["base"])
    path = next(tmp_path.rglob("results*.json"))
    path.write_text(path.read_text().replace('"effective": 10', '"effective": 1000'))
    (arm,) = read_claim(tmp_path).arms
    assert (arm.correct, arm.n_questions, arm.accuracy) == (None, 1000, 0.3)


def test_what_came_from_a_cache_is_input_too_and_a_judge_stands_apart(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps(inspect_log("m", "CICC")))
    claim = read_claim(tmp_path)
    assert spent(claim, claim.arms[0], "answer").tokens_real == 100 + 1000 + 50 + 10
    assert spent(claim, claim.arms[0], "judge").tokens_real == 10


def test_a_judge_that_is_the_examined_model_is_taken_out_by_its_role(tmp_path: Path) -> None:
    usage = {"input_tokens": 100, "output_tokens": 10}
    stats = {"model_usage": {"m": usage}, "role_usage": {"grader": {"input_tokens": 30, "output_tokens": 4}}}
    (tmp_path / "log.json").write_text(json.dumps(inspect_log("m", "CI", stats=stats)))
    claim = read_claim(tmp_path)
    assert spent(claim, claim.arms[0], "answer").tokens_real == 76
    assert spent(claim, claim.arms[0], "judge").tokens_real == 34


def test_an_eval_file_is_read_as_its_json_is(tmp_path: Path) -> None:
    zipped(tmp_path / "a" / "base.eval", inspect_log("base", "CIICIIICII"))
    (tmp_path / "a" / "tuned.json").write_text(json.dumps(inspect_log("tuned", "CICCICICII")))
    claim = read_claim(tmp_path / "a")
    row = audit(claim, asked=[("tuned", "base")]).comparisons[0]
    assert (row.only_a, row.only_b, row.n_questions) == (2, 0, 10)


def test_an_evaluation_that_was_written_in_both_forms_counts_once(tmp_path: Path) -> None:
    log = inspect_log("m", "CIIC")
    log["eval"] |= {"run_id": "r", "task_id": "t", "created": "2026-01-01"}
    zipped(tmp_path / "log.eval", log)
    (tmp_path / "log.json").write_text(json.dumps(log))
    claim = read_claim(tmp_path)
    assert len(claim.arms) == 1
    assert "the same evaluation as log.eval" in claim.findings[0].message


def test_zstd_is_read_with_the_extra_and_is_one_line_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = zipped(tmp_path / "log.eval", inspect_log("m", "CICC"), zipfile.ZIP_STORED)
    as_zstd(path, zstandard.ZstdCompressor().compress)
    assert read_claim(tmp_path).arms[0].accuracy == 0.75
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(InputError, match=r"zstd.*pip install 'netgain\[inspect\]'"):
        read_claim(tmp_path)


def as_zstd(path: Path, compress: Any) -> None:
    """The same archive with method 93, which Python's zipfile does not write: stored, then relabelled."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(name, compress(data))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset : at + offset + 2] = (93).to_bytes(2, "little")
            at = data.find(mark, at + 4)
    path.write_bytes(data)


def test_every_eval_ever_gives_scores_samples_and_tokens(tmp_path: Path) -> None:
    claim = read_claim(every_eval(tmp_path / "eee"))
    found = arms(claim)
    assert found["tuned"].accuracy == pytest.approx(0.6)  # of a scale up to 100
    assert spent(claim, found["base"], "answer").tokens_generated == 50
    assert audit(claim, asked=[("tuned", "base")]).comparisons[0].only_a == 3


def test_large_logs_are_read_and_judged_quickly(tmp_path: Path) -> None:
    for name, right in (("base", "01"), ("tuned", "0111")):
        lm_eval(tmp_path, name, (right * 2000)[:4000])
        path = next((tmp_path / name).glob("samples*"))
        rows = [json.loads(line) | {"resps": [["word " * 250]]} for line in path.read_text().splitlines()]
        path.write_text("\n".join(map(json.dumps, rows)))
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.jsonl"))
    begun = time.process_time()
    row = audit(read_claim(tmp_path), asked=[("tuned", "base")]).comparisons[0]
    assert row.n_questions == 4000
    assert time.process_time() - begun < 10 * size / 12e6  # 50 MB in under 10 s, on a machine four times as slow


def test_300_spoiled_variants_of_lm_eval_are_a_claim_or_one_line(tmp_path: Path) -> None:
    for name, marks in RIGHT.items():
        lm_eval(tmp_path / "logs", name, marks)
    endures(LmEvalReader(), tmp_path / "logs", tmp_path)


def test_300_spoiled_variants_of_inspect_are_a_claim_or_one_line(tmp_path: Path) -> None:
    zipped(tmp_path / "logs" / "base.eval", inspect_log("base", "CIIC"))
    (tmp_path / "logs" / "tuned.json").write_text(json.dumps(inspect_log("tuned", "CICC")))
    endures(InspectReader(), tmp_path / "logs", tmp_path)


def test_300_spoiled_variants_of_every_eval_ever_are_a_claim_or_one_line(tmp_path: Path) -> None:
    endures(EveryEvalReader(), every_eval(tmp_path / "logs"), tmp_path)


def test_the_real_logs_of_inspect(real: Path) -> None:
    claim = read_claim(real / "every-eval-ever" / "tests" / "data" / "inspect")
    found = arms(claim)
    assert len(claim.arms) == 7
    total = next(c.cost for c in claim.charges if c.cost.tokens_real and c.cost.tokens_real > 2e8)
    assert total.tokens_real == 231_778_164  # 215.7 M of it from a cache
    judged = next(c for c in claim.charges if c.operation == "judge")
    assert judged.cost.tokens_real == 1_839_031
    assert found["mistral/mistral-small-latest"].n_questions == 79
    old = read_claim(real / "inspect")
    assert len(old.arms) == 15  # of them some were written as .eval and as .json
    assert isinstance(find_readers(real / "inspect")[0], InspectReader)


def test_the_real_results_of_lm_eval(real: Path) -> None:
    claim = read_claim(real / "every-eval-ever" / "tests" / "data" / "lm_eval")
    assert {(arm.setting, arm.n_questions) for arm in claim.arms} == {
        ("math_perturbed_full, exact_match", 5000),
        ("math_rephrased_full, exact_match", 5000),
    }
    assert "10 samples are there of 5000" in claim.findings[0].message


def test_the_real_files_of_every_eval_ever(real: Path) -> None:
    claim = read_claim(real / "every-eval-ever", reader="every-eval-ever")
    assert len([arm for arm in claim.arms if arm.label.startswith("TencentARC")]) == 6
    demo = arms(claim)["demo-org/demo-model"]
    assert spent(claim, demo, "answer").tokens_real == 17
