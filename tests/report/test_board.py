"""The board: one table of trials, audits and the library, each row with its page; written whole or not at all."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netgain.analysis.intervals import Interval
from netgain.analysis.verdict import Verdict
from netgain.audit.library import library
from netgain.board import board
from netgain.cli import main
from netgain.errors import InputError
from netgain.report.board_view import OF_TRIAL, BoardRow, board_page, ordered, trial_rows
from netgain.report.site import MANIFEST, folder_name, write_site
from tests.made_verdict import arm, parts, terms, verdict

HOSTILE = '</script><script>window.PWNED=1</script><img src=x onerror="window.PWNED=2">"\'{{ 7 * 7 }}'
RECORD = Path(__file__).parents[2] / "results" / "hostile-rivals"


def row(name: str, **more: Any) -> BoardRow:
    known: dict[str, Any] = {"kind": "trial", "name": name, "title": name, "setting": "s", "model": "m"}
    known |= {"outcome": "stands", "verdict": "v", "sentence": "It is so.", "page": f"trials/{name}/report.html"}
    return BoardRow(**{**known, **more})


def known(value: float, **more: Any) -> dict[str, Any]:
    return {"left_value": value, "left": Interval(value, value - 0.05, value + 0.05), **more}


ROWS = [
    row("unknown", outcome="cannot tell", kind="library", setting="other", gained_value=0.2),
    row("behind", outcome="changes", **known(-0.1, gained_value=0.3, gained=Interval(0.3, 0.2, 0.4))),
    row("less", **known(0.1), model="another", seeds=3, flops=2e12, flops_incomplete=True),
    row("more", **known(0.2)),
]


# -- the table


def test_ones_own_come_first_then_what_can_be_told_and_the_most_that_is_left() -> None:
    assert [one.name for one in ordered(ROWS)] == ["more", "less", "behind", "unknown"]


def test_same_rows_same_bytes_and_every_row_has_its_page_its_figures_and_its_interval() -> None:
    text = board_page(ROWS, library=False)
    assert text == board_page(list(reversed(ROWS)), library=False)
    assert all(f'href="trials/{one.name}/report.html"' in text for one in ROWS)
    assert "<b>−10.0</b>" in text
    assert "[−15.0, −5.0]" in text
    assert "≥ 2 T" in text


def test_what_is_unknown_is_no_number_and_sorts_last() -> None:
    text = board_page([ROWS[0]], library=False)
    assert '<span class="soft">unknown</span>' in text
    assert 'data-sort=""' in text


@pytest.mark.parametrize(("kind", "outcome"), [(kind, one) for kind, (one, _) in OF_TRIAL.items()])
def test_a_trials_row_follows_its_verdict(kind: str, outcome: str) -> None:
    told = {"sentence": "So it ended.", "details": [], "kind": kind}
    difference = Interval(0.05, 0.01, 0.09)
    arms = [arm("s/ours@1", "self_improving", method="ours"), arm("s/other@1", method="other")]
    gap = parts("s/ours@1", "s/other@1", gap=Interval(0.2, 0.1, 0.3), method_part=difference)
    made = Verdict.model_validate(
        verdict(terms=terms(), arms=arms, decomposition=[gap]).model_dump(by_alias=True)
        | {"headline": told, "domains": [domain(kind)]}
    )
    (found,) = trial_rows(made, "p.html")
    assert found.outcome == outcome
    assert (found.gained, found.left, found.against) == (Interval(0.2, 0.1, 0.3), difference, "S/OTHER@1")


def domain(kind: str) -> dict[str, Any]:
    known = {"setting": "s", "primary": True, "arm": "s/ours@1", "rival": "s/other@1", "chosen_on": "development"}
    unknown = dict.fromkeys(("frozen", "p_equivalent", "n_problems", "n_seeds"))
    return {**known, **unknown, "sentence": "So it ended.", "kind": kind, "method": ""}


# -- the folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of a kept record, an audit and three claims of the library."""
    folder = tmp_path_factory.mktemp("made")
    claims = [claim for claim in library() if claim.name in ("b-star", "entigraph", "star")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("netgain.board.library", lambda: claims)
        (folder / "mine.json").write_text(json.dumps(claims[0].dump()), encoding="utf-8")
        board([RECORD, folder / "mine.json"], folder / "site")
    return folder / "site"


def test_every_row_has_a_page_and_every_page_a_way_back(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    pages = sorted(path.relative_to(site).as_posix() for path in site.glob("*/*/report.html"))
    assert len(pages) == 5
    for page in pages:
        assert f'href="{page}"' in text
        assert '<a href="../../index.html">All comparisons</a>' in (site / page).read_text(encoding="utf-8")
    assert 'href="../index.html"' in (site / "library" / "index.html").read_text(encoding="utf-8")


def test_a_later_site_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    write_site(tmp_path / "site", {"index.html": "one", "a/b.html": "old"})
    write_site(tmp_path / "site", {"index.html": "two"})
    assert [path.name for path in sorted((tmp_path / "site").iterdir())] == ["index.html", MANIFEST]
    (tmp_path / "site" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        write_site(tmp_path / "site", {"index.html": "three"})
    assert (tmp_path / "site" / "index.html").read_text() == "two"
    assert list(tmp_path.iterdir()) == [tmp_path / "site"]


def test_names_that_differ_only_in_what_a_path_cannot_hold_get_folders_of_their_own() -> None:
    taken: set[str] = set()
    found = [folder_name("audits", name, taken) for name in ("a/b", "a b", "A-b", "../..", "")]
    assert found == ["audits/a-b", "audits/a-b-2", "audits/A-b-3", "audits/claim", "audits/claim-2"]


@pytest.mark.parametrize("wrong", ["nothing-there", "empty", "notes", "begun"])
def test_a_source_that_cannot_be_read_is_one_line_and_nothing_is_written(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "notes", "begun/run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "notes" / "a.txt").write_text("hello")
    shutil.copy(RECORD / "spec.lock.yaml", tmp_path / "begun" / "run")
    (tmp_path / "mine.json").write_text(json.dumps(library()[0].dump()), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "board",
                str(tmp_path / "mine.json"),
                str(tmp_path / wrong),
                "--out",
                str(tmp_path / "site"),
                "--no-library",
            ]
        )
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert wrong in told.err
    assert not (tmp_path / "site").exists()


def test_in_a_folder_of_runs_those_without_results_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = verdict(claim="t", title="T", terms=terms())
    monkeypatch.setattr("netgain.board.judge_run", lambda run: made)
    for name in ("begun", "done"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        shutil.copy(RECORD / "spec.lock.yaml", tmp_path / "runs" / name)
    (tmp_path / "runs" / "done" / "samples.jsonl").write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["board", str(tmp_path / "runs"), "--out", str(tmp_path / "site"), "--no-library"])
    assert ended.value.code == 0
    assert "begun: left out" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "site" / "trials").iterdir()] == ["done"]


# -- in a real browser


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens a page from disk; afterwards there was no error, no dialog, and no request but for files of its folder."""
    troubles: list[str] = []
    contexts = []

    def open_page(file: Path, **more: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | more))
        context.set_default_timeout(10_000)
        contexts.append(context)
        page, root = context.new_page(), file.parent.as_uri()
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on("request", lambda one: None if one.url.startswith(root) else troubles.append(one.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles


@pytest.mark.browser
def test_the_board_opens_filters_sorts_and_leads_to_every_page(visit: Any, site: Path) -> None:
    page = visit(site / "index.html")
    rows = page.locator("tbody tr >> visible=true")
    assert rows.count() == 5
    page.get_by_text("the library", exact=True).first.click()
    assert rows.count() == 3
    page.locator("#by-text").fill("entigraph")
    assert rows.count() == 1
    assert page.locator("#shown").inner_text() == "1 of 5 shown"
    page.locator("#by-text").fill("no such thing")
    assert page.locator("#nothing").is_visible()
    page.get_by_role("button", name="clear").click()
    page.wait_for_function("document.querySelectorAll('tbody tr[hidden]').length === 0")
    assert rows.count() == 5
    page.get_by_role("button", name="left at equal compute").click()
    values = [cell.get_attribute("data-sort") for cell in page.locator("tbody td:nth-child(6)").all()]
    numbers = [float(value) for value in values if value]
    assert numbers == sorted(numbers)
    assert values[len(numbers) :] == [""] * (len(values) - len(numbers))
    for link in [link.get_attribute("href") for link in page.locator("tbody th a").all()]:
        page.goto((site / link).as_uri())
        assert page.locator("#verdict .verdict").inner_text()
        page.get_by_role("link", name="All comparisons").click()
        assert page.locator("h1").inner_text() == "How much of each gain is left at equal compute?"


@pytest.mark.browser
def test_without_javascript_the_table_is_sorted_and_still_filters(visit: Any, site: Path) -> None:
    page = visit(site / "index.html", java_script_enabled=False)
    assert page.locator(".choices").is_hidden()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    kinds = {one.get_attribute("data-kind") for one in page.locator("tbody tr >> visible=true").all()}
    assert kinds == {"trial"}


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_of_the_board_leaves_the_screen(visit: Any, site: Path, width: int) -> None:
    page = visit(site / "index.html", viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    right = page.evaluate(
        "Math.max(...[...document.querySelectorAll('tbody td')].map(c => c.getBoundingClientRect().right))"
    )
    assert right <= width


@pytest.mark.browser
def test_the_librarys_page_opens(visit: Any, site: Path) -> None:
    page = visit(site / "library" / "index.html")
    assert page.locator("tbody tr").count() == 3
    assert page.locator("#summary li").count() > 3


@pytest.mark.browser
def test_hostile_text_on_the_board_stays_inert(visit: Any, tmp_path: Path) -> None:
    texts = dict.fromkeys(("title", "setting", "model", "verdict", "sentence", "against"), HOSTILE)
    (tmp_path / "index.html").write_text(board_page([row("x", **texts, notes=(HOSTILE,))], library=False), "utf-8")
    page = visit(tmp_path / "index.html")
    page.locator("#by-text").fill("PWNED")
    assert page.locator("tbody tr >> visible=true").count() == 1
    assert page.evaluate("window.PWNED") is None
    assert page.locator("img").count() == 0
