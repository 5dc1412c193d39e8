"""Every code block and every command of README.md and docs/*.md runs as it stands there.

A block is saved under the file name of its language in backticks, if any, in the paragraph above it; a Python block is
run then, with what the page's blocks before it defined, and a YAML block is read as a trial. Commands run one after
another in the page's own folder and must succeed; only sizes are cut down: a run examines one problem. A block that is
not run says why, in an HTML comment above it: ``<!-- not run: reason -->``. Below ``<!-- planned: reason -->`` a trial
that takes minutes is planned with the same words instead of run, and what would read its records is left out.
``tests/model/test_readme.py`` runs the README's Python, which needs a model of its own.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from netgain.extensions import Kind, listing
from netgain.trials.resolve import resolve
from tests.command_line import netgain

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (not run|planned): \S[^>]*-->\s*\Z")
FILE_NAME = re.compile(r"`([\w/-]+\.(?:py|yaml|md|jsonl))`")
ENDINGS = {"python": ".py", "yaml": ".yaml", "markdown": ".md", "json": ".jsonl"}
SMALL = "--limit 1 --jobs 1 --set seeds=1 --set tuning.trials=0 -q"
KINDS: tuple[Kind, ...] = ("method", "domain")
LANGUAGES = {*ENDINGS, "sh", "bash", ""}  # without a language: an illustration


class Block(NamedTuple):
    language: str
    text: str
    saved_as: str | None
    mark: str


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text, found, start = page.read_text(encoding="utf-8"), [], 0
    for match in FENCE.finditer(text):
        before = text[start : match.start()].rstrip()
        names = FILE_NAME.findall(before.rpartition("\n\n")[2])
        language = match["language"]
        saved = next((name for name in reversed(names) if Path(name).suffix == ENDINGS.get(language)), None)
        found.append(Block(language, match["text"], saved, mark[1] if (mark := MARK.search(before)) else ""))
        start = match.end()
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_page_shows_runs(page: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the pages run trials")
    monkeypatch.chdir(tree)
    furnish(tree)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page.name}: a block in {block.language!r} is run by nobody"
        if block.mark == "not run":
            continue
        if block.saved_as:
            Path(block.saved_as).parent.mkdir(exist_ok=True)
            Path(block.saved_as).write_text(block.text, encoding="utf-8")
        if block.language == "python" and page.name != "README.md":
            exec(compile(block.text, f"{page.name}: {block.saved_as or 'Python'}", "exec"), names)  # noqa: S102
        elif block.language == "yaml":
            Path("trial.yaml").write_text(block.text, encoding="utf-8")
            assert resolve(Path(block.saved_as or "trial.yaml")).arms
        elif block.language in ("sh", "bash"):
            for line in block.text.splitlines():
                command(line, planned=block.mark == "planned")


def furnish(folder: Path) -> None:
    """What the pages take to be there: the examples, some of SEAL's results, and the method of docs/methods.md."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "path" / "to").mkdir(parents=True)
    (folder / "path" / "to" / "SEAL").symlink_to(folder / "results")
    (folder / "mine.py").write_text(saved("methods.md", "mine.py"))


def saved(page: str, file: str) -> str:
    """The block that a page of docs/ has the reader save under this name."""
    (text,) = (block.text for block in blocks(ROOT / "docs" / page) if block.saved_as == file)
    return text


def command(line: str, *, planned: bool) -> None:
    """Run one line of a page; a new claim card is filled in with its own examples, as a reader would."""
    words = shlex.split(line, comments=True)
    if not words or (planned and words[1] in ("report", "status", "verify", "board")):
        return
    words = ["netgain", "plan", *words[2:]] if planned and words[1] == "run" else words
    assert words[0] in ("netgain", "python"), f"{line}: say why it is not run"
    if words[:2] == ["netgain", "run"]:
        trial = next((word for word in words[2:] if word.endswith(".yaml")), "demo")
        words += [*SMALL.split(), *([] if "--out" in words else ["--out", f"runs/{Path(trial).stem}"])]
        shutil.rmtree(f"runs/{Path(trial).stem}", ignore_errors=True)
    if words[0] == "netgain":
        done = netgain(*words[1:], cwd=Path())
    else:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        program = [sys.executable, *words[1:]]
        done = subprocess.run(program, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    if "--new-card" in words:
        card = Path(words[-1])
        card.write_text(re.sub(r"FILL IN\s*#.*?for example (.+)$", r"\1", card.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("page", "file"), [("methods.md", "mine.py"), ("domains.md", "owners.py"), ("readers.md", "csv_reader.py")]
)
def test_an_extension_of_ones_own_takes_one_short_file(page: str, file: str) -> None:
    assert saved(page, file).count("\n") <= 60


def test_the_readme_names_every_method_and_domain() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for kind in KINDS for name, _ in listing(kind) if f"`{name}`" not in text] == []
