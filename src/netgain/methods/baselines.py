"""Baselines that train nothing: the frozen model, the passage in context, and a majority vote in context."""

from collections.abc import Sequence
from typing import ClassVar, final

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.method import Desk, Learned, Method, Settings
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.records.cost import Purpose


@final
class Frozen(Method):
    """The model as it is: every gain is measured from it."""

    role: ClassVar[Role] = Role.FROZEN

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Nothing is spent; the model itself answers."""
        yield from ()
        return Answerer(model=desk.model)


@final
class InContext(Method):
    """The passage before every question; nothing is trained, and every answer costs more."""

    role: ClassVar[Role] = Role.IN_CONTEXT

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Nothing is spent before the exam."""
        yield from ()
        return Answerer(model=desk.model, context=tuple(materials))


@final
class MajoritySettings(Settings):
    """``in_context`` False votes without the passage."""

    in_context: bool = True


@final
class Majority(Method):
    """The budget buys votes: many answers at temperature 1, of which the most common counts.

    Self-consistency (Wang et al. 2022) at equal compute: inference in place of training.
    """

    role: ClassVar[Role] = Role.IN_CONTEXT
    Settings = MajoritySettings
    settings: MajoritySettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Nothing is spent yet: the exam draws the votes, on this account."""
        yield from ()
        return Answerer(
            model=desk.model,
            context=tuple(materials) if self.settings.in_context else (),
            voter=desk.pay(Purpose.ADAPT),
            currency=desk.currency,
            seed=desk.draw("votes"),
        )
