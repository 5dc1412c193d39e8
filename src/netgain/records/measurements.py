"""What was measured of a model beside the exam: its abilities after an adaptation, and curves from a run's own log."""

from typing import Annotated, Literal, Self, final

from pydantic import Field, model_validator

from netgain.records.provenance import Count, Source, StrictModel

Fraction = Annotated[float, Field(ge=0, le=1)]

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@final
class Ability(StrictModel):
    """One measure of what the model can do that has nothing to do with the problems, taken after an adaptation.

    ``text`` is the negative log-likelihood of unrelated text, in nats a token; all others are named ``TASK METRIC`` and
    are lm-eval's. ``count`` is how many tokens or documents it is a mean of, ``better`` the direction that is, where
    that is known. ``correct`` has a digit for each document where every one is right (1) or wrong (0). ``seed`` and
    ``problem`` say after which adaptation, where a row does not.
    """

    name: str
    value: Finite
    count: Count
    better: Literal["", "higher", "lower"] = ""
    correct: str = ""
    seed: int = 0
    problem: str = ""


@final
class Coverage(StrictModel):
    """How often an answer is right among several: ``samples`` answers to every question are drawn at this
    ``temperature``, and for each ``k`` it is estimated whether one of k is right (pass@k)."""

    k: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1)] = (1, 4, 16)
    temperature: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 1.0
    samples: Annotated[int, Field(ge=1, le=1024)] = 16

    @model_validator(mode="after")
    def _can_be_estimated(self) -> Self:
        if sorted(set(self.k)) != list(self.k):
            raise ValueError(f"k {list(self.k)}: the numbers must rise, each once")
        if self.k[-1] > self.samples:
            raise ValueError(f"samples = {self.samples}: pass@{self.k[-1]} needs {self.k[-1]} or more")
        return self


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


@final
class Continual(StrictModel):
    """A stream of adaptations: ``mean[k][i]`` is the accuracy on problem ``i`` after ``k`` edits (row 0: untouched).

    Entries above the diagonal of the trained rows were not measured and are None. ``runs`` holds the same matrix for
    every published run, for intervals over runs.
    """

    name: str
    model: str = ""
    sequences: Count
    mean: tuple[tuple[Fraction | None, ...], ...]
    deviation: tuple[tuple[Finite | None, ...], ...] | None = None
    runs: tuple[tuple[tuple[Fraction | None, ...], ...], ...] = ()
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _matrices_are_rectangular(self) -> Self:
        for matrix in (self.mean, *self.runs):
            if not matrix or not matrix[0] or len({len(row) for row in matrix}) != 1:
                raise ValueError(f"continual {self.name!r}: a retention matrix has rows of one length, at least 1")
            if all(value is None for row in matrix for value in row):
                raise ValueError(f"continual {self.name!r}: a retention matrix holds at least one accuracy")
        return self
