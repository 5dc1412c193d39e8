"""A meter on loops that netgain knows nothing of: whatever the profiler sees is charged, and so is every failure."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models need torch")
transformers = pytest.importorskip("transformers", reason="the models need transformers")
peft = pytest.importorskip("peft", reason="the adapters are PEFT's")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402
from transformers import Cache, DynamicCache  # noqa: E402

import netgain  # noqa: E402
from netgain.engine.hooks import cache_keyword  # noqa: E402
from netgain.errors import BudgetExceeded, InputError  # noqa: E402
from netgain.metering.account import Account, Book  # noqa: E402
from netgain.metering.price import OPTIMIZER_FLOPS_PER_WEIGHT  # noqa: E402
from netgain.metering.verification import verify  # noqa: E402
from netgain.records.cost import (  # noqa: E402
    Cost,
    Currency,
    Purpose,
)
from tests.profiled import EXACT  # noqa: E402

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
    pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


@pytest.fixture
def account(book: Book) -> Account:
    return book.account("loop", arm="grpo", seed=0, limit=Cost(flops=1e13)).under(Purpose.LEARN)


def load(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


def adapted(folder: Path, *targets: str, **more: Any) -> Any:
    config = peft.LoraConfig(r=4, target_modules=list(targets), task_type="CAUSAL_LM", **more)
    return peft.get_peft_model(load(folder), config)


def ids(rows: int = 2, columns: int = 17) -> Any:
    return torch.randint(4, 260, (rows, columns), generator=torch.Generator().manual_seed(1))


def batch(*lengths: int) -> dict[str, Any]:
    tokens = ids(len(lengths), max(lengths))
    mask = torch.tensor([[1] * length + [0] * (max(lengths) - length) for length in lengths])
    return {"input_ids": tokens, "attention_mask": mask, "labels": tokens.masked_fill(mask == 0, -100)}


def optimizer_of(model: Any, rate: float = 1e-3) -> Any:
    return torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=rate)


def charged(book: Book, model: Any) -> tuple[float, float]:
    """FLOPs in the book without the optimizer's, which the profiler does not see; and the optimizer's steps."""
    steps = sum(charge.cost.updates or 0 for charge in book.charges())
    weights = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return sum(
        charge.cost.flops or 0 for charge in book.charges()
    ) - steps * OPTIMIZER_FLOPS_PER_WEIGHT * weights, steps


def train(model: Any, steps: int = 2, *, accumulate: int = 1) -> None:
    optimizer = optimizer_of(model)
    for _ in range(steps):
        for _ in range(accumulate):
            model(**batch(17, 9)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def full(folder: Path) -> Any:
    return load(folder).train()


def top_layer(folder: Path) -> Any:
    model = load(folder)
    for name, weight in model.named_parameters():
        weight.requires_grad_(".2." in name)
    return model


SETUPS: dict[str, Callable[[Path], Any]] = {
    "full": full,
    "top layer": top_layer,
    "lora q v": lambda folder: adapted(folder, "q_proj", "v_proj"),
    "lora all": lambda folder: adapted(
        folder, "q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"
    ),
    "lora in one layer": lambda folder: adapted(folder, "v_proj", layers_to_transform=[1]),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_a_plain_loop_is_charged_what_the_profiler_sees(setup: str, llama: Path, book: Book, account: Account) -> None:
    model = SETUPS[setup](llama)
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        train(model)
    flops, steps = charged(book, model)
    assert flops == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert steps == 2
    cost = book.charges()[0].cost
    assert (cost.tokens_real, cost.tokens_padded, cost.tokens_training) == (26, 34, 24)
    assert [charge.operation for charge in book.charges()] == ["train", "train"]
    assert all((charge.cost.flops or 0) <= (charge.quote.flops or 0) for charge in book.charges())


@pytest.mark.parametrize("setup", ["full", "lora"])
def test_gpt2_is_charged_what_the_profiler_sees(setup: str, gpt2: Path, book: Book, account: Account) -> None:
    model = full(gpt2) if setup == "full" else adapted(gpt2, "c_attn")
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        train(model)
    assert charged(book, model)[0] == pytest.approx(counter.get_total_flops(), rel=EXACT)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("setup", ["full", "lora q v", "lora all"])
def test_gradient_checkpointing_is_charged_for_what_it_computes_again(
    setup: str, reentrant: bool, llama: Path, book: Book, account: Account
) -> None:
    model = SETUPS[setup](llama)
    model.train()
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        train(model)
    assert charged(book, model)[0] == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert all((charge.cost.flops or 0) <= (charge.quote.flops or 0) for charge in book.charges())


def test_accumulated_gradients_are_charged_by_pass_and_updates_by_step(
    llama: Path, book: Book, account: Account
) -> None:
    model = full(llama)
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        train(model, accumulate=3)
    flops, steps = charged(book, model)
    assert flops == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert (steps, len(book.charges())) == (2, 6)


def test_generation_is_one_charge_with_its_own_tokens(llama: Path, book: Book, account: Account) -> None:
    model = adapted(llama, "q_proj", "v_proj").eval()
    asked = batch(17, 9)
    asked.pop("labels")
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        output = model.generate(**asked, **settings)
    (charge,) = book.charges()
    assert charge.operation == "generate"
    assert charge.cost.flops == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert (charge.cost.flops or 0) <= (charge.quote.flops or 0)
    new = [row[: row.index(2) + 1] if 2 in row else row for row in output[:, 17:].tolist()]
    assert charge.cost.tokens_generated == sum(len(row) for row in new)
    assert charge.cost.tokens_real == 26 + sum(len(row) - 1 for row in new)
    assert "generate" not in vars(model.get_base_model())


def test_everything_without_a_gradient_is_charged_too(llama: Path, book: Book, account: Account) -> None:
    model = adapted(llama, "q_proj", "v_proj")
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account), torch.no_grad():
        model(**batch(17, 9))
        model(input_ids=ids(), logits_to_keep=3)
        model.get_base_model().model(input_ids=ids())
        with model.disable_adapter():
            model(input_ids=ids())
    assert charged(book, model)[0] == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert [charge.operation for charge in book.charges()] == ["forward"] * 4


def test_passes_whose_losses_are_joined_are_charged_in_full(llama: Path, book: Book, account: Account) -> None:
    model = full(llama)
    optimizer = optimizer_of(model)
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        chosen, rejected = model(**batch(17, 9)).loss, model(**batch(5, 8)).loss
        (chosen - rejected).backward()
        optimizer.step()
        loss = model(**batch(4, 4)).loss
        loss.backward(retain_graph=True)
        loss.backward()
    flops, steps = charged(book, model)
    assert flops == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert steps == 1
    assert "backward" in {charge.operation for charge in book.charges()}


def test_a_loss_of_ones_own_has_unknown_training_tokens(llama: Path, book: Book, account: Account) -> None:
    model = full(llama)
    with netgain.meter(model, account):
        model(input_ids=ids()).logits.square().mean().backward()
    assert book.charges()[0].cost.tokens_training is None


def test_a_head_that_is_not_called_as_a_module_is_charged_everywhere(llama: Path, book: Book, account: Account) -> None:
    model = full(llama)
    with FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        hidden = model.model(input_ids=ids()).last_hidden_state
        (hidden @ model.lm_head.weight.T).square().mean().backward()
    assert charged(book, model)[0] == pytest.approx(counter.get_total_flops(), rel=EXACT)


@pytest.mark.parametrize("poison", ["weight", "loss", "gradient"])
def test_a_step_that_is_not_finite_is_a_failure_that_is_paid(
    poison: str, llama: Path, book: Book, account: Account
) -> None:
    model = adapted(llama, "q_proj", "v_proj")
    optimizer = optimizer_of(model)
    with netgain.meter(model, account):
        train(model, steps=1)
        if poison == "weight":
            next(weight for weight in model.parameters() if weight.requires_grad).data.fill_(float("nan"))
        loss = model(**batch(17, 9)).loss * (float("inf") if poison == "loss" else 1.0)
        loss.backward()
        if poison == "gradient":
            next(weight for weight in model.parameters() if weight.requires_grad).grad.fill_(float("nan"))
        optimizer.step()
    good, bad = book.charges()
    assert (good.outcome, bad.outcome) == ("completed", "failed")
    assert bad.error.startswith("not_finite")
    assert bad.cost.flops == good.cost.flops


def test_an_exhausted_budget_stops_the_loop_before_the_step(llama: Path, book: Book) -> None:
    model = full(llama)
    with netgain.meter(model, book.account("free").under(Purpose.LEARN)):
        train(model, steps=1)
    (first,) = book.charges()
    small = book.account("small", limit=Cost(flops=2.6 * (first.quote.flops or 0))).under(Purpose.LEARN)
    weights = [weight.detach().clone() for weight in model.parameters()]
    with pytest.raises(BudgetExceeded), netgain.meter(model, small):
        train(model, steps=9)
    assert 0 < small.spent(Currency.FLOPS) <= 2.6 * (first.quote.flops or 0)
    assert any(not torch.equal(new, old) for new, old in zip(model.parameters(), weights, strict=True))


def test_a_loop_that_breaks_is_booked_with_what_it_did(llama: Path, book: Book, account: Account) -> None:
    model = full(llama)

    def broken() -> None:
        with netgain.meter(model, account):
            model(**batch(5, 5))
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        broken()
    with pytest.raises(IndexError), netgain.meter(model, account):
        model(input_ids=torch.full((1, 4), 10_000))
    first, second = book.charges()
    assert (first.outcome, first.error) == ("failed", "RuntimeError: broken")
    assert 0 < (first.cost.flops or 0) < (first.quote.flops or 0)
    assert (second.outcome, second.cost.flops) == ("failed", second.quote.flops)


def test_a_meter_leaves_the_model_as_it_was(llama: Path, account: Account) -> None:
    model = full(llama)
    before = {name: len(module._forward_hooks) for name, module in model.named_modules()}
    torch.manual_seed(0)
    with netgain.meter(model, account):
        train(model)
    after = {name: len(module._forward_hooks) for name, module in model.named_modules()}
    other = full(llama)
    train(other)
    assert before == after
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_an_optimizer_of_another_model_is_not_charged(llama: Path, book: Book, account: Account) -> None:
    with netgain.meter(full(llama), account):
        train(full(llama), steps=1)
    assert book.charges() == ()


def test_what_cannot_be_priced_is_refused(llama: Path, account: Account) -> None:
    circulant = peft.C3AConfig(target_modules=["q_proj"], block_size=8, task_type="CAUSAL_LM")
    unknown = peft.get_peft_model(load(llama), circulant)
    with pytest.raises(InputError, match=r"C3AModel on base_model: is of a kind"), netgain.meter(unknown, account):
        unknown(**batch(4, 4))
    with pytest.raises(InputError, match="no Hugging Face causal language model"):
        netgain.meter(torch.nn.Linear(2, 2), account)
    with pytest.raises(TypeError, match="Account"):
        netgain.meter(full(llama), None)


def trainer(model: Any, folder: Path, callbacks: list[Any], **settings: Any) -> Any:
    rows = [{name: tensor[0] for name, tensor in batch(length).items()} for length in (9, 17, 5, 12)]

    def join(items: list[dict[str, Any]]) -> dict[str, Any]:
        width = max(len(item["input_ids"]) for item in items)
        fills = {"input_ids": 0, "attention_mask": 0, "labels": -100}
        return {
            name: torch.stack(
                [torch.nn.functional.pad(item[name], (0, width - len(item[name])), value=fill) for item in items]
            )
            for name, fill in fills.items()
        }

    wanted = {
        "per_device_train_batch_size": 2,
        "max_steps": 4,
        "save_strategy": "no",
        "use_cpu": True,
        "report_to": "none",
    }
    arguments = transformers.TrainingArguments(folder, disable_tqdm=True, logging_steps=1, **wanted | settings)
    return transformers.Trainer(model, arguments, train_dataset=rows, data_collator=join, callbacks=callbacks)


def test_a_trainer_is_charged_through_its_callback(llama: Path, book: Book, account: Account, tmp_path: Path) -> None:
    model = adapted(llama, "q_proj", "v_proj")
    with FlopCounterMode(display=False) as counter:
        trainer(model, tmp_path / "out", [netgain.MeterCallback(account)]).train()
    flops, steps = charged(book, model)
    assert flops == pytest.approx(counter.get_total_flops(), rel=EXACT)
    assert steps == 4
    assert sum(charge.cost.tokens_real or 0 for charge in book.charges()) == 2 * (9 + 17 + 5 + 12)


def test_a_nan_that_the_trainer_logs_as_zero_is_a_failure_here(
    llama: Path, book: Book, account: Account, tmp_path: Path
) -> None:
    class Poison(transformers.TrainerCallback):  # type: ignore[name-defined,misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            if state.global_step == 2:
                next(w for w in named["model"].parameters() if w.requires_grad).data.fill_(float("nan"))

    model = adapted(llama, "q_proj", "v_proj")
    trainer(model, tmp_path / "out", [Poison(), netgain.MeterCallback(account)]).train()
    assert [charge.outcome for charge in book.charges()] == ["completed", "completed", "failed", "failed"]
    stopping = netgain.MeterCallback(account.child("stopping"), stop_when_not_finite=True)
    state = trainer(model, tmp_path / "out", [stopping]).train()
    assert state.global_step == 1


@pytest.mark.slow
def test_what_a_killed_trainer_spent_stays_spent_and_a_resumed_one_adds_to_it(llama: Path, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys, torch, transformers, netgain
        from netgain import Book, Purpose
        folder, out, kill = sys.argv[1:4]
        class Kill(transformers.TrainerCallback):
            def on_step_end(self, args, state, control, **named):
                if kill == "kill" and state.global_step == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        rows = [{"input_ids": torch.arange(5, 17), "labels": torch.arange(5, 17)}] * 4
        arguments = transformers.TrainingArguments(
            out, max_steps=5, per_device_train_batch_size=2, save_steps=2, use_cpu=True, report_to="none"
        )
        with Book.open(out + ".journal") as book:
            account = book.account("loop", limit=netgain.Cost(flops=1e12)).under(Purpose.LEARN)
            callbacks = [netgain.MeterCallback(account), Kill()]
            trainer = transformers.Trainer(model, arguments, train_dataset=rows, callbacks=callbacks)
            trainer.train(resume_from_checkpoint=kill == "resume")
    """)

    def run(kill: str) -> int:
        command = [sys.executable, "-c", program, str(llama), str(tmp_path / "out"), kill]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return subprocess.run(command, env=environment, capture_output=True, timeout=120).returncode  # noqa: PLW1510

    assert run("kill") == -signal.SIGKILL
    killed = verify(tmp_path / "out.journal")
    assert (killed.ok, killed.totals.at_least.updates) == (True, 3)
    assert run("resume") == 0
    resumed = verify(tmp_path / "out.journal")
    assert (resumed.ok, resumed.totals.at_least.updates) == (True, 3 + 3)  # steps 1 to 3, then 3 to 5 from checkpoint 2
    one = killed.charges[0].cost.flops or 0
    assert resumed.totals.at_least.flops == pytest.approx(6 * one)


class Remembered:
    """Positions of earlier calls in a form that is no transformers Cache."""

    def get_seq_length(self) -> int:
        return 40


class Renaming(transformers.LlamaModel):  # type: ignore[name-defined, misc]
    """A decoder of a library that calls its cache something else."""

    def forward(self, input_ids: Any, memory: Any = None, **named: Any) -> Any:
        named[cache_keyword(transformers.LlamaModel(self.config))] = memory if isinstance(memory, Cache) else None
        return super().forward(input_ids, **named)


def test_a_cache_is_read_whatever_its_keyword_and_what_is_not_recognised_is_refused(
    llama: Path, book: Book, account: Account
) -> None:
    model = load(llama).eval()
    model.model.__class__ = Renaming
    cache = DynamicCache()
    with torch.no_grad(), FlopCounterMode(display=False) as counter, netgain.meter(model, account):
        model.model(ids(), memory=cache)
        model.model(ids(2, 1), memory=cache)
        model.model(ids(2, 1), cache)  # by place
        for unknown in (Remembered(), [torch.zeros(2, 3)], torch.zeros(2, 3)):
            with pytest.raises(InputError, match=r"the argument memory of Renaming: .* earlier calls"):
                model.model(ids(), memory=unknown)
    assert sum(charge.cost.flops or 0 for charge in book.charges()) == pytest.approx(
        counter.get_total_flops(), rel=EXACT
    )
