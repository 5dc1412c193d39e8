"""People: an endless world of invented persons, told plainly or as a narrative, that a small model can learn from.

A problem is one person: a passage that tells six facts, six questions for them and three that take a second hop (the
country of the birthplace; the seat and the product of the employer), which the base model can make because it knows
the cities and companies. Names are shared out among the splits once and for all, so no two splits have a person in
common, whatever their seeds; within a split, every seed begins at another place of its names and draws its own facts.
"""

from functools import cache
from hashlib import sha256
from types import MappingProxyType
from typing import ClassVar, Literal, final, get_args

from pydantic import Field

from netgain.domains.domain import Domain, DomainSettings
from netgain.domains.people_world import (
    ATTRIBUTES,
    FIRST,
    KNOWN,
    LAST,
    LORE,
    PRONOUNS,
    Person,
    ask,
    narrative,
    pick,
    plain,
    state,
)
from netgain.domains.problem import Material, Problem, Question, Split
from netgain.errors import InputError
from netgain.streams import stream

Style = Literal["plain", "narrative"]
WORLD = 0  # names the streams that every seed shares: who is in which split, and who was seen in pre-training
SEEN = 160
# Shares of the names that are left, in hundredths. ``passing`` people are met once, in pre-training and in controls.
SHARES = {"passing": 30, "train": 30, "development": 10, "test": 30}
SPLITS: tuple[Split, ...] = get_args(Split)
PLACES = 20  # bits for the place of a problem in its split
STRIDE = 48  # how far apart the seeds begin among the names of a split


@final
class PeopleSettings(DomainSettings):
    """How passages are told. A narrative opens with ``lead`` facts told plainly, only hints at a share ``implied`` of
    the rest, and in a share ``others`` of problems brings in somebody else, with a fact that is not the person's."""

    style: Style = "plain"
    lead: int = Field(default=1, ge=0, le=1)
    implied: float = Field(default=0.67, ge=0, le=1)
    others: float = Field(default=0.5, ge=0, le=1)


@cache
def names() -> dict[str, tuple[str, ...]]:
    """All names, by who may bear them: ``seen``, ``passing`` and the splits. No name is in two of them."""
    everybody = [(first, last) for first in FIRST for last in LAST]
    order = stream(WORLD, "people", "names").permutation(len(everybody))
    shuffled = [" ".join(everybody[place]) for place in order]
    shared, rest = {"seen": tuple(shuffled[:SEEN])}, shuffled[SEEN:]
    start, gone = 0, 0
    for share, hundredths in SHARES.items():
        gone += hundredths
        end = len(rest) * gone // 100
        shared[share], start = tuple(rest[start:end]), end
    return shared


def person(name: str, *stream_names: str, seed: int) -> Person:
    """Who bears this name in the world of a seed."""
    rng = stream(seed, "people", *stream_names, name)
    facts = {attribute.name: pick(attribute.values, rng) for attribute in KNOWN}
    first = FIRST.index(name.split(" ", 1)[0])
    return Person(name, PRONOUNS[first % 2], MappingProxyType(facts))


@cache
def seen() -> tuple[Person, ...]:
    """The people whom the shipped model met again and again in its pre-training."""
    return tuple(person(name, "seen", seed=WORLD) for name in names()["seen"])


@final
class People(Domain):
    """Invented persons told plainly or as a narrative: the shipped model's own world, without end.

    Two of these domains with other styles hold the same people with the same facts.
    """

    Settings: ClassVar[type[PeopleSettings]] = PeopleSettings

    def problems(self, split: Split, count: int, seed: int) -> tuple[Problem, ...]:
        """The first ``count`` people of a split under this seed.

        Raises InputError where the split has not as many names. Seeds less than ``len(names()[split]) // STRIDE`` apart
        share no name up to ``STRIDE`` problems.
        """
        pool = names()[split]
        if not 0 <= count <= len(pool):
            raise InputError(
                f"count {count}", f"the {split} split of the people world has {len(pool)} names", "ask for fewer"
            )
        if seed < 0:
            raise InputError(f"seed {seed}", "must be 0 or more")
        return tuple(self._problem(split, seed, index) for index in range(count))

    def _problem(self, split: Split, seed: int, index: int) -> Problem:
        who = _who(split, seed, index)
        rng = stream(seed, "people", "questions", split, str(index))
        questions = tuple(
            Question(ask(who.name, name, rng), (value,), "knowledge" if name in who.facts else "reasoning")
            for name, value in who.everything().items()
        )
        name = f"people-{self.settings.style}-{_sealed(split, seed, index)}"
        return Problem(Material(name, who.name, self._tell(who, seed)), questions)

    def _tell(self, who: Person, seed: int) -> str:
        rng = stream(seed, "people", self.settings.style, who.name)
        if self.settings.style == "plain":
            return plain(who, rng)
        others = int(rng.random() < self.settings.others)
        return narrative(who, rng, implied=self.settings.implied, others=others, lead=self.settings.lead)

    def controls(self, count: int, seed: int) -> tuple[Question, ...]:
        """``count`` questions for people seen in pre-training (``seen``) and as many for old skills (``skill``)."""
        rng = stream(seed, "people", "controls")
        known = []
        for _ in range(count):
            who = seen()[int(rng.integers(len(seen())))]
            attribute = pick(tuple(who.facts), rng)
            known.append(Question(ask(who.name, attribute, rng), (who.facts[attribute],), "seen"))
        skills = [SKILLS[place % len(SKILLS)](seed, place) for place in range(count)]
        return (*known, *skills)

    def oracle(self, material: Material, seed: int) -> str:
        """Every fact and everything that follows, a statement a line with the whole name, from the id alone."""
        found = _opened(material.id.rpartition("-")[2])
        if found is None:
            raise InputError(f"material {material.id!r}", "is none of the people world's")
        who = _who(*found)
        rng = stream(seed, "people", "oracle", material.id)
        lines = [state(who.name, name, value, rng) for name, value in who.everything().items()]
        return "\n".join(lines[place] for place in rng.permutation(len(lines)))


def _sealed(split: Split, seed: int, index: int) -> str:
    """Hexadecimal digits that name a problem and tell nobody who reads them its split, its seed or its place there.

    The way back is :func:`_opened`, for the oracle: the digits are the three numbers under a mask that a digest gives.
    """
    number = (seed << PLACES | index) << 2 | SPLITS.index(split)
    body = number.to_bytes(max(5, (number.bit_length() + 7) // 8), "big")
    tag = sha256(b"netgain/people\0" + body).digest()[:3]
    return (tag + _masked(body, tag)).hex()


def _opened(digits: str) -> tuple[Split, int, int] | None:
    """What :func:`_sealed` made digits of; None for others."""
    try:
        sealed = bytes.fromhex(digits)
    except ValueError:
        return None
    tag, body = sealed[:3], _masked(sealed[3:], sealed[:3])
    if len(tag) < 3 or sha256(b"netgain/people\0" + body).digest()[:3] != tag:
        return None
    number = int.from_bytes(body, "big")
    place = number & 3
    return (SPLITS[place], number >> 2 >> PLACES, number >> 2 & (1 << PLACES) - 1) if place < len(SPLITS) else None


def _masked(body: bytes, tag: bytes) -> bytes:
    mask = sha256(b"netgain/people\0" + tag).digest()
    return bytes(byte ^ mask[place % len(mask)] for place, byte in enumerate(body))


def _who(split: str, seed: int, index: int) -> Person:
    pool = names()[split]
    return person(pool[(seed * STRIDE + index) % len(pool)], split, seed=seed)


def repeating(seed: int, place: int) -> Question:
    """Repeat three or four words."""
    rng = stream(seed, "people", "skill", "repeat", str(place))
    listed = " ".join(_things(3 + int(rng.integers(2)), seed, place))
    return Question(f"Repeat {listed}.", (listed,), "skill")


def last_of(seed: int, place: int) -> Question:
    """Say which word of a list comes last."""
    rng = stream(seed, "people", "skill", "last", str(place))
    listed = _things(3 + int(rng.integers(3)), seed, place)
    return Question(f"Which word is last in {' '.join(listed)}?", (listed[-1],), "skill")


def reading(seed: int, place: int) -> Question:
    """Look up a fact about somebody met for the first time in two statements."""
    rng = stream(seed, "people", "skill", "reading", str(place))
    who = person(pick(names()["passing"], rng), "reading", str(place), seed=seed)
    first, second = (str(name) for name in rng.permutation(list(who.facts))[:2])
    told = " ".join(state(who.name, name, who.facts[name], rng) for name in (first, second))
    wanted = pick((first, second), rng)
    return Question(f"{told} {ask(who.name, wanted, rng)}", (who.facts[wanted],), "skill")


def recalling(seed: int, place: int) -> Question:
    """Say what is true of a city or a company."""
    rng = stream(seed, "people", "skill", "lore", str(place))
    _, questions, truth = LORE[int(rng.integers(len(LORE)))]
    thing = pick(tuple(truth), rng)
    return Question(pick(questions, rng).format(name=thing), (truth[thing],), "skill")


SKILLS = (repeating, last_of, reading, recalling)


def _things(count: int, seed: int, place: int) -> list[str]:
    rng = stream(seed, "people", "skill", "things", str(place))
    pool = [value for name in ("pet", "food", "hobby") for value in ATTRIBUTES[name].values]
    return [pool[number] for number in rng.permutation(len(pool))[:count]]
