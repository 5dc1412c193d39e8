"""Policy-gradient losses are TRL's, in losses and gradients, on either backend; and what they train goes on from."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from netgain.engine.hooks import HooksBackend
from netgain.engine.jobs import HEAD_ROWS, InnerLoopJob, PolicyLoss
from netgain.engine.lora import AdapterBank
from netgain.engine.packs import SlotStep, pack_steps
from netgain.engine.planned import PlannedBackend
from netgain.engine.trainer import MultiLoraTrainer
from netgain.errors import InputError

from ..model.conftest import byte_tokenizer
from .small import exact_norms, peft_model, peft_names, small_model, texts

trl = pytest.importorskip("trl", reason="the losses are held against TRL's: pip install trl")
datasets = pytest.importorskip("datasets", reason="TRL's trainers need it")

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ADVANTAGES = (0.7, -1.2, 0.4, 0.1)
PROMPTS, ANSWERS = texts(4, 1, 12), texts(4, 2, 30)
COMMON = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "bf16": False, "save_strategy": "no"}


def near(spread: float, seed: int) -> list[list[float]]:
    """Log-probabilities for every answer's tokens, some so far from a random model's that their ratios are clipped."""
    noise = torch.Generator().manual_seed(seed)
    return [(-4.9 + spread * torch.randn(len(one), generator=noise)).tolist() for one in ANSWERS]


def job_with(**policy: Any) -> InnerLoopJob:
    """Four answers below their prompts, learnt from in one step."""
    loss = {"advantages": ADVANTAGES, "old": near(0.4, 1), "reference": near(0.4, 2)} | policy
    return InnerLoopJob(
        key="policy",
        sequences=[prompt + answer for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)],
        loss_masks=[[False] * len(p) + [True] * len(a) for p, a in zip(PROMPTS, ANSWERS, strict=True)],
        **{"epochs": 1, "learning_rate": 1e-2, "seed": 0, "rank": 5, "alpha": 9.0, "batch_size": 4},
        policy=PolicyLoss(**loss),
    )


def own_step(backend: Any, wanted: InnerLoopJob) -> tuple[float, Tensor, AdapterBank, float]:
    """Loss, gradient and clipped share of a job's first step, at an adapter that is not zero."""
    bank = AdapterBank(backend.layout(("q_proj", "v_proj"), 5, 9.0), 2, dtype=torch.float64)
    slot = bank.alloc(0)
    noise = torch.Generator().manual_seed(3)
    bank.weights.copy_(torch.randn(bank.weights.shape, generator=noise, dtype=torch.float64) * 0.1)
    examples = tuple(wanted.example(index) for index in range(len(wanted.sequences)))
    pack = pack_steps([SlotStep(slot, examples, wanted.policy)], torch.float64)
    (loss,) = backend.gradients(pack, bank)
    assert pack.policy is not None
    return loss, bank.gradients[slot].clone(), bank, float(pack.policy.clipped[0])


def padded(rows: list[Any], left: bool, dtype: torch.dtype = torch.int64) -> Tensor:
    width = max(map(len, rows))
    blanks = [[0] * (width - len(row)) for row in rows]
    return torch.tensor([b + list(r) if left else list(r) + b for b, r in zip(blanks, rows, strict=True)], dtype=dtype)


def in_float64(model: Any, ids: Tensor, mask: Tensor, kept: int, **_: Any) -> tuple[Tensor, Tensor, None]:
    """Log-probabilities as TRL's trainers take them, which they do in float32."""
    found = model(input_ids=ids, attention_mask=mask).logits[:, -kept - 1 : -1].log_softmax(-1)
    return found.gather(2, ids[:, -kept:, None])[..., 0], -(found.exp() * found).sum(-1), None


def trls(kind: str, folder: Path, bank: AdapterBank, **settings: Any) -> tuple[float, Tensor]:
    """Loss and gradient of TRL's trainer on the same batch, with the same adapter in PEFT."""
    model = small_model("llama", torch.float64)
    exact_norms(model)
    adapter = bank.adapter(0)
    wrapped = peft_model(model, adapter)
    sizes = {"per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 30, "temperature": 1.0}
    config, trainer_class = {"grpo": (trl.GRPOConfig, trl.GRPOTrainer), "rloo": (trl.RLOOConfig, trl.RLOOTrainer)}[kind]
    trainer = trainer_class(
        wrapped,
        reward_funcs=lambda completions, **_: [0.0 for _ in completions],
        args=config(str(folder), **COMMON, **sizes, **settings),
        train_dataset=datasets.Dataset.from_dict({"prompt": ["a", "b", "c", "d"]}),
        processing_class=byte_tokenizer(),
    )
    trainer._get_per_token_logps_and_entropies = in_float64
    wrapped.eval()
    old = padded(near(0.4, 1), False, torch.float64)
    masks = [padded([[1] * len(one) for one in rows], left) for rows, left in ((PROMPTS, True), (ANSWERS, False))]
    inputs = {
        **{"prompt_ids": padded(PROMPTS, True), "completion_ids": padded(ANSWERS, False)},
        **{"prompt_mask": masks[0], "completion_mask": masks[1]},
        **{"advantages": torch.tensor(ADVANTAGES, dtype=torch.float64), "old_per_token_logps": old},
        **{"ref_per_token_logps": padded(near(0.4, 2), False, torch.float64), "old_logps": old.sum(1)},
    }
    loss = trainer._compute_loss(wrapped, inputs)
    loss.backward()
    row = torch.zeros_like(adapter.row)
    named = dict(wrapped.named_parameters())
    for name, view in peft_names(type(adapter)(adapter.layout, row)).items():
        view.copy_(named[name].grad)
    return float(loss.detach()), row


CASES = [
    pytest.param("grpo", {"kl": 0.04}, {"loss_type": "grpo", "beta": 0.04}, id="grpo"),
    pytest.param(
        "grpo",
        {"kl": 0.04, "corrected": False},
        {"loss_type": "grpo", "beta": 0.04, "use_bias_correction_kl": False},
        id="uncorrected",
    ),
    pytest.param("grpo", {"loss": "bnpo", "clip_high": 0.3}, {"loss_type": "bnpo", "epsilon_high": 0.3}, id="bnpo"),
    pytest.param("grpo", {"loss": "dr_grpo", "length": 30}, {"loss_type": "dr_grpo"}, id="dr_grpo"),
    pytest.param(
        "grpo",
        {"ratio": "sequence", "clip": 0.01, "kl": 0.1},
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.01, "beta": 0.1},
        id="sequence",
    ),
    pytest.param("rloo", {"ratio": "product"}, {"beta": 0.0}, id="rloo"),
]


@pytest.mark.parametrize(("kind", "ours", "theirs"), CASES)
def test_loss_and_gradient_are_trls_on_both_backends(
    tmp_path: Path, kind: str, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    model = small_model("llama", torch.float64)
    exact_norms(model)
    wanted = job_with(**ours)
    loss, gradient, bank, clipped = own_step(PlannedBackend(model), wanted)
    assert 0 < clipped < 1  # else the clip would not be examined
    hooked = own_step(HooksBackend(model), wanted)
    expected, reference = trls(kind, tmp_path, bank, **theirs)
    for found, found_gradient in ((loss, gradient), hooked[:2]):
        assert found == pytest.approx(expected, rel=1e-8)
        assert float((found_gradient - reference).abs().max()) < 1e-8 * float(reference.abs().max())
    assert hooked[3] == pytest.approx(clipped)


@pytest.mark.parametrize("loss", ["grpo", "bnpo"])
def test_advantages_by_token_are_those_of_the_sequence_where_they_are_alike(loss: Any) -> None:
    """And where they are not, each token's ratio is weighed by its own: both backends agree, and the loss is linear."""
    model = small_model("llama", torch.float64)
    exact_norms(model)
    alike = [[advantage] * len(answer) for advantage, answer in zip(ADVANTAGES, ANSWERS, strict=True)]
    unlike = [[0.1 * place - 0.3 for place in range(len(answer))] for answer in ANSWERS]
    common: dict[str, Any] = {"loss": loss, "old": (), "kl": 0.0}
    for backend in (PlannedBackend, HooksBackend):
        whole, gradient, _, _ = own_step(backend(model), job_with(**common))
        found, again, _, _ = own_step(backend(model), job_with(**common, each=alike))
        assert found == pytest.approx(whole, rel=1e-12)
        assert float((again - gradient).abs().max()) < 1e-12
    one, slope, _, _ = own_step(PlannedBackend(model), job_with(**common, each=unlike))
    other, hooked, _, _ = own_step(HooksBackend(model), job_with(**common, each=unlike))
    means = [sum(row) / len(row) for row in unlike]
    tokens = [token for row in unlike for token in row]
    expected = sum(means) / len(means) if loss == "grpo" else sum(tokens) / len(tokens)
    assert one == pytest.approx(-expected)  # the policy is the one that drew: every ratio is 1
    assert other == pytest.approx(one, rel=1e-10)
    assert float((slope - hooked).abs().max()) < 1e-10
    assert float((slope - gradient).abs().max()) > 1e-6


def test_a_sequence_is_never_cut_where_the_head_runs_in_pieces() -> None:
    model = small_model("llama", torch.float64)
    exact_norms(model)
    long = [one * 8 for one in texts(6, 5, 16)]
    rows = [one[:150] for one in long]
    wanted = InnerLoopJob(
        **{"key": "long", "sequences": rows, "epochs": 1, "learning_rate": 1e-2, "seed": 0, "rank": 5, "alpha": 9.0},
        **{"batch_size": 6},
        policy=PolicyLoss(advantages=[1.0, -1.0] * 3, old=[[-4.9] * (len(r) - 1) for r in rows], ratio="sequence"),
    )
    assert sum(len(row) - 1 for row in rows) > HEAD_ROWS
    loss, gradient, _, _ = own_step(PlannedBackend(model), wanted)
    expected, reference, _, _ = own_step(HooksBackend(model), wanted)
    assert loss == pytest.approx(expected, rel=1e-10)
    assert float((gradient - reference).abs().max()) < 1e-10 * float(reference.abs().max())


def test_without_old_log_probabilities_the_policy_is_the_one_that_drew() -> None:
    """The ratio is then 1, and the gradient that of advantage times log-probability."""
    model = small_model("llama", torch.float64)
    loss, gradient, _, clipped = own_step(PlannedBackend(model), job_with(old=(), kl=0.0))
    assert loss == pytest.approx(-sum(ADVANTAGES) / 4)
    assert clipped == 0
    assert float(gradient.abs().max()) > 0


def test_jobs_that_go_on_from_an_adapter_are_one_long_job() -> None:
    """Weights and the optimizer's moments and its count of steps are kept: two halves give the whole, bit for bit."""
    trainer = MultiLoraTrainer(PlannedBackend(small_model()))
    common: dict[str, Any] = {"sequences": texts(1), "learning_rate": 1e-2, "seed": 0, "schedule": "constant"}
    common |= {"rank": 5, "alpha": 9.0, "resumable": True}
    (whole,) = trainer.run([InnerLoopJob(key="whole", epochs=6, **common)])
    (first,) = trainer.run([InnerLoopJob(key="first", epochs=3, **common)])
    assert first.adapter is not None
    (second,) = trainer.run([InnerLoopJob(key="second", epochs=3, **common)], {"second": first.adapter})
    assert whole.adapter is not None
    assert second.adapter is not None
    assert torch.equal(whole.adapter.row, second.adapter.row)
    assert second.adapter.steps == 6


def test_jobs_with_unlike_losses_do_not_disturb_each_other() -> None:
    """A policy job beside supervised ones gives what it gives alone."""
    trainer = MultiLoraTrainer(PlannedBackend(small_model()))
    plain = InnerLoopJob(key="plain", sequences=texts(3), epochs=2, learning_rate=1e-2, seed=1, rank=5, alpha=9.0)
    (alone,) = trainer.run([job_with()])
    both = {outcome.key: outcome for outcome in trainer.run([plain, job_with()])}
    mate, single = both["policy"].adapter, alone.adapter
    assert mate is not None
    assert single is not None
    assert torch.equal(mate.row, single.row)
    assert both["policy"].clipped == alone.clipped != ()
    assert both["plain"].clipped == ()


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"advantages": (1.0,)}, "a finite advantage for each sequence"),
        ({"old": near(0.1, 1)[:3]}, "old has not one log-probability for each labelled token"),
        ({"reference": (), "kl": 0.1}, "reference has not one"),
        ({"each": [[1.0]]}, "each has not one advantage for each labelled token"),
        ({"clip": 1.5}, "clip 1.5"),
    ],
)
def test_a_policy_loss_that_makes_no_sense_is_refused(policy: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        job_with(**policy)
