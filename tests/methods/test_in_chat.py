"""Every method works alike on a model that is asked through its chat template: none knows which way it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netgain.domains.problem import Message, Prompts, text_of
from netgain.domains.reading import READING, asked
from netgain.domains.wording import PLAIN_PROMPTS
from netgain.exam.exam import Answerer
from netgain.methods.distillation import Distillation, DistillationSettings
from netgain.methods.entity_pairs import EntityPairs, EntityPairsSettings
from netgain.methods.policy import policy_job
from netgain.methods.seal import Seal, SealSettings
from netgain.methods.self_evaluation import likelihood
from netgain.methods.synthetic import SyntheticSettings
from netgain.methods.trained_writers import SupervisedWriter, SupervisedWriterSettings
from netgain.methods.writing import Ask, Pair, SelfEdit, lessons, texts_of
from netgain.model import Model

from ..model.conftest import save_model
from .conftest import MATERIAL, finish, problem

TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
PROBLEMS = [problem(number) for number in range(3)]
Make = Callable[..., Any]


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A random model with a chat template and one token a byte."""
    pytest.importorskip("torch", reason="the models need torch")
    from netgain.model import load_model

    folder = tmp_path_factory.mktemp("chat") / "chatty"
    return load_model(save_model(folder, template=TEMPLATE, max_position_embeddings=1024, num_hidden_layers=1))


def prompts(shots: int = 0) -> Prompts:
    shown = [(one.material, one.questions[0]) for one in PROBLEMS[:shots]]
    forms = {name: replace(form, max_new_tokens=12) for name, form in PLAIN_PROMPTS.formats.items()}
    short = replace(PLAIN_PROMPTS, formats=forms, max_new_tokens=4, examples={})
    return short.used(chat=True, shots=shown)


def test_a_writer_is_trained_below_the_very_tokens_of_its_template(chatty: Model, make_desk: Make) -> None:
    assert chatty.templated
    desk = make_desk(chatty, None, prompts=prompts())
    form = desk.prompts.formats["implications"]
    edit = SelfEdit(Ask(MATERIAL, form, form.prompt(MATERIAL)), "Ada is in Rome.", ("x",), ())
    job = policy_job(desk, [edit], SealSettings().outer())
    shown = f"<s>user\n{text_of(form.prompt(MATERIAL))}</s><s>assistant\n"
    assert chatty.shown(form.prompt(MATERIAL)) == shown
    asked = chatty.tokenize(shown, special=False)
    assert asked[0] == 1, "a special token is one token"
    (sequence,) = job.sequences
    assert tuple(sequence) == (*asked, *chatty.tokenize("Ada is in Rome.", special=False), *chatty.ends[:1])
    assert job.loss_masks is not None
    assert list(job.loss_masks[0]) == [False] * len(asked) + [True] * (len(sequence) - len(asked))


def test_a_question_that_was_written_is_trained_on_as_the_exam_asks_it(make_desk: Make, chatty: Model) -> None:
    """And below the title that the exam puts above it; what is no question with an answer stays a text."""
    desk = make_desk(chatty, None, prompts=READING.used(chat=True))
    form = desk.prompts.formats["self-qa"]
    texts = (f"{MATERIAL.title}\nQuestion 2: Where is Ada?\nAnswer: in Rome", f"{MATERIAL.title}\nAda is in Rome.")
    edit = SelfEdit(Ask(MATERIAL, form, form.prompt(MATERIAL)), "raw", texts, ())
    (question, answer), statement, passage = texts_of(desk, [edit], SyntheticSettings(), [MATERIAL])
    exam = desk.prompts.ask(asked(MATERIAL.title, "Where is Ada?"))
    assert ((question,), answer) == (exam, Message("assistant", "in Rome"))
    assert (statement, passage) == (texts[1], f"{MATERIAL.title}\n{MATERIAL.text}")
    base = make_desk(chatty, None, "base", prompts=READING)
    assert lessons(base, MATERIAL, texts) == list(texts)  # SEAL's own form: a base model continues texts


@pytest.mark.parametrize("shots", [0, 1])
def test_methods_write_train_and_score_themselves_in_conversations(chatty: Model, make_desk: Make, shots: int) -> None:
    asked: list[Any] = []
    generate: Any = chatty.generate

    def watch(requests: Any) -> Any:
        asked.extend(request.prompt for request in requests)
        return generate(requests)

    small: dict[str, Any] = {"max_epochs": 1, "rank": 2}
    pairs = [Pair(MATERIAL, "Where?", "Rome")]
    chatty.generate = watch  # type: ignore[method-assign]
    try:
        desk = make_desk(chatty, None, prompts=prompts(shots))
        seal = Seal(SealSettings(**small, rounds=1, contexts=1, candidates=2, repeats=1, reward_epochs=1))
        learned = finish(seal.learn(desk.at("seal"), PROBLEMS))
        assert isinstance(finish(seal.adapt(desk.at("adapt"), [MATERIAL], learned)), Answerer)
        writer = SupervisedWriter(SupervisedWriterSettings(**small, labelled=1))
        finish(writer.learn(desk.at("writer"), PROBLEMS))
        finish(EntityPairs(EntityPairsSettings(**small, pairs=1)).adapt(desk.at("pairs"), [MATERIAL], None))
        finish(Distillation(DistillationSettings(**small)).adapt(desk.at("distil"), [MATERIAL], None))
        assert finish(likelihood(desk.at("likely"), Answerer(model=chatty), pairs)) < 0
    finally:
        chatty.generate = generate  # type: ignore[method-assign]
    assert asked
    assert all(isinstance(turn, Message) for prompt in asked for turn in prompt)
    assert all(prompt[-1].role == "user" for prompt in asked)


def test_a_teacher_is_asked_in_its_own_way(chatty: Model) -> None:
    """Whichever way the student is asked."""
    base = PLAIN_PROMPTS.used(chat=False).formats["implications"]
    assert isinstance(base.prompt(MATERIAL), str)
    assert isinstance(replace(base, chat=chatty.templated).prompt(MATERIAL), tuple)


def test_a_folder_is_told_from_its_files_to_have_a_template(chatty: Model, tmp_path: Path) -> None:
    from netgain.tokens import has_chat_template

    for number, template in enumerate((TEMPLATE, None)):
        folder = save_model(tmp_path / str(number), template=template, num_hidden_layers=1)
        assert has_chat_template(str(folder)) == (template is not None)
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\0" * 99 + b"tokenizer.chat_template" + b"\0" * 9)
    assert has_chat_template(str(tmp_path / "model.gguf"))


def test_a_hub_name_is_looked_up_in_the_cache_and_nothing_is_fetched(tmp_path: Path, monkeypatch: Any) -> None:
    """What was never loaded here goes by its name."""
    hub = pytest.importorskip("huggingface_hub", reason="the models need it")
    from netgain.tokens import has_chat_template

    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    cached = {"me/base": str(tmp_path / "tokenizer_config.json")}
    monkeypatch.setattr(
        hub, "try_to_load_from_cache", lambda source, name: cached.get(source) if "config" in name else None
    )
    names = ("me/base", "me/other", "me/other-Instruct", "google/gemma-3-270m-it", "me/italian")
    assert [has_chat_template(name) for name in names] == [True, False, True, True, False]
