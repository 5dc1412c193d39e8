"""Inside a script: two lines charge it, its budget ends its training, and what it trains on is seen."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
peft = pytest.importorskip("peft", reason="the adapters are PEFT's")

import transformers  # noqa: E402

import netgain  # noqa: E402
from netgain.metering.verification import Verification, verify  # noqa: E402
from netgain.model import load_model, script_runs  # noqa: E402
from netgain.model.loading import load_parts, reweighted  # noqa: E402
from netgain.model.model_folder import saved_weights  # noqa: E402
from netgain.model.requests import RunScript  # noqa: E402
from netgain.model.script_task import FORMAT, ScriptTask  # noqa: E402
from netgain.records.cost import Purpose  # noqa: E402
from tests.model.conftest import save_model  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # PEFT's, of transformers
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
TEXT = "The river Ell is wide and slow."
LOAD: dict[str, Any] = {
    "device": "cpu",
    "dtype": "float32",
    "attention": "auto",
    "revision": None,
    "trust_remote_code": False,
    "allow_pickle": False,
}


@pytest.fixture
def task(tmp_path: Path, llama: Path) -> Iterator[ScriptTask]:
    """A task with room for some steps of a tiny model."""
    inside = tmp_path / "task"
    (inside / "output").mkdir(parents=True)
    fields = {"format": FORMAT, "stage": "adapt", "purpose": "adapt", "seed": 1, "options": {}, "problems": []}
    fields |= {"materials": [{"id": "r", "title": "Ell", "text": TEXT}], "texts": [TEXT], "prompts": [], "lessons": []}
    fields |= {"model": str(llama), "dtype": "float32", "budget": {"flops": 1e8}, "output": str(inside / "output")}
    (inside / "task.json").write_text(json.dumps(fields))
    given = netgain.task(inside / "task.json")
    yield given
    given.close()


def seen(task: ScriptTask) -> dict[str, Any]:
    task.close()
    found: dict[str, Any] = json.loads((task.output.parent / "seen.json").read_text())
    return found


def journal(task: ScriptTask) -> Verification:
    task.close()
    return verify(task.output.parent / "journal")


def adapted(task: ScriptTask) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(task.model, dtype=task.dtype)
    return peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))


def tokens(task: ScriptTask, text: str = TEXT) -> Any:
    return transformers.AutoTokenizer.from_pretrained(task.model)(text, return_tensors="pt")["input_ids"]


def steps(model: Any, ids: Any, most: int = 10_000) -> int:
    """So many steps of a plain loop."""
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(most):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return most


def test_a_plain_loop_is_charged_and_ends_where_its_budget_ends(task: ScriptTask) -> None:
    model, ids = adapted(task), tokens(task)
    with task.meter(model, check=False):
        steps(model, ids)
    after = "the script goes on behind the block"
    model.save_pretrained(task.output)
    assert after
    assert 0 <= task.share_left < 0.2  # less than a step
    booked = journal(task)
    assert booked.ok
    completed = [one for one in booked.charges if one.outcome == "completed"]
    assert len(completed) > 3
    assert sum(one.cost.flops or 0 for one in booked.charges) <= 1e8
    assert {one.purpose for one in booked.charges} == {Purpose.ADAPT}
    found = seen(task)
    assert (found["trained"], found["written"], found["unmetered"]) == ([ids[0].tolist()], [], 0)
    assert {content for _, content in saved_weights(task.output)} == set(found["weights"])
    assert load_model(task.model).load_adapter(task.output) is not None


def test_other_errors_leave_the_block(task: ScriptTask) -> None:
    model = adapted(task)
    with pytest.raises(KeyError), task.meter(model, check=False):
        raise KeyError("mine")


@pytest.mark.parametrize("when", ["before", "behind"])
def test_steps_off_the_meter_are_counted(task: ScriptTask, when: str) -> None:
    model, ids = adapted(task), tokens(task)
    if when == "before":
        steps(model, ids, 5)
    with task.meter(model, check=False):
        steps(model, ids, 2)
    if when == "behind":
        steps(model, ids, 5)
    assert seen(task)["unmetered"] == 5


def test_optimizers_that_share_a_pass_are_not_off_the_meter(task: ScriptTask) -> None:
    model, ids = adapted(task), tokens(task)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    halves = [torch.optim.SGD(part, lr=0.1) for part in (weights[:4], weights[4:])]
    with task.meter(model, check=False):
        for _ in range(3):
            model(input_ids=ids, labels=ids).loss.backward()
            for optimizer in halves:
                optimizer.step()
                optimizer.zero_grad()
    assert seen(task)["unmetered"] == 0


def test_a_step_on_weights_that_no_meter_sees_is_off_the_meter_whatever_is_booked_beside_it(task: ScriptTask) -> None:
    metered, other, ids = adapted(task), adapted(task), tokens(task)
    cost = netgain.Cost(flops=1.0)
    with task.meter(metered, check=False):
        steps(metered, ids, 1)
        for _ in range(3):
            task.account().reserve("train", cost).settle(cost)
            steps(other, ids, 1)
    assert seen(task)["unmetered"] == 3


def test_what_the_model_writes_is_seen_without_its_prompt(task: ScriptTask) -> None:
    model, ids = adapted(task), tokens(task)
    with task.meter(model, "propose", check=False):
        whole = model.generate(input_ids=ids, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert seen(task)["written"] == [whole[0, ids.shape[1] :].tolist()]
    assert {one.purpose for one in journal(task).charges} == {Purpose.PROPOSE}
    assert model.get_base_model().generate.__self__ is model.get_base_model()  # as it was


def test_a_trainer_with_the_callback_is_told_to_stop_and_saves(task: ScriptTask, tmp_path: Path) -> None:
    ids = tokens(task)
    common: dict[str, Any] = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "save_strategy": "no"}
    trainer = transformers.Trainer(
        model=adapted(task),
        args=transformers.TrainingArguments(
            str(tmp_path / "out"), max_steps=10_000, per_device_train_batch_size=1, **common
        ),
        train_dataset=[{"input_ids": ids[0], "labels": ids[0]}] * 2,
        callbacks=[task.callback(check=False)],
    )
    trainer.train()
    assert 2 < trainer.state.global_step < 10_000
    assert all(one.outcome == "completed" for one in journal(task).charges)  # not one step too many


def test_a_whole_model_is_taken_with_its_weights_and_nothing_else(task: ScriptTask, llama: Path) -> None:
    model, ids = transformers.AutoModelForCausalLM.from_pretrained(task.model), tokens(task)
    with task.meter(model, check=False):
        steps(model, ids, 3)
    model.save_pretrained(task.output)
    base = load_parts(llama, **LOAD)
    tuned = reweighted(base, task.output)
    assert torch.equal(tuned.model.lm_head.weight, model.lm_head.weight)
    assert {content for _, content in saved_weights(task.output)} <= set(seen(task)["weights"])
    assert tuned.tokenizer is base.tokenizer
    assert tuned.digest() != base.digest()
    assert tuned.name.startswith(base.name)


@pytest.mark.parametrize("other", [{"num_hidden_layers": 2}, {"num_hidden_layers": 4}, {"intermediate_size": 96}])
def test_the_weights_of_another_model_are_refused(tmp_path: Path, llama: Path, other: dict[str, Any]) -> None:
    save_model(tmp_path / "other", **other)
    with pytest.raises(netgain.InputError, match="its weights are not those of"):
        reweighted(load_parts(llama, **LOAD), tmp_path / "other")


def test_pickled_weights_are_refused(tmp_path: Path, llama: Path) -> None:
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(netgain.InputError, match="neither an adapter in PEFT's format nor a model's safetensors"):
        reweighted(load_parts(llama, **LOAD), tmp_path)


# -- before it, in a process of its own

SCRIPTS = {  # what a script does besides one metered step
    "honest": "",
    "trains before it asks for its task": "train()",
    "trains in another process": "subprocess.run([sys.executable, '-c', inspect.getsource(train) + 'train()'])",
    "trains after its task, off its meter": "",
    "saves other weights than it trained": "",
}
SLOW = [how for how in SCRIPTS if how.startswith(("trains in", "trains after", "saves"))]


@pytest.mark.parametrize("how", [pytest.param(how, marks=[pytest.mark.slow] * (how in SLOW)) for how in SCRIPTS])
def test_training_off_the_meter_is_noticed_wherever_it_is_done(how: str, tmp_path: Path, llama: Path) -> None:
    script = f"""
import inspect, shutil, subprocess, sys
def train():
    import torch
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(3):
        (weight ** 2).sum().backward()
        optimizer.step()
{SCRIPTS[how]}
import netgain, peft, torch, transformers
task = netgain.task()
model = transformers.AutoModelForCausalLM.from_pretrained(task.model)
model = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
optimizer = torch.optim.SGD([w for w in model.parameters() if w.requires_grad], lr=0.1)
ids = torch.arange(3, 20).view(1, -1)
with task.meter(model):
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
{"train()" if "after" in how else ""}
{"torch.nn.init.ones_(optimizer.param_groups[0]['params'][1])" if "other" in how else ""}
model.save_pretrained(task.output)
"""
    (tmp_path / "mine.py").write_text(script)
    fields = {"stage": "adapt", "seed": 1, "options": {}, "problems": [], "materials": [], "texts": []}
    model = load_model(llama, device="cpu")
    with netgain.Book.open(tmp_path / "journal") as book:
        request = RunScript(
            account=book.account("arm", limit=netgain.Cost(flops=1e8)),
            command=(sys.executable, str(tmp_path / "mine.py")),
            task=fields | {"prompts": [], "lessons": []},
            purpose=Purpose.ADAPT,
        )
        (result,) = model.run_scripts([request])
        spent = request.account.spent(netgain.Currency.FLOPS)
    if how == "honest":
        assert result.get().adapter is not None
        assert result.get().trained == (tuple(range(3, 20)),)
        assert 0 < spent < 1e8
    else:
        assert result.failure is not None
        said = "weights that its meter did not see" if "saves" in how else "an optimizer stepped off its meter"
        assert said in result.failure.detail
        assert spent == 1e8  # nobody knows what it took


def test_a_change_is_seen_in_each_of_two_files_of_one_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text(name)
    for name in ("a", "b"):
        before = script_runs._contents(tmp_path)
        (tmp_path / name / "rows.jsonl").write_text("another")
        told = script_runs._changed(before, script_runs._contents(tmp_path))
        assert told == f"{name}/rows.jsonl in the run's folder was written to while it ran"
