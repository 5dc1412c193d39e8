"""Every byte of a finished run is covered: flipped, it is found, or changes nothing that anybody reads.

What is harmless by construction: free space inside an SQLite file (no row, no hash and no page changes), and files that
are no part of the record (``progress.json``, which only `netgain status` reads, and the lock files of writers).
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from netgain.analysis.verdict import Verdict
from netgain.api import PAGE, check_run, judge_folder, judged
from netgain.errors import InputError
from netgain.trials.history import HISTORY
from netgain.trials.kept import VERDICT, KeptRun
from netgain.trials.recheck import RunCheck, recheck
from netgain.trials.store import LOCK, SAMPLES, SETUP
from tests.trials import world

ARMS = {"frozen": {"method": "frozen"}, "passage": {"method": "passage"}}
SPEC = world.spec(
    ARMS,
    seeds=1,
    problems={"train": 1, "development": 1, "test": 1},
    budget={"per_problem": 4, "ladder": [1]},
    tuning={"trials": 2},
    compare={"arm": "passage", "against": "frozen"},
    exam={"controls": 0, "drift": 0},
)
NO_RECORD = ("progress.json", ".lock")
UNIT = "units/run-towns-passage-0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flipped") / "run"
    world.run(folder, SPEC)
    judge_folder(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[RunCheck, Verdict]:
    assert check_run(folder)[0].found == []
    return recheck(KeptRun(folder)), judged(KeptRun(folder))


def flips(path: Path, count: int | None = None) -> Iterator[int]:
    """The file with one bit of one byte flipped, ``count`` bytes drawn; its bytes are put back in the end."""
    data, rng = path.read_bytes(), random.Random(path.name)  # noqa: S311 - which bytes are tried
    places = range(len(data)) if count is None else sorted(rng.sample(range(len(data)), min(count, len(data))))
    try:
        for place in places:
            changed = bytearray(data)
            changed[place] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            yield place
    finally:
        path.write_bytes(data)


def unseen(folder: Path, path: Path, whole: tuple[RunCheck, Verdict], count: int | None = None) -> list[int]:
    """The places whose flip is neither found nor without any effect."""
    wrong, refused = [], list[str]()
    for place in flips(path, count):
        try:
            found = recheck(KeptRun(folder))
        except InputError as error:
            refused.append(str(error))
            continue
        if not found.wrong and (found.parts != whole[0].parts or judged(KeptRun(folder)) != whole[1]):
            wrong.append(place)
    assert all(path.name in line for line in refused)
    return wrong


def records(folder: Path) -> list[Path]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(NO_RECORD))
    return [path for path in files if path.name not in (VERDICT, PAGE) and path.parent.name != "answers"]


def test_a_flipped_byte_of_any_file_of_the_records_is_found_or_changes_nothing(
    folder: Path, whole: tuple[RunCheck, Verdict]
) -> None:
    paths = records(folder)
    assert {path.name for path in paths} == {
        *(LOCK, SAMPLES, SETUP, HISTORY, "exam.jsonl", "journal", "rows.jsonl", "unit.json")
    }
    for path in paths:
        assert unseen(folder, path, whole, count=4) == [], path


def test_a_flipped_byte_of_what_was_made_from_the_records_is_found(folder: Path) -> None:
    made = [folder / VERDICT, folder / PAGE, *sorted((folder / "answers").iterdir())]
    for path in made:
        for place in flips(path, count=1):
            found = check_run(folder)[0].wrong
            assert any(path.name in line for line in found), (path, place, found)


@pytest.mark.parametrize("name", [LOCK, SAMPLES, SETUP, f"{UNIT}/unit.json", f"{UNIT}/rows.jsonl", f"{UNIT}/journal"])
def test_no_clean_page_is_made_of_a_flipped_file(folder: Path, name: str) -> None:
    kept = {path: path.read_bytes() for path in (folder / VERDICT, folder / PAGE)}
    data = (folder / name).read_bytes()
    place = data.find(b"towns" if name != SETUP else b"CPU")  # a byte that counts
    refused = ""
    try:
        (folder / name).write_bytes(data[:place] + b"X" + data[place + 1 :])
        assert judge_folder(folder, answers=False).doubts
    except InputError as error:
        refused = str(error)  # then nothing is written
    page = (folder / PAGE).read_text()
    for path, before in {**kept, folder / name: data}.items():
        path.write_bytes(before)
    assert ('<section id="not-verified"' in page) is not bool(refused)
    assert name in refused or not refused


@pytest.mark.slow
@pytest.mark.parametrize("name", [LOCK, SETUP, f"{UNIT}/unit.json", f"{UNIT}/rows.jsonl", SAMPLES])
def test_every_byte_of_every_small_file_is_found(folder: Path, whole: tuple[RunCheck, Verdict], name: str) -> None:
    assert unseen(folder, folder / name, whole) == []
