"""The page of audits and trials: one file, nothing loaded, outside text inert, what was tested before the verdict."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from netgain.analysis.judge import judge
from netgain.analysis.rows import HeadlineKind
from netgain.analysis.verdict import Verdict
from netgain.audit.audit import audit, read_claim
from netgain.audit.card import NEW_CARD
from netgain.records.claim import Claim
from netgain.records.provenance import RunSetup, SampleQuestion
from netgain.report import listings
from netgain.report.page import render
from netgain.report.summary import plain, rewards
from netgain.trials.trial_claim import claim_of

HOSTILE = '</script><script>window.PWNED=1</script><img src=x onerror="window.PWNED=2">"\'{{ 7 * 7 }}'


SETUP = RunSetup(
    questions=(
        SampleQuestion(setting="plain", question="Where does Ada live?", answer="Rome", passage="Ada lives in Rome."),
        SampleQuestion(setting="narrative", question="Whom does she love?", answer="Bo", passage="She loves Bo."),
    ),
    hardware="two cores",
    date="2026-11-27",
    versions={"torch": "2.13.0"},
    meter_check="within 0.1 % of the profiler",
)


def verdict_of(simulated: ModuleType, design: Any, rows: Any = None, setup: RunSetup | None = SETUP) -> Verdict:
    made = simulated.rows_of(design) if rows is None else rows
    return judge(claim_of(simulated.spec_of(design), made, simulated.ROLES, setup=setup))


@pytest.fixture(scope="module")
def shipped() -> Claim:
    return read_claim(None)


@pytest.fixture(scope="module")
def trial(simulated: ModuleType) -> Verdict:
    domains = {"plain": 0.0, "narrative": -0.1}
    return verdict_of(simulated, simulated.Design(simulated.STANDARD, controls=2, domains=domains, problems=24))


@pytest.fixture(scope="module", params=["audit", "trial"])
def verdict(request: pytest.FixtureRequest, shipped: Claim, trial: Verdict) -> Verdict:
    return trial if request.param == "trial" else audit(shipped)


@pytest.fixture(scope="module")
def page(verdict: Verdict) -> str:
    return render(verdict)


def hostile(claim: Claim) -> Claim:
    """The same claim with hostile text wherever text from outside may stand."""
    arms = tuple(arm.model_copy(update={"label": HOSTILE, "setting": arm.setting + HOSTILE}) for arm in claim.arms)
    findings = tuple(f.model_copy(update={"message": HOSTILE, "evidence": (HOSTILE,)}) for f in claim.findings)
    more: dict[str, object] = {
        "title": HOSTILE,
        "paper": HOSTILE,
        "url": HOSTILE,
        "licence": HOSTILE,
        "model": HOSTILE,
        "name": HOSTILE,
    }
    runs = tuple(run.model_copy(update={"prompt": HOSTILE}) for run in claim.reward_runs)
    more |= {"tokens": HOSTILE, "glossary": HOSTILE, "notes": (HOSTILE,)}
    return claim.model_copy(update=more | {"arms": arms, "findings": findings, "reward_runs": runs})


class Reader(HTMLParser):
    """Collects tags, and attributes that could load or run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.suspicious: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            loads = name in {"src", "srcset", "style", "action"} or (
                name == "href" and not (value or "").startswith("#")
            )
            if name.startswith("on") or loads:
                self.suspicious.append(f"{tag} {name}={value}")


def test_the_page_loads_nothing_and_runs_one_script(page: str) -> None:
    found = Reader(page)
    assert not found.suspicious
    assert found.tags.count("script") == 1
    assert not {"img", "iframe", "link", "object", "form"} & set(found.tags)
    assert len(found.ids) == len(set(found.ids))


def test_the_policy_allows_only_what_is_inlined(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    rules = policy.group(1).replace("&#39;", "'")
    assert rules.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in rules


@pytest.mark.parametrize("kind", ["audit", "trial"])
def test_outside_text_is_text(shipped: Claim, simulated: ModuleType, kind: str) -> None:
    arms = {
        name: simulated.Arm(a.method, a.right, a.slope, a.luck, a.learns, HOSTILE)
        for name, a in simulated.STANDARD.items()
    }
    asked = SampleQuestion(setting=HOSTILE, question=HOSTILE, answer=HOSTILE, passage=HOSTILE)
    setup = RunSetup(questions=(asked,), hardware=HOSTILE, date=HOSTILE, versions={HOSTILE: HOSTILE})
    design = simulated.Design(arms, controls=1, problems=8)
    text = render(audit(hostile(shipped)) if kind == "audit" else verdict_of(simulated, design, setup=setup))
    found = Reader(text)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not found.suspicious
    assert "{{ 7 * 7 }}" in text


def test_what_was_tested_comes_first_then_the_accuracies_then_the_verdict(page: str) -> None:
    found = Reader(page)
    assert found.tags.index("h1") < found.tags.index("svg")
    order = [
        found.ids.index(name) for name in ("tested", "accuracies", "verdict", "gap", "findings", "arms", "sources")
    ]
    assert order == sorted(order)


def test_the_page_holds_every_section_that_has_something_to_say(verdict: Verdict, page: str) -> None:
    sections = {"frontier", "deployments", "differences", "reward", "stability"}
    own = {"compute", "luck", "regimes", "card"} if verdict.terms else {"questions"}
    found = Reader(page)
    assert sections | own <= set(found.ids)
    assert not ({"compute", "luck", "regimes", "card", "questions"} - own) & set(found.ids)


def test_every_table_has_a_caption_and_headings_and_every_figure_a_name(page: str) -> None:
    assert page.count("<table") == page.count("<caption") == page.count("<thead>")
    figures = re.findall(r'<svg [^>]*class="figure[^>]*>', page)
    assert figures
    assert all("aria-label=" in figure for figure in figures)


def test_a_trial_says_what_was_tested_and_with_what(trial: Verdict) -> None:
    text = render(trial)
    for part in (
        "Where does Ada live?",
        "Right answer: Rome",
        "two cores; 2026-11-27",
        "torch 2.13.0",
        "of the profiler",
    ):
        assert part in text
    assert "Whom does she love?" not in text  # one example, of the domain that decides
    assert "deployments" in text.split('id="accuracies"')[0]


def test_what_the_record_does_not_know_is_said_to_be_missing(simulated: ModuleType, shipped: Claim) -> None:
    bare = verdict_of(simulated, simulated.Design(simulated.STANDARD, problems=8), setup=None)
    for verdict in (bare, audit(shipped)):
        head = render(verdict).split('id="accuracies"')[0]
        assert "not in the record" in head


def test_the_verdict_is_one_plain_sentence_for_each_domain(trial: Verdict) -> None:
    (first, told), (second, other) = plain(trial)
    assert (first, second) == ("plain", "narrative")
    text = render(trial)
    assert text.index(told.split(":")[0]) < text.index('id="gap"')
    for sentence in (told, other):
        assert "no more compute" in sentence or "equal compute" in sentence
        assert sentence.count(".  ") == 0
    assert all(row.sentence in text.replace("&#39;", "'") for row in trial.domains)


KINDS = list(get_args(HeadlineKind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_verdict_has_a_plain_sentence_of_its_own(trial: Verdict, kind: str) -> None:
    first = trial.domains[0].model_copy(update={"kind": kind})
    told = plain(trial.model_copy(update={"domains": [first]}))[0][1]
    others = [plain(trial.model_copy(update={"domains": [first.model_copy(update={"kind": k})]}))[0][1] for k in KINDS]
    assert others.count(told) == 1
    assert told.endswith(".")


def test_rows_that_share_a_name_can_be_told_apart(trial: Verdict) -> None:
    rows = [(heading, line.cells[0].text) for heading, lines in listings.arms(trial).groups.items() for line in lines]
    assert len(rows) == len(set(rows))
    names = [name for name, _ in rewards(trial)]
    assert len(names) == len(set(names))
    assert all("SEAL" in name for name in names)


def test_an_audits_first_table_holds_the_arms_that_are_judged_and_names_the_other_settings(shipped: Claim) -> None:
    text = render(audit(shipped))
    first = text[text.index('id="accuracies"') : text.index('id="verdict"')]
    assert "passage only" in first
    assert "passage only (CPT)" not in first
    assert "In the table of all arms below: continued pretraining" in first
    assert "passage only (CPT)" in text[text.index('id="arms"') :]


def test_no_sentence_is_told_twice_at_the_verdict(page: str, verdict: Verdict) -> None:
    head = page[page.index('id="verdict"') : page.index('class="chooser"')].replace("&#39;", "'")
    assert head.count(verdict.headline.sentence) == 1


def test_no_row_says_of_our_own_run_that_it_was_not_published(trial: Verdict) -> None:
    uneven = [row.model_copy(update={"heldout": None, "heldout_gain": None}) for row in trial.rewards]
    text = render(trial.model_copy(update={"rewards": uneven}))
    assert "not published" not in text
    assert "not all scored equally often" in text


def test_the_page_says_how_its_intervals_were_made(trial: Verdict) -> None:
    text = render(trial)
    assert "over 24 problems and 3 seeds" in text
    assert "chosen on development problems" in text


def test_a_single_seed_is_said_to_leave_luck_out(simulated: ModuleType) -> None:
    text = render(verdict_of(simulated, simulated.Design(simulated.STANDARD, seeds=1, problems=12)))
    assert "the luck of a run is not covered" in text


def test_same_verdict_same_bytes_and_a_small_file(verdict: Verdict, page: str) -> None:
    assert render(verdict) == page
    assert len(page.encode()) < 3_000_000


def test_the_policy_holds_for_a_page_that_knows_almost_nothing(tmp_path: Path) -> None:
    card = tmp_path / "card.yaml"
    card.write_text("title: T\nheadline: a\narms:\n  a: {role: other}\n")
    found = Reader(render(audit(read_claim(card))))
    assert "svg" not in found.tags
    assert "h1" in found.tags


def test_a_card_gets_a_page_too(tmp_path: Path) -> None:
    card = tmp_path / "card.yaml"
    card.write_text(re.sub(r"FILL IN\s*#.*?for example (.+)$", r"\1", NEW_CARD, flags=re.MULTILINE))
    assert "what the method adds" in render(audit(read_claim(card)))


def test_a_verdict_survives_being_written_and_read_back(shipped: Claim) -> None:
    verdict = audit(shipped)
    assert Verdict.model_validate(json.loads(verdict.model_dump_json(by_alias=True))) == verdict


def test_no_line_breaks_between_a_number_and_its_per_cent_sign(page: str) -> None:
    prose = re.sub(r"<(svg|style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert "95\N{NO-BREAK SPACE}% interval" in prose
    assert not re.search(r"\d %", prose)
