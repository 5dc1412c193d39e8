"""A trial for the hub and for Every Eval Ever's samples: what is known, in the schemas of those who read it."""

import json
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.errors import InputError
from netgain.records.provenance import RunSetup
from netgain.records.samples import Adaptation
from netgain.report import exports
from netgain.trials.outcome import Outcome
from netgain.trials.trial_claim import claim_of

from .test_answers import exam_of

SCHEMAS = Path(__file__).parents[3] / "shared/data/every-eval-ever/every_eval_ever/schemas"

Trial = tuple[Outcome, Verdict, list[Any]]


@pytest.fixture(scope="module")
def trial(simulated: ModuleType) -> Trial:
    design = simulated.Design(simulated.STANDARD, problems=4)
    spec, rows = simulated.spec_of(design), simulated.rows_of(design)
    claim = claim_of(spec, rows, simulated.ROLES, setup=RunSetup(date="2026-11-27"))
    return Outcome.of(spec, rows), judge(claim), rows


def test_the_section_of_a_model_card_has_the_verdict_every_arm_and_no_broken_table(trial: Trial) -> None:
    _, verdict, _ = trial
    text = exports.model_card(verdict)
    assert text.startswith("## Evaluation at equal compute\n\n> ")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 2
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables)
    own = [arm for arm in verdict.arms if arm.own]
    assert len(tables[0]) == len(own) + 2
    assert text == exports.model_card(verdict)


def test_eval_results_are_what_the_hub_reads(trial: Trial) -> None:
    hub = pytest.importorskip("huggingface_hub")
    _, verdict, _ = trial
    (entry,) = exports.eval_results(verdict, dataset="someone/handbook")
    (read,) = hub.parse_eval_result_entries(yaml.safe_load(yaml.safe_dump([entry])))
    headline = next(arm for arm in verdict.arms if arm.headline)
    assert read.dataset_id == "someone/handbook"
    assert read.value == pytest.approx(headline.accuracy, abs=1e-6)
    assert read.date == "2026-11-27"
    assert "95 % interval" in read.notes


def test_without_a_data_set_of_the_hub_there_is_no_entry_and_another_arm_is_refused(trial: Trial) -> None:
    _, verdict, _ = trial
    assert exports.eval_results(verdict) == []
    with pytest.raises(InputError, match="is no arm that was compared"):
        exports.eval_results(verdict, "nobody")


def test_there_is_a_sample_for_each_answer_that_decides_and_it_joins_its_record(trial: Trial) -> None:
    outcome, verdict, rows = trial
    records = exports.every_eval_ever(verdict)
    found = exports.instances(outcome, records, exam_of(rows))
    assert found.keys() == records.keys()
    kind = outcome.spec.compare.exam
    adapted = [row for row in rows if isinstance(row, Adaptation) and row.arm == "frozen"]
    name = next(name for name in found if "frozen" in name)
    asked = {(row.seed, row.problem): row for row in adapted}
    assert len(found[name]) == sum(answer.kind == kind for row in asked.values() for answer in row.answers)
    for name, lines in found.items():
        assert {line["evaluation_id"] for line in lines} == {records[name]["evaluation_id"]}
        assert all(line["input"]["raw"].startswith("What is it?") for line in lines)
    (unknown, *_) = exports.instances(outcome, exports.every_eval_ever(verdict), [])[name]
    assert unknown["input"]["reference"] == []


def test_samples_are_valid_under_the_schema(trial: Trial) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = SCHEMAS / "instance_level_eval.schema.json"
    if not schema.is_file():
        pytest.skip("needs Every Eval Ever's schema (../shared/data/every-eval-ever)")
    outcome, verdict, rows = trial
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    for lines in exports.instances(outcome, exports.every_eval_ever(verdict), exam_of(rows)).values():
        for line in lines[:5]:
            validator.validate(line)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_date_means_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", zone)
        time.tzset()
        told = [exports._seconds(date) for date in ("2026-11-28", "2026-11-28T01:00:00+01:00", "", "yesterday")]
    time.tzset()
    assert told == ["1795824000", "1795824000", "unknown", "unknown"]
