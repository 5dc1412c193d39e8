"""Where a number came from, and what was tested on what."""

from typing import final

from pydantic import BaseModel, ConfigDict, Field


@final
class Source(BaseModel):
    """The file (relative to what was read, or a publication) and the field that a number was taken from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    field: str = ""
    note: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: {self.field}" if self.field else self.file
        return f"{place} ({self.note})" if self.note else place


@final
class SampleQuestion(BaseModel):
    """A question of a domain (``setting``) with a right answer, to show what is asked: never one of the exam's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: str
    question: str
    answer: str
    passage: str = ""


@final
class RunSetup(BaseModel):
    """What was tested on what, beyond the figures; whatever is empty is not in the record.

    A launch fills ``questions`` (from development or training problems), ``hardware`` and ``date`` (ISO, when the run
    began); the meter's self-check ``versions`` (of each library that decides costs) and ``meter_check`` (its result in
    words); an audit's reader what the published files hold. ``note`` is what whoever keeps the record adds later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: tuple[SampleQuestion, ...] = ()
    hardware: str = ""
    date: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    meter_check: str = ""
    note: str = ""
