"""From a trial's rows to how far its judge agreed with exact match."""

from collections.abc import Iterable

from netgain.analysis.trial.charges import summed
from netgain.domains.grading import agreement, obvious
from netgain.records.judging import Judging
from netgain.records.samples import Adaptation
from netgain.trials.spec import TrialSpec


def judging(spec: TrialSpec, rows: Iterable[Adaptation]) -> Judging | None:
    """Over every answer that was put to the judge: all but the empty ones. None for a trial without a judge."""
    if spec.judge is None:
        return None
    examined = list(rows)
    put = [answer for row in examined for answer in row.answers if obvious(answer.text) is None]
    exact = [answer.correct if answer.exact is None else answer.exact for answer in put]
    found = agreement([answer.judged for answer in put], exact)
    return Judging(
        model=str(spec.judge["model"]),
        decides=spec.grades == "judge",
        count=found.count,
        unreadable=found.ambiguous,
        raw=found.raw,
        kappa=found.kappa,
        lenient=found.lenient,
        strict=found.strict,
        spent=summed(row.judging for row in examined),
    )
