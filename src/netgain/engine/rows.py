"""Requests on their way through a decoder: what each row has said, where it stands, and which rows belong together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

from netgain.engine.answers import Answer, Chooser, Request
from netgain.engine.jobs import Failure
from netgain.engine.memory import is_out_of_memory
from netgain.engine.work import Work
from netgain.errors import InputError

TextOf = Callable[[list[int]], str]


@final
@dataclass(slots=True, eq=False)
class Row:
    """A request on its way: its cache entry, the entry and length of the prefix it shares, what it has said so far."""

    index: int
    request: Request
    chooser: Chooser
    slot: int = -1
    entry: int = -1
    shared: int = 0
    shared_length: int = 0
    own_length: int = 0
    tokens: list[int] = field(default_factory=list)
    discarded: int = 0
    work: Work = Work()  # noqa: RUF009 (frozen)
    finish: Literal["eos", "stop", "length", "failed"] | None = None
    failure: Failure | None = None

    def take(self, token: int, room: int, text_of: TextOf | None) -> None:
        """Book a chosen token and decide whether the answer ends with it; ``room`` is how many tokens it may have."""
        if token < 0:
            self.fail("not_finite", f"logits of answer token {len(self.tokens)} are not finite")
            return
        self.tokens.append(token)
        if token in self.request.eos:
            self.finish = "eos"
        elif self.request.stop and text_of and any(stop in text_of(self.tokens) for stop in self.request.stop):
            self.finish = "stop"
        elif len(self.tokens) >= min(self.request.max_new, room):
            self.finish = "length"

    def fail(self, kind: Literal["too_long", "bad_token", "not_finite", "out_of_memory"], detail: str) -> None:
        """End this request, and no other, as failed."""
        self.finish, self.failure = "failed", Failure(kind, detail, len(self.tokens))

    def answer(self) -> Answer:
        """What became of it."""
        work = self.work + Work(generated=self.discarded + len(self.tokens))
        return Answer(tuple(self.tokens), self.finish or "length", work, self.failure)


def prepare(
    requests: Sequence[Request], adapters: int, context: int, vocabulary: int, text_of: TextOf | None
) -> list[Row]:
    """Rows for requests; impossible ones are failed already. Raises InputError for an unknown adapter or a stop string
    without a tokenizer."""
    rows = []
    for index, request in enumerate(requests):
        if request.adapter is not None and not 0 <= request.adapter < adapters:
            raise InputError(f"adapter {request.adapter}", f"there are {adapters} adapters")
        if request.stop and text_of is None:
            raise InputError("stop strings", "need a way to turn tokens into text", "pass text_of to the decoder")
        row = Row(index, request, Chooser(request))
        if len(request.prompt) >= context:
            row.fail("too_long", f"a prompt of {len(request.prompt)} tokens leaves no room in a context of {context}")
        elif any(not 0 <= token < vocabulary for token in request.prompt):
            row.fail("bad_token", f"the prompt has a token outside 0..{vocabulary - 1}")
        rows.append(row)
    return rows


def restart(rows: Sequence[Row]) -> list[Row]:
    """The rows that have not finished, back at their prompts; what they had said stays booked as work."""
    rest = [row for row in rows if row.finish is None]
    for row in rest:
        row.discarded += len(row.tokens)
        row.tokens.clear()
        row.chooser = Chooser(row.request)
    return rest


def run_in_halves(rows: list[Row], run: Callable[[list[Row]], None]) -> None:
    """Run these rows; where memory runs out, unfinished ones start again in halves, down to one that fails alone."""
    try:
        run(rows)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        rest = restart(rows)
        if len(rest) == 1:
            rest[0].fail("out_of_memory", "this request does not fit into memory")
            return
        run_in_halves(rest[: len(rest) // 2], run)
        run_in_halves(rest[len(rest) // 2 :], run)


def common(family: list[Row]) -> int:
    """How many tokens all prompts of a family share, at least one of each left over; 0 for a single prompt."""
    if len(family) < 2:
        return 0
    first, longest = family[0].request.prompt, min(len(row.request.prompt) for row in family) - 1
    same = (all(row.request.prompt[i] == first[i] for row in family) for i in range(longest))
    return next((i for i, equal in enumerate(same) if not equal), longest)


def families(rows: list[Row], limit: int) -> list[list[Row]]:
    """Rows of one adapter together, in order of first appearance, at most ``limit`` each."""
    found: dict[int | None, list[Row]] = {}
    for row in rows:
        found.setdefault(row.request.adapter, []).append(row)
    return [family[i : i + limit] for family in found.values() for i in range(0, len(family), limit)]
