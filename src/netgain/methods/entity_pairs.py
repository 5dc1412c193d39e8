"""Entity pairs: the model is asked how each two things in the passage relate. A heuristic version of EntiGraph.

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
from netgain.methods.fit import Count, fit
from netgain.methods.method import Desk, Learned
from netgain.methods.propose import Ask, write
from netgain.methods.synthetic import Synthetic, SyntheticSettings, texts_of
from netgain.model.lockstep import Steps
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
    """``pairs`` of ``entities`` things at most; ``template`` has {title}, {text}, {first} and {second}."""

    pairs: Count = 10
    entities: Count = 8
    max_new_tokens: Count = 64
    template: str = TEMPLATE


@final
class EntityPairs(Synthetic):
    """Text about pairs of entities, with the passage beside it."""

    Settings = EntityPairsSettings
    presets: ClassVar = {}

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """As many pairs as half of the budget pays for, passages in turn."""
        settings = self.settings
        form = EditFormat("entity pairs", settings.template, settings.max_new_tokens, "document", ("\n\n",))
        wanted = [self._asks(desk, material, form) for material in materials]
        turns = [asks[place] for place in range(settings.pairs) for asks in wanted if place < len(asks)]
        written = yield from write(desk, turns, temperature=settings.temperature, top_p=settings.top_p, share=0.5)
        edits = [edit for edit in written if edit is not None]
        answerer = yield from fit(desk, texts_of(desk, materials, edits, settings.with_passage), settings)
        return answerer

    def _asks(self, desk: Desk, material: Material, form: EditFormat) -> list[Ask]:
        pairs = list(combinations(entities(material.text, self.settings.entities), 2))
        order = stream(desk.draw("pairs"), material.id).permutation(len(pairs))[: self.settings.pairs]
        fields = {"title": material.title, "text": material.text}
        return [
            Ask(material, form, form.template.format(**fields, first=pairs[place][0], second=pairs[place][1]))
            for place in order
        ]


def entities(text: str, most: int) -> list[str]:
    """Names and numbers of a text in their order, then its rarest longer words, up to ``most``."""
    names = [found.group() for found in _NAME.finditer(text) if found.group().lower() not in _COMMON]
    counts = Counter(word for word in _WORD.findall(text) if word not in _COMMON)
    rare = sorted(counts, key=lambda word: (counts[word], -len(word), word))
    return list(dict.fromkeys([*names, *rare]))[:most]
