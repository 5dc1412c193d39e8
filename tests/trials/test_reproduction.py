"""A run is done again from its record: the same question, or none; and what differs is said."""

import json
from collections.abc import Callable
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import pytest

from netgain import api
from netgain.api import judge_folder, pack
from netgain.cli import main
from netgain.domains.domain import Domain
from netgain.errors import InputError
from netgain.model.metered import Model
from netgain.model.requests import Generate
from netgain.model.scripted import scripted_model
from netgain.trials import run_setup
from netgain.trials.reproduction import Reproduction
from netgain.trials.resolve import Trial
from netgain.trials.schedule import register_trial, run_trial
from netgain.trials.store import LOCK
from tests.trials import world

RESULTS = Path(__file__).parents[2] / "results"
SMALL: dict[str, Any] = {"arms": {"frozen": {"method": "frozen"}, "passage": {"method": "passage"}}, "seeds": 1} | {
    "compare": {"arm": "passage", "against": "frozen"}
}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, registered, run and judged."""
    folder = tmp_path_factory.mktemp("record")
    register_trial(world.resolved(world.spec(**SMALL)), folder, device="cpu", load=world.load)
    world.run(folder, world.spec(**SMALL))
    judge_folder(folder)
    return folder


def again(
    record: Path,
    out: Path,
    load: Callable[[Trial, str], Model] = world.load,
    find_domain: Callable[..., type[Domain]] = world.find_domain,
) -> tuple[bool, list[str]]:
    """Whether all was the same, and what was said."""
    said: list[str] = []
    reproduction = Reproduction(record, Path(), said.append)
    trial = reproduction.trial(find_method=world.find_method, find_domain=find_domain)
    reproduction.begin(out, "cpu")
    run_trial(trial, out, device="cpu", load=load, before=reproduction.require_same)
    judge_folder(out)
    return reproduction.compare(out), said


def model(answer: Callable[[Generate], str], name: str = "scripted") -> Callable[[Trial, str], Model]:
    return lambda trial, device: scripted_model(answer, name=name)


@pytest.mark.parametrize("packed", [False, True])
def test_the_same_code_model_and_data_give_the_same_verdict_answers_and_ledger(
    record: Path, tmp_path: Path, packed: bool
) -> None:
    source = pack(record, tmp_path / "packed") if packed else record
    same, said = again(source, tmp_path / "again")
    assert same
    assert said == [
        "nothing differs beforehand: trial, model, data, code, packages and hardware are the record's",
        "the same: verdict",
        "the same: answers",
        "the same: ledger",
    ]


def test_a_run_is_done_again_in_python_and_says_what_differs(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = partialmethod(Reproduction.trial, find_method=world.find_method, find_domain=world.find_domain)
    monkeypatch.setattr(Reproduction, "trial", found)
    monkeypatch.setattr(api, "run_trial", partial(run_trial, load=world.load))
    done = api.run(again=record, base=tmp_path, out=tmp_path / "again", device="cpu", jobs=1)
    assert done.compared[1:] == ("the same: verdict", "the same: answers", "the same: ledger")
    assert api.Run(record).compared == ()
    monkeypatch.chdir(tmp_path)
    assert api.run(again=record, device="cpu", jobs=1).folder == Path("runs/towns-again")
    for how in ({"trial": "mine.yaml"}, {"options": ["seeds=1"]}, {"limit": 2}):
        with pytest.raises(InputError, match="asks what that run asked"):
            api.run(again=record, **how)
    with pytest.raises(InputError, match="base: belongs to again"):
        api.run(base=tmp_path)


def test_another_model_is_refused_before_anything_is_written(record: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be done again here: model_digest is '.*', was '"):
        again(record, tmp_path / "again", load=model(world.answer, name="other"))
    assert not (tmp_path / "again").exists()


def test_other_data_are_refused_before_a_model_is_loaded(record: Path, tmp_path: Path) -> None:
    class Others(world.Towns):
        def problems(self, split: Any, count: int, seed: int) -> Any:
            return super().problems(split, count, seed + (split == "test"))

    with pytest.raises(InputError, match=r"problems\.towns\.test is"):
        again(record, tmp_path / "again", load=lambda *_: pytest.fail("loaded"), find_domain=lambda *_: Others)


def test_the_first_answer_that_differs_is_named(record: Path, tmp_path: Path) -> None:
    def other(request: Generate) -> str:
        return world.answer(request).replace("unknown", "no idea")

    same, said = again(record, tmp_path, load=model(other))
    assert not same
    wanted = "differs: answers: adaptation of frozen in towns (seed 0, rung 0.5, problem test0n0): answers.0.text is "
    assert any(line.startswith(wanted + "'no idea', was 'unknown'") for line in said), said
    assert "the same: ledger" in said


def test_what_the_record_was_made_with_is_told_before_and_at_the_end(record: Path, tmp_path: Path) -> None:
    kept = pack(record, tmp_path / "packed")
    text = (kept / "setup.json").read_text()
    (kept / "setup.json").write_text(
        text.replace('"python": "', '"python": "1.').replace('"hardware": "', '"hardware": "9 ')
    )
    (kept / LOCK).write_text((kept / LOCK).read_text().replace("netgain: ", "netgain: 0.0."))
    _, said = again(kept, tmp_path / "again")
    begun = [line.removeprefix("differs: ") for line in said[: said.index("the same: answers")]]
    assert [line.split(" is ")[0] for line in begun if "was" in line][:3] == ["netgain", "hardware", "python"]
    assert [line.removeprefix("differed beforehand: ") for line in said if line.startswith("differed")] == sorted(
        begun[:3]
    )


@pytest.mark.parametrize("git", [None, ("1" * 40, ""), ("1" * 40, "2" * 64)])
def test_code_is_the_same_by_its_source_whether_or_not_a_repository_is_at_hand(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: tuple[str, str] | None
) -> None:
    monkeypatch.setattr(run_setup, "_commit", lambda: git or ("", ""))
    said: list[str] = []
    Reproduction(record, Path(), said.append).begin(tmp_path, "cpu")
    assert said == ["nothing differs beforehand: trial, model, data, code, packages and hardware are the record's"]
    monkeypatch.setattr(run_setup, "_code", lambda: "3" * 64)
    Reproduction(record, Path(), said.append).begin(tmp_path, "cpu")
    assert said[-1].startswith(f"differs: netgain's code is '{'3' * 64}', was '")


def test_a_record_from_before_the_source_was_kept_is_held_by_its_commit(record: Path, tmp_path: Path) -> None:
    kept, said = pack(record, tmp_path / "packed"), list[str]()
    setup = json.loads((kept / "setup.json").read_text())
    del setup["code"]
    (kept / "setup.json").write_text(json.dumps(setup | {"commit": "1" * 40}))
    Reproduction(kept, Path(), said.append).begin(tmp_path / "again", "cpu")
    assert [line for line in said if line.startswith("differs: commit is ") and line.endswith(f"was '{'1' * 40}'")]


def test_a_run_is_not_done_again_in_its_own_folder(record: Path) -> None:
    with pytest.raises(InputError, match="is the record itself"):
        again(record, record)


@pytest.mark.skipif(not RESULTS.is_dir(), reason="the records of the repository are not here")
def test_a_record_of_the_repository_is_asked_again_word_for_word() -> None:
    said: list[str] = []
    trial = Reproduction(RESULTS / "hostile-rivals", Path(), said.append).trial()
    assert trial.spec.name == "hostile-rivals"
    assert said == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "nowhere"], "holds no spec.lock.yaml"),
        (["--from", "moved"], "there is no such folder; paths are looked for from"),
        (["--from", "moved", "--seed", "3"], "--seed: stands beside --from"),
        (["--base", "."], "--base: belongs to --from"),
    ],
)
def test_what_cannot_be_done_again_is_one_line(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("moved").mkdir()
    lock = (RESULTS / "hostile-rivals" / LOCK).read_text()
    Path("moved", LOCK).write_text(lock.replace("  model: shipped\n", "  model: ./models/gone\n"))
    with pytest.raises(SystemExit) as ended:
        main(["run", *words])
    lines = capsys.readouterr().err.splitlines()
    assert (ended.value.code, len(lines)) == (2, 1)
    assert told in lines[0]
