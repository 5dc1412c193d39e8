"""The reference: one inner loop after another, with HF's Trainer and PEFT, as SEAL's published server does."""

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset, SequentialSampler
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

PADDED = 2048


@dataclass(frozen=True)
class Shape:
    """A Llama's dimensions; a tied head is the embedding's matrix."""

    hidden: int
    layers: int
    vocabulary: int
    feed_forward: int
    heads: int
    kv_heads: int
    tied: bool = False

    @property
    def kv(self) -> int:
        """Width of the keys."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def body(self) -> int:
        """Weights of all layers' matrices."""
        return self.layers * (2 * self.hidden**2 + 2 * self.hidden * self.kv + 3 * self.hidden * self.feed_forward)

    @property
    def head(self) -> int:
        """Weights of the head."""
        return self.hidden * self.vocabulary


SIZES = {
    "1M": Shape(128, 4, 4096, 384, 4, 4),
    "8M": Shape(320, 6, 4096, 864, 5, 5),
    "50M": Shape(640, 10, 8192, 1728, 10, 10),
    "135M": Shape(576, 30, 49152, 1536, 9, 3, tied=True),  # SmolLM2-135M
    "1B": Shape(2048, 16, 128256, 8192, 32, 8, tied=True),  # Llama-3.2-1B
    "7B": Shape(3584, 28, 152064, 18944, 28, 4),  # Qwen2.5-7B, without its biases
}


def build_model(size: str, dtype: torch.dtype = torch.float32, device: str = "cpu") -> LlamaForCausalLM:
    """A random Llama of a named shape, always the same on a device."""
    shape = SIZES[size]
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        vocab_size=shape.vocabulary,
        intermediate_size=shape.feed_forward,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=PADDED,
        pad_token_id=0,
        eos_token_id=0,
        bos_token_id=1,
    )
    with torch.device(device):
        return LlamaForCausalLM(config).to(dtype).eval()


def synchronise() -> None:
    """Wait for a GPU, so that a clock tells what has been done and not what has been asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Steps(Dataset[dict[str, Tensor]]):
    """One sequence per step, in the given order; padded to a length with labels on the pads, or as it is."""

    def __init__(self, sequences: Sequence[Sequence[int]], padded: int | None) -> None:
        self._items = []
        for sequence in sequences:
            fill = (padded or len(sequence)) - len(sequence)
            tokens = torch.tensor([*sequence, *[0] * fill])
            mask = torch.tensor([1] * len(sequence) + [0] * fill)
            self._items.append({"input_ids": tokens, "attention_mask": mask, "labels": tokens.clone()})

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self._items[index]


class Recorder(TrainerCallback):
    """Process-CPU and wall seconds of every step."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self._start = (0.0, 0.0)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        synchronise()
        self._start = (time.process_time(), time.perf_counter())

    def on_step_end(self, *_: Any, **__: Any) -> None:
        synchronise()
        self.cpu.append(time.process_time() - self._start[0])
        self.wall.append(time.perf_counter() - self._start[1])


class OrderedTrainer(Trainer):
    """The Trainer with steps in data order, keeping every loss unrounded."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.losses: list[float] = []

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        if next(self.model.parameters()).dtype == torch.float64:  # HF's own loss rounds logits to float32
            inputs = arguments[1]
            logits = self.model(**{name: x for name, x in inputs.items() if name != "labels"}).logits
            loss = cross_entropy(logits[0, :-1], inputs["labels"][0, 1:])
            self.losses.append(float(loss.detach()))
            return loss
        result = super().compute_loss(*arguments, **named)
        self.losses.append(float((result[0] if isinstance(result, tuple) else result).detach()))
        return result


@dataclass
class Trained:
    """What a reference loop gave: its model, losses, step times and the time beside the steps."""

    model: Any
    losses: list[float]
    step_cpu: list[float]
    step_wall: list[float]
    fixed_cpu: float
    fixed_wall: float


def train_reference(
    base: LlamaForCausalLM,
    sequences: Sequence[Sequence[int]],
    padded: int | None,
    *,
    first: dict[str, Tensor] | None = None,
) -> Trained:
    """One inner loop (rank 32, alpha 64, q and v, rate 1e-3) over ``sequences``, one step each, in this order.

    ``first`` sets initial adapter weights. The adapter is taken off again by the caller (``model.unload()``).
    """
    cpu, wall = time.process_time(), time.perf_counter()
    settings = LoraConfig(
        r=32, lora_alpha=64, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"]
    )
    model = get_peft_model(base, settings)
    if first is not None:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in first:
                    weight.copy_(first[name])
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=1,
            num_train_epochs=1,
            learning_rate=1e-3,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=base.device.type == "cpu",
            dataloader_num_workers=0,
        )
        trainer = OrderedTrainer(
            model=model, args=arguments, train_dataset=Steps(sequences, padded), callbacks=[recorder]
        )
        trainer.train()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Trained(
        model.eval(), trainer.losses, recorder.cpu, recorder.wall, cpu - sum(recorder.cpu), wall - sum(recorder.wall)
    )


def adapter_weights(paths: Iterator[tuple[str, Tensor, Tensor]]) -> dict[str, Tensor]:
    """PEFT's parameter names for (module path, A, B)."""
    named: dict[str, Tensor] = {}
    for path, a, b in paths:
        named[f"base_model.model.{path}.lora_A.default.weight"] = a
        named[f"base_model.model.{path}.lora_B.default.weight"] = b
    return named


def answer_reference(model: Any, prompt: Sequence[int], new: int) -> list[int]:
    """Greedy continuation with HF generate, exactly ``new`` tokens."""
    tokens = torch.tensor([list(prompt)], device=model.device)
    with torch.inference_mode():
        out = model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
    return [int(token) for token in out[0, len(prompt) :]]
