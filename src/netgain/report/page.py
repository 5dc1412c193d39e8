"""The page: one self-contained HTML file that opens offline, with a strict Content-Security-Policy.

Everything that came from outside is escaped by the template engine or by :mod:`netgain.report.svg`. The page carries
one style sheet and one script, both inlined and named by their hashes in the policy; nothing else may run or load.
"""

import base64
import hashlib
from collections import Counter
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from netgain.analysis.compare import EQUIVALENCE_MARGIN
from netgain.analysis.sentences import points, primary_row
from netgain.analysis.verdict import Verdict
from netgain.report import words
from netgain.report.figures import bill, forest, frontier, gap, stability

CURRENCIES = tuple(words.CURRENCY_NAMES)


def render(verdict: Verdict) -> str:
    """The whole page as text. Same verdict, same bytes."""
    folder = files("netgain.report") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "percent": words.percent,
        "amount": words.amount,
        "estimate": words.estimate,
        "p": words.p_value,
        "points": points,
    }
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    rules = ["default-src 'none'", f"style-src '{_hash(style)}'", f"script-src '{_hash(script)}'"]
    return template.render(
        v=verdict,
        policy="; ".join([*rules, "base-uri 'none'", "form-action 'none'"]),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        difference=words.difference,
        **_parts(verdict),
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _parts(verdict: Verdict) -> dict[str, Any]:
    labels = {arm.name: arm.label for arm in verdict.arms}
    headline = next((arm.name for arm in verdict.arms if arm.headline), None)
    lead = primary_row(verdict.decomposition, headline)
    return {
        "labels": labels,
        "headline": headline,
        "margin": EQUIVALENCE_MARGIN,
        "currencies": words.CURRENCY_NAMES,
        "first_currency": lead.currency if lead else CURRENCIES[0],
        "hero": _hero(verdict, labels, headline),
        "frontiers": _frontiers(verdict),
        "forest": forest.forest(verdict.comparisons, labels),
        "bills": _bills(verdict, headline),
        "noise": stability.reward_noise(verdict.rewards),
        "fixed": stability.fixed_broken(verdict.stability, labels, headline),
        "retention": stability.retention(verdict.retention) if verdict.retention else None,
        "severities": Counter(finding.severity for finding in verdict.findings),
        "roles": sorted({arm.role for arm in verdict.arms}),
        "rows": verdict.decomposition,
    }


def _hero(verdict: Verdict, labels: dict[str, str], headline: str | None) -> dict[str, Markup]:
    mine = [row for row in verdict.decomposition if row.arm == headline and row.basis == "with outer loop"]
    return {row.currency: figure for row in mine if (figure := gap.waterfall(row, labels)) is not None}


def _frontiers(verdict: Verdict) -> list[tuple[str, dict[str, Markup]]]:
    """For each setting, the scatter in every currency that two or more of its arms are known in."""
    found = []
    for setting in dict.fromkeys(arm.setting for arm in verdict.arms):
        arms = [arm for arm in verdict.arms if arm.setting == setting]
        drawn = {c: figure for c in CURRENCIES if (figure := frontier.scatter(arms, c)) is not None}
        if drawn:
            found.append((setting, drawn))
    return found


def _bills(verdict: Verdict, headline: str | None) -> dict[str, Markup]:
    arm = next((arm for arm in verdict.arms if arm.name == headline), None)
    rows = [row for row in reversed(verdict.amortisation) if row.arm == headline]
    # reversed, so that the cheapest rival's row, which comes first, is the one that is drawn
    drawn = {row.currency: bill.amortisation(row, verdict.arms, arm.n_problems if arm else None) for row in rows}
    return {currency: figure for currency, figure in drawn.items() if figure is not None}
