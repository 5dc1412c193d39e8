"""The task of a script that is an arm of a trial: what it is given, what it may spend, and where its result goes.

::

    task = netgain.task()
    with task.meter(model):                  # a transformers model, after PEFT or TRL have wrapped it
        train(model, task.texts)             # ends where the budget does not allow a further step
    model.save_pretrained(task.output)       # an adapter in PEFT's format, or the whole model

The trial starts the script in a process of its own and names the task's file in ``NETGAIN_TASK``. Everything that the
model does inside the block is charged to a journal beside that file, within the budget. When the process has ended, the
trial verifies the journal, books it, and puts its exam to what lies in the output folder. What trains off the meter is
noticed from :func:`task` on: call it first.
"""

import atexit
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from netgain.domains.problem import Material, Problem, Question
from netgain.errors import BudgetExceeded, InputError, MissingExtraError
from netgain.metering.account import Account, Book
from netgain.records.cost import Cost, Purpose
from netgain.strict_json import parse_json

if TYPE_CHECKING:
    from netgain.model.callback import MeterCallback
    from netgain.model.meter import Meter
    from netgain.model.script_watch import Watch

TASK = "NETGAIN_TASK"  # the variable that names the file
FORMAT = "netgain.task/1"
NAME = "script"  # the account that holds the budget
JOURNAL, SEEN = "journal", "seen.json"


@final
class ScriptTask:
    """What a script is asked to do. Made by :func:`task`.

    ``stage`` is ``adapt`` (``materials``, the passages to adapt to) or ``learn`` (``problems``, training problems
    whole). ``model`` is the folder or hub name of the model to train, in ``dtype``; ``output`` the folder to save the
    adapter or the model in; ``seed`` the seed of this piece of work. ``texts`` are the passages as other arms train on
    them. While learning, ``prompts`` are the training questions as the exam asks them (texts, or conversations), and
    ``lessons`` the same with their answers; ``options`` is what the trial's file says there.
    """

    def __init__(self, path: Path) -> None:
        fields = _read(path)
        self.stage: Literal["adapt", "learn"] = fields["stage"]
        self.materials = tuple(Material(**one) for one in fields["materials"])
        self.problems = tuple(_problem(one) for one in fields["problems"])
        self.texts: tuple[str, ...] = tuple(fields["texts"])
        self.prompts: tuple[Any, ...] = tuple(fields["prompts"])
        self.lessons: tuple[Any, ...] = tuple(fields["lessons"])
        self.model: str = fields["model"]
        self.dtype: str = fields["dtype"]
        self.seed: int = fields["seed"]
        self.options: dict[str, Any] = fields["options"]
        self.budget: dict[str, float] = fields["budget"]
        self.output = Path(fields["output"])
        self._purpose = Purpose(fields["purpose"])
        self._seen = path.parent / SEEN
        self._watch: Watch | None = None
        self._book = Book.open(path.parent / JOURNAL, software="a script of netgain's")
        self._root = self._book.account(NAME, limit=Cost(**self.budget))
        atexit.register(self.close)
        self._look()

    def account(self, purpose: Purpose | str | None = None) -> Account:
        """The account that pays for work of this purpose: ``adapt`` or ``learn`` as the stage is, or ``propose`` (texts
        that the model writes), ``score`` (answers to training questions), ``teach`` (another model's texts)."""
        self._look()
        wanted = self._purpose if purpose is None else Purpose(purpose)
        if wanted is Purpose.EVALUATE:
            raise InputError("purpose 'evaluate'", "is the exam's alone", "score yourself under 'score'")
        return self._root.child(wanted.value, purpose=wanted)

    def left(self) -> dict[str, float]:
        """What may still be spent, by currency."""
        return {currency.value: amount for currency, amount in self._root.remaining().items()}

    @property
    def share_left(self) -> float:
        """The part of the budget that is left, 0 to 1."""
        return min((left / (self.budget[name] or 1.0) for name, left in self.left().items()), default=0.0)

    @contextlib.contextmanager
    def meter(self, model: Any, purpose: Purpose | str | None = None, **settings: Any) -> "Iterator[Meter]":
        """:func:`netgain.meter` on ``model`` for this task. The step that the budget does not allow is not run: it ends
        the block, and the script goes on behind it. ``settings`` are those of :func:`netgain.meter`."""
        with contextlib.suppress(BudgetExceeded), self._metered(model, purpose, settings) as running:
            yield running

    def callback(self, purpose: Purpose | str | None = None, **settings: Any) -> "MeterCallback":
        """The same as a callback of a ``Trainer``, which is stopped when a step like the last one no longer fits."""
        try:
            from netgain.model.callback import MeterCallback
        except ImportError as missing:
            raise MissingExtraError("task.callback", "train") from missing
        account = self.account(purpose)
        return MeterCallback(
            account, opened=lambda model: self._metered(model, purpose, settings), stop_when_spent=True
        )

    @contextlib.contextmanager
    def _metered(self, model: Any, purpose: Purpose | str | None, settings: dict[str, Any]) -> "Iterator[Meter]":
        try:
            from netgain.model.meter import Meter
        except ImportError as missing:
            raise MissingExtraError("task.meter", "train") from missing
        with Meter(model, self.account(purpose), **settings) as running, self._watching().on(model):
            yield running

    def _watching(self) -> "Watch":
        try:
            from netgain.model.script_watch import Watch
        except ImportError as missing:
            raise MissingExtraError("task.meter", "train") from missing
        if self._watch is None:
            self._watch = Watch()
        return self._watch

    def _look(self) -> None:
        """Watch for steps off the meter as soon as there may be any: a model that has no dtype needs no torch."""
        if self.dtype or "torch" in sys.modules:
            self._watching()

    def close(self) -> None:
        """Write down what is not yet; called when the process ends."""
        atexit.unregister(self.close)
        if self._watch is not None:
            self._watch.handle.remove()
            self._seen.write_text(json.dumps(self._watch.statement()), encoding="utf-8")
            self._watch = None
        self._book.close()


def task(path: Path | str | None = None) -> ScriptTask:
    """The task that this process was started for, or the one in a file. Call it before anything is trained.

    Raises InputError where no trial has started this process.
    """
    named = os.environ.get(TASK) if path is None else str(path)
    if named is None:
        remedy = "start the script as an arm of a trial: {method: script, command: [python, THIS.py]}"
        raise InputError(TASK, "names no task file: no trial has started this process", remedy)
    if path is None:
        threading.Thread(target=_end_with_parent, args=(os.getppid(), time.sleep), daemon=True).start()
    return ScriptTask(Path(named))


def _end_with_parent(parent: int, wait: Callable[[float], None]) -> None:
    """A trial that is killed takes its scripts with it."""
    while os.getppid() == parent:
        wait(1.0)
    os._exit(1)


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(str(path), f"is no task file that can be read: {problem}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise InputError(str(path), f"is no task file of the format {FORMAT}", "use one version of netgain for both")
    return fields


def _problem(fields: dict[str, Any]) -> Problem:
    questions = (Question(one["text"], tuple(one["answers"]), one["kind"]) for one in fields["questions"])
    return Problem(Material(**fields["material"]), tuple(questions))
