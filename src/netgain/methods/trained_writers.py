"""Writers that are trained without a reward: on labels, or on their own edits at a low temperature.

Both invest as SEAL does, in a writer that is fine-tuned below its own prompts and merged, and adapt as own edits do.
What SEAL gains over them is what its rewards are worth: over the first, against the same labels used as plain training
data; over the second, against merely sharpening the writer's own distribution.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, final

from pydantic import Field

from netgain.domains.edits import written_as
from netgain.domains.problem import EditFormat, Material, Problem
from netgain.errors import InputError
from netgain.exam.exam import Answerer
from netgain.methods.edit_rewards import Context
from netgain.methods.fitting import Outer, Positive, Temperature, merged
from netgain.methods.method import Desk, Learned, Method
from netgain.methods.policy import fit_policy, policy_cost
from netgain.methods.seal import LoopSettings, outer_loop
from netgain.methods.synthetic import SyntheticSettings, write_and_fit
from netgain.methods.writing import Ask, SelfEdit
from netgain.model.program import Steps
from netgain.records.claim import Role
from netgain.streams import stream


@final
class SupervisedWriterSettings(SyntheticSettings, Outer):
    """``labelled`` is how many training passages are read with their questions and answers.

    None reads as many as the investment pays for in ``outer_epochs``. ``format`` is one that is cut into questions, or
    a mixture with one.
    """

    format: str = "self-qa"
    labelled: Positive | None = None


@final
class SupervisedWriter(Method):
    """Learns to write the training passages' questions with answers; then writes and trains on edits as own edits do.

    The labels are those that SEAL's rewards take, as plain supervised fine-tuning of the writer.
    """

    role: ClassVar[Role] = Role.OTHER
    Settings = SupervisedWriterSettings
    settings: SupervisedWriterSettings
    presets: ClassVar[dict[str, dict[str, Any]]] = {"thirty": {"labelled": 30}}
    learns: ClassVar[bool] = True

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model with the fine-tuned writer merged. It may take less than the investment."""
        if not problems:
            raise InputError("problems.train 0", "there is nothing to learn from", "give training problems")
        desk, outer, form = desk.at("writer"), self.settings.outer(), self._form(desk)
        order = stream(desk.draw("labelled"), "order").permutation(len(problems))[: self.settings.labelled]
        labels = [_label(desk, problems[index], form) for index in order]
        if self.settings.labelled is None:
            sizes = range(1, len(labels) + 1)
            paid = bisect_right(sizes, desk.left(), key=lambda size: policy_cost(desk, labels[:size], outer))
            labels = labels[: max(1, paid)]
        desk.note("labelled passages", {"passages": len(labels)})
        trained = yield from fit_policy(desk, labels, outer, 0.0)
        return (yield from merged(desk, trained))

    def _form(self, desk: Desk) -> EditFormat:
        forms = self.settings.formats(desk)
        form = next((form for form in forms if form.splitting == "questions"), None)
        if form is None:
            fit = [name for name, form in desk.prompts.formats.items() if form.splitting == "questions"]
            what = "is not cut into questions with answers, which this writer learns to write"
            raise InputError(
                f"format {self.settings.format!r}", what, f"choose {' or '.join(fit) or 'a domain with one'}"
            )
        return form

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Own edits, by the writer that has learned."""
        self._form(desk)
        return (yield from write_and_fit(desk.at(model=learned), materials, self.settings))


def _label(desk: Desk, problem: Problem, form: EditFormat) -> SelfEdit:
    """A problem's questions with their first answers, in an order of the desk's own, as an edit of its passage."""
    order = stream(desk.draw("questions", problem.id), "order").permutation(len(problem.questions))
    questions = [problem.questions[index] for index in order]
    text = written_as([(question.text, question.answers[0]) for question in questions], form, desk.prompts)
    if not text:
        raise InputError(f"format {form.name!r}", "cannot hold this domain's questions with answers", "choose another")
    return SelfEdit(Ask(problem.material, form, form.prompt(problem.material)), text, (text,), ())


@final
class SharpenedSettings(SyntheticSettings, Outer):
    """``candidates`` edits about each of ``contexts`` training passages a round, at ``sharpen_temperature``.

    ``contexts`` None takes up as many as the investment pays for. ``temperature`` is that of adaptation.
    """

    sharpen_temperature: Temperature = 0.3
    rounds: Positive = 1
    contexts: Positive | None = None
    candidates: Annotated[int, Field(ge=1, le=1000)] = 1


@final
class Sharpened(Method):
    """SEAL's outer loop without a reward: the writer is fine-tuned on all that it wrote at a low temperature."""

    role: ClassVar[Role] = Role.OTHER
    Settings = SharpenedSettings
    settings: SharpenedSettings
    learns: ClassVar[bool] = True

    def learn(self, desk: Desk, problems: Sequence[Problem]) -> Steps[Learned]:
        """The model after all rounds."""
        settings = self.settings
        given = settings.model_dump(exclude={"sharpen_temperature"}) | {"temperature": settings.sharpen_temperature}
        loop = LoopSettings.model_validate(given)
        return (
            yield from outer_loop(desk, problems, loop, candidates=settings.candidates, rule=None, keep=_every_edit)
        )

    def adapt(self, desk: Desk, materials: Sequence[Material], learned: Learned) -> Steps[Answerer]:
        """Own edits, by the writer that was sharpened."""
        return (yield from write_and_fit(desk.at(model=learned), materials, self.settings))


def _every_edit(desk: Desk, context: Context) -> list[int]:
    return context.usable
