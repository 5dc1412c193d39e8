"""The page in a real Chromium: the verdict is seen, a control works, nothing is requested, hostile text stays inert."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.verdict import Verdict
from netgain.audit.audit import audit, read_claim
from netgain.report import numbers
from netgain.report.page import render
from netgain.report.summary import matched, subjects
from netgain.trials.trial_claim import claim_of

from .test_page import hostile

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_text() -> str:
    return render(audit(read_claim(None)))


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a page from disk; afterwards there must have been no error, no dialog and no request but the file's own."""
    troubles: list[str] = []
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    context.set_default_timeout(10_000)

    def open_page(text: str) -> Any:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        page = context.new_page()
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: None if request.url == file.as_uri() else troubles.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    context.close()
    assert not troubles


def test_what_was_tested_is_seen_at_once_and_the_verdict_a_key_away(visit: Any, page_text: str) -> None:
    page = visit(page_text)
    page.emulate_media(reduced_motion="reduce")
    assert page.locator("#tested").bounding_box()["y"] < 400
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    verdict = page.locator("#verdict .verdict")
    assert "no conventional arm was measured beside the same frozen model" in verdict.inner_text()
    assert page.locator("#verdict").bounding_box()["y"] < 400


@pytest.mark.parametrize("kind", ["audit", "trial"])
def test_the_verdict_is_read_whole_on_the_first_screen(
    browser: Any, tmp_path: Path, page_text: str, trial_text: str, kind: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(page_text if kind == "audit" else trial_text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(file.as_uri())
    box = page.locator("#verdict .verdict").bounding_box()
    page.close()
    assert box["y"] + box["height"] <= 900


def test_an_audit_without_a_matched_rival_says_why_instead_of_a_figure(visit: Any, page_text: str) -> None:
    page = visit(page_text)
    assert page.locator("#gap svg").count() == 0
    told = page.locator("#gap .absent")
    assert told.count() == 1
    assert "no conventional arm was measured beside the same frozen model" in told.inner_text()
    assert page.locator("#gap .details li").first.is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_headline_figure_keeps_its_number_on_any_screen(
    browser: Any, tmp_path: Path, trial: Verdict, trial_text: str, width: int
) -> None:
    file = tmp_path / "page.html"
    file.write_text(trial_text, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_default_timeout(5_000)
    page.goto(file.as_uri())
    row = matched(trial, subjects(trial)["plain"])
    assert row
    assert row.method_part
    told = numbers.estimate(row.method_part)
    box = page.locator("#gap svg text >> visible=true").filter(has_text=told).first.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_at_1280_pixels_the_table_of_all_arms_shows_updates_and_tokens(
    browser: Any, tmp_path: Path, trial_text: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(trial_text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(file.as_uri())
    for column in ("updates", "real tokens", "tokens written"):
        box = page.locator("#arms th", has_text=column).first.bounding_box()
        assert box["x"] + box["width"] <= 1280
    page.close()


@pytest.mark.parametrize("kind", ["audit", "trial"])
def test_in_print_a_page_takes_at_most_six_sheets(
    browser: Any, tmp_path: Path, page_text: str, trial_text: str, kind: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(page_text if kind == "audit" else trial_text, encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 6


def test_choosing_a_currency_changes_the_figures_by_mouse_and_keyboard(visit: Any, page_text: str) -> None:
    page = visit(page_text)
    shown = page.locator("#frontier .per-currency >> visible=true").first
    assert shown.get_attribute("data-currency") == "flops"
    page.locator(".chooser").get_by_text("real tokens", exact=True).click()
    assert shown.get_attribute("data-currency") == "tokens_real"
    page.keyboard.press("ArrowLeft")
    assert shown.get_attribute("data-currency") == "updates"
    assert "updates" in shown.locator("svg").get_attribute("aria-label")


def test_a_mark_tells_its_figures_on_hover_and_focus(visit: Any, page_text: str) -> None:
    page = visit(page_text)
    tip, mark = page.locator("#tip"), page.locator("#differences .mark").first
    assert tip.is_hidden()
    mark.hover()
    assert tip.inner_text() == mark.get_attribute("data-tip")
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    mark.focus()
    assert tip.is_visible()
    first = tip.inner_text()
    page.keyboard.press("ArrowDown")
    assert tip.inner_text() not in {"", first}
    figures = page.locator("#differences svg").count()  # one for each setting, each with one stop of the tab key
    assert page.locator("#differences svg [tabindex='0']").count() == figures


def test_a_table_sorts_by_a_column(visit: Any, page_text: str) -> None:
    page = visit(page_text)
    column = page.locator("#arms th", has_text="accuracy").first
    column.locator("button").click()
    cells = page.locator("#arms tbody:first-of-type tr:not(.group) td:nth-child(2)").all_inner_texts()
    values = [float(text.split()[0].replace("\u202f%", "")) for text in cells]
    assert values == sorted(values)
    assert column.get_attribute("aria-sort") == "ascending"


def test_hostile_text_stays_inert(visit: Any) -> None:
    page = visit(render(audit(hostile(read_claim(None)))))
    page.locator("#differences .mark").first.hover()
    assert page.evaluate("window.PWNED") is None
    assert page.locator("img").count() == 0


def test_the_policy_stops_a_script_that_is_not_ours(browser: Any, tmp_path: Path, page_text: str) -> None:
    text = page_text.replace("</main>", "<script>window.PWNED=1</script></main>")
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("window.PWNED") is None
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, tmp_path: Path, page_text: str, scheme: str) -> None:
    """WCAG's contrast of 4.5 for text, measured on the computed colours."""
    file = tmp_path / "page.html"
    file.write_text(page_text, encoding="utf-8")
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    colours = page.evaluate(
        """() => ["h1", ".legend", "summary", ".figure .label", ".figure .tick", ".severity-high", ".severity-medium",
                  ".answer-yes", ".answer-no"].map(name => {
             const style = getComputedStyle(document.querySelector(name));
             return [name, name.startsWith(".figure") ? style.fill : style.color];
           }).concat([["ground", getComputedStyle(document.body).backgroundColor]])"""
    )
    ground = luminance(dict(colours).pop("ground"))
    for name, colour in colours[:-1]:
        lighter, darker = sorted((luminance(colour), ground), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name
    page.close()


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_in_print_there_are_no_controls(visit: Any, page_text: str, trial_text: str) -> None:
    for text, figures in ((page_text, 0), (trial_text, 2)):  # a trial's gap is drawn in each of two domains
        page = visit(text)
        page.emulate_media(media="print")
        assert page.locator(".chooser").is_hidden()
        assert page.locator("#gap .figure.wide >> visible=true").count() == figures


@pytest.fixture(scope="module")
def trial(simulated: ModuleType) -> Verdict:
    domains = {"plain": 0.0, "narrative": -0.1}
    design = simulated.Design(simulated.STANDARD, controls=2, domains=domains, problems=24, curve=(48, 96))
    return judge(claim_of(simulated.spec_of(design), simulated.rows_of(design), simulated.ROLES))


@pytest.fixture(scope="module")
def trial_text(trial: Verdict) -> str:
    return render(trial)


def test_the_deployments_figure_names_every_number_that_was_run(visit: Any, trial_text: str) -> None:
    page = visit(trial_text)
    figure = page.locator("#deployments svg.figure >> visible=true").first
    assert {"24", "48", "96"} <= set(figure.locator("text.tick").all_text_contents())
    assert figure.locator("circle.dot").count() == 3


def test_one_number_of_deployments_is_told_in_words_without_a_figure(visit: Any, simulated: ModuleType) -> None:
    design = simulated.Design(simulated.STANDARD, problems=8)
    page = visit(render(judge(claim_of(simulated.spec_of(design), simulated.rows_of(design), simulated.ROLES))))
    assert page.locator("#deployments svg").count() == 0
    assert "deployments" in page.locator("#deployments p.per-currency >> visible=true").first.inner_text()


def test_a_trials_figures_are_seen_and_follow_the_currency(visit: Any, trial_text: str) -> None:
    page = visit(trial_text)
    assert page.locator("#verdict .verdict").is_visible()
    for section in ("gap", "frontier", "deployments", "compute"):
        shown = page.locator(f"#{section} .per-currency >> visible=true")
        assert {element.get_attribute("data-currency") for element in shown.all()} == {"flops"}
        assert page.locator(f"#{section} svg.figure >> visible=true").count() == 2  # one a domain
    page.locator(".chooser").get_by_text("generated tokens", exact=True).click()
    shown = page.locator("#frontier .per-currency >> visible=true").first
    assert shown.get_attribute("data-currency") == "tokens_generated"
    assert "generated tokens" in shown.locator("svg").get_attribute("aria-label")


def test_a_trials_marks_tell_their_figures(visit: Any, trial_text: str) -> None:
    page = visit(trial_text)
    tip = page.locator("#tip")
    for section, told in (("frontier", "95 % interval"), ("deployments", "deployments"), ("compute", "a problem")):
        mark = page.locator(f"#{section} .mark[data-tip*='{told}'] >> visible=true").first
        mark.focus()
        assert told in tip.inner_text()


@pytest.mark.parametrize("width", [1000, 700])
def test_no_text_of_a_trials_figures_leaves_its_drawing(
    browser: Any, tmp_path: Path, trial_text: str, width: int
) -> None:
    file = tmp_path / "page.html"
    file.write_text(trial_text, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(file.as_uri())
    outside = page.evaluate(
        """() => [...document.querySelectorAll("svg.figure")].flatMap(figure => {
             const box = figure.getBoundingClientRect();
             return [...figure.querySelectorAll("text")].filter(text => {
               const mine = text.getBoundingClientRect();
               return mine.width && (mine.left < box.left - 1 || mine.right > box.right + 1);
             }).map(text => text.textContent);
           })"""
    )
    page.close()
    assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_in_a_trials_bars_stands_out(browser: Any, tmp_path: Path, trial_text: str, scheme: str) -> None:
    """Large and bold graphics text: a contrast of 3 against the bar it stands on."""
    file = tmp_path / "page.html"
    file.write_text(trial_text, encoding="utf-8")
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    text, *bars = page.evaluate(
        """() => [document.querySelector(".inbar"),
                  ...document.querySelectorAll("#compute rect.purpose:not(.before)")]
                 .map(part => getComputedStyle(part).fill)"""
    )
    for bar in set(bars):
        lighter, darker = sorted((luminance(text), luminance(bar)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, bar
    page.close()


def test_the_search_of_the_documentation_has_a_worker_on_disk(browser: Any, tmp_path: Path) -> None:
    shim = Path(__file__).parents[2] / "docs" / "assets" / "iframe-worker.js"
    worker = """addEventListener("message", (event) => postMessage([event.data.term, "IFrameWorker" in parent]))"""
    asks = """const worker = new Worker("a%20b/worker.js")
        worker.addEventListener("message", (event) => { document.title = event.data.join(" ") })
        worker.postMessage({ term: "compute" })"""
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "worker.js").write_text(worker, encoding="utf-8")
    (tmp_path / "page.html").write_text(
        f'<body><script src="{shim.as_uri()}"></script><script>{asks}</script>', encoding="utf-8"
    )
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("document.title === 'compute true'", timeout=10_000)
    page.close()
