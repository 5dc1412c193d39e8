"""A trial's YAML is read as it stands, and what YAML would read otherwise is named by its line with what to write."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from typer.testing import CliRunner

from netgain.cli.app import app
from netgain.errors import InputError
from netgain.strict_yaml import load_yaml, read_yaml
from netgain.trials.resolve import resolve

TRIAL = """name: mine
model: shipped
domains: {plain: {kind: people, style: plain}}
budget: {per_problem: 1e9, ladder: [0.5, 1, 2]}
problems: {train: 4, development: 2, test: 4}
arms:
  frozen: {method: frozen}
"""


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rate: float = 0.0
    name: str = ""
    much: bool = False


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    arms: dict[str, Inner]


def read(tmp_path: Path, text: str) -> dict[str, Inner]:
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    return load_yaml(tmp_path / "t.yaml", Outer).arms


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{tmp_path}/")


def test_a_merge_key_gives_the_fields_that_do_not_stand_there(tmp_path: Path) -> None:
    arms = read(
        tmp_path,
        "arms:\n  a: &a {rate: 1, name: a}\n  b: &b\n    <<: *a\n    rate: 2\n  c:\n    much: yes\n    <<: [*b, *a]\n",
    )
    assert arms["b"] == Inner(rate=2, name="a")
    assert arms["c"] == Inner(rate=2, name="a", much=True)


def test_a_trial_may_merge_an_arm_into_another_and_its_mistakes_have_the_line_where_they_stand(tmp_path: Path) -> None:
    own = "  own: &own {method: synthetic, preset: rewrite, learning_rate: 1e-3}\n"
    again = "  again:\n    <<: *own\n    learning_rate: 2e-3\ncompare: {arm: again}\n"
    file = tmp_path / "trial.yaml"
    file.write_text(TRIAL + own + again)
    arms = resolve(file).arms
    assert (arms["own"].settings.learning_rate, arms["again"].settings.learning_rate) == (1e-3, 2e-3)
    assert arms["again"].settings.format == arms["own"].settings.format == "rewrite"
    file.write_text(TRIAL + own.replace("rewrite", "rewrit") + again)
    with pytest.raises(InputError, match=r"trial.yaml:8: .*rewrit"):
        resolve(file)
    file.write_text(TRIAL + own + again.replace("2e-3", "much"))
    with pytest.raises(InputError, match=r"trial.yaml:11: arms.again.learning_rate = 'much'"):
        resolve(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arms:\n  a: &a [1]\n  b: {<<: *a}\n", "t.yaml:3: << takes a mapping, or a list of them; name one"),
        ("arms:\n  a: &a\n    <<: *a\n", "t.yaml:3: << names a mapping that it stands in; name another one"),
        ("arms:\n  a: {}\n  on: {}\n", "t.yaml:3: YAML reads the name on as yes or no; quote it: 'on'"),
        ("arms:\n  No: {}\n", "t.yaml:2: YAML reads the name No as yes or no; quote it: 'No'"),
        ("arms:\n  a: {}\n  2026-11-27: {}\n", "t.yaml:3: YAML reads the name 2026-11-27 as a date; quote it"),
        ("arms:\n  1.0e+3: {}\n", "t.yaml:2: YAML reads the name 1.0e+3 as a number; quote it: '1.0e+3'"),
        ("arms:\n  1: {}\n", "t.yaml:2: YAML reads the name 1 as a number; quote it: '1'"),
        ("arms:\n  ~: {}\n", "t.yaml:2: YAML reads the name ~ as nothing; quote it: '~'"),
        ("arms:\n  ? [a]\n  : {}\n", "t.yaml:2: the name of a field is no text; write `name: value`"),
        ("arms:\n  a:\n    rate: 010\n", "t.yaml:3: YAML reads 010 as an octal number, 8; write 10 or 8, or quote it"),
        ("arms:\n  a: {rate: -0_17}\n", "t.yaml:2: YAML reads -0_17 as an octal number, -15; write -17 or -15"),
        ("arms:\n  a: {rate: 1:30}\n", "t.yaml:2: YAML reads 1:30 as a number to the base of 60; quote it: '1:30'"),
        ("arms:\n  a: {rate: 1:30.5}\n", "t.yaml:2: YAML reads 1:30.5 as a number to the base of 60; quote it"),
        ("arms:\n  a:\n    name: off\n", "t.yaml:3: arms.a.name = False: Input should be a valid string; quote it"),
        ("arms:\n  a:\n    name: 2026-11-27\n", "Input should be a valid string; quote it, if it is a text"),
        ("arms:\n  a: {name: =}\n", "tag:yaml.org,2002:value'; write it without a tag, and quote it"),
        ("arms:\n  a: {rate: !much 1}\n", "for the tag '!much'; write it without a tag, and quote it"),
        ("arms:\n  a: {rate: 1, rate: 2}\n", "t.yaml:2: the key 'rate' is used twice"),
    ],
)
def test_what_yaml_reads_as_something_else_is_refused_with_its_line_and_what_to_write(
    tmp_path: Path, text: str, message: str
) -> None:
    assert message in problem(tmp_path, text)


def test_numbers_that_mean_what_stands_there_are_read(tmp_path: Path) -> None:
    for written, value in (("07", 7), ("00", 0), ("1_000", 1000), ("0x10", 16), ("1e-3", 1e-3), ("-.5", -0.5)):
        assert read(tmp_path, f"arms: {{a: {{rate: {written}}}}}\n")["a"].rate == value
    assert read(tmp_path, "arms: {'on': {name: '010'}, \"1\": {name: '1:30'}}\n").keys() == {"on", "1"}


def test_an_option_is_read_as_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("arms: {a: {}}\n")
    for option, message in (("arms.a.rate=010", "octal number, 8; write 10"), ("arms={on: {}}", "the name on as yes")):
        with pytest.raises(InputError, match=f"--set {option[:6]}.*{message}"):
            read_yaml(tmp_path / "t.yaml", Outer, [option])
    merged: Any = read_yaml(tmp_path / "t.yaml", Outer, ["arms={a: &a {rate: 3}, b: {<<: *a}}"])[0]
    assert merged.arms["b"].rate == 3


def test_the_command_says_it_in_one_line_with_code_2(tmp_path: Path) -> None:
    file = tmp_path / "trial.yaml"
    file.write_text(TRIAL + "  on: {method: synthetic}\ncompare: {arm: on}\n")
    result = CliRunner().invoke(app, ["validate", str(file)])
    assert result.exit_code == 2
    assert "trial.yaml:8: YAML reads the name on as yes or no; quote it: 'on'" in " ".join(result.output.split())
