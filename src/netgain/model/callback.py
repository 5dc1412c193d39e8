"""MeterCallback: one line that puts a meter on the training of any transformers ``Trainer``, TRL's included."""

from typing import Any, final

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from netgain.metering.account import Account
from netgain.metering.shape import ModelShape
from netgain.model.meter import Meter
from netgain.model.optimizers import Prices


@final
class MeterCallback(TrainerCallback):
    """Charges everything between a Trainer's first step and its last to ``account``: see :mod:`netgain.model.meter`.

    ::

        SFTTrainer(..., callbacks=[MeterCallback(account)]).train()

    Evaluation outside of ``train`` is not seen; put :func:`netgain.meter` around it. With ``stop_when_not_finite`` the
    Trainer is told to stop after a step whose loss or gradient was not finite; the failure is recorded either way.
    Under several ranks each needs a book of its own and ``this_rank_only``, as in :func:`netgain.meter`.
    """

    def __init__(
        self,
        account: Account,
        *,
        shape: ModelShape | None = None,
        stop_when_not_finite: bool = False,
        check: bool = True,
        optimizer_flops: Prices | None = None,
        this_rank_only: bool = False,
    ) -> None:
        if not isinstance(account, Account):
            raise TypeError(f"account = {account!r}: nothing computes without an Account")
        self._account, self._shape, self._stop, self._check = account, shape, stop_when_not_finite, check
        self._events: dict[str, Any] = {"optimizer_flops": optimizer_flops, "this_rank_only": this_rank_only}
        self._meter: Meter | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any
    ) -> None:
        """Put the meter on; one that an earlier, broken run left is taken off first."""
        model: nn.Module = named["model"]
        self._take_off(None)
        settings: dict[str, Any] = {"shape": self._shape, "check": self._check}
        self._meter = Meter(model, self._account, **settings, **self._events).__enter__()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any) -> None:
        """Book the step."""
        if self._meter is not None:
            self._meter.flush()
            if self._stop and self._meter.last_trouble:
                control.should_training_stop = True

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any) -> None:
        """Book what is open and take the meter off."""
        self._take_off(None)

    def _take_off(self, error: BaseException | None) -> None:
        if self._meter is not None:
            self._meter.__exit__(None, error, None)
            self._meter = None
