"""The guard against contamination: it sees every call of a method, what it had written, trained on, and who paid.

It refuses what would fall outside the arm's budget (another's account, evaluation, a model that the harness
did not hand out) and calls that do not go through the steps. What it cannot refuse it keeps: the processor time
that the method took for itself, and exam questions, or their answers beside the title, among the sequences trained on.
Where a problem is a few examples its answers have no title beside them: there an answer is looked for as it stands and
under every transformation that can be undone, and what the domain makes of the shown pairs is no accusation.

A built-in method runs in this process; one of a user's own in another (:mod:`netgain.isolation`), where the questions
are not. Whoever comes by them otherwise has to train on them to gain anything, or to have the model write them, and
that is seen, by the text of the tokens and however it is cut.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar, final

from netgain.domains.few_shot import FewShot, Lesson, View, Vote
from netgain.domains.leakage import holds_answer, holds_question, letters
from netgain.domains.problem import Material, Problem, Question, text_of
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.metering.account import Account
from netgain.metering.budget import Booking
from netgain.methods.method import Desk, OwnWork, Teacher
from netgain.model.metered import OPERATIONS, Model
from netgain.model.program import ModelCall, Steps, require_program
from netgain.model.requests import Generate, RunScript, Score, Train, TrainFull
from netgain.records.cost import Purpose
from netgain.records.identity import short_hash
from netgain.records.samples import WrittenText
from netgain.tokens import RARE
from netgain.trials.sealing import sealed

T = TypeVar("T")
WRITTEN = (Purpose.PROPOSE, Purpose.TEACH)
LEAST_TOKENS = 4
LEAST_LETTERS = 3
PROMPTED = 16  # letters of a question that nobody asks by chance
BESIDE_LESSON = 4  # tokens: what ends an answer, and what stands between it and its question
LEAST_ANSWER = 8  # tokens of an answer to examples: shorter ones come about by chance, when examples are transformed
FREE_SECONDS, FREE_SHARE = 2.0, 0.25


@final
class Guard:
    """Watches one program of a method, which works at ``desk``; ``models`` are all that it may ask."""

    def __init__(self, desk: Desk, given: Sequence[str], models: Sequence[Model], own: OwnWork | None = None) -> None:
        self._account, self._models = desk.account, tuple(models)
        self.texts = [*given]
        self._trained: dict[tuple[int, ...], None] = {}
        self._written: dict[tuple[int, ...], None] = {}  # by a script's model, told in tokens
        self._prompted: dict[str, int] = {}  # what the model was asked, in letters, and how many texts there were then
        self.edits: list[WrittenText] = []
        self.seconds = 0.0  # processor time of its own, between calls
        self.own = own or OwnWork()
        desk = replace(desk, own=self.own)
        self.desk = desk if desk.teacher is None else _with_teacher(desk, desk.teacher, self)
        self._few_shot, self._taught = desk.few_shot, dict[tuple[Material, tuple[str, ...], int], None]()
        if desk.few_shot is not None:
            self.desk = replace(self.desk, few_shot=_WatchedFewShot(desk.few_shot, self._taught))

    def watch(self, start: Callable[[], Steps[T]]) -> Steps[T]:
        """The same program, watched. Raises InputError in it for a call that it may not make."""
        resume: Callable[[], Any] = lambda: require_program(start())  # noqa: E731 - one of three ways to go on
        steps = self._advance(resume)
        resume = partial(next, steps)
        while True:
            try:
                calls = self._advance(resume)
            except StopIteration as end:
                value: T = end.value
                return value
            try:
                self._check(calls)
                results = yield calls
            except GeneratorExit:
                steps.close()
                raise
            except Exception as error:
                resume = partial(steps.throw, error)
            else:
                self._saw(calls, results)
                resume = partial(steps.send, results)

    def wrote(self, texts: Iterable[str], purpose: Purpose) -> None:
        """Take note of texts that were written for the method."""
        for text in texts:
            self.texts.append(text)
            if purpose in WRITTEN and text.strip():
                self.edits.append(WrittenText(purpose=purpose, text=text))

    def exposed(self, questions: Sequence[Question], desk: Desk) -> tuple[str, ...]:
        """Hashes of the questions that were trained on although nothing given or written holds them.

        Both sides are held to one measure, the question's inner tokens: a statement may hold those too ("Veltan is the
        employer of Ann" those of "What is the employer of Ann?"), and whoever was given it may train on it. A question
        with words that the tokenizer does not know is none that anyone can train on.
        """
        trained = _joined(self._trained)
        asked = {part.text: question.text for question in questions for part in question.asked}
        read = self._read(list(asked), desk)
        if read:
            return tuple(map(hashed, dict.fromkeys(asked[text] for text in read)))
        cores = {text: core for text in asked if (core := _core(text, desk.model)) in trained}
        if not cores:
            return ()
        unknown = _unknown(desk.model)
        seen = " ".join(_plain(text) for text in self.texts)
        bare = {t: desk.prompts.bare(t) for t, core in cores.items() if unknown not in core}
        new = {t: own for t, own in bare.items() if _plain(t) not in seen and _plain(own) not in seen}
        exposed = [asked[t] for t, own in new.items() if not self._told(_core(own, desk.model), desk.model)]
        return tuple(map(hashed, dict.fromkeys(exposed)))

    def _read(self, asked: Sequence[str], desk: Desk) -> list[str]:
        """The questions that stand in what was trained on, by the text of its tokens and however that is cut, or in
        what a model was asked, although nothing given or written before holds them."""
        if self._few_shot is not None:  # whose questions are mostly what was shown; see copied
            return []
        # Each sequence by itself: the end of one and the beginning of the next may read like a question.
        trained = "\n".join(letters(self._decoded(sequence)) for sequence in self._trained)
        known = "\n".join(map(letters, (*self.texts, *map(self._decoded, self._written), *desk.prompts.wording)))
        bare = {text: letters(desk.prompts.bare(text)) for text in asked}
        found = [text for text, own in bare.items() if holds_question(own, trained, known)]
        everything = "\n".join(self._prompted)
        for text, own in bare.items():
            if len(own) >= PROMPTED and own in everything:
                first = next(count for prompt, count in self._prompted.items() if own in prompt)
                found += [text] if own not in "\n".join(map(letters, self.texts[:first])) else []
        return found

    def _decoded(self, sequence: tuple[int, ...]) -> str:
        return self.desk.model.decode(sequence)

    def _told(self, core: str, model: Model) -> bool:
        """Whether a text given or written holds these tokens. The newest first: it is mostly what was written last."""
        if core in _joined(self._written):
            return True
        return any(core in _joined([model.tokenize(text, special=False)]) for text in reversed(self.texts))

    def told(self, problems: Sequence[Problem], given_before: int, desk: Desk) -> tuple[str, ...]:
        """Hashes of the questions whose answer was trained on beside the title, in one sequence, although neither the
        material nor anything written holds it. The first ``given_before`` of the texts given are of other problems."""
        seen = " ".join(_plain(text) for text in [*self.texts[given_before:], *desk.prompts.wording])
        sequences, written = (
            [f",{','.join(map(str, sequence))}," for sequence in kept] for kept in (self._trained, self._written)
        )
        exposed, decoded = [], list(map(self._decoded, self._trained))
        known = letters(" ".join([seen, *map(self._decoded, self._written)]))
        for problem in problems:
            titled = [tokens for tokens in sequences if _holds(tokens, problem.material.title, desk.model)]
            for question in problem.questions:
                unknown = [a for a in question.answers if len(a) >= LEAST_LETTERS and _plain(a) not in seen]
                unknown = [a for a in unknown if not any(_holds(tokens, a, desk.model) for tokens in written)]
                title = problem.material.title
                new = [answer for answer in unknown if letters(answer) not in known]
                if any(_holds(tokens, answer, desk.model) for answer in unknown for tokens in titled) or any(
                    holds_answer(answer, title, text) for answer in new for text in decoded
                ):
                    exposed.append(hashed(question.text))
        return tuple(dict.fromkeys(exposed))

    def copied(self, problems: Sequence[Problem], given_before: int = 0) -> tuple[str, ...]:
        """Hashes of the questions of examples whose answer was trained on, as it stands or transformed, although none
        of its forms is in what was given or written or in what the domain made of the shown pairs."""
        if self._few_shot is None:
            return ()
        trained, exposed = _joined(self._trained), []
        for question in (question for problem in problems for question in problem.questions):
            answers = [answer for part in question.asked for answer in part.answers]
            forms = {answer: self._few_shot.forms(answer) for answer in answers}
            held = [answer for answer, all_ in forms.items() if any(self._trained_on(one, trained) for one in all_)]
            if held and not all(self._derived(forms[answer], given_before) for answer in held):
                exposed.append(hashed(question.text))
        return tuple(exposed)

    def _trained_on(self, answer: str, trained: str) -> bool:
        model = self.desk.model
        enough = len(model.tokenize(answer, special=False)) >= LEAST_ANSWER
        return enough and (core := _core(answer, model)) in trained and _unknown(model) not in core

    def _derived(self, forms: Sequence[str], given_before: int) -> bool:
        """Whether one of these stands in a text that the method had, or whatever holds them was copied from one or is a
        lesson made of one.

        Small grids often differ in a corner alone, and what was trained on is known by inner tokens. So a copy has to
        have the tokens around them too, and a lesson to be whole, with nothing behind it. Lessons are made again, for
        they are many; those made of a text of the method's own invention don't count."""
        few_shot, model = self._few_shot, self.desk.model
        if few_shot is None or any(form in text for text in self.texts[given_before:] for form in forms):
            return True
        cores = [_core(form, model) for form in forms]
        had = _joined(model.tokenize(text, special=False) for text in self.texts[given_before:])
        trained = (_joined([sequence]) for sequence in self._trained)
        whole = re.compile("|".join(rf"(?=((?:,\d+)?{core}(?:\d+,)?))" for core in cores))
        holding = [one for one in trained if any("".join(found) not in had for found in whole.findall(one))]
        for lesson in (one for how in self._taught for one in few_shot.lessons(*how)):
            if not holding:
                break
            asked = model.tokenize(self.desk.prompts.ask(lesson.prompt))
            most = len(asked) + len(model.tokenize(lesson.answer, special=False)) + BESIDE_LESSON
            prompt, answer = _core(lesson.prompt, model), _core(lesson.answer, model)
            holding = [one for one in holding if not (prompt in one and answer in one and one.count(",") - 1 <= most)]
        return not holding

    def unmetered(self, metered: float, whole: float = 0.0) -> bool:
        """Whether it worked for itself for far longer than work of ``metered`` seconds explains; in a process of its
        own, for longer than its allowance for a budget that takes ``whole`` seconds."""
        if self.own.seconds is not None:
            return self.own.seconds > self.own.free_seconds + self.own.free_share * max(metered, whole)
        return self.seconds > FREE_SECONDS and self.seconds > FREE_SHARE * metered

    def note_own_work(self) -> None:
        """Write down what its own process took and opened, where it had one."""
        if self.own.seconds is not None:
            taken = {"seconds": round(self.own.seconds, 4), "opened": list(self.own.opened)}
            self.desk.note("own work", taken)

    @property
    def worked(self) -> float:
        """Processor seconds of its own."""
        return self.seconds if self.own.seconds is None else self.own.seconds

    def own_work(self, metered: float, whole: float) -> dict[str, Any]:
        """As a row holds it: whether it worked too long for itself, how long, what it opened that no budget knows."""
        kinds = {"program": "programs", "socket": "sockets"}
        beside = {kinds[kind] for one in self.own.opened if (kind := one.partition(" ")[0]) in kinds}
        found: dict[str, Any] = {"opened": tuple(sorted(beside))} if beside else {}
        if self.unmetered(metered, whole):
            found |= {"unmetered": True, "own_seconds": None if self.own.seconds is None else round(self.worked, 2)}
        return found

    def check_answerer(self, answerer: object, materials: Sequence[Material]) -> Answerer:
        """What an adaptation ended in. Raises InputError where it is no answerer that the harness can examine."""
        if not isinstance(answerer, Answerer):
            raise InputError("adapt", f"returned {type(answerer).__name__}, not an Answerer", "return Answerer(...)")
        self._check_model(answerer.model)
        if answerer.voter is not None:
            self._check_account(answerer.voter)
        known = {material.text for material in materials}
        foreign = [text.id for text in answerer.context if text.text not in known and not self._had(text.text)]
        if foreign:
            raise InputError("context", f"{foreign[0]!r} holds text that was neither given nor written for this arm")
        return answerer

    def _had(self, text: str) -> bool:
        lines = [_plain(line) for line in text.split("\n") if line.strip()]
        seen = " ".join(_plain(known) for known in self.texts)
        return all(line in seen for line in lines)

    def _advance(self, step: Callable[[], Any]) -> Any:
        """One step of the method's own, with the work that it had done behind the harness's back refused."""
        before, started = self._account.book.length, time.process_time()
        try:
            return step()
        finally:
            self.seconds += time.process_time() - started
            charges = self._account.book.charges(since=before)
            self.seconds = max(0.0, self.seconds - sum(charge.cost.seconds or 0.0 for charge in charges))
            self._check_direct(charges)

    def _check_direct(self, charges: Sequence[Booking]) -> None:
        for charge in charges:
            if not self._account.holds(charge) or charge.purpose is Purpose.EVALUATE:
                raise InputError(f"account {charge.opened.name!r}", "is not this arm's to spend from", "use desk.pay")
            if charge.operation in OPERATIONS:
                raise InputError(f"model.{charge.operation}", "was called past the steps", "yield from ask(model, ...)")

    def _check(self, calls: Sequence[ModelCall]) -> None:
        for call in calls:
            self._check_model(call.model)
            for request in call.requests:
                self._check_account(request.account)

    def _check_model(self, model: Model) -> None:
        if model.origin not in self._models:
            raise InputError(
                f"model {model.name!r}", "is none that this arm was given", "use desk.model or its teacher"
            )

    def _check_account(self, account: Account) -> None:
        if not self._account.holds(account):
            raise InputError(f"account {account.title!r}", "is not this arm's to spend from", "use desk.pay")
        if account.opened.purpose is Purpose.EVALUATE:
            raise InputError("purpose 'evaluate'", "is the exam's alone", "score yourself under 'score'")

    def _saw(self, calls: Sequence[ModelCall], results: Sequence[Sequence[Any]]) -> None:
        for call, given in zip(calls, results, strict=True):
            for request, result in zip(call.requests, given, strict=True):
                if isinstance(request, Generate | Score):
                    self._prompted.setdefault(letters(text_of(request.prompt)), len(self.texts))
                if isinstance(request, Generate) and result.product is not None:
                    self.wrote([result.product.text], request.account.opened.purpose or Purpose.ADAPT)
                elif isinstance(request, RunScript) and result.product is not None:
                    self._trained.update(dict.fromkeys(result.product.trained))
                    self._written.update(dict.fromkeys(result.product.written))
                elif isinstance(request, Train | TrainFull):
                    self._trained.update(dict.fromkeys(tuple(map(int, tokens)) for tokens in request.job.sequences))


@final
class _Watched(Teacher):
    """A teacher whose texts the guard sees."""

    def __init__(self, write: Callable[[Desk, Material, int, str, float], Steps[list[str]]]) -> None:
        self._write = write

    def write(
        self, desk: Desk, material: Material, count: int, *, form: str = "", temperature: float = 1.0
    ) -> Steps[list[str]]:
        return (yield from self._write(desk, material, count, form, temperature))


def _with_teacher(desk: Desk, teacher: Teacher, guard: Guard) -> Desk:
    def write(desk: Desk, material: Material, count: int, form: str, temperature: float) -> Steps[list[str]]:
        texts = yield from teacher.write(desk, material, count, form=form, temperature=temperature)
        known = {edit.text for edit in guard.edits}
        guard.wrote([text for text in texts if text not in known], Purpose.TEACH)
        return texts

    return replace(desk, teacher=_Watched(write))


@final
class _WatchedFewShot(FewShot):
    """What a domain offers, leading to nothing else; the guard sees from what lessons were made."""

    def __init__(self, few_shot: FewShot, taught: dict[tuple[Material, tuple[str, ...], int], None]) -> None:
        self.tools, self.attempts, self._taught = MappingProxyType(dict(few_shot.tools)), few_shot.attempts, taught
        self._lessons, self._held_out = sealed(few_shot.lessons), sealed(few_shot.held_out)
        self._views, self._elect = sealed(few_shot.views), sealed(few_shot.elect)
        self._shown, self._forms = sealed(few_shot.shown), sealed(few_shot.forms)

    def lessons(self, material: Material, tools: Collection[str], seed: int) -> tuple[Lesson, ...]:
        self._taught[material, tuple(sorted(tools)), seed] = None
        return self._lessons(material, tools, seed)

    def held_out(self, material: Material) -> tuple[Problem, ...]:
        return self._held_out(material)

    def views(self, question: Question) -> tuple[View, ...]:
        return self._views(question)

    def elect(self, question: Question, given: Sequence[Vote]) -> tuple[str, ...]:
        return self._elect(question, given)

    def shown(self, text: str) -> tuple[tuple[str, str], ...]:
        return self._shown(text)

    def forms(self, answer: str) -> tuple[str, ...]:
        return self._forms(answer)


def hashed(question: str) -> str:
    """How records name a question without telling it."""
    return short_hash(question)


def _core(text: str, model: Model) -> str:
    """The question's tokens as they stand inside a longer text: the outermost may merge with what is around them."""
    tokens = model.tokenize(text, special=False)
    inner = tokens[1:-1] if len(tokens) >= LEAST_TOKENS + 2 else tokens
    return f",{','.join(map(str, inner))}," if inner else "no tokens"


def _joined(sequences: Iterable[Sequence[int]]) -> str:
    """Tokens with commas around each, a line for each sequence."""
    return "".join(f",{','.join(map(str, sequence))},\n" for sequence in sequences)


def _holds(sequence: str, text: str, model: Model) -> bool:
    """Whether tokens, with commas around each, hold a text, at their beginning or behind a space. One with words that
    the tokenizer does not know is held by none: its tokens are those of any other."""
    parts = [_joined([model.tokenize(before + text, special=False)]).strip() for before in ("", " ")]
    held = [part for part in parts if part != ",," and part in sequence]
    return bool(held) and any(_unknown(model) not in part for part in held)


def _unknown(model: Model) -> str:
    """The token for whatever the tokenizer does not know, with commas; no tokens at all where it knows everything."""
    first, second = (model.tokenize(rare, special=False) for rare in RARE)
    return f",{first[-1]}," if first and first == second else "none"


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
