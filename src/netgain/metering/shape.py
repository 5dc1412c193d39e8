"""ModelShape: the dimensions of a decoder that decide what its work costs. No weights are needed to know them."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, final

from netgain.errors import InputError
from netgain.words import nearest


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Dimensions of a decoder-only transformer; all counts are numbers of weights or units, no biases or norms.

    ``gated`` says whether the feed-forward block has three matrices (gate, up, down) or two. With ``experts`` > 0
    each token passes the router, ``experts_per_token`` experts of width ``intermediate`` and, where there is one, a
    shared expert of width ``shared_intermediate``. ``source`` names where the numbers come from.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    gated: bool = True
    tied: bool = False
    experts: int = 0
    experts_per_token: int = 0
    shared_intermediate: int = 0
    source: str = ""

    def projections(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of each matrix that one token passes once in one layer, by the names that PEFT uses."""
        query, key_value = self.heads * self.head_dim, self.kv_heads * self.head_dim
        matrices = {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key_value),
            "v_proj": (self.hidden, key_value),
            "o_proj": (query, self.hidden),
        }
        if not self.experts:
            matrices |= self._feed_forward(self.intermediate)
        return matrices

    def _feed_forward(self, width: int) -> dict[str, tuple[int, int]]:
        up_and_down = {"up_proj": (self.hidden, width), "down_proj": (width, self.hidden)}
        return ({"gate_proj": (self.hidden, width)} if self.gated else {}) | up_and_down

    @property
    def layer_weights(self) -> int:
        """Weights in the matrix products that one token passes in one layer (with experts: the active ones)."""
        weights = sum(rows * columns for rows, columns in self.projections().values())
        if self.experts:
            expert = sum(rows * columns for rows, columns in self._feed_forward(1).values())
            weights += self.hidden * self.experts
            weights += expert * (self.experts_per_token * self.intermediate + self.shared_intermediate)
            weights += self.hidden if self.shared_intermediate else 0
        return weights

    @property
    def body_weights(self) -> int:
        """Weights in the matrix products of all layers: the ``P`` of the price formulas without the output head."""
        return self.layers * self.layer_weights

    @property
    def head_weights(self) -> int:
        """Weights of the output head, charged only at positions where logits are computed."""
        return self.hidden * self.vocabulary


@cache
def catalogue() -> dict[str, ModelShape]:
    """The shapes of common open families that ship with the package, by their hub name, each with its source."""
    text = (files("netgain.metering") / "shapes.json").read_text(encoding="utf-8")
    return {name: _shape(name, fields) for name, fields in json.loads(text)["shapes"].items()}


def _shape(name: str, fields: dict[str, Any]) -> ModelShape:
    return ModelShape(name=name, **fields)


def find_shape(name: str) -> ModelShape:
    """The shape of a model by its hub name, with or without the organisation; case does not matter.

    Raises InputError with the nearest known name where there is none.
    """
    known = {key.lower(): shape for key, shape in catalogue().items()}
    short = {key.split("/")[-1]: shape for key, shape in known.items()}
    wanted = name.strip().lower()
    found = known.get(wanted) or short.get(wanted.split("/")[-1])
    if found is None:
        raise InputError(
            f"model {name!r}", "no shape of this name ships with netgain", nearest(name, list(catalogue()))
        )
    return found
