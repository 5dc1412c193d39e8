"""The command line as a user meets it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netgain.analysis.verdict import Verdict
from netgain.metering.account import Book
from netgain.records.cost import Cost, Purpose
from tests.command_line import netgain as run


def test_help_is_instant(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "netgain", "--help"]
        assert "audit" in subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(took) < 0.3  # processor seconds: whatever else the machine does


def test_without_a_path_the_packaged_claim_is_audited_and_a_page_written(tmp_path: Path) -> None:
    done = run("audit", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "no conventional arm was measured beside the same frozen model" in " ".join(
        done.stdout.replace("│", "").split()
    )
    assert (tmp_path / "netgain-audit-seal.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_is_the_verdict_and_nothing_else(tmp_path: Path) -> None:
    done = run(
        "audit", "--json", "--compare", "base_prompt-rewrite", "iter2", "--compare", "gpt4_1", "naive", cwd=tmp_path
    )
    verdict = Verdict.model_validate(json.loads(done.stdout))
    asked = [(row.a, row.b) for row in verdict.comparisons if row.kind == "asked"]
    assert asked == [("base_prompt-rewrite", "iter2"), ("gpt4_1", "naive")]
    assert list(tmp_path.iterdir()) == []


def test_a_saved_claim_can_be_audited_again(tmp_path: Path) -> None:
    assert run("audit", "--save-claim", "c.json", "-q", "--html", "a.html", cwd=tmp_path).stdout == ""
    assert run("audit", "c.json", "-q", "--html", "b.html", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_new_card_is_refused_until_it_is_filled_in_and_is_never_overwritten(tmp_path: Path) -> None:
    assert run("audit", "--new-card", "mine.yaml", cwd=tmp_path).returncode == 0
    untouched = run("audit", "mine.yaml", "-q", cwd=tmp_path)
    assert (untouched.returncode, "mine.yaml:4: title is still FILL IN" in untouched.stderr) == (2, True)
    again = run("audit", "--new_card", "mine.yaml", cwd=tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_each_claim_has_a_page_of_its_own_and_nobody_elses_file_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: T\nheadline: a\narms:\n  a: {role: other}\n")
    for _ in range(2):  # the second time over a page of our own
        assert run("audit", "mine.yaml", "-q", cwd=tmp_path).returncode == 0
    assert (tmp_path / "netgain-audit-mine.html").is_file()
    (tmp_path / "notes.html").write_text("<p>mine</p>")
    refused = run("audit", "mine.yaml", "--html", "notes.html", cwd=tmp_path)
    assert (refused.returncode, "was not written by netgain" in refused.stderr) == (2, True)
    assert (tmp_path / "notes.html").read_text() == "<p>mine</p>"


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("methods", ("seal  ", "finetune  ", "FILE.py:CLASS")),
        ("domains", ("people  ", "squad  ")),
        ("models", ("shipped  ", "Qwen/Qwen2.5-7B  ")),
        ("formats", ("seal  ", "CARD.yaml  ")),
    ],
)
def test_what_can_be_named_is_listed_a_line_each(what: str, names: tuple[str, ...], tmp_path: Path) -> None:
    done = run("list", what, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert all(any(line.startswith(name) for line in lines) for name in names)
    assert all(len(line.split("  ", 1)[-1].strip()) > 5 for line in lines)
    assert run("list", "methos", cwd=tmp_path).returncode == 2


def test_a_terminal_that_knows_no_unicode_gets_a_verdict_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "netgain", "audit"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_claim_without_a_headline_gets_a_page(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(
        '{"name": "c", "title": "C", "arms": [{"name": "a", "label": "A", "setting": "s", "role": "other"}]}'
    )
    assert run("audit", "c.json", "-q", cwd=tmp_path).returncode == 0


def test_a_journal_is_verified_and_a_changed_one_is_not(tmp_path: Path) -> None:
    with Book.open(tmp_path / "run.journal") as book:
        book.account("a", purpose=Purpose.ADAPT).reserve("train", Cost(updates=3)).settle(Cost(updates=2))
    done = run("verify", "run.journal", cwd=tmp_path)
    assert (done.returncode, "verified: " in done.stdout) == (0, True)
    assert json.loads(run("verify", "run.journal", "--json", cwd=tmp_path).stdout)["spent_at_least"]["updates"] == 2
    assert run("verify", "run.journal", "--head", "00", cwd=tmp_path).returncode == 1
    (tmp_path / "run.journal").write_bytes(b"no journal")
    broken = run("verify", "run.journal", cwd=tmp_path)
    assert (broken.returncode, "not verified" in broken.stdout, broken.stderr) == (1, True, "")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("seedz=1", "unknown field 'seedz'; did you mean 'seed'?"),
        ("arms.seel.rounds=2", "there is no 'seel' in 'arms'; did you mean 'seal'?"),
        ("arms.seal.ronds=2", "unknown field 'arms.seal.ronds'; did you mean 'rounds'?"),
        ("budget.ladder=[0.5,2]", "level 1 is missing"),
        ("budget.ladder.7=1", "'budget.ladder' is a list of 1; name an item by its number, from 0 on"),
        ("name.x=1", "'name' is a text"),
        ("seeds", "is not PATH=VALUE"),
        ("seeds=[1", "the value is not YAML"),
    ],
)
def test_what_cannot_be_set_is_said_with_the_option_and_the_nearest_field(
    tmp_path: Path, option: str, message: str
) -> None:
    done = run("plan", "--set", option, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"--set {option}" in done.stderr
    assert message in done.stderr


def test_what_is_set_is_planned(tmp_path: Path) -> None:
    plan = json.loads(
        run(
            "plan", "--json", "--set", "seeds=2", "--limit", "4", "--seed", "9", "--device", "H100", cwd=tmp_path
        ).stdout
    )
    assert (plan["seeds"], plan["problems"]) == (2, 4)


def test_a_new_trial_is_valid_and_is_never_overwritten(tmp_path: Path) -> None:
    assert run("init", cwd=tmp_path).returncode == 0
    assert "trial.yaml: valid" in run("validate", "trial.yaml", cwd=tmp_path).stdout
    again = run("init", cwd=tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("name: X\nbudgt: {}\narms:\n  a: {method: frozen}\n")
    done = run("validate", "t.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "t.yaml:2: unknown field 'budgt'; did you mean 'budget'?" in done.stderr
    assert "t.yaml:1: name = 'X'" in done.stderr
    assert "compare: Field required" in done.stderr


def test_without_torch_a_run_names_the_pip_line(tmp_path: Path) -> None:
    blocked = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from netgain.cli import main\n"
        "main(['run', '--limit', '2', '--jobs', '1', '--out', 'out'])\n"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, "pip install 'netgain[train]'" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_before_anything_began_is_said(tmp_path: Path) -> None:
    pressed = (
        "import netgain.trials.resolve as module\n"
        "def pressed(*_, **__):\n"
        "    raise KeyboardInterrupt\n"
        "module.resolve = pressed\n"
        "from netgain.cli import main\n"
        "main(['run'])\n"
    )
    done = subprocess.run([sys.executable, "-c", pressed], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (130, "netgain: interrupted\n")


@pytest.mark.parametrize("command", ["plan", "run", "validate", "report", "status", "verify"])
@pytest.mark.parametrize("name", ["nowhere", "empty", "binary", "empty.yaml", "list.yaml", "binary.yaml"])
def test_whatever_it_is_given_no_command_ends_in_a_traceback(tmp_path: Path, command: str, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "list.yaml").write_text("- 1\n")
    for binary in ("binary", "binary.yaml"):
        (tmp_path / binary).write_bytes(bytes(range(256)))
    done = run(command, name, cwd=tmp_path)
    assert done.returncode == (1 if command == "verify" and (tmp_path / name).is_file() else 2)
    assert "Traceback" not in done.stderr
    assert (done.stderr + done.stdout).count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "nowhere"], "there is no such file"),
        (["audti"], "Did you mean 'audit'?"),
        (["audit", "--jsn"], "--json"),
        (["audit", "--seed", "x"], "--seed"),
        (["audit", "--seed", "-1"], "--seed"),
        (["audit", "nowhere"], "nowhere: there is no such file or folder"),
        (["audit", "half.jsn"], "did you mean 'half.json'?"),
        (["audit", "elsewhere"], "elsewhere: there is no such file or folder\n"),
        (["list"], "(netgain list --help lists what is valid)"),
        (["audit", "half.json"], "half.json: is not JSON that can be read"),
        (["audit", "types.json"], "types.json: is not a claim; field 'arms'"),
        (["audit", "list.json"], "list.json: is not a claim"),
        (["audit", "deep.json"], "deep.json: is not JSON"),
        (["audit", "empty"], "no result files that a reader knows"),
        (["audit", "notes.txt"], "neither a folder nor"),
        (["audit", "--compare", "iter2"], "requires 2 arguments"),
        (["audit", "--compare=iter2"], "requires 2 arguments"),
        (["audit", "--compare", "iter2", "-q"], "takes two arms"),
        (["audit", "x" * 300], "cannot be looked at"),
        (["audit", "--compare", "iter2", "bass"], "did you mean 'base'?"),
        (["audit", "--html", "no/such/folder.html"], "cannot be written"),
        (["audit", "--tokenizer", "empty"], "no tokenizer.json there"),
    ],
)
def test_bad_input_gets_one_clear_line_and_exit_code_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "half.json").write_text('{"schema": "netgain.claim/1", "arms": [')
    (tmp_path / "types.json").write_text('{"name": "x", "title": "x", "arms": 3}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_the_published_results_are_judged_in_seconds(published: Path, tmp_path: Path) -> None:
    start = time.perf_counter()
    done = run("audit", str(published), cwd=tmp_path)
    assert done.returncode == 0
    assert time.perf_counter() - start < 30  # the promise is 10 s on an idle machine; see NOTEBOOK.md


def test_the_demo_of_a_domain_is_planned_by_its_name_and_written_out_by_init(tmp_path: Path) -> None:
    plan = json.loads(run("plan", "--domain", "grids", "--json", "--device", "H100", cwd=tmp_path).stdout)
    assert (plan["name"], plan["model"]) == ("grids", "shipped-grids")
    assert run("init", "mine.yaml", "--domain", "grids", cwd=tmp_path).returncode == 0
    assert "mine.yaml: valid" in run("validate", "mine.yaml", cwd=tmp_path).stdout
    unknown = run("plan", "--domain", "grid", cwd=tmp_path)
    assert (unknown.returncode, "did you mean 'grids'" in unknown.stderr) == (2, True)
    both = run("plan", "mine.yaml", "--domain", "grids", cwd=tmp_path)
    assert (both.returncode, "stands beside mine.yaml" in both.stderr) == (2, True)
