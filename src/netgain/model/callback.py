"""MeterCallback: one line that puts a meter on the training of any transformers ``Trainer``, TRL's included."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, final

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from netgain.metering.account import Account
from netgain.metering.shape import ModelShape
from netgain.model.meter import Meter
from netgain.model.optimizers import Prices
from netgain.records.cost import total


@final
class MeterCallback(TrainerCallback):
    """Charges everything between a Trainer's first step and its last to ``account``: see :mod:`netgain.model.meter`.

    ::

        SFTTrainer(..., callbacks=[MeterCallback(account)]).train()

    Evaluation outside of ``train`` is not seen; put :func:`netgain.meter` around it. With ``stop_when_not_finite`` the
    Trainer is told to stop after a step whose loss or gradient was not finite; the failure is recorded either way.
    With ``stop_when_spent`` it is told to stop where the budget has no room for another step like the last one; a step
    that the budget does not allow raises BudgetExceeded either way. ``opened`` puts another meter on (a script's task).
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
        stop_when_spent: bool = False,
        opened: Callable[[nn.Module], AbstractContextManager[Meter]] | None = None,
    ) -> None:
        if not isinstance(account, Account):
            raise TypeError(f"account = {account!r}: nothing computes without an Account")
        self._account, self._stop, self._stop_when_spent = account, stop_when_not_finite, stop_when_spent
        settings: dict[str, Any] = {"shape": shape, "check": check, "optimizer_flops": optimizer_flops}
        settings["this_rank_only"] = this_rank_only
        self._open = opened or (lambda model: Meter(model, account, **settings))
        self._opened: AbstractContextManager[Meter] | None = None
        self._meter: Meter | None = None
        self._row = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any
    ) -> None:
        """Put the meter on; one that an earlier, broken run left is taken off first."""
        model: nn.Module = named["model"]
        self._take_off(None)
        self._opened = self._open(model)
        self._meter = self._opened.__enter__()
        self._row = self._account.book.length

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any) -> None:
        """Book the step."""
        if self._meter is not None:
            self._meter.flush()
            if self._stop and self._meter.last_trouble:
                control.should_training_stop = True
            if self._stop_when_spent and not self._has_room():
                control.should_training_stop = True

    def _has_room(self) -> bool:
        """Whether the budget covers what was reserved for the last step once more."""
        charges = self._account.book.charges(since=self._row)
        self._row = self._account.book.length
        step = total(charge.quote for charge in charges)
        return all((step.amount(name) or 0.0) <= left for name, left in self._account.remaining().items())

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **named: Any) -> None:
        """Book what is open and take the meter off."""
        self._take_off(None)

    def _take_off(self, error: BaseException | None) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, error, None)
            self._opened, self._meter = None, None
