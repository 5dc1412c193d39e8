"""A scripted model: answers come from a function or a table, and every call costs exactly one unit.

netgain's own tests and those of its users build on it: arithmetic on costs and budgets can be checked by hand.
One call, whatever is asked in it, costs 1 in every currency that it has:

========  ==========================================================================================
every     1 FLOP, 1 real token (= 1 padded), 1 second, 1 joule, 1 dollar
generate  1 generated token more
train     1 update and 1 training token more; the loss is 0.5 in each of the job's steps
========  ==========================================================================================

A script that raises ValueError takes that one request for none it can answer, ConnectionError is a server that fails;
either call is paid. Whatever else it raises, MemoryError say, is the machine's and ends the batch.

A model that is merged with an adapter, or trained as a whole, answers by the same script; the requests that the script
sees then have that adapter, with what is merged, trained and asked with all in one.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from netgain.domains.problem import Prompt, text_of
from netgain.engine.jobs import Failure, Work
from netgain.errors import InputError, nearest
from netgain.model.metered import Model
from netgain.model.requests import (
    Adapter,
    Answered,
    Derived,
    Done,
    Generate,
    Merge,
    Part,
    Product,
    Request,
    Score,
    Scored,
    Train,
    Trained,
    TrainFull,
)
from netgain.model.server import undrawn
from netgain.records.cost import Cost
from netgain.records.identity import identity, short_hash
from netgain.strict_json import parse_json

Script = Mapping[str, str] | Callable[[Generate], str]
Scores = Callable[[Score], float]
FILE = "scripted_adapter.json"


@final
@dataclass(frozen=True, slots=True, weakref_slot=True)
class ScriptedAdapter:
    """What training yields here: the key of its job and the sequences it has seen."""

    key: str
    sequences: tuple[tuple[int, ...], ...] = ()


UNIT = Cost(
    **{"updates": 0.0, "tokens_real": 1.0, "tokens_padded": 1.0, "tokens_training": 0.0, "tokens_generated": 0.0},
    **{"flops": 1.0, "seconds": 1.0, "joules": 1.0, "dollars": 1.0},
)


@final
@dataclass(frozen=True, slots=True)
class UnitPrices:
    """One unit a call in every currency that the call has."""

    timed: bool = False

    def cost(self, part: Part) -> Cost:
        """One unit, times the calls in ``part`` (its positions)."""
        calls, training, generated = part.work.positions, part.work.training, part.work.generated
        return replace(UNIT * calls, updates=part.work.updates, tokens_training=training, tokens_generated=generated)

    @property
    def shape(self) -> None:
        """Nobody knows it."""

    def statement(self) -> dict[str, Any]:
        """One unit a call."""
        return {"flops": "one a call"}


def scripted_model(answers: Script, *, scores: Scores = lambda _: -1.0, name: str = "scripted") -> Model:
    """A metered model that answers by ``answers``: a table from prompts (their text) to answers, or a function.

    ``scores`` gives log-likelihoods. A prompt that the table lacks, and whatever the functions raise as ValueError, is
    a failed result of that request, at its whole cost. Prompts and answers have one token a byte.
    """
    return Model(_Scripted(answers, scores, name, None), UnitPrices())


@final
class _Scripted:
    def __init__(self, answers: Script, scores: Scores, name: str, merged: ScriptedAdapter | None) -> None:
        self._answers, self._scores, self.name, self._merged = answers, scores, name, merged

    @property
    def digest(self) -> str:
        return identity("model", {"scripted": self.name})

    @property
    def fingerprint(self) -> str:
        return identity("scripted", {"name": self.name, "merged": repr(self._merged)})

    @property
    def ends(self) -> tuple[int, ...]:
        return ()

    def quote(self, requests: Sequence[Request]) -> list[tuple[Part, ...]]:
        for request in requests:
            adapter = None if isinstance(request, Train | TrainFull) else request.adapter
            if adapter is not None and not isinstance(adapter, ScriptedAdapter):
                raise InputError(f"adapter {adapter!r}", "is none of the scripted model's")
            if isinstance(request, Generate) and request.form:
                raise undrawn(self.name)
        return [(_unit(request),) for request in requests]

    def run(self, requests: Sequence[Request], attempt: int) -> Iterator[Done]:
        for place, request in enumerate(requests):
            try:
                yield Done(place, self._answer(request), (_unit(request),))
            except ValueError as problem:
                yield Done(place, None, (_unit(request),), Failure("refused", str(problem), attempt))
            except ConnectionError as problem:
                yield Done(place, None, (_unit(request),), Failure("server", str(problem), attempt))

    def _answer(self, request: Request) -> Product:
        if isinstance(request, Merge):
            return Derived("", self._with(request.adapter))
        if isinstance(request, Train | TrainFull):
            if request.job.total_steps == 0:
                raise ValueError(f"job {request.job.key!r} has no training steps")
            adapter = ScriptedAdapter(request.job.key, tuple(tuple(map(int, one)) for one in request.job.sequences))
            losses = (0.5,) * request.job.total_steps
            if isinstance(request, TrainFull):
                return Derived(request.job.key, self._with(adapter), losses)
            return Trained(request.job.key, adapter, losses)
        request = replace(request, adapter=self._joined(request.adapter))
        if isinstance(request, Score):
            wanted = request.continuation
            tokens, value = len(wanted.encode() if isinstance(wanted, str) else wanted), self._scores(request)
            return Scored(value, tokens, True, (value / tokens,) * tokens if tokens else (), 0.0)
        text = self._look_up(request)
        end = request.sampling.end(text)
        text = text[:end] if end >= 0 else text
        return Answered(text, len(text.encode()), "eos", tuple(text.encode()))

    def _joined(self, adapter: Adapter | None) -> ScriptedAdapter | None:
        both = [one for one in (self._merged, adapter) if isinstance(one, ScriptedAdapter)]
        if len(both) < 2:
            return both[0] if both else None
        return ScriptedAdapter("+".join(one.key for one in both), both[0].sequences + both[1].sequences)

    def _with(self, adapter: Adapter) -> "_Scripted":
        joined = self._joined(adapter)
        name = f"{self.name.partition('+')[0]}+{short_hash(self.name, repr(joined))}"
        return _Scripted(self._answers, self._scores, name, joined)

    def _look_up(self, request: Generate) -> str:
        if not isinstance(self._answers, Mapping):
            return self._answers(request)
        prompt = text_of(request.prompt)
        if prompt not in self._answers:
            raise ValueError(f"no answer to {prompt!r} is scripted; {nearest(prompt, self._answers)}")
        return self._answers[prompt]

    @property
    def templated(self) -> bool:
        return False

    def tokenize(self, text: Prompt, *, special: bool, answer: str = "") -> tuple[int, ...]:
        return tuple((text_of(text) + answer).encode())

    def shown(self, prompt: Prompt) -> str:
        return text_of(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(token for token in tokens if 0 <= token < 256).decode("utf-8", "replace")

    def save_adapter(self, adapter: Adapter, folder: Path) -> None:
        if not isinstance(adapter, ScriptedAdapter):
            raise InputError(f"adapter {adapter!r}", "is none of the scripted model's")
        folder.mkdir(parents=True, exist_ok=True)
        fields = {"key": adapter.key, "sequences": adapter.sequences}
        (folder / FILE).write_text(json.dumps(fields), encoding="utf-8")

    def keep_adapter(self, adapter: Adapter, file: Path) -> dict[str, Any]:
        if not isinstance(adapter, ScriptedAdapter):
            raise InputError(f"adapter {adapter!r}", "is none of the scripted model's")
        return {"key": adapter.key, "sequences": adapter.sequences}

    def kept_adapter(self, fields: Mapping[str, Any], file: Path) -> Adapter:
        return ScriptedAdapter(fields["key"], tuple(tuple(one) for one in fields["sequences"]))

    def located(self) -> tuple[str, str]:
        return self.name, ""

    def with_output(self, folder: Path) -> Adapter:
        return self.load_adapter(folder)

    def load_adapter(self, folder: Path) -> Adapter:
        try:
            fields = parse_json((folder / FILE).read_text(encoding="utf-8"))
            return ScriptedAdapter(fields["key"], tuple(tuple(one) for one in fields["sequences"]))
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise InputError(str(folder / FILE), f"is no scripted adapter ({problem})") from problem


def _unit(request: Request) -> Part:
    return Part(
        Work(
            positions=1,
            real=1,
            generated=float(isinstance(request, Generate)),
            training=float(isinstance(request, Train | TrainFull)),
            updates=float(isinstance(request, Train | TrainFull)),
        )
    )
