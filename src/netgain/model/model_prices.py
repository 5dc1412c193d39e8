"""What a loaded model's work costs: by the closed form of its shape, or measured where its architecture has none."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, final

from transformers import PreTrainedModel

from netgain.engine.jobs import Work
from netgain.engine.lora import Layout
from netgain.errors import InputError
from netgain.metering.price import (
    OPTIMIZER_FLOPS_PER_WEIGHT,
    Coefficients,
    Full,
    Lora,
    Training,
    forward_cost,
    merging_cost,
    training_cost,
    work_cost,
)
from netgain.metering.shape import ModelShape
from netgain.model.profiled import Counts, profile
from netgain.model.requests import Part
from netgain.records.cost import Cost

LayoutOf = Callable[[tuple[str, ...], int, float], Layout]  # names, rank, alpha


@final
@dataclass(frozen=True, slots=True)
class ShapePrices:
    """The closed form of :mod:`netgain.metering.price` for a model of this shape."""

    shape: ModelShape
    timed: bool = True

    def cost(self, part: Part) -> Cost:
        """Exact FLOPs and tokens; joules and dollars unknown. Raises InputError for a LoRA target without a price."""
        if part.merged is not None:
            return merging_cost(self.shape, part.merged)
        if part.training is not None:
            return training_cost(self.shape, part.work, part.training)
        return forward_cost(self.shape, part.work, part.adapter)

    def statement(self) -> dict[str, Any]:
        """The shape."""
        return {"flops": "closed form", "shape": asdict(self.shape)}


@final
class MeasuredPrices:
    """What :mod:`netgain.model.profiled` counts on a copy of the model without weights, once for every kind of work.

    Works for whatever is linear in positions, attended keys and positions with logits; any other model is refused when
    it is loaded. ``layout`` gives the adapters of a set-up their places, as the engine does.
    """

    timed = True
    shape: ModelShape | None = None

    def __init__(self, model: PreTrainedModel, layout: LayoutOf) -> None:
        self._model, self._layout_of = model, layout
        self._known: dict[tuple[Lora | None, Training | None], Coefficients] = {}
        self._forward = self._coefficients(None, None)

    def cost(self, part: Part) -> Cost:
        """FLOPs and tokens; joules and dollars unknown. Raises InputError for what cannot be measured."""
        if part.merged is not None:
            layout = self._layout(part.merged)
            return work_cost(Work(), sum(2.0 * layout.rank * x.inputs * x.outputs for x in layout.targets))
        return work_cost(part.work, self._coefficients(part.adapter, part.training).flops(part.work))

    def statement(self) -> dict[str, Any]:
        """The prices of a forward pass."""
        return {"flops": "measured on a copy without weights", "forward": asdict(self._forward)}

    def _layout(self, lora: Lora) -> Layout:
        return self._layout_of(lora.targets, lora.rank, 1.0)

    def _coefficients(self, adapter: Lora | None, training: Training | None) -> Coefficients:
        if (adapter, training) not in self._known:
            self._known[adapter, training] = self._measured(adapter, training)
        return self._known[adapter, training]

    def _measured(self, adapter: Lora | None, training: Training | None) -> Coefficients:
        used = training if isinstance(training, Lora) else adapter
        layout = None if used is None else self._layout(used)
        seen = profile(self._model, self._model, graded=training is not None, layout=layout)
        total = seen.forward + (Counts() if training is None else seen.backward)
        if total.rows or total.passes:
            problem = f"takes {total.rows:,.0f} FLOPs a row and {total.passes:,.0f} a pass, whatever their length"
            raise InputError(type(self._model).__name__, problem, "docs/models.md lists what runs")
        trained = 0 if layout is None else layout.weights
        if isinstance(training, Full):
            trained = sum(weight.numel() for weight in self._model.parameters() if weight.is_floating_point())
        update = OPTIMIZER_FLOPS_PER_WEIGHT * float(trained) if training is not None else 0.0
        return Coefficients(total.positions, total.context, total.heads, update)
