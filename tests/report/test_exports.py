"""What other tools get: records in Every Eval Ever's schema with what training took, the compute card, data frames."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.rows import CardRow
from netgain.analysis.verdict import Verdict
from netgain.api import Run
from netgain.audit.audit import audit, read_claim
from netgain.errors import InputError
from netgain.records.samples import read_rows
from netgain.report import exports
from tests.made_verdict import arm, verdict
from tests.trials import world

SCHEMA = Path(__file__).parents[3] / "shared/data/every-eval-ever/every_eval_ever/schemas/eval.schema.json"
CARD = CardRow(
    setting="s",
    method="seal",
    label="SEAL",
    seeds=3,
    adaptations=90,
    spent={"learn": {"updates": 40.0, "tokens_generated": 9000.0}, "adapt": {"updates": 200.0, "flops": 1e12}},
    rejected={"flops": 2e11},
    total={"updates": 240.0, "flops": 1e12},
    incomplete=["flops"],
)
ARM = arm("s/seal@1", "self_improving", method="seal", accuracy=0.5, low=0.4, high=0.6, n_questions=40, seeds=3)


def trial() -> Verdict:
    return verdict(arms=[ARM, arm("s/frozen@1", "frozen", accuracy=None)], card=[CARD], model="m/one", claim="t")


def record() -> dict[str, Any]:
    return exports.every_eval_ever(trial())["s/seal@1"]


def test_a_record_says_what_training_took_and_what_was_rejected() -> None:
    details = record()["model_info"]["additional_details"]
    assert details["training.seeds"] == "3"
    assert (details["training.learn.updates"], details["training.adapt.updates"]) == ("40.0", "200.0")
    assert details["training.learn.tokens_generated"] == "9000.0"
    assert details["training.rejected.flops"] == "200000000000.0"
    assert details["training.known_only_in_part"] == "flops"
    assert all(isinstance(value, str) for value in details.values())


def test_an_arm_without_an_accuracy_has_no_record_and_an_unknown_amount_no_entry() -> None:
    assert list(exports.every_eval_ever(trial())) == ["s/seal@1"]
    unknown = exports.training_details(verdict(), arm("x", updates=None, accuracy=0.1))
    assert "training.updates" not in unknown


def test_same_verdict_same_bytes_and_no_clock() -> None:
    assert exports.as_json(record()) == exports.as_json(record())
    assert record()["retrieved_timestamp"] == "unknown"


def test_the_records_of_an_audit_are_valid_under_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMA.is_file():
        pytest.skip("needs Every Eval Ever's schema (../shared/data/every-eval-ever)")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    card = Path(exports.__file__).parents[1] / "audit/published/rft.yaml"
    for found in (*exports.every_eval_ever(audit(read_claim(card))).values(), record()):
        jsonschema.validate(found, schema)


def test_the_compute_card_is_a_markdown_table_and_data() -> None:
    text = exports.compute_card_markdown(trial())
    assert text.splitlines()[0].startswith("| arm | seeds |")
    assert "| SEAL | 3 | 90 |" in text
    assert exports.compute_card(trial())[0]["spent"]["adapt"]["updates"] == 200.0
    assert exports.compute_card_markdown(verdict()) == ""


def test_a_frame_has_a_row_for_each_arm() -> None:
    pytest.importorskip("pandas")
    frame = exports.to_frame(trial())
    assert list(frame["name"]) == ["s/seal@1", "s/frozen@1"]
    assert frame["accuracy"].isna().tolist() == [False, True]
    with pytest.raises(InputError, match="there is no table 'arm'"):
        exports.to_frame(trial(), "arm")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a verdict holds no answers"):
        exports.to_frame(trial(), "answers")


def test_a_run_gives_every_answer_as_a_row_and_what_is_not_known_is_missing(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    arms = {name: world.ARMS[name] for name in ("frozen", "passage")}
    asked = world.spec(arms, problems={"train": 1, "development": 1, "test": 2}, seeds=1, compare={"arm": "passage"})
    world.run(tmp_path, asked)
    run = Run(tmp_path)
    frame = run.to_frame("answers")
    assert set(frame["arm"]) >= {"towns/frozen@1", "towns/passage@1"}
    assert set(run.to_frame("arms")["name"]) == set(frame["arm"])
    own = frame[(frame["arm"] == "towns/passage@1") & (frame["kind"] == "knowledge")]
    assert own["correct"].tolist() == [True, True]
    assert [accepted[0] for accepted in own["accepted"]] == own["text"].tolist()
    assert frame["judged"].isna().all()
    assert len(frame) == sum(
        len(row.answers) for row in read_rows(tmp_path / "samples.jsonl") if row.row == "adaptation"
    )


def test_without_pandas_a_frame_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="needs pandas, which is not installed; pip install pandas"):
        exports.to_frame(trial())
