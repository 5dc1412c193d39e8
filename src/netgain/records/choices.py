"""What was chosen of a training at test time, for each problem anew: by a self-edit, by a search, by lot."""

from typing import Annotated, Literal, final

from pydantic import Field

from netgain.records.provenance import Count, StrictModel


@final
class ChosenTraining(StrictModel):
    """What a self-edit of settings, or a rule, chose of a training at test time; ``refused`` says why it was not used.

    ``tools`` are the groups of augmentations, ``loss`` on what it is, ``epochs`` and ``steps`` (optimizer steps) what
    was asked for; None and empty where a refused edit says nothing of the kind, ``epochs`` also where a rule trains
    until the budget is used. ``problem`` and ``seed`` say for which
    adaptation, where a row does not, ``score`` how its exam went (0 to 1). ``constrained``: it was written
    with only such tokens as keep to the schema.
    """

    tools: tuple[str, ...] = ()
    loss: Literal["", "all", "answers"] = ""
    learning_rate: Annotated[float, Field(allow_inf_nan=False)] | None = None
    epochs: Count | None = None
    steps: Count | None = None
    refused: str = ""
    constrained: bool = False
    problem: str = ""
    seed: int = 0
    score: Annotated[float, Field(ge=0, le=1)] | None = None


@final
class ShownAnswer(StrictModel):
    """What an arm answered to a task that is shown (:class:`~netgain.records.provenance.ShownTask`).

    ``given`` is part for part, ``chosen`` what it was trained with where that was chosen.
    """

    arm: str
    problem: str
    seed: int
    given: tuple[str, ...]
    right: bool
    chosen: ChosenTraining | None = None
