"""A method of your own: train on the passage with its sentences in another order every time. Run it with

netgain run trial.yaml --method examples/method_shuffled.py:Shuffled
"""

from collections.abc import Sequence

from netgain.methods import Answerer, Desk, Inner, Learned, Material, Method, Role, Steps, fit, sentences, stream


class ShuffledSettings(Inner):  # Inner brings learning_rate, rank, ... and what tuning tries
    orders: int = 8  # how many orders of each passage


class Shuffled(Method):
    """The passage's sentences, shuffled."""

    role = Role.PASSAGE  # what kind of rival it is: everything but self_improving and frozen is conventional
    Settings = ShuffledSettings
    settings: ShuffledSettings
    presets = {"many": {"orders": 32}}  # noqa: RUF012 - names settings that come as a set

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Called once a problem; the material is all you see, and ``desk`` all you spend with."""
        texts = []
        for material in materials:
            rng = stream(desk.draw("orders"), material.id)  # same seed, same bytes: never random.random()
            parts = sentences(material.text)
            for _ in range(self.settings.orders):
                shuffled = " ".join(parts[index] for index in rng.permutation(len(parts)))
                texts.append(desk.prompts.titled.format(title=material.title, text=shuffled))
        answerer = yield from fit(desk, texts, self.settings)  # until the budget is used, to the last token
        return answerer
