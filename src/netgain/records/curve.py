"""Curves: what a training run's own log measured on its way."""

from typing import Annotated, Literal, final

from pydantic import Field

from netgain.records.provenance import StrictModel

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@final
class CurvePoint(StrictModel):
    """One measurement on the way of a training run: after how many optimizer steps and, where known, seconds."""

    step: NotNegative
    value: Finite
    seconds: NotNegative | None = None


@final
class Curve(StrictModel):
    """One metric as a run's own log has it, in the order of steps; a single point where only its end was measured.

    ``exam`` is what it was measured on (a validation or test split), empty where that is not stated; ``seconds`` of its
    points are of training, evaluations left out, unless ``clock`` says otherwise.
    """

    metric: str
    better: Literal["higher", "lower"]
    exam: str = ""
    clock: str = ""
    points: Annotated[tuple[CurvePoint, ...], Field(min_length=1)]
