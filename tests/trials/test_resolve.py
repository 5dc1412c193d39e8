"""A trial is resolved once: paths are those of its file, problems that nobody counted are those that there are."""

import pickle
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import netgain
from netgain.errors import InputError
from netgain.trials.executor import load_model
from netgain.trials.plan import make_plan
from netgain.trials.resolve import Trial, resolve, with_data
from netgain.trials.schedule import run_trial
from netgain.trials.store import LOCK, Store, locked_form, task_identity
from netgain.trials.tasks import Task
from tests.trials import world

TRIAL = """\
name: mine
model: no-such-folder
domains:
  notes: {kind: passages, path: notes}
budget: {per_problem: 1.0e+13, ladder: [0.5, 1, 2]}
arms:
  frozen: {method: frozen}
  passage: {method: finetune}
  seal: {method: seal}
compare: {arm: seal}
"""
OWN = """\
from netgain.methods import Answerer, Method, Role

class Mine(Method):
    role = Role.OTHER

    def adapt(self, desk, materials, learned):
        yield from ()
        return Answerer(model=desk.model)
"""


def write_notes(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        text = f"The river at place {number} is called r{number}."
        questions = f"## Questions\n\nQ: What is the river at place {number} called?\nA: r{number}\n"
        (folder / f"{number}.md").write_text(f"# Place {number}\n\n{text}\n\n{questions}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trial on six notes, in a folder that is not the current one."""
    (tmp_path / "trial").mkdir()
    write_notes(tmp_path / "trial" / "notes", 6)
    (tmp_path / "trial" / "mine.yaml").write_text(TRIAL)
    return tmp_path / "trial"


def changed(folder: Path, old: str, new: str) -> Path:
    assert old in TRIAL
    (folder / "mine.yaml").write_text(TRIAL.replace(old, new))
    return folder / "mine.yaml"


def test_problems_that_nobody_counted_are_those_that_there_are_and_the_plan_says_so(folder: Path) -> None:
    trial = with_data(resolve(folder / "mine.yaml"))
    assert trial.spec.problems.model_dump() == {"train": 2, "development": 1, "test": 2, "passages": 1}
    plan = netgain.plan(folder / "mine.yaml", options=["model=Qwen2.5-7B", "budget.per_problem=1e15"], device="H100")
    assert plan.problems == 2
    assert any(
        told.startswith("problems: 2 train (not 48), 1 development (not 12), 2 test (not 48)")
        for told in plan.assumptions
    )


def test_a_limit_that_cuts_nothing_is_no_limit(folder: Path) -> None:
    whole = with_data(resolve(folder / "mine.yaml")).spec
    assert whole.problems.test < 6
    over = with_data(resolve(folder / "mine.yaml", limit=6)).spec
    exact = with_data(resolve(folder / "mine.yaml", limit=whole.problems.test)).spec
    assert over == exact == whole
    assert whole.limited_to is None
    limited = with_data(resolve(folder / "mine.yaml", limit=1)).spec
    assert (limited.problems.test, limited.limited_from, limited.limited_to) == (1, whole.problems.test, 1)


def test_a_domain_that_has_enough_keeps_the_numbers_as_they_are(folder: Path) -> None:
    shutil.rmtree(folder / "notes")
    write_notes(folder / "notes", 130)
    trial = resolve(folder / "mine.yaml")
    assert with_data(trial) is trial


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ("{test: 5}", r"mine.yaml:5: problems.test = 5: notes has 2 test problems; write test: 2 or less"),
        ("{train: 3, test: 1}", r"mine.yaml:5: problems.train = 3: notes has 2 train problems"),
    ],
)
def test_a_number_that_cannot_be_had_is_an_error_at_its_line(folder: Path, problems: str, message: str) -> None:
    path = changed(folder, "budget:", f"problems: {problems}\nbudget:")
    with pytest.raises(InputError, match=message):
        with_data(resolve(path))


def test_a_split_without_any_problem_is_an_error_of_the_domain(folder: Path) -> None:
    shutil.rmtree(folder / "notes")
    write_notes(folder / "notes", 1)
    with pytest.raises(InputError, match=r"mine.yaml:4: notes has no train problems; .*docs/trials.md"):
        with_data(resolve(folder / "mine.yaml"))


def test_paths_in_a_file_are_relative_to_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "own.py").write_text(OWN)
    (folder / "no-such-folder").mkdir()
    path = changed(folder, "compare: {arm: seal}", "  mine: {method: own.py:Mine}\ncompare: {arm: mine}")
    monkeypatch.chdir(folder.parent)
    trial = resolve(Path("trial/mine.yaml"))
    assert Path(trial.model).samefile(folder / "no-such-folder")
    assert len(trial.domains["notes"].problems("test", 2, 0)) == 2
    assert trial.arms["mine"].method.__name__ == "Mine"
    assert path.is_file()


def test_a_folder_that_is_not_there_is_an_error_at_its_line(folder: Path) -> None:
    path = changed(folder, "model: no-such-folder", "model: path/to/model")
    with pytest.raises(InputError, match=r"mine.yaml:2: model = 'path/to/model': there is no such folder"):
        load_model(resolve(path), "cpu")


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ("nofile.py:Seal", "there is no file"),
        ("broken.py:Seal", "broken.py cannot be run: SyntaxError"),
        ("own.py:Nope", "has no class 'Nope'; valid: Mine"),
        ("own.py:Seal", "the trial has an arm 'seal' already; give the class another name"),
    ],
)
def test_what_is_wrong_with_a_method_of_the_command_line_is_said_with_the_option(
    folder: Path, method: str, problem: str
) -> None:
    (folder / "own.py").write_text(OWN + ("\n\nSeal = Mine\n" if method == "own.py:Seal" else ""))
    (folder / "broken.py").write_text("class Seal(\n")
    with pytest.raises(InputError) as caught:
        resolve(folder / "mine.yaml", [f"{folder}/{method}"])
    assert str(caught.value).startswith(f"--method {folder}/{method}: ")
    assert problem in str(caught.value)


def test_a_model_folder_that_is_not_there_is_a_plans_error_at_its_line(folder: Path) -> None:
    with pytest.raises(InputError, match=r"mine.yaml:2: model = 'no-such-folder': there is no such folder"):
        make_plan(resolve(folder / "mine.yaml"))


def test_a_method_of_the_command_line_is_there_before_the_trial_is_checked(folder: Path) -> None:
    (folder / "own.py").write_text(OWN + "\n\nFrozen = Mine\n")
    path = changed(folder, "compare: {arm: seal}", "compare: {arm: mine}")
    trial = resolve(path, [f"{folder / 'own.py'}:Mine"])
    assert trial.spec.arms["mine"].method == "own.py:Mine"
    with pytest.raises(InputError, match=r"--method .*Frozen: the trial has an arm 'frozen' already"):
        resolve(path, [f"{folder / 'own.py'}:Frozen"])


@pytest.mark.parametrize("page", ["README.md", "docs/trials.md"])
def test_the_trials_on_the_pages_can_be_run_on_six_notes(folder: Path, page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    (documented,) = re.findall(r"```yaml\n(name: .*?)```", text, re.DOTALL)
    (folder / "mine.yaml").write_text(documented, encoding="utf-8")
    assert with_data(resolve(folder / "mine.yaml")).spec.problems.test == 2
    for part in re.findall(r"```yaml\n((?!name: ).*?)```", text, re.DOTALL):  # parts of a trial, in place of its own
        fields = {**yaml.safe_load(documented), **yaml.safe_load(part)}
        (folder / "part.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
        assert resolve(folder / "part.yaml").spec.name == fields["name"]


def form_of(folder: Path) -> tuple[dict[str, Any], str]:
    trial = with_data(resolve(folder / "mine.yaml"))
    form = locked_form(trial, "1", {"model_digest": "m", "teacher_digest": ""})
    task = Task("tune", "notes", "passage")
    return form, task_identity(task, trial.arms["passage"].settings.model_dump(mode="json"), form)


def test_what_counts_is_what_files_hold_and_not_where_they_lie(folder: Path, tmp_path: Path) -> None:
    before, identity = form_of(folder)
    store = Store(tmp_path / "run")
    store.lock(before)
    shutil.move(folder / "notes", folder / "moved")
    changed(folder, "path: notes", f"path: {folder / 'moved'}")
    moved, same = form_of(folder)
    store.lock(moved)
    assert same == identity
    (folder / "moved" / "0.md").write_text((folder / "moved" / "0.md").read_text() + "\n")
    other, another = form_of(folder)
    assert another != identity
    with pytest.raises(InputError, match=r"what differs: data.notes.path"):
        store.lock(other)


def test_a_lock_from_before_data_had_digests_still_fits(folder: Path, tmp_path: Path) -> None:
    form, _ = form_of(folder)
    store = Store(tmp_path / "run")
    store.lock({name: value for name, value in form.items() if name != "data"})
    store.lock(form)


def test_a_trial_in_plain_fields_is_checked_like_a_file() -> None:
    fields = yaml.safe_load(TRIAL) | {"domains": {"people": {"kind": "people"}}}
    assert resolve(fields).spec.name == "mine"
    with pytest.raises(InputError, match=r"trial: unknown field 'sedes'; did you mean 'seeds'\?"):
        resolve(fields | {"sedes": 1})


def test_a_trial_that_is_sent_to_another_process_is_the_same_there() -> None:
    trial = world.resolved()
    again: Trial = pickle.loads(pickle.dumps(trial))  # noqa: S301
    assert again.spec == trial.spec
    assert again.arms.keys() == trial.arms.keys()


def test_several_processes_give_the_same_bytes_and_leave_nothing_behind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arms = {"frozen": {"method": "frozen"}, "edits": {"method": "edits"}}
    spec = world.spec(arms, seeds=1, compare={"arm": "edits", "against": "frozen"})
    world.run(tmp_path / "one", spec)
    assert run_trial(world.resolved(spec), tmp_path / "two", load=world.load, device="cpu", jobs=2).failed == {}
    for name in ("samples.jsonl", LOCK):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "leaked" not in capfd.readouterr().err


def test_an_interrupt_ends_every_process_and_what_is_done_stays(tmp_path: Path) -> None:
    spec = world.spec(seeds=1)

    def stop(progress: Any) -> None:
        if progress.finished == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(world.resolved(spec), tmp_path, load=world.load, device="cpu", jobs=2, show=stop)
    result = world.run(tmp_path, spec)
    assert result.failed == {}
    assert result.repeated >= 1


def test_a_trial_says_how_its_model_attends_and_one_that_says_nothing_is_the_trial_that_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def loaded(_: str, **settings: Any) -> SimpleNamespace:
        asked.append(settings)
        return SimpleNamespace(templated=False)

    monkeypatch.setattr("netgain.trials.executor.door.load_model", loaded)
    file = folder / "mine.yaml"
    for said, attention in (("", "auto"), ("attention: eager\n", "eager"), ("attention: sdpa\n", "sdpa")):
        file.write_text(TRIAL.replace("no-such-folder", ".") + said)
        trial = resolve(file)
        load_model(trial, "cpu")
        assert asked[-1]["attention"] == attention
        assert locked_form(with_data(trial), "1", {})["trial"].get("attention", "auto") == attention
    file.write_text(TRIAL + "attention: on\n")
    with pytest.raises(InputError, match=r"mine.yaml:11: attention = True: .*'eager'; quote it"):
        resolve(file)
    file.write_text(TRIAL)
    assert "attention" not in locked_form(with_data(resolve(file)), "1", {})["trial"]
