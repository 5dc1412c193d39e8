"""The page: one self-contained HTML file that opens offline, with a strict Content-Security-Policy.

Everything that came from outside is escaped by the template engine or by :mod:`netgain.report.svg`. The page carries
one style sheet and one script, both inlined and named by their hashes in the policy; nothing else may run or load.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from netgain.analysis.comparisons import EQUIVALENCE_MARGIN
from netgain.analysis.sentences import break_even_sentence, other_domains, points, primary_row
from netgain.analysis.verdict import ArmRow, StabilityRow, Verdict
from netgain.report import words
from netgain.report.figures import bill, compute, deployments, forest, frontier, gap, ladder, stability

CURRENCIES = tuple(words.CURRENCY_NAMES)
SHAPES = {
    "self_improving": "● self-improving",
    "synthetic": "■ own unselected text",
    "teacher": "▲ teacher's text",
    "passage": "◆ passage only",
    "frozen": "✕ frozen",
    "in_context": "▼ in context",
    "other": "✚ other",
}


def render(verdict: Verdict) -> str:
    """The whole page as text. Same verdict, same bytes."""
    folder = files("netgain.report") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in ("page.html.j2", "trial.html.j2")}
    loader = DictLoader(texts)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": words.percent,
        "amount": words.amount,
        "estimate": words.estimate,
        "p": words.p_value,
        "points": points,
    }
    template = environment.get_template("page.html.j2")
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
    trial = _trial_parts(verdict, labels)
    headline = next((arm.name for arm in verdict.arms if arm.headline), None)
    lead = primary_row(verdict.decomposition, headline)
    return {
        "labels": labels,
        "headline": headline,
        "margin": EQUIVALENCE_MARGIN,
        "currencies": _currencies(verdict),
        "first_currency": lead.currency if lead and verdict.terms is None else _first_currency(verdict),
        "hero": _hero(verdict, labels, headline),
        "frontiers": [] if verdict.terms else _frontiers(verdict),
        "forest": None if verdict.terms else forest.forest(verdict.comparisons, labels),
        "bills": _bills(verdict, headline),
        "noise": stability.reward_noise(verdict.rewards),
        "fixed": None if verdict.terms else stability.fixed_broken(verdict.stability, labels, headline),
        "retention": stability.retention(verdict.retention) if verdict.retention and not verdict.terms else None,
        "severities": Counter(finding.severity for finding in verdict.findings),
        "roles": sorted({arm.role for arm in verdict.arms}),
        "rows": verdict.decomposition,
        "details": [told for told in verdict.headline.details if told not in other_domains(verdict.domains)],
        "shapes": SHAPES,
        "all_currencies": words.ALL_NAMES,
        "break_even": break_even_sentence,
        **trial,
    }


def _currencies(verdict: Verdict) -> dict[str, str]:
    """The currencies that can be chosen: four for an audit, those that were matched in for a trial."""
    if verdict.terms is None:
        return words.CURRENCY_NAMES
    matched = {row.currency for row in verdict.decomposition} or {verdict.terms.currency.value}
    return {key: name for key, name in words.ALL_NAMES.items() if key in matched}


def _first_currency(verdict: Verdict) -> str:
    wanted = verdict.terms.currency.value if verdict.terms else CURRENCIES[0]
    offered = _currencies(verdict)
    return wanted if wanted in offered else next(iter(offered), wanted)


def _trial_parts(verdict: Verdict, labels: dict[str, str]) -> dict[str, Any]:
    """The figures of a trial, one for each domain and currency, the primary domain first."""
    settings = list(dict.fromkeys([*(row.setting for row in verdict.domains), *(arm.setting for arm in verdict.arms)]))
    headlines = {row.setting: row.arm for row in verdict.domains}
    keys = tuple(_currencies(verdict))

    def by_setting(draw: Callable[[str, str], Markup | None]) -> list[tuple[str, dict[str, Markup]]]:
        drawn = [(s, {key: found for key in keys if (found := draw(s, key)) is not None}) for s in settings]
        return [(setting, figures) for setting, figures in drawn if figures]

    def waterfall(setting: str, key: str) -> Markup | None:
        rows = [
            r for r in verdict.decomposition if (r.setting, r.currency, r.basis) == (setting, key, "with outer loop")
        ]
        return gap.waterfall(rows[0], labels) if rows else None

    def over_deployments(setting: str, key: str) -> Markup | None:
        rows = [row for row in verdict.break_even if (row.setting, row.currency) == (setting, key)]
        return (
            deployments.curve(rows[0], labels, verdict.terms.deployments if verdict.terms else None) if rows else None
        )

    def arms(setting: str, *, own: bool) -> list[ArmRow]:
        return [arm for arm in verdict.arms if arm.setting == setting and (arm.own or not own)]

    if verdict.terms is None:
        return {"domains": []}
    forests = [(s, forest.forest([row for row in verdict.comparisons if row.setting == s], labels)) for s in settings]
    fixed = [(s, [row for row in verdict.stability if verdict.arm(row.arm).setting == s]) for s in settings]
    return {
        "domains": settings,
        "heroes": dict(by_setting(waterfall)),
        "ladders": by_setting(lambda s, key: ladder.curves(arms(s, own=False), key)),
        "forests": [(setting, figure) for setting, figure in forests if figure],
        "afters": by_setting(over_deployments),
        "wheres": by_setting(lambda s, key: compute.purposes(verdict.compute, arms(s, own=True), key)),
        "controls": [
            (s, stability.fixed_broken(_compared(rows, verdict), labels, headlines.get(s)), rows)
            for s, rows in fixed
            if rows
        ],
        "retained": [(table, stability.retention(table)) for table in verdict.retentions],
        "told": {row.setting: row for row in verdict.domains},
        "regimes": verdict.regimes,
        "stages": list(dict.fromkeys(stage for row in verdict.card for stage in row.spent)),
        "exam_kinds": list(dict.fromkeys(kind for arm in verdict.arms for kind in arm.exams)),
    }


def _compared(rows: list[StabilityRow], verdict: Verdict) -> list[StabilityRow]:
    """Of each method's control rows those on the rung that is compared, or where it was not asked there, the first."""
    chosen: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: not verdict.arm(row.arm).own):
        chosen.setdefault(verdict.arm(row.arm).method, row.arm)
    return [row for row in rows if row.arm in chosen.values()]


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
