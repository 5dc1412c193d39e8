"""Frozen: the model as it is. What every gain is measured from."""

from collections.abc import Sequence
from typing import ClassVar, final

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.method import Desk, Learned, Method
from netgain.model.lockstep import Steps
from netgain.records.claim import Role


@final
class Frozen(Method):
    """Nothing is spent, and nothing learnt."""

    role: ClassVar[Role] = Role.FROZEN

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """The model itself."""
        yield from ()
        return Answerer(model=desk.model)
