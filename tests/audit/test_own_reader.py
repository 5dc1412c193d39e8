"""A mistake in a reader of one's own is said in one line, with the line of it, and never as a traceback."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from netgain.audit.audit import read_claim
from netgain.audit.seal.seal_reader import SealReader
from netgain.cli import app
from netgain.errors import InputError
from netgain.tokens import TokenCounter

HEAD = """\
import csv
from netgain.audit import Arm, Charge, Claim, Cost, Purpose, Reader, Role, Source
class LabReader(Reader):
    def recognises(self, folder):
        return (folder / "runs.csv").is_file()
    def read(self, folder, tokens):
        rows = list(csv.DictReader((folder / "runs.csv").read_text().splitlines()))
"""
MISTAKES = {
    'return [float(row["updates"]) for row in rows]': "ValueError: could not convert string to float: 'many'",
    'return rows[0]["steps"]': "KeyError: 'steps'",
    'return (folder / "answers.csv").read_text()': "FileNotFoundError: [Errno 2] No such file or directory: ",
    "return Cost(tokens=3)": "TypeError: Cost.__init__() got an unexpected keyword argument 'tokens'",
    "return Cost(updates=-1)": "ValueError: updates = -1: a cost is a finite number >= 0, or None where unknown",
    'return Claim(name="x")': "Claim: field 'title': Field required; mend the reader",
    "return next(row for row in rows if not row)": "StopIteration; mend the reader",
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a lab's results, beside where its reader is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab2").mkdir()
    (tmp_path / "lab2" / "runs.csv").write_text("arm,updates\nbase,many\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_in_a_reader_is_one_line_that_names_its_own_line(lab: Path, line: str) -> None:
    (lab / "lab_reader.py").write_text(f"{HEAD}        {line}\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["audit", "lab2", "--reader", "lab_reader.py:LabReader"])
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith(f"lab_reader.py:8: LabReader.read(lab2): {MISTAKES[line]}")
    assert "\n" not in str(done.exception)


def test_what_a_reader_returns_must_be_a_claim(lab: Path) -> None:
    (lab / "lab_reader.py").write_text(f"{HEAD}        return rows\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"LabReader.read\(.*lab2\): returned list, not a Claim"):
        read_claim(lab / "lab2", reader="lab_reader.py:LabReader")


def test_a_named_reader_is_asked_whether_it_recognises_the_folder(lab: Path) -> None:
    (lab / "lab_reader.py").write_text(f"{HEAD}        return rows\n", encoding="utf-8")
    (lab / "other").mkdir()
    with pytest.raises(InputError, match="LabReader does not recognise other"):
        read_claim(Path("other"), reader="lab_reader.py:LabReader")
    with pytest.raises(InputError, match="SealReader does not recognise lab2"):
        read_claim(Path("lab2"), reader="seal")
    (lab / "lab_reader.py").write_text(HEAD.replace("return (folder", "return (fodler"), encoding="utf-8")
    with pytest.raises(InputError, match=r"lab_reader.py:5: LabReader.recognises\(lab2\): NameError"):
        read_claim(Path("lab2"), reader="lab_reader.py:LabReader")


def test_a_mistake_in_a_reader_that_ships_is_no_traceback_either(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(reader: SealReader, folder: Path, tokens: TokenCounter) -> None:
        raise KeyError("reward")

    monkeypatch.setattr(SealReader, "recognises", lambda reader, folder: True)
    monkeypatch.setattr(SealReader, "read", broken)
    with pytest.raises(InputError, match=r"SealReader.read\(lab2\): KeyError: 'reward'; please report it"):
        read_claim(Path("lab2"))
