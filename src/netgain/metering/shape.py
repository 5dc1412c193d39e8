"""ModelShape: the dimensions of a decoder that decide what its work costs. No weights are needed to know them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self, final

from netgain.errors import InputError, nearest
from netgain.metering.architectures import LAYOUTS, Layout, read_config

Stage = Literal["attention_in", "attention_out", "feed_in", "feed_out"]
LARGEST_CONFIG = 10_000_000  # bytes


@final
@dataclass(frozen=True, slots=True)
class Projection:
    """One weight matrix of a layer. ``stage`` says where in the layer, ``branch`` in which of its parallel paths.

    ``active`` is how many matrices of this kind one token passes and ``stored`` how many there are: both 1 but for
    experts. ``adaptable`` says whether PEFT can put a LoRA adapter on it by name.
    """

    name: str
    inputs: int
    outputs: int
    stage: Stage
    branch: str = ""
    active: int = 1
    stored: int = 1
    adaptable: bool = True

    @property
    def weights(self) -> int:
        """Weights that one token meets."""
        return self.inputs * self.outputs * self.active

    def is_target(self, target: str) -> bool:
        """Whether PEFT's ``target_modules`` entry ``target`` means this matrix: its name, or the end of it."""
        return self.adaptable and (self.name == target or self.name.endswith(f".{target}"))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Dimensions of a decoder-only transformer; all counts are numbers of weights or units, no biases or norms.

    ``gated`` says whether the feed-forward block has three matrices (gate, up, down) or two. With ``experts`` > 0
    each token passes the router, ``experts_per_token`` experts of width ``intermediate`` and, where there is one, a
    shared expert of width ``shared_intermediate``; the layers in ``dense_layers`` have an ordinary block of width
    ``dense_intermediate`` instead. ``layout`` names the matrices as an architecture does; ``parallel`` says that
    attention and feed-forward block read the same input, ``input_norm`` that a layer's input is normed before its first
    matrices (so that training the layer trains something below these). ``source`` names where the numbers come from.
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
    dense_layers: tuple[int, ...] = ()
    dense_intermediate: int = 0
    layout: Layout = "llama"
    parallel: bool = False
    input_norm: bool = True
    source: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | Path | str, name: str = "") -> Self:
        """The shape in a Hugging Face ``config.json``: its fields, the file, or the folder it lies in.

        Raises InputError for a file that is missing or no JSON object, an architecture without price formulas (with
        the nearest that has them) and a dimension that is missing or makes no sense.
        """
        if isinstance(config, Mapping):
            return cls(name=name or str(config.get("_name_or_path") or ""), **read_config(config, "config"))
        path = Path(config)
        path = path / "config.json" if path.is_dir() else path
        return cls(name=name or path.parent.name, **read_config(_load(path), str(path)), source=str(path))

    def layer(self, number: int) -> tuple[Projection, ...]:
        """The matrices of one layer (from 0), in the order in which a token passes them."""
        query, key_value = self.heads * self.head_dim, self.kv_heads * self.head_dim
        names = LAYOUTS[self.layout]
        widths = (query, key_value, key_value) if len(names.attention_in) == 3 else (query + 2 * key_value,)
        inputs = zip(names.attention_in, widths, strict=True)
        attention = [Projection(word, self.hidden, width, "attention_in") for word, width in inputs]
        attention.append(Projection(names.attention_out, query, self.hidden, "attention_out"))
        if self.experts and number not in self.dense_layers:
            return (*attention, *self._experts())
        block = self._feed_forward(self.dense_intermediate if self.experts else self.intermediate)
        if self.experts and not self.shared_intermediate:  # PEFT gives these names to the experts of the other layers
            block = [replace(part, adaptable=False) for part in block]
        return (*attention, *block)

    def _feed_forward(self, width: int, branch: str = "") -> list[Projection]:
        names = LAYOUTS[self.layout]
        prefix = f"{branch}." if branch else ""
        into = names.feed_in if self.gated or len(names.feed_in) == 1 else names.feed_in[1:]
        wide = 2 * width if self.gated and len(names.feed_in) == 1 else width
        block = [Projection(prefix + word, self.hidden, wide, "feed_in", branch) for word in into]
        return [*block, Projection(prefix + names.feed_out, width, self.hidden, "feed_out", branch)]

    def _experts(self) -> list[Projection]:
        many, few, width = self.experts, self.experts_per_token, self.intermediate
        wide = 2 * width if self.gated else width
        block = [
            Projection("router", self.hidden, many, "feed_in", "experts", adaptable=False),
            Projection("experts.in", self.hidden, wide, "feed_in", "experts", few, many, adaptable=False),
            Projection("experts.out", width, self.hidden, "feed_out", "experts", few, many, adaptable=False),
        ]
        if self.shared_intermediate:
            block += self._feed_forward(self.shared_intermediate, "shared_expert")
            block.append(Projection("shared_expert_gate", self.hidden, 1, "feed_in", "shared_gate"))
        return block

    def projections(self, layer: int = 0) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of the matrices of one layer that a LoRA can adapt, by name (PEFT matches its end)."""
        return {part.name: (part.inputs, part.outputs) for part in self.layer(layer) if part.adaptable}

    @property
    def body_weights(self) -> int:
        """Weights in the products that one token passes in all layers: the ``P`` of the formulas without the head."""
        return sum(part.weights for number in range(self.layers) for part in self.layer(number))

    @property
    def head_weights(self) -> int:
        """Weights of the output head, charged only at positions where logits are computed."""
        return self.hidden * self.vocabulary

    @property
    def stored_weights(self) -> int:
        """Weights on file: all matrices, all experts, token embedding and head (once where tied); no norms, biases."""
        layers = (part for number in range(self.layers) for part in self.layer(number))
        body = sum(part.inputs * part.outputs * part.stored for part in layers)
        return body + self.head_weights * (1 if self.tied else 2)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise InputError(str(path), "it is too large for a config.json")
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        remedy = "give the folder of a model, its config.json, or its fields"
        raise InputError(str(path), f"it cannot be read ({problem.strerror})", remedy) from problem
    except (ValueError, RecursionError) as problem:
        raise InputError(str(path), f"it is not JSON ({problem})") from problem
    if not isinstance(fields, Mapping):
        raise InputError(str(path), "it does not hold a JSON object")
    return fields


@cache
def catalogue() -> dict[str, ModelShape]:
    """The shapes of common open families that ship with the package, by their hub name, each with its source."""
    text = (files("netgain.metering") / "shapes.json").read_text(encoding="utf-8")
    return {name: _shape(name, fields) for name, fields in json.loads(text)["shapes"].items()}


def _shape(name: str, fields: dict[str, Any]) -> ModelShape:
    return ModelShape(name=name, **fields | {"dense_layers": tuple(fields.get("dense_layers", ()))})


def find_shape(name: str) -> ModelShape:
    """The shape of a model by its hub name, with or without the organisation; case does not matter.

    Raises InputError with the nearest known name for an unknown one.
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
