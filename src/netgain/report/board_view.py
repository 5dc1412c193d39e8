"""The board: trials, audits and the library of published claims as one table of a static site, a page for each row.

The front page works without JavaScript: it is sorted, and two of its filters are style sheets; a script adds sorting by
any column, search and counts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, final

from markupsafe import Markup

from netgain.analysis.intervals import Interval
from netgain.analysis.sentences import decisive, interval, points, span
from netgain.analysis.verdict import Verdict
from netgain.audit.library import LibraryRow, Outcome
from netgain.report import svg
from netgain.report.library_view import read_in
from netgain.report.listings import label_of
from netgain.report.numbers import amount, clean
from netgain.report.page import fill
from netgain.report.summary import matched, plain

Kind = Literal["trial", "audit", "library"]
KINDS: dict[Kind, str] = {"trial": "trials", "audit": "audits", "library": "the library"}
OUTCOMES: dict[Outcome, str] = {"stands": "stands", "changes": "does not stand", "cannot tell": "cannot tell"}
OF_TRIAL: dict[str, tuple[Outcome, str]] = {
    "method": ("stands", "ahead of every conventional arm at equal compute"),
    "nothing left": ("changes", "no gain over a conventional arm is left"),
    "no difference": ("changes", "no difference from a conventional arm"),
    "no gain": ("changes", "no gain over the unchanged model"),
    "rival ahead": ("changes", "a conventional arm is ahead"),
    "unmatched": ("cannot tell", "no rival was given as much compute"),
    "too few runs": ("cannot tell", "too few runs"),
    "cannot tell": ("cannot tell", "nothing could be matched"),
}
OF_CLAIM = {"stands": "most of the gain is left", "changes": "less than half is left, or nothing for sure"}
WIDTH, HEIGHT, MARGIN = 190, 26, 8


@final
@dataclass(frozen=True)
class BoardRow:
    """One comparison on the board. Gains are fractions, None where unknown; ``page`` is relative to the front page.

    ``gained`` is the gain over the untrained model or the baseline, as claimed or measured, ``left`` what remains of it
    against ``against`` at equal compute; the two ``_value`` fields are known without an interval too. ``flops`` is all
    that a trial took in this domain, or the treated arm's training.
    """

    kind: Kind
    name: str
    title: str
    setting: str
    model: str
    outcome: Outcome
    verdict: str
    sentence: str
    page: str
    gained_value: float | None = None
    gained: Interval | None = None
    left_value: float | None = None
    left: Interval | None = None
    against: str = ""
    seeds: int | None = None
    flops: float | None = None
    flops_incomplete: bool = False
    notes: tuple[str, ...] = ()

    @property
    def search(self) -> str:
        """All that the search box looks through, in lower case."""
        parts = (self.title, self.name, self.setting, self.model, self.verdict, self.sentence, self.against)
        return " ".join(clean(part) for part in parts).lower()


def trial_rows(verdict: Verdict, page: str) -> list[BoardRow]:
    """A trial's rows, one for each domain that it judges."""
    terms = verdict.terms
    judged = {row.setting: (row.kind, row.arm) for row in verdict.domains}
    judged = judged or {terms.setting if terms else "": (verdict.headline.kind, None)}
    told = dict(plain(verdict)) if len(judged) > 1 else {}
    return [
        _trial_row(verdict, page, setting, kind, arm or "", told.get(setting) or plain(verdict)[0][1])
        for setting, (kind, arm) in judged.items()
    ]


def _trial_row(verdict: Verdict, page: str, setting: str, kind: str, arm: str, sentence: str) -> BoardRow:
    terms, row = verdict.terms, matched(verdict, arm)
    left, against = None, ""
    if row is not None and row.worst_case is not None:
        one = decisive(kind, row, row.worst_case)
        left, against = one.difference, label_of(verdict, one.rival)
    elif row is not None and row.method_part is not None:
        left, against = row.method_part, label_of(verdict, row.rival)
    outcome, phrase = OF_TRIAL[kind]
    took = [card for card in verdict.card if card.setting == setting]
    known = [card.total["flops"] for card in took if "flops" in card.total]
    return BoardRow(
        kind="trial",
        name=verdict.claim,
        title=verdict.title,
        setting=setting,
        model=verdict.model,
        outcome=outcome,
        verdict=phrase,
        sentence=sentence,
        page=page,
        gained_value=row.gap.value if row and row.gap else None,
        gained=row.gap if row else None,
        left_value=left.value if left else None,
        left=left,
        against=against,
        seeds=terms.seeds if terms else None,
        flops=sum(known) if known else None,
        flops_incomplete=len(known) < len(took) or any("flops" in card.incomplete for card in took),
        notes=tuple(_serious(verdict)),
    )


def claim_row(kind: Kind, verdict: Verdict, row: LibraryRow, page: str) -> BoardRow:
    """The row of a published claim: an audit of the reader's own, or one of the library."""
    lead = next((arm for arm in verdict.arms if arm.headline), None)
    flops = lead.charged_per_problem.get("flops") if lead else None
    total = flops * lead.n_problems if lead and flops is not None and lead.n_problems else None
    read = [f"read in {read_in(row)}"] if kind == "library" else []
    return BoardRow(
        kind=kind,
        name=row.name,
        title=row.title,
        setting=lead.setting if lead else "",
        model=verdict.model,
        outcome=row.outcome,
        verdict=OF_CLAIM.get(row.outcome, row.decides),
        sentence=plain(verdict)[0][1],
        page=page,
        gained_value=row.claimed,
        left_value=row.left_value,
        left=row.left,
        against=row.against,
        seeds=lead.seeds if lead else None,
        flops=total,
        flops_incomplete=bool(lead and "flops" in lead.charged_incomplete),
        notes=(*read, *_serious(verdict)),
    )


def _serious(verdict: Verdict) -> list[str]:
    high = sum(finding.severity == "high" for finding in verdict.findings)
    return [f"{high} serious finding{'s' if high > 1 else ''}"] if high else []


def ordered(rows: Iterable[BoardRow]) -> list[BoardRow]:
    """As the front page has them: one's own first, what can be told before what cannot, most left first."""
    kinds, outcomes = list(KINDS), list(OUTCOMES)
    return sorted(
        rows,
        key=lambda row: (
            kinds.index(row.kind),
            outcomes.index(row.outcome),
            -(row.left_value if row.left_value is not None else -2.0),
            row.title.lower(),
            row.setting,
        ),
    )


def board_page(rows: Sequence[BoardRow], *, library: bool) -> str:
    """The front page. Same rows, same bytes; ``library`` says that the library's summary stands beside it."""
    shown = ordered(rows)
    axis = _axis(shown)
    return fill(
        "board.html.j2",
        extra="board",
        rows=[(row, strip(row, axis)) for row in shown],
        ruler=_ruler(axis),
        counts=Counter(row.outcome for row in shown),
        kinds={key: name for key, name in KINDS.items() if any(row.kind == key for row in shown)},
        outcomes=OUTCOMES,
        outcome_at={key: index for index, key in enumerate(OUTCOMES)},
        settings=sorted({row.setting for row in shown if row.setting}, key=str.lower),
        models=sorted({row.model for row in shown if row.model}, key=str.lower),
        library=library,
        points=points,
        span=span,
        took=_took,
    )


def _figure(value: float, whole: Interval | None) -> str:
    return points(value) if whole is None else interval(whole)


def _took(row: BoardRow) -> str:
    if row.flops is None:
        return ""
    return ("≥ " if row.flops_incomplete else "") + amount(row.flops)


def _axis(rows: Sequence[BoardRow]) -> svg.Axis:
    """One axis for all rows, so that they can be compared by eye; at least from -10 to +10 points."""
    ends = [-0.1, 0.1]
    for row in rows:
        ends += [value for value in (row.gained_value, row.left_value) if value is not None]
        ends += [end for one in (row.left,) if one is not None for end in (one.low, one.high)]
    low, high = max(min(ends), -1.0), min(max(ends), 1.0)
    return svg.Axis(low, high, MARGIN, WIDTH - MARGIN)


def _within(axis: svg.Axis, value: float) -> float:
    return axis(min(max(value, axis.low), axis.high))


def strip(row: BoardRow, axis: svg.Axis) -> Markup | None:
    """A row's picture: zero, the gain as a ring, what is left as a dot with its interval; None without either."""
    if row.gained_value is None and row.left_value is None:
        return None
    middle, parts = HEIGHT / 2, [svg.line(axis(0.0), 2, axis(0.0), HEIGHT - 2, "grid zero")]
    if row.gained_value is not None and row.left_value is not None:
        x1, x2 = _within(axis, row.gained_value), _within(axis, row.left_value)
        parts.append(svg.line(x1, middle, x2, middle, "leader"))
    if row.left is not None:
        low, high = _within(axis, row.left.low), _within(axis, row.left.high)
        parts.append(svg.line(low, middle, high, middle, "whisker"))
    if row.gained_value is not None:
        parts.append(svg.el("circle", cx=_within(axis, row.gained_value), cy=middle, r=5, class_="ring"))
    if row.left_value is not None:
        kept = {"stands": "kept", "changes": "gone"}.get(row.outcome, "unsure")
        parts.append(svg.el("circle", cx=_within(axis, row.left_value), cy=middle, r=5, class_=f"rest {kept}"))
    told = [
        f"gain {points(row.gained_value)}" if row.gained_value is not None else "gain not stated",
        f"left {_figure(row.left_value, row.left)} points" if row.left_value is not None else "what is left: unknown",
    ]
    return svg.drawing(WIDTH, HEIGHT, "; ".join(told), *parts, class_="strip", fixed=True)


def _ruler(axis: svg.Axis) -> Markup:
    values = [0.0, *(v for v in axis.ticks(4) if abs(v) > 0.3 * min(-axis.low, axis.high))]
    parts = [svg.text(axis(v), 11, points(v).removesuffix(".0"), "tick", "middle") for v in dict.fromkeys(values)]
    return svg.drawing(WIDTH, 14, "percentage points", *parts, class_="strip", fixed=True)
