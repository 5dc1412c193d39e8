"""Entity pairs: the model is asked how each two entities of the passage relate. A heuristic version of EntiGraph.

Yang et al. 2024, arXiv 2409.07431, has a strong model list a document's entities and write about pairs of them. Here
the entities are found by rule (names, numbers and rare words), and the model itself writes.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, final

from netgain.domains.problem import EditFormat, Material
from netgain.exam.exam import Answerer
from netgain.methods.fitting import Positive, fit
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.synthetic import SyntheticSettings
from netgain.methods.writing import Ask, texts_of, write
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.streams import stream

TEMPLATE = "{title}\n{text}\nHow {first} relates to {second}, by the passage above:\n"
_NAME = re.compile(r"\b[A-Z][\w'’-]*(?:\s+(?:of\s+|the\s+)?[A-Z][\w'’-]*)*|\b\d[\d.,]*\b")
_WORD = re.compile(r"\b[a-z][\w'’-]{3,}\b")
_COMMON = set(
    """she they his her its the this that these those and but for you who all one out
    about after also been before being from have into more most only other over some such than that their them then
    there these they this those through under very what when where which while will with would were""".split()  # noqa: SIM905
)


@final
class EntityPairsSettings(SyntheticSettings):
    """At most ``pairs`` pairs of at most ``entities`` entities; ``template`` has {title}, {text}, {first}, {second}."""

    pairs: Positive = 10
    entities: Positive = 8
    max_new_tokens: Positive = 64
    template: str = TEMPLATE


@final
class EntityPairs(Method):
    """Has the model relate pairs of names found by rule, and trains on that with the passage beside it."""

    role: ClassVar[Role] = Role.SYNTHETIC
    Settings = EntityPairsSettings
    settings: EntityPairsSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """As many pairs as half of the budget pays for, passages in turn."""
        settings = self.settings
        own = EditFormat("entity pairs", settings.template, settings.max_new_tokens, "document", ("\n\n",))
        form = desk.prompts.adopted(own)
        asks = [self._asks(desk, material, form) for material in materials]
        turns = [own[index] for index in range(settings.pairs) for own in asks if index < len(own)]
        written = yield from write(desk, turns, temperature=settings.temperature, top_p=settings.top_p, share=0.5)
        edits = [edit for edit in written if edit is not None]
        return (yield from fit(desk, texts_of(desk, edits, settings, materials), settings))

    def _asks(self, desk: Desk, material: Material, form: EditFormat) -> list[Ask]:
        pairs = list(combinations(entities(material.text, self.settings.entities), 2))
        order = stream(desk.draw("pairs"), material.id).permutation(len(pairs))[: self.settings.pairs]
        return [
            Ask(material, form, form.prompt(material, first=pairs[index][0], second=pairs[index][1])) for index in order
        ]


def entities(text: str, most: int) -> list[str]:
    """Names and numbers of a text in their order, then its rarest longer words, up to ``most``."""
    names = [match.group() for match in _NAME.finditer(text) if match.group().lower() not in _COMMON]
    counts = Counter(word for word in _WORD.findall(text) if word not in _COMMON)
    rare = sorted(counts, key=lambda word: (counts[word], -len(word), word))
    return list(dict.fromkeys([*names, *rare]))[:most]
