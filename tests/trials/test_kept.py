"""What is kept of a run is checked against itself, in its folder and packed: nothing in it can be changed unnoticed."""

import errno
import json
import lzma
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from netgain.api import PAGE, answer_pages, check_run, judge_folder, judge_run, pack, verify_run
from netgain.cli import app
from netgain.errors import InputError, JournalError
from netgain.records.chain import ROOT, chain, encode, read
from netgain.records.events import Began, Event, Noted, Settled
from netgain.records.journal import Journal
from netgain.records.packed import pack_journals, unpack_journals
from netgain.report.page import render
from netgain.trials.history import HISTORY, History
from netgain.trials.kept import JOURNALS, VERDICT, KeptRun, pack_run, unpack_run
from netgain.trials.recheck import recheck
from netgain.trials.schedule import register_trial
from netgain.trials.store import LOCK, SAMPLES, Store, registration_of, spec_hash
from tests.trials import world

SPEC = world.spec(seeds=1, exam={"controls": 1, "drift": 0, "stream": 2})
RUN = "run-towns-edits-0"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "run"
    register_trial(world.resolved(SPEC), folder, device="cpu", load=world.load)
    world.run(folder, SPEC)
    judge_folder(folder)
    return folder


@pytest.fixture(scope="module")
def record(whole: Path) -> Path:
    return pack(whole, whole.parent / "record")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


@pytest.fixture
def packed(record: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(record, tmp_path / "record"))


def test_a_whole_run_and_its_packed_record_verify(whole: Path, record: Path) -> None:
    shown: list[Any] = []
    assert verify_run(whole, shown.append) == []
    assert len(shown) == 7  # the history, and a tuning and a run of three arms
    again: list[Any] = []
    assert verify_run(record, again.append) == []
    assert [(one.rows, one.head) for one in again] == [(one.rows, one.head) for one in shown]


def test_a_packed_record_has_all_that_verdict_and_page_need_and_the_same_bytes_each_time(
    whole: Path, record: Path, packed: Path
) -> None:
    assert sorted(path.name for path in record.iterdir()) == sorted(
        [JOURNALS, f"{SAMPLES}.xz", "setup.json", LOCK, VERDICT]
    )
    verdict = judge_folder(packed)
    assert (packed / VERDICT).read_bytes() == (whole / VERDICT).read_bytes()
    shown = answer_pages(KeptRun(packed), verdict).examples()
    assert len(shown) == 1
    page = render(verdict, examples=shown).encode()
    assert (packed / "report.html").read_bytes() == (whole / "report.html").read_bytes() == page
    other = pack(whole, packed.parent / "again")
    assert all((other / path.name).read_bytes() == path.read_bytes() for path in record.iterdir())


def test_every_row_of_every_journal_comes_back_to_the_byte(whole: Path, record: Path) -> None:
    kept = dict(unpack_journals(record / JOURNALS))
    for path in whole.glob("units/*/journal"):
        assert kept[path.parent.name] == read(path)
    assert kept[HISTORY] == read(whole / HISTORY)


# -- edits, one by one: what is done to a folder, and what verify says

Edit = Callable[[Path], None]


def rewrite(path: Path, change: Callable[[Event], Event]) -> None:
    """Change events of a journal and give every row its right hash."""
    records, previous = read(path).records, ROOT
    connection = sqlite3.connect(path, isolation_level=None)
    for record in records:
        text = encode(record.seq, record.at, change(record.event))
        previous = chain(previous, text)
        connection.execute("UPDATE events SET record = ?, hash = ? WHERE seq = ?", (text, previous, record.seq))
    connection.execute("UPDATE head SET hash = ?", (previous,))
    connection.close()


def cheaper(event: Event) -> Event:
    return event.model_copy(update={"cost": event.cost * 0.5}) if isinstance(event, Settled) else event


def cut(path: Path) -> None:
    """The last rows taken off, and the head corrected."""
    rows = read(path).records
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM events WHERE seq > ?", (rows[-5].seq,))
    connection.execute("UPDATE head SET seq = ?, hash = ?", (rows[-5].seq, rows[-5].hash))
    connection.close()


def text(name: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        before = (folder / name).read_text()
        assert old in before
        (folder / name).write_text(before.replace(old, new, 1))

    return edit


def unit(change: Callable[[dict[str, Any]], None], name: str = RUN) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "units" / name / "unit.json"
        fields = json.loads(path.read_text())
        change(fields)
        path.write_text(json.dumps(fields))

    return edit


def swapped(folder: Path) -> None:
    one, other = (folder / "units" / name / "journal" for name in (RUN, "run-towns-passage-0"))
    one.rename(folder / "aside")
    other.rename(one)
    (folder / "aside").rename(other)


def extra(folder: Path) -> None:
    shutil.copytree(folder / "units" / RUN, folder / "units" / "run-towns-edits-7")


def ended_well(folder: Path) -> None:
    """All of one task forged with right hashes: journal, head, and rows that cost half."""
    rewrite(folder / "units" / RUN / "journal", cheaper)
    head = read(folder / "units" / RUN / "journal").records[-2].hash
    unit(lambda fields: fields.update(head=head))(folder)


def lock(change: Callable[[dict[str, Any]], None], *, honest: bool = False) -> Edit:
    """The lock changed; ``honest``: with its hash made right again."""

    def edit(folder: Path) -> None:
        fields = yaml.safe_load((folder / LOCK).read_text())
        change(fields)
        if honest:
            fields["registered"]["hash"] = spec_hash(fields)
        (folder / LOCK).write_text(yaml.safe_dump(fields))

    return edit


EDITS: dict[str, tuple[Edit, str]] = {
    "a wrong answer made right": (
        text("units/run-towns-frozen-0/rows.jsonl", '"correct":false', '"correct":true'),
        "rows: are not",
    ),
    "the rows of samples.jsonl": (text(SAMPLES, '"flops":', '"flops":1'), "samples.jsonl: is not the rows"),
    "half of samples.jsonl": (
        lambda folder: (folder / SAMPLES).write_bytes((folder / SAMPLES).read_bytes()[:2000]),
        "samples.jsonl: is not the rows",
    ),
    "what a task says it spent": (
        unit(lambda fields: fields["spent"].clear()),
        "is not what the journal's charges add",
    ),
    "the attempts of a task": (unit(lambda fields: fields.update(attempts=3)), "its attempts is not what the history"),
    "the settings a task names": (
        unit(lambda fields: fields.update(identity="sha256:0#0")),
        "its identity is not what",
    ),
    "the settings that a task ran with": (
        unit(lambda fields: fields["settings"].update(steps=2)),
        "its settings are not those that the journal notes",
    ),
    "the settings that an arm was tuned to": (
        unit(lambda fields: fields["settings"].update(steps=2), "tune-towns-edits"),
        "its settings are not those that the journal notes",
    ),
    "a field of a task": (unit(lambda fields: fields.update(note="")), "unit.json: is missing or damaged"),
    "the circumstances": (text("setup.json", "CPU", "GPU"), "setup.json: is not the one that the last launch wrote"),
    "a row of samples.jsonl twice": (
        lambda folder: (folder / SAMPLES).write_bytes(
            (folder / SAMPLES).read_bytes() + (folder / SAMPLES).read_bytes().splitlines(keepends=True)[-1]
        ),
        "samples.jsonl: is not the rows",
    ),
    "a journal deleted": (lambda folder: (folder / "units" / RUN / "journal").unlink(), "there is no journal"),
    "a journal emptied": (lambda folder: (folder / "units" / RUN / "journal").write_bytes(b""), "is not a journal"),
    "two journals swapped": (swapped, f"{RUN}: journal: its last row is not the one"),
    "a journal cut": (lambda folder: cut(folder / "units" / RUN / "journal"), "its last row is not the one"),
    "a journal rewritten": (
        lambda folder: rewrite(folder / "units" / RUN / "journal", cheaper),
        "the totals on closing",
    ),
    "a journal and its head rewritten": (ended_well, "the totals on closing"),
    "a task's folder deleted": (lambda folder: shutil.rmtree(folder / "units" / RUN), f"{RUN}: is missing"),
    "a task's folder added": (extra, "run-towns-edits-7: is no task of the trial"),
    "a task unfinished": (
        lambda folder: (folder / "units" / RUN / "unit.json").unlink(),
        f"{RUN}: unit.json: is missing or damaged",
    ),
    "the history deleted": (lambda folder: (folder / HISTORY).unlink(), "history: is missing"),
    "the registered trial": (
        lock(lambda fields: fields["trial"].update(seeds=2)),
        "was edited after it was registered",
    ),
    "the trial, its hash made right": (
        lock(lambda fields: fields["arms"]["edits"].update(role="passage"), honest=True),
        "is not what the last launch was asked",
    ),
    "the seeds": (lock(lambda fields: fields["trial"].update(seeds=1, seed=1), honest=True), "trial.seed"),
    "the deployments": (
        lock(lambda fields: fields["trial"]["budget"].update(deployments=9), honest=True),
        "trial.budget.deployments",
    ),
    "the day of the registration": (
        lock(lambda fields: fields["registered"].update(at="2001-01-01T00:00:00Z")),
        "says otherwise than the history when it was registered",
    ),
    "the comparison": (
        lock(lambda fields: fields["trial"]["compare"].update(exam="reasoning"), honest=True),
        "do not have the hash that stands there under primary",
    ),
    "the date of the registration": (
        lock(lambda fields: fields["registered"].update(at="2999-01-01T00:00:00Z")),
        "but work began",
    ),
}


def test_a_note_of_the_history_that_netgain_does_not_write_is_named_in_one_line(folder: Path) -> None:
    texts, said = ("asked", "opened", "finished", "stopped", "invented"), "holds something else than netgain writes"
    with Journal.open(folder / HISTORY, software="x")[0] as history:
        history.append(*(Noted(text=text, data={}) for text in texts))
    doubts = judge_run(KeptRun(folder)).doubts
    assert [said in line and line.startswith(f"{HISTORY}: row ") for line in doubts[:5]] == [True] * 5, doubts
    for _ in range(2):  # the refusal holds nothing
        with pytest.raises(JournalError, match=f"{said} .asked without hash, form."):
            History.open(folder)


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_a_run_is_named(folder: Path, name: str) -> None:
    edit, said = EDITS[name]
    assert "Not verified" not in (folder / PAGE).read_text()
    edit(folder)
    found = judge_folder(folder, answers=False).doubts
    assert any(said in line for line in found), found
    assert all("\n" not in line for line in found)
    assert '<section id="not-verified"' in (folder / PAGE).read_text()
    wrong = recheck(KeptRun(folder)).wrong
    assert set(found) <= {*wrong, f"and {len(wrong) - 5} more"}


def test_a_task_forged_with_all_its_hashes_is_named_by_its_rows_amounts(folder: Path) -> None:
    """Journal, head, unit.json and history are made to agree; what the rows say was spent is left."""
    journal = folder / "units" / RUN / "journal"

    def forged(event: Event) -> Event:
        event = cheaper(event)
        if event.kind == "ended":
            halved = {row: {name: 0.5 * n for name, n in spent.items()} for row, spent in event.spent.items()}
            return event.model_copy(update={"spent": halved})
        return event

    rewrite(journal, forged)
    head = read(journal).records[-2].hash
    unit(lambda fields: fields.update(head=head))(folder)

    def noted(event: Event) -> Event:
        if isinstance(event, Noted) and event.data.get("task") == RUN and "head" in event.data:
            return event.model_copy(update={"data": {**event.data, "head": head}})
        return event

    rewrite(folder / HISTORY, noted)
    found = recheck(KeptRun(folder)).found
    assert any("rows: the adaptation to" in line and "not what the journal adds up to" in line for line in found)
    assert any("rows: the investment: spent is not" in line for line in found)
    assert any("unit.json: what it says was spent" in line for line in found)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [(VERDICT, '"accuracy": 0', '"accuracy": 1'), ("report.html", "</h1>", "!</h1>"), ("setup.json", "CPU", "GPU")],
)
def test_an_edit_of_verdict_page_or_circumstances_is_named(folder: Path, name: str, old: str, new: str) -> None:
    text(name, old, new)(folder)
    found = verify_run(folder)
    assert found
    assert all("is not the" in line for line in found)


def test_the_root_of_a_run_is_that_of_its_record_and_of_no_run_that_was_rewritten(
    whole: Path, record: Path, folder: Path
) -> None:
    (checked, root), (_, kept) = check_run(whole), check_run(record)
    assert (checked.found, checked.unknown, root) == ([], (), kept)
    assert check_run(folder)[1] == root  # wherever it lies
    (folder / LOCK).write_text(yaml.safe_dump(yaml.safe_load((folder / LOCK).read_text()), width=40))
    assert check_run(folder)[1] == root  # what counts is content

    def later(event: Event) -> Event:
        return event.model_copy(update={"host": "elsewhere"}) if isinstance(event, Began) else event

    rewrite(folder / HISTORY, later)
    assert check_run(folder)[1] != root


def test_a_record_without_its_journals_is_checked_as_far_as_it_tells(packed: Path) -> None:
    (packed / JOURNALS).unlink()
    checked, _ = check_run(packed)
    assert (checked.found, checked.journals) == ([], False)
    assert any("hold no journals" in line for line in checked.unknown)
    assert any("hold no journals" in line for line in judge_folder(packed).doubts)
    text(VERDICT, '"accuracy": 0', '"accuracy": 1')(packed)
    assert verify_run(packed) == ["verdict.json: is not the verdict that the records give"]


def test_a_published_root_is_held_against_a_folder_on_the_command_line(record: Path, packed: Path) -> None:
    def verify(*options: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["verify", str(packed), *options])
        return done.exit_code, done.output.splitlines()[-1]

    _, root = check_run(record)
    agree = "journals, rows, verdict and what was asked agree"
    assert verify("--root", root) == (0, f"{packed}: verified: {agree}; root {root}")
    code, line = verify("--root", "sha256:0")
    assert (code, "not the published sha256:0" in line) == (1, True)
    (packed / JOURNALS).unlink()
    code, line = verify()
    assert (code, "hold no journals" in line) == (1, True)
    assert verify("--without-journals")[0] == 0


def repacked(folder: Path, change: Callable[[str, Any], Any]) -> None:
    """The journals of a packed record written anew, each changed; a head that no longer fits is corrected."""
    journals = unpack_journals(folder / JOURNALS)
    header = change("", next(journals)[1])

    def changed() -> Iterator[tuple[str, Any]]:
        yield from ((name, found) for name, reading in journals if (found := change(name, reading)) is not None)

    data = pack_journals(header, changed())
    (folder / JOURNALS).write_bytes(data)


def test_an_edit_of_a_packed_record_is_named(packed: Path, record: Path) -> None:
    def restored() -> None:
        shutil.copytree(record, packed, dirs_exist_ok=True)

    samples = packed / f"{SAMPLES}.xz"
    rows = lzma.decompress(samples.read_bytes())
    samples.write_bytes(lzma.compress(rows.replace(b'"correct":false', b'"correct":true', 1)))
    assert any("rows: are not those" in line for line in recheck(KeptRun(packed)).found)
    samples.write_bytes(lzma.compress(rows[:2000]))
    assert any("samples.jsonl.xz: is not" in line or "rows: are not" in line for line in recheck(KeptRun(packed)).found)
    restored()
    repacked(packed, lambda name, found: None if name == RUN else found)
    assert any(f"{RUN}: is missing" in line for line in recheck(KeptRun(packed)).found)
    restored()
    text(VERDICT, '"accuracy": 0', '"accuracy": 1')(packed)
    assert verify_run(packed) == ["verdict.json: is not the verdict that the records give"]
    restored()
    lock(lambda fields: fields["trial"].update(seeds=2))(packed)
    assert any("was edited after it was registered" in line for line in recheck(KeptRun(packed)).found)
    restored()
    (packed / JOURNALS).write_bytes((packed / JOURNALS).read_bytes()[:-50])
    with pytest.raises(InputError, match="holds no packed journals"):
        recheck(KeptRun(packed))


def test_a_row_changed_inside_packed_journals_breaks_their_chain(packed: Path) -> None:
    lines = lzma.decompress((packed / JOURNALS).read_bytes()).splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if f'"name":"{RUN}"'.encode() in line)
    lines[place] = lines[place].replace(b'"train"', b'"score"', 1)
    (packed / JOURNALS).write_bytes(lzma.compress(b"".join(lines)))
    assert any(f"{RUN}: journal: its rows do not give the hash" in line for line in recheck(KeptRun(packed)).found)


@pytest.mark.parametrize(
    ("index", "change", "words"),
    [
        (0, {"results": []}, "says what the tasks left in another form"),
        (0, {"results": "x"}, "says what the tasks left in another form"),
        (0, {"results": {RUN: None}}, "unit.json: is missing or damaged"),
        (0, {"results": {RUN: {"rows": "many"}}}, "unit.json: is missing or damaged"),
        (1, {"name": ["history"]}, "a journal has no name"),
        (2, {"columns": [[]]}, "its columns cannot be read"),
        (2, {"times": [1e400]}, "its columns cannot be read"),
    ],
)
def test_packed_journals_of_another_form_are_named(
    packed: Path, index: int, change: dict[str, Any], words: str
) -> None:
    lines = lzma.decompress((packed / JOURNALS).read_bytes()).splitlines()
    lines[index] = json.dumps(json.loads(lines[index]) | change).encode()
    (packed / JOURNALS).write_bytes(lzma.compress(b"\n".join(lines), preset=0))
    try:
        found = recheck(KeptRun(packed)).found
    except InputError as error:
        found = [str(error)]
    assert any(words in line for line in found), found


@pytest.mark.parametrize("value", [".nan", "[-.inf]"])
def test_a_lock_with_a_number_that_has_no_identity_is_one_line(folder: Path, value: str) -> None:
    with (folder / LOCK).open("a") as opened:
        opened.write(f"note: {value}\n")
    with pytest.raises(InputError, match=r"spec\.lock\.yaml: cannot be read"):
        check_run(folder)


def test_only_a_finished_run_of_the_registered_trial_is_packed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    lock(lambda fields: fields["trial"]["domains"].update(more={"kind": "towns"}))(folder)
    shutil.copy(folder / LOCK, tmp_path / "kept" / LOCK)
    lock(lambda fields: fields["trial"]["domains"].pop("more"))(folder)
    with pytest.raises(InputError, match=r"another trial is registered there; what differs: trial\.domains\.more"):
        pack(folder, tmp_path / "kept")
    (folder / "units" / RUN / "unit.json").unlink()
    with pytest.raises(InputError, match=f"{RUN} is not finished"):
        pack(folder, tmp_path / "other")


def test_a_record_unpacked_is_the_run_and_packs_to_the_same_bytes(record: Path, tmp_path: Path) -> None:
    made = unpack_run(KeptRun(record), tmp_path / "run")
    assert verify_run(made) == []
    judge_folder(made)
    again = pack(made, tmp_path / "again")
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in record.iterdir()
    }
    for at, said in ((made, "is there already"), (tmp_path / "run" / LOCK, "is there already")):
        with pytest.raises(InputError, match=said):
            unpack_run(KeptRun(record), at)
    with pytest.raises(InputError, match="is no packed record"):
        unpack_run(KeptRun(made), tmp_path / "other")


def test_a_run_that_was_stopped_goes_on_from_its_record_elsewhere(whole: Path, tmp_path: Path) -> None:
    from tests.trials.test_schedule import Killed, dying

    with pytest.raises(Killed):
        world.run(tmp_path / "first", SPEC, load=dying(40))
    record = pack(tmp_path / "first", tmp_path / "record", unfinished=True)
    made = unpack_run(KeptRun(record), tmp_path / "second")
    begun = KeptRun(made).results
    assert begun
    world.run(made, SPEC)
    assert (made / SAMPLES).read_bytes() == (whole / SAMPLES).read_bytes()
    judge_folder(made)
    assert verify_run(made) == []
    after = KeptRun(made)
    assert {name: after.results[name] for name in begun} == begun
    history = after.history()
    assert history is not None
    assert (history.launches, history.repeated) == (2, ())
    assert sum(history.cut_off.values()) == 1


def test_judging_and_exporting_change_nothing_in_the_record_that_they_read(packed: Path, tmp_path: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in packed.iterdir()}
    assert judge_run(KeptRun(packed)).headline
    done = CliRunner().invoke(app, ["export", str(packed), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in packed.iterdir()} == before


def test_a_record_is_packed_whole_or_not_at_all(
    whole: Path, record: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in between leaves the record as it was, never half of an old one and half of a new one."""
    before, left = {path.name: path.read_bytes() for path in packed.iterdir()}, 3

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("netgain.trials.store.os.fsync", full)
    (packed / JOURNALS).write_bytes(b"an older one")
    with pytest.raises(InputError, match=r"cannot be written \(no room\); make room, or .*; the run is as it was"):
        pack_run(KeptRun(whole), packed, "{}")
    now = {path.name: path.read_bytes() for path in packed.iterdir()}
    assert now == before | {JOURNALS: b"an older one"}


# -- what was stopped, done again or changed is told


def test_what_was_done_again_and_what_is_missing_is_told_with_the_verdict(folder: Path) -> None:
    shutil.rmtree(folder / "units" / RUN)
    world.run(folder, SPEC)
    verdict = judge_folder(folder)
    assert verdict.setup is not None
    history = verdict.setup.history
    assert history is not None
    assert (history.launches, history.repeated, history.changed) == (2, (RUN,), ())
    assert f"finished tasks done again: {RUN}" in render(verdict)
    assert history.deleted == (f"{RUN}: 1 of 2 attempts",)
    (found,) = [finding for finding in verdict.findings if finding.check == "attempts-deleted"]
    assert (found.severity, list(found.evidence)) == ("high", [f"{RUN}: 1 of 2 attempts"])
    checked, _ = check_run(folder)
    assert checked.found == []  # the verdict follows from what there is, and says what there was
    assert any(line.startswith(f"{RUN}: 1 of its attempts") for line in checked.unknown)
    (found,) = [finding for finding in verdict.findings if finding.check == "done-again"]
    assert (found.severity, list(found.evidence)) == ("high", [RUN])
    (folder / SAMPLES).write_bytes(
        b"\n".join(x for x in (folder / SAMPLES).read_bytes().split(b"\n") if b"passage" not in x)
    )
    (found,) = [finding for finding in judge_folder(folder).findings if finding.check == "missing"]
    assert (found.severity, list(found.evidence)) == ("high", ["towns/passage"])


def test_an_attempt_that_was_deleted_before_it_was_finished_leaves_a_trace(tmp_path: Path) -> None:
    from tests.trials.test_schedule import Killed, dying

    spec = world.spec(seeds=1, tuning={"trials": 0})
    with pytest.raises(Killed):
        world.run(tmp_path, spec, load=dying(40))
    (cut,) = [path.parent for path in tmp_path.glob("units/*/journal") if not (path.parent / "unit.json").is_file()]
    shutil.rmtree(cut)
    world.run(tmp_path, spec)
    verdict = judge_folder(tmp_path)
    (found,) = [finding for finding in verdict.findings if finding.check == "attempts-deleted"]
    assert list(found.evidence) == [f"{cut.name}: 1 of 2 attempts"]


def test_a_trial_that_was_changed_on_the_way_is_told(folder: Path) -> None:
    (folder / "units" / RUN / "unit.json").unlink()
    form = yaml.safe_load((folder / LOCK).read_text())
    form["trial"]["seeds"] = 3
    with History.open(folder) as history:
        history.asked(spec_hash(form), form)
    verdict = judge_folder(folder)
    (found,) = [finding for finding in verdict.findings if finding.check == "trial-changed"]
    assert (found.severity, list(found.evidence)) == ("high", ["trial.seeds"])
    assert "changed after it had begun: trial.seeds" in render(verdict)


def test_what_was_cut_off_is_counted_and_told(tmp_path: Path) -> None:
    from tests.trials.test_schedule import interrupted

    interrupted(tmp_path, after=150)
    verdict = judge_folder(tmp_path)
    assert verdict.setup is not None
    history = verdict.setup.history
    assert history is not None
    assert (history.launches, history.stopped, sum(history.cut_off.values())) == (2, ("Killed",), 1)
    assert history.lost["flops"] > 0
    assert "attempts cut off: 1 (lost: " in render(verdict)
    assert verify_run(tmp_path) == []
    assert registration_of(Store(tmp_path).locked() or {}) is None
