"""A small trial on the model that ships, and one on SQuAD: from the command to the verdict, as a user runs them."""

import json
from pathlib import Path
from typing import Any

import pytest

from netgain.cli import main
from netgain.records.samples import Adaptation, Investment, Row, read_rows

pytest.importorskip("torch", reason="the models need torch")

SQUAD = Path(__file__).parents[3] / "shared/data/squad/squad_val_half.json"
SEVEN = "[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]"
PEOPLE = f"""\
name: small
model: shipped
teacher: oracle
domains:
  plain: {{kind: people, style: plain}}
problems: {{train: 6, development: 2, test: 10}}
seeds: 1
budget: {{per_problem: 8.0e+9, ladder: [1], deployments: 30}}
tuning: {{trials: 1}}
arms:
  frozen: {{method: frozen}}
  in-context: {{method: in-context}}
  passage: {{method: finetune, target_modules: {SEVEN}}}
  teacher: {{method: teacher, target_modules: {SEVEN}}}
  seal: {{method: seal, target_modules: {SEVEN}, rounds: 1, candidates: 2, repeats: 1, reward_epochs: 2}}
compare: {{arm: seal}}
exam: {{controls: 2, drift: 1}}
"""
SQUAD_TRIAL = """\
name: squad
model: {model}
domains:
  squad: {{kind: squad, path: {data}}}
problems: {{train: 2, development: 1, test: 2}}
seeds: 1
budget: {{per_problem: 4.0e+8, ladder: [1], deployments: 12}}
tuning: {{trials: 1}}
arms:
  frozen: {{method: frozen}}
  passage: {{method: finetune, rank: 4, max_length: 256}}
  own: {{method: synthetic, rank: 4, max_length: 256}}
  seal: {{method: seal, rank: 4, max_length: 256, candidates: 1, repeats: 1, rounds: 1, reward_epochs: 1}}
compare: {{arm: seal}}
exam: {{controls: 0, drift: 1}}
"""


PRETRAINED = """\
name: pretrained
domains:
  plain: {kind: people, style: plain}
problems: {train: 2, development: 1, test: 2, passages: 2}
seeds: 1
budget: {per_problem: 5.0e+8, ladder: [1], deployments: 16}
tuning: {trials: 0}
arms:
  frozen: {method: frozen}
  passage: {method: finetune, kind: full, learning_rate: 7.0e-5, batch_size: 8}
  seal: {method: seal, preset: seal-v2, rounds: 1, candidates: 1, repeats: 1, reward_epochs: 1, edits: 1}
compare: {arm: seal, against: passage}
exam: {controls: 0, drift: 0, text: prose}
"""


def run(folder: Path, trial: str, out: str) -> Path:
    (folder / "trial.yaml").write_text(trial, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(folder / "trial.yaml"), "--out", str(folder / out), "--jobs", "1", "--quiet"])
    assert ended.value.code in (0, None)
    return folder / out


def adaptations(place: Path) -> list[Adaptation]:
    return [row for row in read_rows(place / "samples.jsonl") if isinstance(row, Adaptation)]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("people"), PEOPLE, "run")


def spent(row: Adaptation | Investment) -> float:
    return sum(amounts["flops"] for amounts in row.spent.values())


def accuracy(rows: list[Adaptation], arm: str, rung: float) -> float:
    answers = [a.correct for r in rows if (r.arm, r.rung) == (arm, rung) for a in r.answers if a.kind == "knowledge"]
    return sum(answers) / len(answers)


def test_no_budget_is_exceeded_and_what_is_trained_uses_its_own_to_one_per_cent(people: Path) -> None:
    rows: list[Row] = read_rows(people / "samples.jsonl")
    for row in rows:
        if isinstance(row, Adaptation | Investment) and row.budget is not None:
            assert spent(row) <= row.budget
    for row in adaptations(people):
        if row.arm in {"passage", "teacher", "seal"}:
            assert spent(row) >= 0.99 * (row.budget or 0)


def test_the_world_is_a_test(people: Path) -> None:
    rows = adaptations(people)
    assert accuracy(rows, "frozen", 1) < 0.2
    assert accuracy(rows, "in-context", 1) > 0.85
    assert accuracy(rows, "passage", 1) > accuracy(rows, "frozen", 1) + 0.2
    assert accuracy(rows, "teacher", 1) >= accuracy(rows, "passage", 1)


def test_what_was_rejected_is_itemised(people: Path) -> None:
    (investment,) = [row for row in read_rows(people / "samples.jsonl") if isinstance(row, Investment)]
    assert {"propose", "adapt", "score", "learn"} <= set(investment.spent)
    assert 0 < investment.rejected["flops"] < spent(investment)
    assert investment.rewards


def test_verdict_and_page_are_written_from_the_records(people: Path) -> None:
    verdict: dict[str, Any] = json.loads((people / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["schema"] == "netgain.verdict/1"
    assert {arm["role"] for arm in verdict["arms"]} >= {"frozen", "in_context", "passage", "teacher", "self_improving"}
    assert verdict["decomposition"]
    assert "<svg" in (people / "report.html").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(people: Path, tmp_path: Path) -> None:
    quick = PEOPLE.replace("test: 10", "test: 2").replace("deployments: 30", "deployments: 14")
    first, again = run(tmp_path, quick, "first"), run(tmp_path, quick, "again")
    for name in ("samples.jsonl", "spec.lock.yaml", "verdict.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    other = run(tmp_path, quick.replace("seeds: 1", "seeds: 1\nseed: 7"), "other")
    assert (first / "samples.jsonl").read_bytes() != (other / "samples.jsonl").read_bytes()


def test_squad_runs_end_to_end_on_a_local_folder(tmp_path: Path) -> None:
    if not SQUAD.is_file():
        pytest.skip(f"{SQUAD.name} is not beside the project")
    from tests.model.conftest import save_model

    model = save_model(tmp_path / "model", max_position_embeddings=8192)
    place = run(tmp_path, SQUAD_TRIAL.format(model=model, data=SQUAD), "run")
    rows = adaptations(place)
    assert {row.status for row in rows} == {"ok"}
    assert len(rows) == 4 * 2
    assert all(spent(row) <= (row.budget or 0) for row in rows)


ELEMENTS = """
from netgain.domains import Domain, Material, Problem, Question
class Own(Domain):
    def problems(self, split, count, seed):
        return tuple(
            Problem(
                Material(name, name, f"{name} is a colourless gas."),
                (Question(f"Does {name} tint glass crimson, vermilion, teal or ochre?", ("colourless", "pallid")),),
            )
            for name in (f"{split}ium{number}" for number in range(count))
        )
"""
UNREAD = """\
name: elements
domains: {own: {kind: own.py:Own}}
problems: {train: 0, development: 1, test: 2}
seeds: 1
budget: {per_problem: 4.0e+8, ladder: [1, 2]}
tuning: {trials: 0}
arms: {frozen: {method: frozen}, passage: {method: finetune}}
compare: {arm: passage, against: frozen}
exam: {controls: 0, drift: 0}
"""


def test_words_that_the_model_cannot_tell_apart_are_said_and_are_no_leak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(ELEMENTS)
    (tmp_path / "trial.yaml").write_text(UNREAD)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tmp_path / "trial.yaml"), "--out", str(tmp_path / "out"), "--jobs", "1", "--limit", "2"])
    said = capsys.readouterr()
    assert ended.value.code in (0, None)
    assert said.err.startswith("netgain: warning: ")
    assert "of the words of domain own are unknown to the tokenizer of model shipped (testium0" in said.err
    findings = json.loads((tmp_path / "out" / "verdict.json").read_text(encoding="utf-8"))["findings"]
    severities = {finding["check"]: finding["severity"] for finding in findings}
    assert severities["unknown-words"] == "high"
    assert not {"exposed", "limited"} & severities.keys()


def test_continued_pretraining_on_several_passages_is_one_adaptation_and_tells_what_it_did_to_other_text(
    tmp_path: Path,
) -> None:
    place = run(tmp_path, PRETRAINED, "run")
    rows = adaptations(place)
    assert {(row.arm, row.status) for row in rows} == {(arm, "ok") for arm in ("frozen", "passage", "seal")}
    for arm in ("passage", "seal"):
        mine = [row for row in rows if row.arm == arm]
        assert len(mine) == 2
        assert len({spent(row) for row in mine}) == 1  # they share alike in what one training spent
        assert 0 < spent(mine[0]) <= (mine[0].budget or 0)
        assert [len(row.abilities) for row in mine] == [1, 0]
        assert mine[0].abilities[0].value != rows[0].abilities[0].value
    told = json.loads((place / "verdict.json").read_text(encoding="utf-8"))["abilities"]
    assert [(row["name"], row["before"], row["adaptations"]) for row in told] == [
        ("text", rows[0].abilities[0].value, 1)
    ] * 2
