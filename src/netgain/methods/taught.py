"""Taught: training on what a stronger writer writes about the material. Every token is paid for, under ``teach``.

:class:`ModelTeacher` asks another model: a local one, whose FLOPs are counted, or one behind an OpenAI-compatible
server, whose FLOPs and dollars are those that its prices declare. :class:`OracleTeacher` is the domain's own perfect
writer, an upper bound on what any writer's text could give; no model runs, so its cost is a declaration too.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, final

from netgain.domains.edits import begun, sequences
from netgain.domains.problem import EditFormat, Material, Prompt, Splitting
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.metering.price import declared_flops
from netgain.methods.fitting import Positive, Temperature, fit
from netgain.methods.method import Desk, Learned, Method, Teacher
from netgain.methods.settings_edit import fit_edits
from netgain.methods.writing import Ask, Beside, SelfEdit, find_format, lessons, write
from netgain.model.metered import Model
from netgain.model.program import Steps, together
from netgain.model.requests import Generate
from netgain.records.claim import Role
from netgain.records.cost import Cost, Purpose


@final
class OracleTeacher(Teacher):
    """A domain's perfect writer, ``domain.oracle``: ``write(material, seed)`` gives a text, or None if there is none.

    ``active_parameters`` declares how many weights each of its tokens passed through; None declares what the student
    itself would have taken to write the same tokens after the same prompt. Either is an estimate, and the journal says
    so.
    """

    def __init__(self, write: Callable[[Material, int], str | None], *, active_parameters: float | None = None) -> None:
        self._write, self._active = write, active_parameters

    def write(
        self, desk: Desk, material: Material, count: int, *, form: str = "", temperature: float = 1.0
    ) -> Steps[list[str]]:
        """Up to ``count`` texts, statements in whatever format, each paid at its declared cost.

        Raises BudgetExceeded where that is too much.
        """
        yield from ()
        texts = []
        prompt = find_format(desk, form).prompt(material)
        for number in range(count):
            text = self._write(material, desk.draw("oracle", material.id, str(number)))
            if text is None:
                break
            cost = self._cost(desk, prompt, text)
            settings = {"flops": "declared", "active_parameters": self._active or "as the student"}
            desk.pay(Purpose.TEACH).reserve("write", cost, settings).settle(cost)
            texts.append(text)
        return texts

    def _cost(self, desk: Desk, prompt: Prompt, text: str) -> Cost:
        read, written = len(desk.model.tokenize(prompt)), max(1, len(desk.model.tokenize(text, special=False)))
        request = Generate(account=desk.pay(Purpose.TEACH), prompt=prompt, max_new_tokens=written)
        (as_student,) = desk.model.quote([request])
        flops = as_student.flops if self._active is None else declared_flops(self._active, read + written)
        return Cost(
            updates=0.0,
            tokens_real=float(read),
            tokens_padded=float(read),
            tokens_training=0.0,
            tokens_generated=float(written),
            flops=flops,
            seconds=0.0,
        )


@final
class ModelTeacher(Teacher):
    """Another model; ``chat`` asks it as a conversation, whichever way the student is asked."""

    def __init__(self, model: Model, *, chat: bool = False) -> None:
        self._model, self._chat = model, chat

    def write(
        self, desk: Desk, material: Material, count: int, *, form: str = "", temperature: float = 1.0
    ) -> Steps[list[str]]:
        """``count`` texts less those that failed, could not be trained on, or that half of the budget did not cover."""
        asked = replace(find_format(desk, form), chat=self._chat)
        requested = [Ask(material, asked, asked.prompt(material))] * count
        own = desk.at("teacher", material.id, model=self._model)
        edits = yield from write(own, requested, temperature=temperature, purpose=Purpose.TEACH, share=0.5)
        return [begun(edit.raw, asked) for edit in edits if edit is not None]


@final
class TaughtSettings(Beside):
    """``texts`` is how many the teacher writes about each passage, ``splitting`` how each is cut into sequences.

    A teacher that is a model writes in ``teacher_format``, one of the domain's edit formats (empty: its default), and
    at ``teacher_temperature``; None cuts its texts as that format says. In a format of settings it chooses a training,
    and the first of its ``texts`` that is not refused is trained with.
    """

    texts: Positive = 1
    teacher_format: str = ""
    teacher_temperature: Temperature = 1.0
    splitting: Splitting | None = None


def no_teacher() -> InputError:
    """Said of an arm that needs a teacher, before a trial or in the middle of it."""
    return InputError("teacher", "this trial has none", "write teacher: oracle, or name a model")


@final
class Taught(Method):
    """Trains on what a stronger model, or the domain's perfect writer, writes, with the passage beside it."""

    role: ClassVar[Role] = Role.TEACHER
    Settings = TaughtSettings
    settings: TaughtSettings

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """All materials' texts and passages in one training. Raises InputError where the trial has no teacher."""
        settings, teacher = self.settings, desk.teacher
        if teacher is None:
            raise no_teacher()
        name, temperature = settings.teacher_format, settings.teacher_temperature
        written = yield from together(
            [teacher.write(desk, one, settings.texts, form=name, temperature=temperature) for one in materials]
        )
        splitting = settings.splitting or find_format(desk, name).splitting
        form = EditFormat("taught", "{title}\n{text}\n", 1, splitting)
        if splitting == "settings":
            own = [(material, text) for material, texts in zip(materials, written, strict=True) for text in texts]
            edits = [SelfEdit(Ask(material, form, ""), text, (text,), ()) for material, text in own]
            return (yield from fit_edits(desk, materials, edits, settings))
        texts = [
            text
            for material, answers in zip(materials, written, strict=True)
            for answer in answers
            for text in lessons(desk, material, sequences(material, answer, form, desk.prompts))
        ]
        texts += settings.passages(desk, materials)
        return (yield from fit(desk, texts, settings))
