"""``netgain init --notes``: a folder of notes becomes a trial that fits it, and what is too little is said."""

from pathlib import Path

import pytest
import typer

from netgain.cli.setup_commands import FEW_PASSAGES, READER, SEEDS, init
from netgain.errors import InputError
from netgain.trials.plan import detectable
from netgain.trials.resolve import Trial, resolve, with_data

PAGE = Path(__file__).parents[1] / "docs" / "notes.md"
HANDBOOK = Path(__file__).parents[1] / "examples" / "handbook"


def notes(folder: Path, count: int, words: int = 5) -> Path:
    """A folder of so many notes, each of about so many words with two questions."""
    (folder / "notes").mkdir()
    for number in range(count):
        text = f"Hut {number} lies by river R{number}. {'It rains. ' * words}\n\n## Questions\n\n"
        asked = f"Q: Where does hut {number} lie?\nA: by river R{number}\n\nQ: What falls on hut {number}?\nA: rain\n"
        (folder / "notes" / f"{number}.md").write_text(f"# Hut {number}\n\n{text}{asked}")
    return folder / "notes"


def written(folder: Path, notes: Path, model: str | None = None, name: str = "mine.yaml") -> Trial:
    """The trial that ``init`` writes, with its data: it runs as it stands."""
    init(folder / name, notes=notes, model=model)
    return with_data(resolve(folder / name))


def test_six_notes_are_all_examined_but_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = written(tmp_path, notes(tmp_path, 6))
    told = capsys.readouterr().out
    assert "6 passages with 12 questions: 1 to learn on, 0 to tune on, 5 for the exam" in told
    assert "SEAL and tuning are left out" in told
    found = detectable(5, 2, SEEDS)
    assert found is not None
    assert f"a true difference of {100 * found:.0f} percentage points" in told
    assert "too little for 20 points: that takes about" in told
    spec = trial.spec
    assert (spec.problems.train, spec.problems.development, spec.problems.test) == (1, 0, 5)
    assert (spec.model, spec.seeds, spec.tuning.trials, spec.shots) == (READER, SEEDS, 0, 1)
    assert (spec.compare.arm, spec.compare.against) == ("own", "passage")
    assert not any(arm.method.learns for arm in trial.arms.values())
    assert {trial.arms[name].settings.learning_rate for name in ("passage", "own")} == {4e-3}
    assert trial.chat  # as its name says, where the hub cannot be asked


def test_notes_in_another_language_are_read_by_its_rules_and_the_trial_says_so(tmp_path: Path) -> None:
    folder = notes(tmp_path, 6)
    for note in folder.iterdir():
        note.write_text(note.read_text().replace("A: rain", "A: A"))  # a word in German, an article in English
    with pytest.raises(typer.Exit):
        init(tmp_path / "english.yaml", notes=folder)
    init(tmp_path / "mine.yaml", notes=folder, language="de")
    assert resolve(tmp_path / "mine.yaml").spec.domains["notes"].settings["language"] == "de"
    for wrong in ({"notes": folder, "language": "xx"}, {"language": "de"}):
        with pytest.raises(InputError, match="--language"):
            init(tmp_path / "other.yaml", **wrong)  # type: ignore[arg-type]


def test_notes_that_suffice_bring_in_what_learns_and_what_is_tuned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = written(tmp_path, notes(tmp_path, FEW_PASSAGES + 10))
    assert "left out" not in capsys.readouterr().out
    assert trial.spec.compare.arm == "seal"
    assert trial.spec.tuning.trials > 1
    assert trial.spec.shots == 1
    assert trial.spec.tuning.knobs["learning_rate"] == [1e-3, 2e-3, 4e-3]
    assert trial.arms["passage"].settings.sentences
    counts = trial.spec.problems
    assert (counts.train, counts.development, counts.test) == (9, 3, 15)


def test_the_splits_that_a_folder_names_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = written(tmp_path, HANDBOOK)
    told = capsys.readouterr().out
    assert "24 to learn on, 8 to tune on, 48 for the exam, 8 for control questions" in told
    assert "too little" not in told
    assert "such as" not in told
    counts = trial.spec.problems
    assert (counts.train, counts.development, counts.test) == (24, 8, 48)


def test_too_few_notes_for_any_verdict_still_make_a_try_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written(tmp_path, notes(tmp_path, 2)).spec.problems.test == 2
    assert "too little for a verdict" in capsys.readouterr().out


def test_a_budget_grows_with_the_model_and_with_the_text(tmp_path: Path) -> None:
    """About what an inner loop takes: for SmolLM2 and a page of text 2e12 FLOPs (NOTEBOOK.md)."""
    short = notes(tmp_path, 6)
    (tmp_path / "long").mkdir()
    long = notes(tmp_path / "long", 6, words=60)
    budgets = [
        written(tmp_path, folder, model, f"{number}.yaml").spec.budget.per_problem
        for number, (folder, model) in enumerate([(short, "shipped"), (short, READER), (long, READER)])
    ]
    assert 50 < budgets[1] / budgets[0] < 120  # 135 M weights against 1.7 M
    assert 5 < budgets[2] / budgets[1] < 12
    assert 1e12 < budgets[2] < 4e12


def test_a_model_that_cannot_read_the_notes_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tokenizers", reason="the shipped model's words are looked up in its tokenizer")
    written(tmp_path, HANDBOOK, "shipped")
    assert "of the words of domain notes are unknown to the tokenizer of model shipped" in capsys.readouterr().out


def test_every_note_without_questions_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = notes(tmp_path, 3)
    (folder / "plain.md").write_text("# Plain\n\nOnly text.\n")
    (folder / "bare.md").write_text("No title.\n")
    with pytest.raises(typer.Exit) as ended:
        init(tmp_path / "mine.yaml", notes=folder, model="shipped")
    told = capsys.readouterr().err
    assert ended.value.exit_code == 2
    assert "plain.md:3: there is no section `## Questions`" in told
    assert "bare.md:1: 'No title.' is not a title" in told
    assert not (tmp_path / "mine.yaml").exists()


def test_what_no_trial_can_be_made_of_is_refused_before_a_file_is_written(tmp_path: Path) -> None:
    folder, file = notes(tmp_path, 6), tmp_path / "mine.yaml"
    (tmp_path / "learnt").mkdir()
    (folder / "0.md").rename(tmp_path / "learnt" / "0.md")
    (tmp_path / "learnt").rename(tmp_path / "train")
    only = tmp_path / "only"
    only.mkdir()
    (tmp_path / "train").rename(only / "train")
    for given, model, message in (
        (tmp_path / "nowhere", None, "no such file or folder"),
        (folder, "nobody/nothing", "no shape of this name"),
        (only, None, "none of its passages is for the exam; put some into a folder named test"),
        (None, "shipped", "stands without --notes"),
    ):
        with pytest.raises(InputError, match=message):
            init(file, notes=given, model=model)
        assert not file.exists()


def test_a_path_in_the_trial_is_relative_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes(tmp_path, 6)
    (tmp_path / "trials").mkdir()
    monkeypatch.chdir(tmp_path)
    init(Path("trials/mine.yaml"), notes=Path("notes"), model=None)
    assert "path: '../notes'" in (tmp_path / "trials" / "mine.yaml").read_text()
    assert with_data(resolve(tmp_path / "trials" / "mine.yaml")).spec.problems.test == 5


@pytest.mark.parametrize("name", ["7", "true", "null", "1e5", "2026-01-01", "My notes"])
def test_any_file_name_gives_a_trial_that_can_be_read(tmp_path: Path, name: str) -> None:
    init(tmp_path / f"{name}.yaml", notes=None, model=None)
    assert resolve(tmp_path / f"{name}.yaml").spec.name == name.lower().replace(" ", "-")


def test_the_page_tells_the_power_that_a_plan_tells() -> None:
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "|" in line]
    (passages,) = (line[1:] for line in lines if line[0] == "passages in the exam")
    rows = {int(line[0].split()[0]): line[1:] for line in lines if line[0].endswith(" seeds")}
    assert len(rows) == 3
    for seeds, figures in rows.items():
        assert [float(f) for f in figures] == [round(100 * (detectable(int(n), 5, seeds) or 0)) for n in passages]


@pytest.mark.parametrize("count", [4, 11, 12, 19])
def test_of_a_few_notes_one_is_shown_and_all_others_are_examined(tmp_path: Path, count: int) -> None:
    spec = written(tmp_path, notes(tmp_path, count), "shipped").spec
    assert spec.problems.train + spec.problems.test == count
    assert spec.shots == spec.problems.train == 1
