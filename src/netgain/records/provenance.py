"""Where a number came from."""

from typing import final

from pydantic import BaseModel, ConfigDict


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
