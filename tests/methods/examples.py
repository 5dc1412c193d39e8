"""A desk whose problems are a few examples, and a scripted model that writes settings as it is told."""

from collections.abc import Callable
from typing import Any

from netgain.domains.problem import Prompts
from netgain.domains.wording import settings_format
from netgain.metering.account import Book
from netgain.methods.settings_edit import written_settings
from netgain.model import Generate, Model, scripted_model
from netgain.records.chain import read
from netgain.records.events import Reserved
from netgain.records.learning import ChosenTraining

from ..trials import letters

TOOLS = tuple(letters.Letters.tools)
PROMPTS = Prompts(
    "{question}", "{question}", "{question} {answer}", {"settings": settings_format(letters.Letters.tools)}
)
PROBLEMS = letters.Shifts().problems("train", 4, 0)
MATERIAL = PROBLEMS[0].material


def settings(*tools: str, loss: Any = "answers", rate: float = 1e-3, epochs: int = 2) -> str:
    """An edit that chooses these."""
    return written_settings(ChosenTraining(tools=tools, loss=loss, learning_rate=rate, epochs=epochs), TOOLS)


def chooser(
    write: Callable[[Generate], str] | str, answer: Callable[[Generate], str] = letters.answer, **more: Any
) -> Model:
    """Writes what it is told where it is asked for settings, and answers as the letters' model does."""

    def script(request: Generate) -> str:
        if str(request.prompt).endswith("Settings:\n"):
            return write if isinstance(write, str) else write(request)
        return answer(request)

    return scripted_model(script, **more)


def few_shot(make_desk: Any, model: Model, budget: float | None, *names: str, **more: Any) -> Any:
    """A desk of the letters' domain."""
    domain = letters.Shifts()
    given = {"prompts": PROMPTS, "few_shot": domain.few_shot, "grade": domain.grade} | more
    return make_desk(model, budget, *names, **given)


def jobs(book: Book) -> list[dict[str, Any]]:
    """The trainings that were asked for, as the journal has them."""
    events = [record.event for record in read(book.journal.path).records]
    return [dict(event.settings) for event in events if isinstance(event, Reserved) and event.operation == "train"]
