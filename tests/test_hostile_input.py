"""Whatever is written into a trial's file or on the command line: one line that a terminal only prints, exit code 2."""

import re
from pathlib import Path
from typing import Any

import pytest

from netgain.cli import main
from netgain.errors import FaultError, InputError, JournalError, one_line, shown
from netgain.strict_yaml import MOST_VALUES, plain_yaml
from netgain.trials.resolve import resolve
from netgain.trials.tuning import search

TRIAL = """\
name: mine
domains:
  people: {kind: people}
problems: {train: 8, development: 4, test: 12}
budget: {per_problem: 8.0e+9, ladder: [1]}
arms:
  frozen: {method: frozen}
  passage: {method: finetune, rank: 8}
  seal: {method: seal, rounds: 1}
compare: {arm: seal}
"""
BOMB = "x0: &a0 [z, z, z, z, z, z, z, z, z]\n" + "".join(
    f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 5)}]\n" for n in range(1, 10)
)
STAIRS = "".join(f"{' ' * n}-\n" for n in range(1, 100))
MANY = "".join(f"  a{n}: {{method: frozen}}\n" for n in range(300))
FEWER = "".join(f"  a{n}: {{method: frozen}}\n" for n in range(30))
LONG = "n" * 300
ESCAPE = "\x1b[31m"


@pytest.mark.parametrize("kind", [InputError, FaultError, JournalError])
def test_no_error_that_says_where_reaches_for_the_terminal(kind: Any) -> None:
    assert str(kind("a\nserver", f"says {ESCAPE}red", "mend it")) == r"a server: says \x1b[31mred; mend it"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    error = capsys.readouterr().err
    assert ended.value.code == 2, error
    assert error.startswith("netgain: ")
    assert error.count("\n") == 1
    assert one_line(error) == error.strip()
    assert len(error) < 1000
    return error


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{BOMB}{TRIAL}", "t.yaml:6: holds more than 20000 values, aliases included"),
        (f"{TRIAL}question: [{'*a, ' * 60}]\n", "alias"),
        (f"x: &a 1\n{TRIAL}question: [{'*a, ' * 60}]\n", "uses more than 50 aliases"),
        (f"{TRIAL}question: &a [*a]\n", "recursive"),
        (f"{TRIAL}question: {'[' * 100_000}\n", "t.yaml:11: is nested deeper than 60"),
        (f"{TRIAL}question: {'{a: ' * 300}{'}' * 300}\n", "t.yaml:11: is nested deeper than 60"),
        (f"{TRIAL}question:\n{STAIRS}", "is nested deeper than 60"),
        (f"{TRIAL}question: [{'1, ' * MOST_VALUES}]\n", "t.yaml:11: holds more than 20000 values"),
        (f"{TRIAL}seed: {'9' * 5000}\n", "is a number of 5000 digits"),
        (f"{TRIAL}seed: {'9' * 3600}\n", "is a number of 3600 digits"),
        (f"{TRIAL}seed: 0x{'f' * 4000}\n", "is a number of 4002 digits"),
        (f"{TRIAL}seed: 0b{'1' * 20_000}\n", "is a number of 20002 digits"),
        (f"{TRIAL}seed: 0x{'f' * 250}\n", "t.yaml:11: seed = "),
        (TRIAL.replace("8.0e+9", "1.0e+400"), r"1.0e\+400 is larger than any number that can be held"),
        (TRIAL.replace("rank: 8", "learning_rate: .inf"), "t.yaml:8: arms.passage.learning_rate = inf"),
        (f"{TRIAL}model: {LONG}\n", "File name too long; name a model's folder"),
        (f"{TRIAL}teacher: {{model: {LONG}}}\n", "File name too long; name a model's folder"),
        (TRIAL.replace("method: finetune", f"method: {LONG}.py:Mine"), "File name too long"),
        (f'{TRIAL}question: "a\\0b"\n', "t.yaml:11: question = 'a.x00b' holds NUL"),
        (f'{TRIAL}question: "\\ud800"\n', "t.yaml:11: .* half of a surrogate pair"),
        (f'{TRIAL}"\\e[2J": 1\n', r"unknown field '\\x1b\[2J'"),
        (f'{TRIAL}"\\e[2J": 1\n"\\e[2J": 2\n', r"the key '\\x1b\[2J' is used twice"),
        (f'{TRIAL}model: "./\\e[31m"\n', r"model = '\./\\x1b\[31m'"),
        (TRIAL.replace("method: finetune", 'method: "\\e[31m"'), r"method '\\x1b\[31m'"),
        (f"{TRIAL}seeds: 1000\nproblems: {{}}\n", "the key 'problems' is used twice"),
        (TRIAL.replace("  seal", f"{MANY}  seal"), "at most 200 items"),
        (TRIAL.replace("rank: 8", f"tune: {{rank: {[*range(1, 2000)]}}}"), "at most 1000 items"),
        (f"{TRIAL}seeds: 1000\n".replace("  seal", f"{FEWER}  seal"), "the trial would be 33000 runs of an arm"),
    ],
)
def test_a_trial_that_cannot_be_ends_in_one_line(
    text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(text)
    line = said(capsys, "plan", str(file), "--device", "H100")
    assert re.search(problem, line), line


@pytest.mark.parametrize("kind", ["passages", "arc", "squad"])
def test_data_that_cannot_be_there_name_their_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(TRIAL.replace("kind: people", f"kind: {kind}, path: {LONG}"))
    assert "t.yaml:3: " in (line := said(capsys, "validate", str(file)))
    assert "File name too long" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", LONG],
        ["plan", "FILE", "--method", f"{LONG}.py:Mine"],
        ["validate", LONG],
        ["ask", LONG],
        ["report", LONG],
        ["status", LONG],
        ["verify", LONG],
        ["export", LONG, "--out", "x.csv"],
        ["pack", LONG, "--out", "x"],
        ["init", LONG],
        ["init", "new.yaml", "--notes", LONG],
        ["init", "new.yaml", "--model", LONG],
        ["audit", LONG],
        ["audit", f"a={LONG}"],
        ["audit", "--new-card", LONG],
        ["audit", "--html", LONG],
        ["audit", "--save-claim", LONG],
        ["audit", ".", "--reader", f"{LONG}.py:Mine"],
        ["audit", ".", "--tokenizer", LONG],
        ["plan", ESCAPE],
        ["plan", "FILE", "--set", f"{ESCAPE}=1"],
        ["plan", "FILE", "--set", f"question={ESCAPE}"],
        ["plan", "FILE", "--set", 'question="\\ud800"'],
        ["plan", "FILE", "--set", f"seed=0x{'f' * 4000}"],
        ["plan", "FILE", "--set", f"question={'[' * 5000}"],
        ["plan", "FILE", "--method", ESCAPE],
        ["plan", "FILE", "--device", ESCAPE],
        ["plan", "--domain", ESCAPE],
        ["plan", f"--{ESCAPE}"],
        ["audit", ESCAPE],
        ["verify", ESCAPE],
        ["list", ESCAPE],
        [ESCAPE],
        ["plan", "a\udcff"],
    ],
)
def test_an_argument_that_cannot_be_ends_in_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text(TRIAL)
    said(capsys, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("class Mine(Method):\n    role = 'nonsense'\n", "Mine.role = 'nonsense'"),
        ("class Mine(Method):\n    role = Role.PASSAGE\n    Settings = 5\n", "Mine.Settings = 5"),
        ("class Mine(Method):\n    role = Role.PASSAGE\n    Settings = dict\n", "Mine.Settings = <class 'dict'>"),
        ("class Mine(Method):\n    role = Role.PASSAGE\n    presets = [1]\n", "Mine.presets = "),
        ("raise BaseException('gone')\n", "cannot be run: BaseException: gone"),
        ("raise GeneratorExit\n", "cannot be run: GeneratorExit"),
        ("raise SystemExit(0)\n", "cannot be run: SystemExit: 0"),
        ("def f(): f()\nf()\n", "cannot be run: RecursionError"),
    ],
)
def test_a_methods_file_that_cannot_be_ends_in_one_line(
    body: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapt = "    def adapt(self, desk, materials, learned):\n        yield from ()\n" if "class" in body else ""
    (tmp_path / "mine.py").write_text(f"from netgain.methods import Method, Role\n{body}{adapt}")
    (tmp_path / "t.yaml").write_text(TRIAL.replace("method: finetune, rank: 8", "method: mine.py:Mine"))
    assert problem in said(capsys, "plan", str(tmp_path / "t.yaml"), "--device", "H100")


def test_a_search_of_many_settings_is_counted_and_not_made() -> None:
    knobs = {name: [*range(1000)] for name in "abc"}
    assert len(search(knobs, dict.fromkeys(knobs, 0), 1000, 2, lambda values: True, lambda values: 0.5).tried) <= 1006


def test_what_an_error_shows_is_short_and_printable() -> None:
    assert shown(10**5000) == "a number of 16610 bits"
    assert shown([10**5000]) == "what is too large to show (a list)"
    assert shown("a" * 100) == f"'{'a' * 56}..."
    assert one_line("a\tb\n\x1b[0m\x00\u202e\ud800") == "a b \\x1b[0m\\x00\\u202e\\ud800"
    assert one_line("Zürich, 東京, می‌خواهم") == "Zürich, 東京, می‌خواهم"
    assert str(InputError("a\x1b", "b\x07", "c\x9b")) == "a\\x1b: b\\x07; c\\x9b"


def test_yaml_of_others_is_bounded_as_well() -> None:
    with pytest.raises(Exception, match="holds more than"):
        plain_yaml(BOMB)
    assert plain_yaml("a: [1, 2021-01-01]")["a"][0] == 1


def test_what_is_allowed_stays_allowed(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(f"{TRIAL}question: 'Zürich \\x1b'\nmodel: shipped\n")
    assert resolve(tmp_path / "t.yaml").spec.question == "Zürich \\x1b"
