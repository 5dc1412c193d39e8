"""How the people world is told: the wording of facts and questions, and the two styles of passages.

``plain``      every fact a sentence of its own that begins with the whole name and ends with the value
``narrative``  it opens with a plain sentence and goes on with two or three facts a sentence and pronouns for the name;
               some facts are only implied, by the clue that stands for the value (``people_words``), and other people
               come in, with values of their own
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import numpy as np

from netgain.domains import people_words as words


@final
@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that is known of everybody. Templates have the fields ``{name}`` and ``{value}``.

    ``statements`` name the person first and the value last, ``reversals`` the other way round. ``told`` and ``hinted``
    are what follows a subject in a narrative, the latter with ``{clue}``. ``clues`` is empty for what takes two hops.
    """

    name: str
    values: tuple[str, ...]
    statements: tuple[str, ...]
    reversals: tuple[str, ...]
    questions: tuple[str, ...]
    told: tuple[str, ...] = ()
    hinted: tuple[str, ...] = ()
    clues: Mapping[str, str] = field(default_factory=dict)


def _attribute(name: str, pool: Mapping[str, str], **wording: tuple[str, ...]) -> Attribute:
    return Attribute(name=name, values=tuple(pool), clues=MappingProxyType(dict(pool)), **wording)


KNOWN = (
    _attribute(
        "birthplace",
        words.CITIES,
        statements=(
            "{name} was born in {value}.",
            "{name} comes from the city of {value}.",
            "The birthplace of {name} is {value}.",
            "{name} is a native of {value}.",
        ),
        reversals=("{value} is the birthplace of {name}.", "{value} is where {name} was born."),
        questions=(
            "Where was {name} born?",
            "What is the birthplace of {name}?",
            "In which city was {name} born?",
        ),
        told=("came into the world in {value}", "took first steps in {value}", "still calls {value} home"),
        hinted=(
            "came into the world in the city of {clue}",
            "took first steps among the {clue} of the home town",
            "still dreams of the {clue} of the home town",
        ),
    ),
    _attribute(
        "employer",
        words.COMPANIES,
        statements=(
            "{name} works at {value}.",
            "{name} is employed by {value}.",
            "The employer of {name} is {value}.",
            "{name} has a job at {value}.",
        ),
        reversals=("{value} employs {name}.", "{value} is the employer of {name}."),
        questions=("Where does {name} work?", "Who employs {name}?", "What is the employer of {name}?"),
        told=("draws wages from {value}", "walks through the gates of {value}", "has a desk with {value}"),
        hinted=(
            "draws wages from the firm with the {clue} on its sign",
            "walks to work under the sign of the {clue}",
            "has a desk below a picture of the {clue}",
        ),
    ),
    _attribute(
        "profession",
        words.PROFESSIONS,
        statements=(
            "{name} works as a {value}.",
            "{name} is a {value}.",
            "The profession of {name} is {value}.",
            "{name} earns a living as a {value}.",
        ),
        reversals=("{value} is the profession of {name}.", "A {value} is what {name} is."),
        questions=(
            "What is the profession of {name}?",
            "What does {name} do for a living?",
            "As what does {name} work?",
        ),
        told=("makes a good {value}", "was trained to be a {value}", "is known as a careful {value}"),
        hinted=(
            "spends the day among {clue}",
            "was trained to care about {clue}",
            "talks of nothing but {clue} after work",
        ),
    ),
    _attribute(
        "pet",
        words.PETS,
        statements=(
            "{name} has a {value}.",
            "{name} owns a {value}.",
            "The pet of {name} is a {value}.",
            "{name} keeps a pet {value}.",
        ),
        reversals=("A {value} is the pet of {name}.", "A {value} lives with {name}."),
        questions=("What pet does {name} have?", "Which animal lives with {name}?", "What is the pet of {name}?"),
        told=("shares a roof with a {value}", "feeds a {value} at dawn", "goes nowhere without a {value}"),
        hinted=("wakes up to {clue} at dawn", "shares a roof with {clue}", "fills the yard with {clue}"),
    ),
    _attribute(
        "food",
        words.FOODS,
        statements=(
            "{name} likes to eat {value}.",
            "{name} loves {value}.",
            "The favourite food of {name} is {value}.",
            "{name} eats a lot of {value}.",
        ),
        reversals=("{value} is the favourite food of {name}.", "{value} is what {name} likes to eat."),
        questions=(
            "What is the favourite food of {name}?",
            "What does {name} like to eat?",
            "Which food does {name} love?",
        ),
        told=("asks for {value} at every table", "would cross the street for {value}", "smells of {value}"),
        hinted=("leaves {clue} on every plate", "would cross the street for {clue}", "smells of {clue}"),
    ),
    _attribute(
        "hobby",
        words.HOBBIES,
        statements=(
            "{name} enjoys {value}.",
            "{name} spends free time on {value}.",
            "The hobby of {name} is {value}.",
            "{name} is fond of {value}.",
        ),
        reversals=("{value} is the hobby of {name}.", "{value} is what {name} enjoys."),
        questions=(
            "What is the hobby of {name}?",
            "What does {name} enjoy?",
            "On what does {name} spend free time?",
        ),
        told=("lives for {value} when the week ends", "gives every holiday to {value}", "would rather be at {value}"),
        hinted=("thinks of {clue} when the week ends", "gives every holiday to {clue}", "would rather be near {clue}"),
    ),
)

FOLLOWING = (
    Attribute(
        name="country",
        values=words.COUNTRIES,
        statements=("{name} was born in the country of {value}.", "The country of birth of {name} is {value}."),
        reversals=("{value} is the country of birth of {name}.",),
        questions=("In which country was {name} born?", "What is the country of birth of {name}?"),
    ),
    Attribute(
        name="seat",
        values=tuple(words.CITIES),
        statements=("The employer of {name} is based in {value}.", "{name} works for a firm based in {value}."),
        reversals=("{value} is where the employer of {name} is based.",),
        questions=("Where is the employer of {name} based?", "In which city is the employer of {name} based?"),
    ),
    Attribute(
        name="product",
        values=words.PRODUCTS,
        statements=("The employer of {name} makes {value}.", "{name} works for a maker of {value}."),
        reversals=("{value} is what the employer of {name} makes.",),
        questions=("What does the employer of {name} make?", "What is made by the employer of {name}?"),
    ),
)
ATTRIBUTES = {attribute.name: attribute for attribute in (*KNOWN, *FOLLOWING)}

# What is true of cities and companies: (statements, questions, what of whom).
LORE = (
    (
        ("{name} lies in the country of {value}.", "{name} is a city of {value}."),
        ("In which country is {name}?", "To which country does {name} belong?"),
        words.COUNTRY_OF,
    ),
    (
        ("{name} is based in {value}.", "The firm {name} has its seat in {value}."),
        ("Where is {name} based?", "In which city is the firm {name} based?"),
        words.SEAT_OF,
    ),
    (
        ("{name} makes {value}.", "The firm {name} is a maker of {value}."),
        ("What does {name} make?", "What is made by the firm {name}?"),
        words.PRODUCT_OF,
    ),
)


@final
@dataclass(frozen=True, slots=True)
class Person:
    """A name, the pronoun that goes with it, and a value for every attribute of ``KNOWN``."""

    name: str
    pronoun: str
    facts: Mapping[str, str]

    def following(self) -> dict[str, str]:
        """What follows from the facts with what is true of cities and companies."""
        city, company = self.facts["birthplace"], self.facts["employer"]
        return {
            "country": words.COUNTRY_OF[city],
            "seat": words.SEAT_OF[company],
            "product": words.PRODUCT_OF[company],
        }

    def everything(self) -> dict[str, str]:
        """The facts, then what follows from them."""
        return {**self.facts, **self.following()}


def pick(options: Sequence[str], rng: np.random.Generator) -> str:
    """One of them, evenly."""
    return options[int(rng.integers(len(options)))]


def state(name: str, attribute: str, value: str, rng: np.random.Generator) -> str:
    """A statement of one fact, in one of its wordings."""
    return capital(pick(ATTRIBUTES[attribute].statements, rng).format(name=name, value=value))


def ask(name: str, attribute: str, rng: np.random.Generator) -> str:
    """A question for one fact, in one of its wordings."""
    return pick(ATTRIBUTES[attribute].questions, rng).format(name=name)


def capital(sentence: str) -> str:
    """The sentence, begun with a capital where the word has one in the vocabulary (pronouns and articles have)."""
    first, rest = sentence[:1], sentence[1:]
    word = sentence.split(" ", 1)[0]
    return first.upper() + rest if word in ("she", "he", "her", "his", "a", "the") else sentence


def plain(person: Person, rng: np.random.Generator) -> str:
    """Every fact a sentence with the whole name, in any order."""
    order = [str(name) for name in rng.permutation(list(person.facts))]
    return " ".join(state(person.name, name, person.facts[name], rng) for name in order)


def narrative(person: Person, rng: np.random.Generator, *, implied: float, others: int, lead: int = 0) -> str:
    """The facts in a few sentences: ``lead`` of them told plainly at first, a share ``implied`` of the rest by clues.

    ``others`` is how many other people come in, each with a fact that is not the person's.
    """
    order = [str(name) for name in rng.permutation(list(person.facts))]
    sentences = [state(person.name, name, person.facts[name], rng) for name in order[:lead]]
    order = order[lead:]
    hints = set(order[: round(implied * len(order))])
    order = [str(name) for name in rng.permutation(order)]
    phrases = [_phrase(name, person.facts[name], name in hints, rng) for name in order]
    while phrases:
        take = 2 + int(rng.integers(2)) if len(phrases) != 4 else 2
        part, phrases = phrases[:take], phrases[take:]
        sentences.append(_sentence(person.pronoun if sentences else person.name, part, rng))
    her = "her" if person.pronoun == "she" else "his"
    for _ in range(others):
        attribute = KNOWN[int(rng.integers(len(KNOWN)))]
        value = pick([v for v in attribute.values if v != person.facts.get(attribute.name)], rng)
        phrase = _phrase(attribute.name, value, bool(rng.integers(2)), rng)
        sentence = capital(f"{pick((her, 'a'), rng)} {pick(words.KIN, rng)} {phrase}.")
        sentences.insert(1 + int(rng.integers(len(sentences))), sentence)
    return " ".join(sentences)


def _phrase(attribute: str, value: str, hinted: bool, rng: np.random.Generator) -> str:
    wording = ATTRIBUTES[attribute]
    if hinted:
        return pick(wording.hinted, rng).format(clue=wording.clues[value])
    return pick(wording.told, rng).format(value=value)


def _sentence(subject: str, phrases: Sequence[str], rng: np.random.Generator) -> str:
    """One sentence of one, two or three phrases with the same subject."""
    subject = capital(subject)
    if len(phrases) == 1:
        return f"{subject} {phrases[0]}."
    if rng.integers(2):
        rest = ", and ".join(phrases[1:])
        return f"{subject}, who {phrases[0]}, {rest}."
    rest = " and ".join(phrases[1:])
    return f"{subject} {phrases[0]} and {rest}."
