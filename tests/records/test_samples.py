"""``samples.jsonl`` is read back as it was written, and a spoiled line is named."""

from pathlib import Path
from types import ModuleType

import pytest

from netgain.errors import InputError
from netgain.records.samples import read_rows, write_rows


def test_rows_are_read_as_they_were_written(tmp_path: Path, simulated: ModuleType) -> None:
    rows = simulated.rows_of(simulated.Design(simulated.STANDARD, problems=3, controls=1))
    path = tmp_path / "samples.jsonl"
    path.write_text(write_rows(rows), encoding="utf-8")
    assert read_rows(path) == rows


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"row": "adaptation"}', r"samples.jsonl:2: is not a row of a trial: field 'adaptation.domain'"),
        ('{"row": "dream"}', r":2: is not a row of a trial"),
        ("[1, 2]", r":2: is not a row of a trial"),
        ("{broken", r":2: is not JSON that can be read"),
        ("\udcff", r":2: is not JSON that can be read"),
    ],
)
def test_a_spoiled_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "samples.jsonl"
    good = '{"row":"retention","domain":"d","arm":"a","seed":0,"rung":1.0,"problems":[],"matrix":[]}\n'
    path.write_bytes((good + line + "\n" + good).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=problem):
        read_rows(path)


def test_a_last_line_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    good = '{"row":"retention","domain":"d","arm":"a","seed":0,"rung":1.0,"problems":[],"matrix":[]}\n'
    path.write_text(good + good[:30], encoding="utf-8")
    assert len(read_rows(path)) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.jsonl: cannot be read"):
        read_rows(tmp_path / "nothing.jsonl")
