"""What is documented is what is there."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

import netgain
from netgain.analysis.verdict import Verdict
from netgain.audit.checks import CHECKS
from netgain.extensions import BUILT_IN
from netgain.records.claim import Claim
from netgain.trials.resolve import resolve

ROOT = Path(__file__).parents[1]


def test_the_schemas_in_docs_are_those_of_the_code() -> None:
    for name, model in (("verdict", Verdict), ("claim", Claim)):
        written = json.loads((ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8"))
        assert written == model.model_json_schema(by_alias=True), "run scripts/schemas"


def test_the_version_is_the_same_everywhere() -> None:
    assert f'version = "{netgain.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"## {netgain.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_page_stands_in_the_navigation_of_the_site() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = {page for part in site["nav"] for found in part.values() for page in pages_of(found)}
    assert named == {path.name for path in (ROOT / "docs").iterdir() if path.suffix in {".md", ".ipynb"}}


def test_the_search_of_the_site_works_from_disk_and_loads_nothing_from_elsewhere() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert [one for one in site["plugins"] if isinstance(one, str)] == ["search", "offline"]
    (script,) = site["extra"]["polyfills"]
    assert "iframe-worker" in script  # else the plugin adds one that lies on another server
    assert (ROOT / "docs" / script).is_file()
    assert site["theme"]["font"] is False


def pages_of(part: Any) -> list[str]:
    return [part] if isinstance(part, str) else [page for one in part for page in one.values()]


def test_the_notebook_is_kept_without_outputs_and_is_executed_when_the_site_is_built() -> None:
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells
    for cell in cells:
        compile(cell["source"], "notebook", "exec")
        assert cell["outputs"] == []
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    (executed,) = [one["mkdocs-jupyter"] for one in site["plugins"] if "mkdocs-jupyter" in one]
    assert executed["execute"] is True
    assert executed["allow_errors"] is False


def test_every_check_says_in_its_docstring_what_it_looks_for() -> None:
    assert all(check.__doc__ for check in CHECKS)


def test_the_trial_in_the_readme_is_one(tmp_path: Path) -> None:
    (found,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mine.yaml").write_text(found, encoding="utf-8")
    assert resolve(tmp_path / "mine.yaml").spec.name == "mine"


def test_every_method_has_a_row_in_the_documentation() -> None:
    rows = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8").splitlines()
    named = {row.split("`")[1] for row in rows if row.startswith("| `")}
    assert set(BUILT_IN["method"]) <= named


def test_the_plan_of_the_house_names_only_what_stands_in_it() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    prose, rooms = text.partition("```\nsrc/netgain/\n")[::2]
    rooms, _, rest = rooms.partition("```")
    package, room, missing = ROOT / "src" / "netgain", "", []
    for line in rooms.splitlines():
        if opened := re.match(r"  (\w+/) ", line):
            room = opened[1]
        elif re.match(r"  \S", line):
            room = ""  # modules that stand beside the rooms
        words = re.findall(r"(?<![\w/])(?:[a-z_]+\.(?:py|json|yaml)(?!:)|[a-z_]+/(?=[ )]))", line)
        missing += [f"{room}{word}" for word in words if word != room and not (package / room / word).exists()]
    named = re.findall(r"`([\w./]+\.(?:py|json|yaml|md))`", prose + rest)
    missing += [word for word in named if not any((above / word).exists() for above in (ROOT, package))]
    assert not missing, f"docs/design.md names what is not there: {', '.join(missing)}"


def test_the_plan_of_the_house_names_all_that_stands_in_its_rooms() -> None:
    """Those of the audit are named by what they look at: a reader or a check more is no other house."""
    plan = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## Rooms")[2].partition("## Laws")[0]
    package, named = ROOT / "src" / "netgain", set(re.findall(r"\w+\.py", plan))
    beside = ("audit/checks/", "audit/runs/", "audit/seal/", "audit/card_journal", "model/early/")
    there = {path.relative_to(package).as_posix(): path.stem for path in package.rglob("*.py")}
    inside = {name: stem for name, stem in there.items() if not (stem.startswith("__") or name.startswith(beside))}
    assert [name for name, stem in inside.items() if f"{stem}.py" not in named] == []


def test_every_file_of_the_project_that_a_page_names_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    path = re.compile(r"\b(?:src|tests|docs|examples|benchmarks|training|scripts)/[\w./-]*\w")
    for page in pages:
        named = set(path.findall(page.read_text(encoding="utf-8")))
        missing = sorted(file for file in named if not (ROOT / file).exists())
        assert not missing, f"{page.name} names {', '.join(missing)}"
