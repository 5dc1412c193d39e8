"""Judging: how far an LLM judge agreed with exact match over a trial, and what it took."""

from typing import Annotated, final

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


@final
class Judging(BaseModel):
    """A judge's verdicts against exact match, over the answers of all arms, rungs and seeds that were put to it.

    Of ``count`` answers its verdict could be read, of ``unreadable`` not. ``raw`` is the share of equal verdicts and
    ``kappa`` Cohen's (None where nothing was read, or one side never varies); ``lenient`` counts answers that only the
    judge finds right, ``strict`` those that only exact match does. ``decides``: its verdicts were the grades, with
    exact match where one could not be read. ``spent`` is what the verdicts took by currency, outside every budget.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    decides: bool = False
    count: Count = 0
    unreadable: Count = 0
    raw: Annotated[float, Field(ge=0, le=1)] | None = None
    kappa: Annotated[float, Field(ge=-1, le=1)] | None = None
    lenient: Count = 0
    strict: Count = 0
    spent: dict[str, float] = Field(default_factory=dict)
