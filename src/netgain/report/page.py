"""The page: one self-contained HTML file that opens offline, with a strict Content-Security-Policy.

Everything that came from outside is escaped by the template engine or by :mod:`netgain.report.svg`. The page carries
one style sheet and one script, both inlined and named by their hashes in the policy; nothing else may run or load.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from netgain.analysis.policy_curves import told
from netgain.analysis.sentences import GRADES, break_even_sentence, other_domains
from netgain.analysis.verdict import RetentionTable, StabilityRow, Verdict
from netgain.report import bars, curves, detail_tables, drawn, listings, numbers, stability_tables, summary, svg

ROLES = {
    "self_improving": "self-improving",
    "synthetic": "the model's own text, without an outer loop",
    "teacher": "a teacher's text",
    "passage": "the passage only",
    "frozen": "frozen",
    "in_context": "passage at hand, no training",
    "oracle": "chosen by the exam's own labels: an upper bound",
    "other": "other",
}
NOT_AGAIN = "its edits were not all scored equally often: no repeat to measure again"
UNPUBLISHED = "single evaluations not published: cannot be measured again"
Figures = list[tuple[str, dict[str, Markup]]]


def render(verdict: Verdict, back: str = "", examples: Sequence[Any] | None = None) -> str:
    """The whole page as text. Same verdict, same bytes.

    ``back`` is the page of all comparisons, where it has one; ``examples`` are single answers to show
    (``answers_view.ExampleAnswers``), None where the pages of all answers do not stand beside it.
    """
    parts = _parts(verdict) | {"examples": examples, "back": back}
    return fill("page.html.j2", v=verdict, tables=listings, drawn=drawn, more=detail_tables, **parts)


def fill(template: str, extra: str = "", **parts: Any) -> str:
    """A template of ours as a page: with the one style sheet and script, and the policy that allows nothing else.

    ``extra`` names a sheet and a script of the template's own, which follow the common ones.
    """
    page, style, script, policy = _template(template, extra)
    return page.render(policy=policy, style=style, script=script, **parts)


@cache  # a board and the pages of answers fill one template hundreds of times
def _template(template: str, extra: str) -> tuple[Template, Markup, Markup, str]:
    """A template of ours, compiled, with its style sheet, its script and its policy."""
    folder = files("netgain.report") / "templates"
    style, script = (
        "".join((folder / f"{name}.{kind}").read_text(encoding="utf-8") for name in ("page", extra) if name)
        for kind in ("css", "js")
    )
    text, macros = ((folder / name).read_text(encoding="utf-8") for name in (template, "macros.html.j2"))
    environment = Environment(
        loader=DictLoader({"page": _whole(text), "macros": _whole(macros)}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _whole(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.filters |= {"percent": numbers.percent, "amount": numbers.amount, "estimate": numbers.estimate}
    rules = ["default-src 'none'", f"style-src '{_hash(style)}'", f"script-src '{_hash(script)}'"]
    policy = "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])
    return environment.get_template("page"), Markup(style), Markup(script), policy  # noqa: S704 - our own files


def _whole(text: str) -> str:
    """Text in which no line breaks between a number and its per cent sign (the template's own tags aside)."""
    return re.sub(r"(?<=\d) %(?!\})", "\N{NO-BREAK SPACE}%", text)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _parts(verdict: Verdict) -> dict[str, Any]:
    labels = {arm.name: arm.label for arm in verdict.arms}
    tested = summary.subjects(verdict)
    settings = list(dict.fromkeys([*tested, *(arm.setting for arm in verdict.arms)]))
    told = {f"In {row.setting}: {row.sentence}" for row in verdict.domains} | set(other_domains(verdict.domains))
    pays = {break_even_sentence(row, labels) for row in verdict.break_even}  # told beside their figure
    return {
        "labels": labels,
        "tested": [summary.example(verdict), *summary.facts(verdict)],
        "measured": summary.measured(verdict),
        "plain": summary.plain(verdict),
        "exact": summary.exact(verdict),
        "graded": GRADES[verdict.terms.grade] if verdict.terms else GRADES["exact"],
        "details": [sentence for sentence in verdict.headline.details if sentence not in told | pays],
        "apart": {setting: summary.why_whole(verdict, tested.get(setting)) for setting in settings},
        "domains": settings if verdict.terms else list(tested),
        "currencies": _currencies(verdict),
        "first_currency": _first_currency(verdict, tested),
        "severities": Counter(finding.severity for finding in verdict.findings),
        "roles": [(svg.swatch(svg.point(0, 0, role)), ROLES[role]) for role in ROLES if _has(verdict, role)],
        "spent_on": [
            (svg.box(f"purpose-{key}"), name)
            for key, name in bars.PURPOSES.items()
            if any(row.purpose == key for row in verdict.compute)
        ],
        "box": svg.box,
        "all_currencies": numbers.ALL_NAMES,
        "break_even": break_even_sentence,
        "controls": _controls(verdict, labels, tested),
        "abilities": stability_tables.abilities(verdict) if verdict.abilities else None,
        "retained": _retained(verdict),
        "policies": _policies(verdict, labels),
        "loops": stability_tables.loops(verdict) if verdict.loops else None,
        "covered": [
            (setting, figure)
            for setting in settings
            if (figure := curves.coverage([r for r in verdict.coverage if r.setting == setting], verdict.arms))
        ],
        "chosen": drawn.chosen_figures(verdict),
        "noise": bars.reward_noise(list(summary.rewards(verdict)), NOT_AGAIN if verdict.terms else UNPUBLISHED),
        **_figures(verdict, labels, tested, settings),
    }


def _policies(verdict: Verdict, labels: dict[str, str]) -> list[tuple[str, Markup | None, list[str]]]:
    """Each arm that learns by a policy gradient: its curves, and the course of every seed in words."""
    named = {run.arm: labels.get(run.arm, run.arm) for run in verdict.policy}
    by_arm = {arm: [run for run in verdict.policy if run.arm == arm] for arm in named}
    return [
        (named[a], curves.policy(runs, named[a]), [told(run, named[a]) for run in runs]) for a, runs in by_arm.items()
    ]


def _has(verdict: Verdict, role: str) -> bool:
    return any(arm.role == role for arm in verdict.arms)


def _retained(verdict: Verdict) -> list[tuple[str, RetentionTable, Markup]]:
    """The streams of adaptations, a trial's under the names of their arms."""
    names = {f"{arm.setting}/{arm.method}": arm.label for arm in verdict.arms if arm.own and arm.method}
    several = len({arm.setting for arm in verdict.arms}) > 1
    tables = verdict.retentions or ([verdict.retention] if verdict.retention else [])
    named = [(names.get(table.name, ""), table) for table in tables]
    shown = [(f"{name} ({table.name.split('/')[0]})" if name and several else name, table) for name, table in named]
    return [(name, table, bars.retention(table)) for name, table in shown]


def _currencies(verdict: Verdict) -> dict[str, str]:
    """The currencies that can be chosen: four for an audit and device time where it is stated, those that were matched
    in for a trial."""
    kept = {row.currency for row in verdict.decomposition}
    if verdict.terms is None:
        kept |= set(numbers.CURRENCY_NAMES)
    else:
        kept = kept or {verdict.terms.currency.value}
    return {key: name for key, name in numbers.ALL_NAMES.items() if key in kept}


def _first_currency(verdict: Verdict, tested: dict[str, str]) -> str:
    row = summary.matched(verdict, next(iter(tested.values()), ""))
    wanted = row.currency if row else verdict.terms.currency.value if verdict.terms else "flops"
    offered = _currencies(verdict)
    return wanted if wanted in offered else next(iter(offered))


def _figures(verdict: Verdict, labels: dict[str, str], tested: dict[str, str], settings: list[str]) -> dict[str, Any]:
    """The figures, one for each domain or setting and each currency in which it can be drawn."""
    keys = tuple(_currencies(verdict))
    stated = verdict.terms.deployments if verdict.terms else None

    def drawn(draw: Callable[[str, str], Markup | None]) -> Figures:
        found = [(s, {key: figure for key in keys if (figure := draw(s, key)) is not None}) for s in settings]
        return [(setting, figures) for setting, figures in found if figures]

    def gap(setting: str, key: str) -> Markup | None:
        row = summary.matched(verdict, tested.get(setting, ""), key)
        return bars.waterfall(row, labels) if row else None

    def scatter(setting: str, key: str) -> Markup | None:
        shown = [arm for arm in verdict.arms if arm.setting == setting and arm.deployments in (None, stated)]
        return curves.scatter(shown, key)

    def shared(setting: str, key: str) -> Markup | None:
        leads = [row for row in verdict.break_even if (row.setting, row.currency) == (setting, key)]
        if leads:
            return curves.lead(leads[0], labels, stated)
        # the rows begin with the cheapest rival
        name = tested.get(setting)
        costs = [row for row in verdict.amortisation if (row.arm, row.currency) == (name, key)]
        return curves.cost_curve(costs[0], verdict.arms, verdict.arm(costs[0].arm).n_problems) if costs else None

    def spent(setting: str, key: str) -> Markup | None:
        return bars.purposes(verdict.compute, [a for a in verdict.arms if a.setting == setting and a.own], key)

    groups = list(dict.fromkeys(row.setting for row in verdict.comparisons))
    forests = [(s, bars.forest([row for row in verdict.comparisons if row.setting == s], labels)) for s in groups]
    return {
        "gaps": dict(drawn(gap)),
        "frontiers": drawn(scatter),
        "shares": drawn(shared),
        "wheres": drawn(spent),
        "forests": [(setting, figure) for setting, figure in forests if figure],
    }


def _controls(verdict: Verdict, labels: dict[str, str], tested: dict[str, str]) -> list[tuple[str, Any, Any]]:
    """For each setting the figure of answers fixed and broken, and the table of all arms where it says more."""
    found = []
    for setting in dict.fromkeys(arm.setting for arm in verdict.arms):
        rows = [row for row in verdict.stability if verdict.arm(row.arm).setting == setting]
        if rows:
            figure = bars.fixed_broken(_compared(rows, verdict), labels, tested.get(setting))
            found.append((setting, figure, stability_tables.controls(verdict, rows)))
    return found


def _compared(rows: list[StabilityRow], verdict: Verdict) -> list[StabilityRow]:
    """Of each method's rows those on the budget that is compared, or where it was not asked there, the first."""
    chosen: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: not verdict.arm(row.arm).own):
        arm = verdict.arm(row.arm)
        chosen.setdefault(arm.method or arm.name, row.arm)
    return [row for row in rows if row.arm in chosen.values()]
