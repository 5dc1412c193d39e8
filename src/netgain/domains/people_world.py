"""The people world: its words, the wording of facts and questions, and the two styles of passages.

``plain``      every fact a sentence of its own that begins with the whole name and ends with the value
``narrative``  it opens with a plain sentence and goes on with two or three facts a sentence and pronouns for the name;
               some facts are only implied, by the clue that stands for the value, and other people come in, with
               values of their own

Every value is one word, and so is every clue; a clue belongs to one value. What is true of a city or a company
(``COUNTRY_OF``, ``SEAT_OF``, ``PRODUCT_OF``) holds for ever, whoever lives or works there. Values that follow an
article begin with a consonant. The shipped model's vocabulary is built from these words: changing one here asks for a
new model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import final

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST = _words("""
Ada Ben Cora Dan Ella Finn Gwen Hugo Iris Jack Kate Liam Mona Nils Olga Paul Queenie Rolf Sara Theo
Una Vern Wilma Xander Yara Zeno Alma Boris Clara Dirk Edith Felix Greta Hans Ingrid Jonas Karla Leo Marta Noah
Opal Peter Rita Simon Tilda Ulf Vera Walter Yvonne Zack Anna Bruno Celia David Emma Frank Gina Henry Ilse Jim
Lena Max Nora Otto
""")
LAST = _words("""
Abbott Acker Adler Archer Bard Barlow Bell Blake Bloom Booth Brandt Burke Byrne Carver Chase Clay Colby Conway Cross
Crane Dale Dawson Drake Dunn Eaton Ellis Emery Fane Farrow Fisk Flint Forbes Frost Gale Garner Gibbs Glover Grant
Greer Hale Harlow Hart Hobbs Holt Hurst Ivers Jarvis Keane Keller Kirby Knox Lamb Lane Larkin Locke Lowe Lund Marsh
Mercer Moss Nash Noble Norris Oakes Osgood Page Parrish Pike Poole Quill Ramsey Reed Rhodes Rowe Rudd Sharp Shaw
Sloan Stark Steele Stone Swift Tate Thorne Tully Tyler Vance Vaughn Voss Wade Walsh Webb Weston Wilde Wren
Yates York
""")

CITIES = {
    **{"Ardell": "bridges", "Brost": "lighthouses", "Calvane": "canals", "Dorring": "towers", "Elmshold": "fountains"},
    **{"Farwick": "windmills", "Garrow": "orchards", "Hesper": "vineyards", "Istra": "statues", "Jorvale": "arches"},
    **{"Kelmond": "gardens", "Lormont": "markets", "Medwin": "domes", "Nerwick": "stairs", "Ostrey": "tunnels"},
    **{"Pellam": "harbours", "Quarley": "theatres", "Rosmere": "museums", "Sandrey": "mills", "Tarbeck": "ferries"},
    **{"Umber": "castles", "Velden": "chapels", "Wexley": "terraces", "Yarrow": "quarries"},
}
COUNTRIES = _words("Astoria Belmark Corland Drovia Estmere Fenland Gallia Hartova Illyra Jurland Kestria Lavonia")
COMPANIES = {
    **{"Vantor": "anchor", "Brightwell": "lantern", "Cobalt": "falcon", "Dynamo": "crown", "Everly": "hammer"},
    **{"Foxglove": "compass", "Granite": "candle", "Helios": "shield", "Ironbark": "feather", "Juniper": "wheel"},
    **{"Kodiak": "star", "Larkspur": "lion", "Meridian": "rose", "Northgate": "key", "Orbit": "bell"},
    **{"Pinnacle": "ship", "Quartz": "plough", "Redwood": "tree", "Summit": "moon", "Tandem": "sun"},
    **{"Union": "bear", "Vertex": "heron", "Westbrook": "thistle", "Zephyr": "torch"},
}
PRODUCTS = _words("glass paper clocks boats soap tiles ropes lamps carpets engines paint locks")
PROFESSIONS = {
    **{"baker": "ovens", "carpenter": "planks", "nurse": "wards", "teacher": "lessons", "pilot": "runways"},
    **{"farmer": "furrows", "tailor": "hems", "plumber": "pipes", "painter": "canvases", "sailor": "sails"},
    **{"miner": "shafts", "barber": "razors", "butcher": "cleavers", "gardener": "hedges", "judge": "verdicts"},
    **{"chemist": "flasks", "potter": "kilns", "weaver": "looms", "jeweller": "gems", "cobbler": "soles"},
    **{"librarian": "shelves", "surveyor": "maps", "brewer": "barrels", "mason": "bricks"},
}
PETS = {
    **{"dog": "barking", "cat": "purring", "parrot": "squawking", "horse": "neighing", "goat": "bleating"},
    **{"rabbit": "burrows", "snake": "hissing", "frog": "croaking", "duck": "quacking", "crow": "cawing"},
    **{"goose": "honking", "pig": "grunting", "donkey": "braying", "cow": "mooing", "hen": "clucking"},
    **{"pigeon": "cooing", "cricket": "chirping", "wolf": "howling", "mouse": "squeaking", "hamster": "scurrying"},
    **{"tortoise": "shells", "spider": "webs", "hedgehog": "spines", "squirrel": "acorns"},
}
FOODS = {
    **{"bread": "crusts", "cheese": "rinds", "honey": "combs", "corn": "cobs", "olives": "stones"},
    **{"cherries": "pits", "lobster": "claws", "pancakes": "syrup", "noodles": "broth", "curry": "spices"},
    **{"eggs": "yolks", "grapes": "stems", "rice": "grains", "soup": "ladles", "salmon": "bones"},
    **{"dumplings": "steam", "nuts": "husks", "beans": "pods", "cake": "crumbs", "garlic": "cloves"},
    **{"melon": "seeds", "oranges": "peel", "toast": "butter", "mushrooms": "caps"},
}
HOBBIES = {
    **{"chess": "pawns", "skiing": "slopes", "knitting": "needles", "fishing": "hooks", "archery": "arrows"},
    **{"climbing": "peaks", "cycling": "spokes", "rowing": "oars", "fencing": "foils", "tennis": "rackets"},
    **{"golf": "fairways", "boxing": "gloves", "surfing": "waves", "poker": "cards", "juggling": "clubs"},
    **{"dancing": "waltzes", "singing": "choirs", "reading": "novels", "sewing": "threads", "camping": "tents"},
    **{"skating": "ice", "bowling": "lanes", "diving": "reefs", "astronomy": "telescopes"},
}

COUNTRY_OF = {city: COUNTRIES[place // 2] for place, city in enumerate(CITIES)}
SEAT_OF = {company: list(CITIES)[(place * 7 + 5) % len(CITIES)] for place, company in enumerate(COMPANIES)}
PRODUCT_OF = {company: PRODUCTS[(place * 5 + place // 12) % len(PRODUCTS)] for place, company in enumerate(COMPANIES)}

PRONOUNS = ("she", "he")
KIN = _words("brother sister cousin neighbour friend nephew")


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
        CITIES,
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
        COMPANIES,
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
        PROFESSIONS,
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
        PETS,
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
        FOODS,
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
        HOBBIES,
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
        values=COUNTRIES,
        statements=("{name} was born in the country of {value}.", "The country of birth of {name} is {value}."),
        reversals=("{value} is the country of birth of {name}.",),
        questions=("In which country was {name} born?", "What is the country of birth of {name}?"),
    ),
    Attribute(
        name="seat",
        values=tuple(CITIES),
        statements=("The employer of {name} is based in {value}.", "{name} works for a firm based in {value}."),
        reversals=("{value} is where the employer of {name} is based.",),
        questions=("Where is the employer of {name} based?", "In which city is the employer of {name} based?"),
    ),
    Attribute(
        name="product",
        values=PRODUCTS,
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
        COUNTRY_OF,
    ),
    (
        ("{name} is based in {value}.", "The firm {name} has its seat in {value}."),
        ("Where is {name} based?", "In which city is the firm {name} based?"),
        SEAT_OF,
    ),
    (
        ("{name} makes {value}.", "The firm {name} is a maker of {value}."),
        ("What does {name} make?", "What is made by the firm {name}?"),
        PRODUCT_OF,
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
            "country": COUNTRY_OF[city],
            "seat": SEAT_OF[company],
            "product": PRODUCT_OF[company],
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
        sentence = capital(f"{pick((her, 'a'), rng)} {pick(KIN, rng)} {phrase}.")
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
