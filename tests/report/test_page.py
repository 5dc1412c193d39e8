"""The page: one file, nothing loaded, outside text inert, every section where there is something to say."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from netgain.analysis.verdict import Verdict
from netgain.audit.audit import audit, read_claim
from netgain.audit.card import NEW_CARD
from netgain.records.claim import Claim
from netgain.report.page import render

HOSTILE = '</script><script>window.PWNED=1</script><img src=x onerror="window.PWNED=2">"\'{{ 7 * 7 }}'


@pytest.fixture(scope="module")
def shipped() -> Claim:
    return read_claim(None)


@pytest.fixture(scope="module")
def page(shipped: Claim) -> str:
    return render(audit(shipped))


def hostile(claim: Claim) -> Claim:
    """The same claim with hostile text wherever text from outside may stand."""
    arms = tuple(arm.model_copy(update={"label": HOSTILE, "setting": arm.setting + HOSTILE}) for arm in claim.arms)
    findings = tuple(f.model_copy(update={"message": HOSTILE, "evidence": (HOSTILE,)}) for f in claim.findings)
    more = {"title": HOSTILE, "paper": HOSTILE, "url": HOSTILE, "licence": HOSTILE, "model": HOSTILE, "name": HOSTILE}
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


def test_outside_text_is_text(shipped: Claim) -> None:
    text = render(audit(hostile(shipped)))
    found = Reader(text)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not found.suspicious
    assert "{{ 7 * 7 }}" in text


def test_the_page_opens_with_the_verdict_and_holds_every_section(page: str) -> None:
    found = Reader(page)
    assert found.tags.index("h1") < found.tags.index("svg")
    sections = {
        "gap",
        "frontier",
        "differences",
        "bill",
        "reward",
        "stability",
        "questions",
        "findings",
        "arms",
        "sources",
    }
    assert sections <= set(found.ids)


def test_same_verdict_same_bytes_and_a_small_file(shipped: Claim, page: str) -> None:
    assert render(audit(shipped)) == page
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
