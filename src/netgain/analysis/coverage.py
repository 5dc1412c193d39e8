"""Coverage: is one of k answers right? What tells a model that has become sharper from one that has become more able.

From ``n`` drawn answers to a question, ``c`` of them right, pass@k is estimated without bias as ``1 - C(n - c, k) /
C(n, k)`` (Chen et al. 2021, arXiv 2107.03374, equation 1); its mean over questions has an interval over seeds and
problems as every accuracy has. A trained model that answers rightly more often at k = 1, and less often than the frozen
model once that is given enough tries, found nothing that was not there: it draws what it knew more surely (Yue et al.
2025, arXiv 2504.13837).
"""

from collections.abc import Sequence
from math import comb

from netgain.analysis.evidence import FRACTIONS, Evidence
from netgain.analysis.rows import CoverageKind, CoveragePoint, CoverageRow
from netgain.analysis.table import Table
from netgain.records.claim import Claim, Role
from netgain.records.measurements import Coverage


def pass_at(k: int, drawn: int, right: int) -> float:
    """The chance that one of k answers is right, from so many right ones among ``drawn``. Raises ValueError for numbers
    that cannot be."""
    if not (1 <= k <= drawn and 0 <= right <= drawn):
        raise ValueError(f"k = {k}, {right} of {drawn} right: pass@k is known for 1 to {drawn}")
    return 1.0 - comb(drawn - right, k) / comb(drawn, k)


def coverage_rows(evidence: Evidence) -> list[CoverageRow]:
    """Of every arm as it is compared, and of which answers were drawn: its coverage, and how far ahead of the frozen
    model it is at every k."""
    terms = evidence.claim.terms
    if terms is None or terms.coverage is None:
        return []
    drawn = terms.coverage.samples
    tables = {k: _table(evidence.claim, drawn, k) for k in range(1, drawn + 1)}
    own = ((setting, name) for setting in evidence.domains for name in evidence.own(setting))
    return [_row(evidence, terms.coverage, setting, name, tables) for setting, name in own if name in tables[1]]


def _table(claim: Claim, drawn: int, k: int) -> Table:
    """The claim's table with the chances to have one right among k in place of the verdicts."""
    grade = claim.terms.grade if claim.terms else "exact"
    arms = []
    for arm in claim.arms:
        if arm.trial is not None and arm.trial.runs and all(run.right for run in arm.trial.runs):
            runs = tuple(
                run.model_copy(update={"grades": {grade: tuple(_chances(row, drawn, k) for row in run.right)}})
                for run in arm.trial.runs
            )
            arms.append(arm.model_copy(update={"trial": arm.trial.model_copy(update={"runs": runs})}))
    return Table.of(claim.model_copy(update={"arms": tuple(arms)}), grade)


def _chances(right: Sequence[int | None], drawn: int, k: int) -> tuple[float | None, ...]:
    return tuple(None if count is None else pass_at(k, drawn, count) for count in right)


def _row(evidence: Evidence, coverage: Coverage, setting: str, name: str, tables: dict[int, Table]) -> CoverageRow:
    frozen = next((one for one in evidence.own(setting, Role.FROZEN) if one in tables[1] and one != name), None)
    every = {k: _point(evidence, tables[k], name, frozen, k) for k in (tables if frozen else coverage.k)}
    points = [every[k] for k in coverage.k]
    over = {k: point.over_frozen for k, point in every.items() if point.over_frozen is not None}
    behind = [k for k, found in over.items() if found.value < 0]
    surely = [k for k, found in over.items() if found.high < 0]
    return CoverageRow(
        setting=setting,
        arm=name,
        frozen=frozen,
        samples=coverage.samples,
        temperature=coverage.temperature,
        points=points,
        overtaken=behind[0] if behind else None,
        surely_overtaken=surely[0] if surely else None,
        kind=_kind(points),
    )


def _point(evidence: Evidence, table: Table, name: str, frozen: str | None, k: int) -> CoveragePoint:
    kind, over = evidence.exam, None
    alone = table.means(name, kind=kind)
    pair = None if frozen is None else table.means(name, frozen, kind=kind)
    if pair is not None and frozen is not None:
        questions = table.questions_a_unit(name, frozen, kind=kind)
        over = evidence.estimate(pair[0] - pair[1], questions=questions)
    passed = None if alone is None else evidence.estimate(alone[0], FRACTIONS, table.questions_a_unit(name, kind=kind))
    return CoveragePoint(k=k, passed=passed, over_frozen=over)


def _kind(points: list[CoveragePoint]) -> CoverageKind:
    """What the curves say of an arm against the frozen model, by the smallest and the largest k that were asked for."""
    first, last = points[0].over_frozen, points[-1].over_frozen
    if first is None or last is None or len(points) < 2:
        return "cannot tell"
    if last.low > 0:
        return "more able"
    if first.low > 0:
        return "sharper" if last.high < 0 else "sharper at most"
    return "less able" if last.high < 0 else "cannot tell"
