"""What training and answering on the planned backend take in memory, from a model's dimensions alone. No torch here."""

from dataclasses import dataclass
from typing import final

HEAD_ROWS = (
    192  # labelled rows whose logits exist at the same time: all at once they would be the largest tensor by far
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """A decoder's: ``query`` and ``kv`` heads of ``size``; ``item`` is the bytes of a weight (2: bfloat16).

    ``adapter`` are an adapter's weights, ``inner`` its ranks summed over the targets of all layers. ``copies`` is how
    often the frozen matrices exist: the model's own, and one packed for each direction where products are our own.
    """

    hidden: int
    intermediate: int
    layers: int
    query: int
    kv: int
    size: int
    vocabulary: int
    item: int = 4
    adapter: int = 0
    inner: int = 0
    normed_heads: bool = False
    copies: int = 3

    @property
    def exact(self) -> int:
        """Bytes of what stays in float32 beside 16-bit weights."""
        return max(4, self.item)

    @property
    def attention(self) -> int:
        """Width of a row's queries, keys and values."""
        return (self.query + 2 * self.kv) * self.size

    def weights_bytes(self) -> int:
        """The frozen weights in all the forms that are kept; a tied head is packed beside the embedding."""
        out = self.query * self.size
        layer = self.hidden * (self.attention + out) + 3 * self.hidden * self.intermediate
        head = self.vocabulary * self.hidden
        return self.item * (self.copies * (self.layers * layer + head))

    def bank_bytes(self, resident: int) -> int:
        """Weights, gradients and two moments of the adapters that are trained at a time."""
        return 4 * resident * self.adapter * self.exact

    def pack_bytes(self, rows: int, labelled: int | None = None) -> int:
        """Activations of a pack: what each layer keeps for its way back, what all share, the head's piece."""
        labelled = rows if labelled is None else labelled
        out, kept = self.query * self.size, (self.query + self.kv) * self.size if self.normed_heads else 0
        layer = self.item * (4 * self.hidden + self.attention + out + kept + 2 * self.intermediate)
        layer += self.exact * (2 + self.query + (self.query + self.kv if self.normed_heads else 0))
        shared = self.item * (5 * self.hidden + 2 * self.intermediate + out + self.attention)
        head = min(labelled, HEAD_ROWS) * -(-self.vocabulary // 16) * 16 * self.item
        tail = labelled * (3 * self.hidden * self.item + 2 * self.exact)
        return rows * (self.layers * layer + shared + self.inner * self.exact) + head + tail

    def answer_bytes(self, rows: int, longest: int, adapters: int = 0, prefixes: int | None = None) -> int:
        """Keys and values of ``rows`` answers of up to ``longest`` tokens with their prompts, and their adapters."""
        entries = rows + (min(rows, max(1, adapters)) if prefixes is None else prefixes)
        longest = -(-longest // 16) * 16
        cache = 2 * self.layers * self.kv * self.size * entries * longest * self.exact
        return cache + adapters * self.adapter * self.exact + rows * self.vocabulary * self.item
