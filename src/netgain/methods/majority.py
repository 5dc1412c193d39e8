"""Majority: the adaptation budget goes into answering. In context, many answers at temperature 1, the commonest counts.

Self-consistency (Wang et al. 2022) at equal compute: what others spend on training buys votes here.
"""

from collections.abc import Sequence
from typing import ClassVar, final

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.method import Desk, Learned, Method, Settings
from netgain.model.lockstep import Steps
from netgain.records.claim import Role
from netgain.records.purpose import Purpose


@final
class MajoritySettings(Settings):
    """``in_context`` False votes without the passage."""

    in_context: bool = True


@final
class Majority(Method):
    """Votes instead of training."""

    role: ClassVar[Role] = Role.IN_CONTEXT
    Settings: ClassVar[type[Settings]] = MajoritySettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Nothing is spent yet: the exam spends it, on this account."""
        yield from ()
        return Answerer(
            model=desk.model,
            context=tuple(materials) if self.settings.in_context else (),
            voter=desk.pay(Purpose.ADAPT),
            currency=desk.currency,
            seed=desk.draw("votes"),
        )
