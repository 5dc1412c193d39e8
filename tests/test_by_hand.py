"""examples/by_hand.py does and charges what netgain does: the same arms give the same answers, and FLOPs within 1 %."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from netgain.metering.account import Account, Book
from netgain.records.cost import Cost, Currency, Purpose

FILE = Path(__file__).parents[1] / "examples" / "by_hand.py"


@pytest.fixture(scope="module")
def hand() -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="the example trains")
    torch.set_num_threads(1)
    return runpy.run_path(str(FILE))


class Metered:
    """The three things that the file does, done by netgain's metered model."""

    def __init__(self, hand: dict[str, Any]) -> None:
        from netgain.model import load_model

        self.hand, self.model = hand, load_model(hand["FOLDER"])

    def write(self, account: Account, prompt: str, most: int, adapter: Any = None, stop: tuple[str, ...] = ()) -> str:
        from netgain.model import Generate

        request = Generate(account=account, prompt=prompt, adapter=adapter, max_new_tokens=most, stop=stop)
        return self.model.generate([request])[0].get().text

    def train(self, account: Account, texts: list[str], updates: int | None) -> Any:
        from netgain.model import InnerLoopJob, Train

        hand, sequences = self.hand, [self.model.tokenize(text) for text in texts]

        def request(steps: int) -> Any:
            job = InnerLoopJob(key="hand", sequences=sequences, epochs=1000, max_steps=steps, seed=hand["SEED"],
                               learning_rate=hand["RATE"], rank=hand["RANK"], alpha=hand["ALPHA"])  # fmt: skip
            return Train(account=account, job=job)

        steps = self.model.steps_within(request(10_000), account.remaining()) if updates is None else updates
        return self.model.train([request(steps)])[0].get().adapter

    def examine(self, account: Account, questions: dict[str, str], adapter: Any) -> float:
        prompts = [f"Question: {question}\nAnswer:" for question in questions]
        given = [self.write(account, prompt, 8, adapter, ("\n",)).strip() for prompt in prompts]
        return sum(map(str.__eq__, given, questions.values())) / len(questions)

    def edit_and_train(self, account: Account, text: str, title: str, prompt: str, updates: int | None) -> Any:
        edit = self.write(account, self.hand["PROMPTS"][prompt].format(title=title, text=text), 96)
        lines = [line.strip() for line in edit.splitlines() if line.strip()]
        return self.train(account, [*lines, text], updates)


def test_the_example_is_short_and_uses_none_of_the_projects_abstractions() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    assert [line for line in text.splitlines() if "netgain" in line and "import" in line] == ["import netgain"]


def test_both_arms_do_and_cost_what_the_metered_model_does(hand: dict[str, Any], tmp_path: Path) -> None:
    metered, (text, title, questions) = Metered(hand), hand["TEST"]
    limit = Cost(flops=hand["BUDGET"])
    with Book.open(tmp_path / "journal") as book:
        exam = book.account("exam", purpose=Purpose.EVALUATE)
        passage = book.account("passage", purpose=Purpose.ADAPT, limit=limit)
        found = metered.examine(exam, questions, metered.train(passage, [text], None))
        accuracy, flops, _ = hand["passage_arm"]()
        assert found == accuracy
        assert passage.spent(Currency.FLOPS) == pytest.approx(flops, rel=0.01)

        own, rewards = book.account("own edits", purpose=Purpose.ADAPT, limit=limit), {}
        for prompt in hand["PROMPTS"]:
            adapter = metered.edit_and_train(own, *hand["TRAINING"][:2], prompt, hand["TRIAL_UPDATES"])
            rewards[prompt] = metered.examine(own, hand["TRAINING"][2], adapter)
        kept = max(rewards, key=lambda prompt: rewards[prompt])
        found = metered.examine(exam, questions, metered.edit_and_train(own, text, title, kept, None))
        accuracy, flops, _ = hand["own_edits_arm"]()
        assert found == accuracy
        assert own.spent(Currency.FLOPS) == pytest.approx(flops, rel=0.01)
