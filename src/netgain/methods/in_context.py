"""In context: the passage stands before every question. Nothing is trained; every answer costs more."""

from collections.abc import Sequence
from typing import ClassVar, final

from netgain.domains.problem import Material
from netgain.exam.exam import Answerer
from netgain.methods.method import Desk, Learned, Method
from netgain.model.lockstep import Steps
from netgain.records.claim import Role


@final
class InContext(Method):
    """The model with all the material before the question."""

    role: ClassVar[Role] = Role.IN_CONTEXT

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """No work before the exam."""
        yield from ()
        return Answerer(model=desk.model, context=tuple(materials))
