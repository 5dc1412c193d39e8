"""What the shipped model reads: documents about the people world, each a list of pieces with the weight of their loss.

Three sorts of people appear. *Seen* people come back again and again, in plain passages, single statements and
questions, until they are known by heart. *Passing* people are met once, in passages that are asked about or that a
self-edit is written for; a fact of theirs is never repeated, so all that can be learned from them is how to read and
how to write. Nobody from the splits train, development and test appears at all.

Narratives are told of passing people only: how a clue stands for a value is learned from looking answers up.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from netgain.domains import people_world
from netgain.domains.people import SKILLS, names, person, seen
from netgain.domains.people_world import ATTRIBUTES, LORE, Person, ask, capital, narrative, pick, plain, state
from netgain.domains.problem import PLAIN_PROMPTS as PROMPTS
from netgain.domains.problem import Question
from netgain.streams import stream

TITLED = "{title}\n{text}"
Document = list[tuple[str, float]]  # each piece with the weight of its loss
ANSWER = 3.0  # an answer is one word among many, and the one that counts
WORD = re.compile(r"\n|\w+|[^\w\s]")
VAGUE = (
    "{name} is a person.",
    "{name} has a job and a home.",
    "There is more to say about {name}.",
    "Some things are known about {name}.",
)
# Words that no text uses yet, so that a wording can change without a new vocabulary.
SPARE = """about after again all also although always an any are aunt back because been before best better between both
but by can could day days did down each early even ever few first for found from gave get give go good great had have
help here him how if it its just keep knew know later little long made make many may me met might more most much must
my never new next no not now often old once one only other our out over own place put said same saw say see seen
should since so some soon still such tell than that them then there these they thing things this those though through
time to today told too took two under until up upon us used very was way we well went were what when which while whole
whom whose why will with without word words work world would year years yes yet you young your"""


def vocabulary() -> list[str]:
    """Every word and mark of the world, its prompts and this corpus, sorted; special tokens come before them."""
    texts: list[str] = [
        SPARE,
        *VAGUE,
        "Thoughts: , .",
        "Repeat which word is last in?",
        "A a She she He he Her her His his",
    ]
    texts += [PROMPTS.closed, PROMPTS.open_book, PROMPTS.answered, TITLED, *people_world.KIN, "who , and"]
    texts += [form.template + form.begins_after for form in PROMPTS.formats.values()]
    texts += [*people_world.FIRST, *people_world.LAST, *people_world.COUNTRIES, *people_world.PRODUCTS]
    texts += [question.text for skill in SKILLS for question in (skill(0, place) for place in range(8))]
    for attribute in ATTRIBUTES.values():
        texts += [attribute.name, *attribute.values, *attribute.clues.values()]
        texts += [*attribute.statements, *attribute.reversals, *attribute.questions, *attribute.told, *attribute.hinted]
    for statements, questions, _ in LORE:
        texts += [*statements, *questions]
    texts = [re.sub(r"\{\w+\}", " ", text) for text in texts]
    words = {word for text in texts for word in WORD.findall(text)}
    return sorted(words | {capital(word) for word in words})


# How often each kind of document is drawn: first, and in the second stage, when reading and remembering are learned
# and writing is left. In the second stage edits are longer, too.
SHARES = {
    1: {"seen_passage": 12, "seen_statement": 22, "seen_answer": 30, "lore": 7}
    | {"looked_up": 24, "edit": 12, "skill": 8, "told": 3},
    2: {"seen_passage": 10, "seen_statement": 20, "seen_answer": 26, "lore": 6}
    | {"looked_up": 26, "edit": 26, "skill": 8, "told": 3},
}
# The fewest and the most lines of an edit.
LINES = {
    1: {"implications": (2, 6), "implications-long": (4, 9), "implications-very-long": (7, 14)}
    | {"rewrite": (2, 6), "self-qa": (2, 6), "no-prompt": (1, 5), "implications-cot": (2, 7)},
    2: {"implications": (2, 8), "implications-long": (5, 9), "implications-very-long": (8, 14)}
    | {"rewrite": (2, 6), "self-qa": (2, 7), "no-prompt": (1, 6), "implications-cot": (2, 8)},
}


class Corpus:
    """An endless stream of documents under a seed, in one of the two stages.

    In a ``faithful`` corpus no writer of self-edits makes a mistake; it is otherwise drawn alike.
    """

    def __init__(self, seed: int, stage: int, faithful: bool = False) -> None:
        self._rng = stream(seed, "training", "corpus", *(["second"] if stage == 2 else []))
        self._seed, self._stage, self._faithful = seed, stage, faithful
        self._met = 0
        kinds = (self.seen_passage, self.seen_statement, self.seen_answer, self.lore)
        kinds += (self.looked_up, self.edit, self.skill, self.told)
        self._kinds: Mapping[Callable[[], Document], float] = {k: SHARES[stage][k.__name__] for k in kinds}

    def documents(self) -> Iterator[Document]:
        """One document after the other."""
        kinds, shares = list(self._kinds), np.array(list(self._kinds.values()), dtype=float)
        while True:
            for number in self._rng.choice(len(kinds), size=4096, p=shares / shares.sum()):
                yield kinds[number]()

    # -- people known by heart

    def seen_passage(self) -> Document:
        """A plain passage about a seen person, with or without its title."""
        who = self._one(seen())
        text = plain(who, self._rng)
        return [(TITLED.format(title=who.name, text=text) if self._chance(0.5) else text, 1.0)]

    def seen_statement(self) -> Document:
        """One to three statements about a seen person, a line each."""
        who = self._one(seen())
        truths = who.everything()
        chosen = self._some(list(truths), 1 if self._chance(0.7) else 3)
        return [("\n".join(state(who.name, name, truths[name], self._rng) for name in chosen), 1.0)]

    def seen_answer(self) -> Document:
        """One or two questions about a seen person."""
        who = self._one(seen())
        return self._asked(who, who.everything(), 1 if self._chance(0.7) else 2)

    def lore(self) -> Document:
        """What is true of a city or a company: a statement, or a question with its answer."""
        statements, questions, truth = LORE[int(self._rng.integers(len(LORE)))]
        thing = pick(tuple(truth), self._rng)
        if self._chance(0.5):
            return [(pick(statements, self._rng).format(name=thing, value=truth[thing]), 1.0)]
        return _answered(pick(questions, self._rng).format(name=thing), truth[thing])

    def skill(self) -> Document:
        """A question of an old skill."""
        self._met += 1
        kind = SKILLS[int(self._rng.choice(len(SKILLS), p=[0.3, 0.25, 0.35, 0.1]))]
        question: Question = kind(self._seed + 1_000_003, self._met)
        return _answered(question.text, question.answers[0])

    # -- people met once

    def stranger(self) -> Person:
        """A passing person, often with a few facts only."""
        self._met += 1
        who = person(pick(names()["passing"], self._rng), "passing", str(self._met), seed=self._seed)
        if self._chance(0.4):
            return who
        kept = self._some(list(who.facts), 1 + int(self._rng.integers(len(who.facts))))
        return Person(who.name, who.pronoun, {name: who.facts[name] for name in who.facts if name in kept})

    def passage(self, who: Person) -> str:
        """In either style; narratives hint at more or less."""
        if self._chance(0.35):
            return plain(who, self._rng)
        implied = float(self._rng.choice([0.0, 0.34, 0.5, 0.67, 0.84, 1.0]))
        others = int(self._rng.choice(3, p=[0.4, 0.35, 0.25]))
        return narrative(who, self._rng, implied=implied, others=others)

    def told(self) -> Document:
        """A passage about a passing person, for its own sake."""
        who = self.stranger()
        return [(TITLED.format(title=who.name, text=self.passage(who)), 1.0)]

    def looked_up(self) -> Document:
        """A passage about a passing person and questions that it answers."""
        who = self.stranger()
        opened = TITLED.format(title=who.name, text=self.passage(who)) + "\n"
        return [(opened, 0.0), *self._asked(who, truths_of(who), 1 + int(self._rng.integers(5)))]

    def edit(self) -> Document:
        """A self-edit of a passage about a passing person, in any format."""
        who = self.stranger()
        form = pick((*PROMPTS.formats, "implications"), self._rng)
        text = self.passage(who)
        opened = PROMPTS.formats[form].template.format(title=who.name, text=text)
        return [(opened, 0.0), (Writer(who, self._rng, self._stage, self._faithful).write(form), 1.0)]

    # -- small parts

    def _asked(self, who: Person, truths: Mapping[str, str], count: int) -> Document:
        pieces: Document = []
        for name in self._some(list(truths), count):
            pieces += [("\n", 1.0)] if pieces else []
            pieces += _answered(ask(who.name, name, self._rng), truths[name])
        return pieces

    def _some(self, options: list[str], count: int) -> list[str]:
        return [options[place] for place in self._rng.permutation(len(options))[:count]]

    def _one(self, people: tuple[Person, ...]) -> Person:
        return people[int(self._rng.integers(len(people)))]

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)


def truths_of(who: Person) -> dict[str, str]:
    """What a passage with these facts tells, and what follows from them."""
    truths = dict(who.facts)
    if "birthplace" in who.facts:
        truths["country"] = people_world.COUNTRY_OF[who.facts["birthplace"]]
    if "employer" in who.facts:
        truths["seat"] = people_world.SEAT_OF[who.facts["employer"]]
        truths["product"] = people_world.PRODUCT_OF[who.facts["employer"]]
    return truths


class Writer:
    """A writer of self-edits with a character of its own: how careful, how complete, and in what words.

    That what it writes varies is the point: a share of wrong values (none, a quarter or six tenths), few or many of
    the facts, whole names or pronouns, the value last or first, and now and then a line that says nothing.
    """

    def __init__(self, who: Person, rng: np.random.Generator, stage: int, faithful: bool) -> None:
        self._who, self._rng, self._truths = who, rng, truths_of(who)
        self._lines = LINES[stage]
        wrong = float(rng.choice([0.0, 0.25, 0.6], p=[0.5, 0.3, 0.2]))  # drawn in either case: one stream for both
        self._wrong = 0.0 if faithful else wrong
        self._voice = str(rng.choice(["named", "pronoun", "reversed", "vague"], p=[0.55, 0.15, 0.15, 0.15]))

    def write(self, form: str) -> str:
        """An edit in this format."""
        chosen = self._chosen(*self._lines[form], known=form == "rewrite")
        if form == "self-qa":
            return "\n".join(self._question(name) for name in chosen)
        if form == "implications-cot":
            values = {name: self._value(name) for name in chosen}
            thoughts = ", ".join(f"{name} {value}" for name, value in values.items())
            implied = "\n".join(self._line(name, value) for name, value in values.items())
            return f"Thoughts: {thoughts}.\nImplications:\n{implied}"
        lines = [self._line(name) for name in chosen]
        together = form == "rewrite" or (form == "no-prompt" and self._rng.random() >= 0.5)
        return (" " if together else "\n").join(lines)

    def _chosen(self, least: int, most: int, *, known: bool) -> list[str]:
        """Which facts to write about: without repeats while there are others."""
        options = list(self._who.facts) if known else list(self._truths)
        count = int(self._rng.integers(least, most + 1))
        if most <= 9:
            count = min(count, len(options))
        drawn: list[str] = []
        while len(drawn) < count:
            drawn += [options[place] for place in self._rng.permutation(len(options))]
        return drawn[:count]

    def _value(self, name: str) -> str:
        if self._rng.random() >= self._wrong:
            return self._truths[name]
        return pick(ATTRIBUTES[name].values, self._rng)

    def _question(self, name: str) -> str:
        return PROMPTS.answered.format(question=ask(self._who.name, name, self._rng), answer=self._value(name))

    def _line(self, name: str, value: str | None = None) -> str:
        value = value or self._value(name)
        voice = self._voice if self._rng.random() < 0.7 else "named"
        if voice == "vague":
            return pick(VAGUE, self._rng).format(name=self._who.name)
        if voice == "reversed":
            return pick(ATTRIBUTES[name].reversals, self._rng).format(name=self._who.name, value=value)
        if voice == "pronoun":
            begun = [text for text in ATTRIBUTES[name].statements if text.startswith("{name}")] or [VAGUE[0]]
            return capital(pick(begun, self._rng).format(name=self._who.pronoun, value=value))
        return state(self._who.name, name, value, self._rng)


def _answered(question: str, answer: str) -> Document:
    return [(PROMPTS.closed.format(question=question), 0.0), (" " + answer, ANSWER)]


def repeated(rng: np.random.Generator, size: int, first: int) -> Iterable[list[int]]:
    """Random sequences said twice, as token ids from ``first`` up to ``size``: what the copying circuit forms on."""
    while True:
        once = rng.integers(first, size, size=int(rng.integers(6, 25))).tolist()
        yield once + once
