"""Why work was done: the same words for the charges of our own runs and of published ones."""

from enum import StrEnum
from typing import final


@final
class Purpose(StrEnum):
    """Why work was done. ``evaluate`` is recorded like the others, but lies outside a matched budget."""

    PROPOSE = "propose"
    ADAPT = "adapt"
    SCORE = "score"
    LEARN = "learn"
    TEACH = "teach"
    TUNE = "tune"
    EVALUATE = "evaluate"
