"""The measured seconds of a batch, divided among its requests."""

from collections.abc import Callable, Sequence
from typing import final

from netgain.records.cost import Cost


@final
class SharedSeconds:
    """Divides the measured seconds of a batch among its requests, in proportion to their quotes.

    The seconds up to each end are shared out as they pass and the last one takes what is left, so they always add up.
    """

    def __init__(self, quotes: Sequence[Cost], clock: Callable[[], float]) -> None:
        weights = [quote.flops or 0.0 for quote in quotes]
        whole = sum(weights)
        self._shares = [weight / whole if whole else 1 / len(weights) for weight in weights]
        self._clock, self._start, self._left, self._given = clock, clock(), len(weights), 0.0

    def take(self, place: int) -> float:
        """The seconds of the request that has just ended."""
        elapsed, self._left = self._clock() - self._start, self._left - 1
        share = elapsed * self._shares[place] if self._left else elapsed
        taken = max(0.0, min(share, elapsed - self._given) if self._left else elapsed - self._given)
        self._given += taken
        return taken
