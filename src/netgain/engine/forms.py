"""Holding an answer to a form: only tokens are drawn that keep its text the beginning of one that the form allows.

A form is a row of places, each with the texts that may stand there; :data:`DIGIT` and :data:`POSITIVE` in them stand
for any digit and any but 0. Its automaton runs over characters, so that it holds with any tokenizer, and knows no loop:
every answer ends. A token is allowed where it leads on to a whole answer in tokens; one after which the vocabulary
cannot write on is not.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import final

from netgain.engine.jobs import Form
from netgain.errors import InputError

DIGIT, POSITIVE = "\ue000", "\ue001"  # private characters, which no text of a form has
State = frozenset[tuple[int, str]]  # the places that it may be at, and what is left of the text there
DEAD: State = frozenset()


@final
class TokenForm:
    """A form in the tokens of one vocabulary; ``text_of`` turns token ids into text.

    What a token adds to a text is looked up behind a visible character, once for all: where a tokenizer has it
    otherwise (behind a line break, say), the text itself decides (:meth:`after`). Raises InputError where the
    vocabulary cannot write the form at all.
    """

    def __init__(self, form: Form, vocabulary: int, text_of: Callable[[list[int]], str]) -> None:
        self._form, self.text_of = form, text_of
        self._steps: dict[tuple[State, str], State] = {}
        self._found: dict[State, tuple[int, ...]] = {}
        self._by_first: dict[str, list[tuple[int, str]]] = {}
        self.start = self._closed({(0, text) for text in form[0]} if form else set())
        before = next(([token] for token in range(vocabulary) if text_of([token]).strip().isalnum()), [])
        known = text_of(before) if before else ""
        for token in range(vocabulary):
            whole = text_of([*before, token])
            if (piece := whole[len(known) :]) and whole.startswith(known):
                self._by_first.setdefault(piece[0], []).append((token, piece))
        if not self.allowed(self.start):
            raise InputError("form", "this model's tokenizer cannot write it", "leave constrained out")

    def done(self, state: State) -> bool:
        """Whether a whole answer has been written."""
        return any(place == len(self._form) for place, _ in state)

    def after(self, text: str) -> State:
        """Where the automaton is behind a text: :data:`DEAD` where no allowed one begins so."""
        return self._stepped(self.start, text)

    def allowed(self, state: State) -> tuple[int, ...]:
        """The tokens that lead on from here to a whole answer, as far as that can be told before they are drawn."""
        waiting, ahead = [state], dict[State, list[tuple[int, State]]]()
        while waiting:  # depth first without recursion: a form has hundreds of characters
            at = waiting[-1]
            if at in self._found:
                waiting.pop()
                continue
            if at not in ahead:
                ahead[at] = self._ahead(at)
            unknown = [one for _, one in ahead[at] if one not in self._found and not self.done(one)]
            if unknown:
                waiting += unknown
                continue
            self._found[at] = tuple(token for token, one in ahead[at] if self.done(one) or self._found[one])
        return self._found[state]

    def _ahead(self, state: State) -> list[tuple[int, State]]:
        pieces = [piece for first, known in self._by_first.items() if self._stepped(state, first) for piece in known]
        return [(token, one) for token, piece in pieces if (one := self._stepped(state, piece))]

    def _stepped(self, state: State, text: str) -> State:
        for letter in text:
            if not state:
                break
            key = (state, letter)
            if key not in self._steps:
                self._steps[key] = self._closed({(i, rest[1:]) for i, rest in state if rest and _is(rest[0], letter)})
            state = self._steps[key]
        return state

    def _closed(self, state: set[tuple[int, str]]) -> State:
        """With the places that follow on one whose text is all there."""
        waiting, found = list(state), set(state)
        while waiting:
            place, rest = waiting.pop()
            if not rest and place < len(self._form):
                onward = [(place + 1, text) for text in self._form[place + 1]] if place + 1 < len(self._form) else []
                for one in onward or [(len(self._form), "")]:
                    if one not in found:
                        found.add(one)
                        waiting.append(one)
        return frozenset(one for one in found if one[1] or one[0] == len(self._form))


def _is(wanted: str, letter: str) -> bool:
    if wanted in (DIGIT, POSITIVE):
        return letter in "0123456789" and not (wanted == POSITIVE and letter == "0")
    return wanted == letter


@lru_cache(maxsize=8)
def token_form(form: Form, vocabulary: int, text_of: Callable[[list[int]], str]) -> TokenForm:
    """The same, made once: it looks at every token."""
    return TokenForm(form, vocabulary, text_of)
