import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from netgain.engine.backend import backend_for
from netgain.engine.hooks import HooksBackend
from netgain.engine.lora import AdapterBank, Layout, fresh, load_adapter, save_adapter
from netgain.engine.scoring import Scorer, ScoreRequest
from netgain.errors import InputError

from .small import ALL, peft_names, small_model

MODULES = [
    ("m.0.attn.q_proj", 8, 12),
    ("m.0.attn.k_proj", 8, 4),
    ("m.0.attn.v_proj", 8, 4),
    ("m.0.mlp.down_proj", 20, 8),
]


def _layout(*names: str) -> Layout:
    return Layout.of(MODULES, names or ("q_proj", "v_proj"), 3, 6.0)


def test_targets_that_share_an_input_lie_in_one_block() -> None:
    layout = _layout("q_proj", "v_proj", "down_proj")
    assert [[target.name for target in block] for block in layout.blocks] == [
        ["q_proj", "v_proj"],
        ["down_proj"],
    ]
    first, second = layout.blocks[0]
    assert second.a == first.a + 3 * 8
    assert layout.weights == 3 * ((8 + 12) + (8 + 4) + (20 + 8))
    assert layout.width % 16 == 0


def test_initial_weights_are_pefts_and_depend_on_the_seed_alone() -> None:
    layout = _layout()
    one, same, other = fresh(layout, 1), fresh(layout, 1), fresh(layout, 2)
    assert torch.equal(one.row, same.row)
    assert not torch.equal(one.row, other.row)
    for target in layout.targets:
        assert float(one.b(target).abs().max()) == 0
        assert 0.5 / math.sqrt(8) < float(one.a(target).abs().max()) <= 1 / math.sqrt(8)


def test_a_slot_is_cleared_when_it_is_freed_and_reused_lowest_first() -> None:
    bank = AdapterBank(_layout(), 3)
    slots = [bank.alloc(seed) for seed in range(3)]
    assert slots == [0, 1, 2]
    bank.weights[1] = float("nan")
    bank.first[1] = 7
    bank.free(1)
    assert bank.alloc(9) == 1
    assert torch.equal(bank.adapter(1).row, fresh(bank.layout, 9).row)
    assert float(bank.first[1].abs().max()) == 0


def test_a_full_bank_refuses_and_a_free_slot_cannot_be_freed() -> None:
    bank = AdapterBank(_layout(), 1)
    bank.alloc(0)
    with pytest.raises(InputError, match="all 1 slots"):
        bank.alloc(1)
    bank.free(0)
    with pytest.raises(InputError, match="not in use"):
        bank.free(0)


def test_an_adapter_of_another_layout_is_refused() -> None:
    with pytest.raises(InputError, match="differ"):
        AdapterBank(_layout(), 1).load(fresh(_layout("k_proj"), 0))


def test_a_target_that_fits_nothing_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="did you mean 'q_proj'"):
        _layout("q_prj")


def test_a_bank_that_is_only_read_hands_nothing_back() -> None:
    bank = AdapterBank(_layout(), 1, trained=False)
    slot = bank.alloc(0)
    assert not len(bank.gradients)
    with pytest.raises(InputError, match="only read"):
        bank.adapter(slot)


pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")]


def test_peft_reads_what_we_write(tmp_path: Path) -> None:
    model = small_model()
    adapter = fresh(backend_for(model).layout(ALL, 3, 6.0), 1)
    adapter.row.normal_()
    save_adapter(adapter, tmp_path, base="small")
    loaded = PeftModel.from_pretrained(model, tmp_path)
    weights = dict(loaded.named_parameters())
    for name, wanted in peft_names(adapter).items():
        assert torch.equal(weights[name], wanted)
    assert loaded.peft_config["default"].lora_alpha == 6.0


def test_we_read_what_peft_writes(tmp_path: Path) -> None:
    model = small_model()
    wrapped = get_peft_model(model, LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"]))
    for weight in wrapped.parameters():
        if weight.requires_grad:
            weight.data.normal_()
    wrapped.save_pretrained(tmp_path)
    wanted = {name: weight.detach().clone() for name, weight in wrapped.named_parameters() if "lora_" in name}
    adapter = load_adapter(tmp_path, backend_for(wrapped.unload()).layout(("q_proj", "v_proj"), 3, 6.0))
    found = peft_names(adapter)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_another_rank_a_pickle_or_a_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    layout = backend_for(small_model()).layout(("q_proj",), 3, 6.0)
    save_adapter(fresh(layout, 0), tmp_path)
    other = backend_for(small_model()).layout(("q_proj",), 4, 6.0)
    with pytest.raises(InputError, match="rank 3"):
        load_adapter(tmp_path, other)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"adapter_model\.safetensors"):
        load_adapter(tmp_path, layout)
    (tmp_path / "adapter_model.safetensors").unlink()
    (tmp_path / "adapter_model.bin").write_bytes(b"a pickle")
    with pytest.raises(InputError, match="safe_serialization"):
        load_adapter(tmp_path, layout)


def test_adapters_of_other_kinds_are_refused(tmp_path: Path) -> None:
    layout = backend_for(small_model()).layout(("q_proj",), 3, 6.0)
    save_adapter(fresh(layout, 0), tmp_path)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text())
    changes: list[dict[str, Any]] = [
        *({"use_dora": True}, {"peft_type": "IA3"}, {"target_modules": "all-linear"}, {"bias": "all"}),
        *({"use_rslora": True}, {"rank_pattern": {"q_proj": 8}}, {"layers_to_transform": 0}, {"lora_bias": True}),
        *(
            {"init_lora_weights": way}
            for way in ("pissa", "pissa_niter_4", "olora", "corda", "loftq", "mica", "lora_ga")
        ),
        *({"alora_invocation_tokens": [1]}, {"trainable_token_indices": [3]}, {"use_qalora": True}),
        {"a_setting_of_tomorrow": {"scale": 2}},
    ]
    for change in changes:
        path.write_text(json.dumps(config | change))
        (name,) = change
        with pytest.raises(InputError, match=f"plain LoRA .*not {name} = .*; .*merge it"):
            load_adapter(tmp_path, layout)
    path.write_text(json.dumps(config | {"a_setting_of_tomorrow": None, "another": {}, "layers_to_transform": None}))
    load_adapter(tmp_path, layout)


READ: list[dict[str, Any]] = [{}, {"init_lora_weights": "gaussian"}, {"init_lora_weights": "orthogonal"}]
READ += [{"init_lora_weights": False}, {"lora_dropout": 0.5}]
REFUSED: list[dict[str, Any]] = [{"init_lora_weights": "pissa"}, {"init_lora_weights": "olora"}, {"use_rslora": True}]
REFUSED += [{"alora_invocation_tokens": [40, 41]}, {"use_dora": True}, {"rank_pattern": {"v_proj": 2}}]
REFUSED += [{"layers_to_transform": [0]}, {"layers_to_transform": 0}]


@pytest.mark.parametrize("settings", [*READ, *REFUSED], ids=str)
def test_an_adapter_scores_as_it_does_in_peft_or_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    wrapped = get_peft_model(small_model(), LoraConfig(**plain | settings))
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            weight.data.add_(0.3 * torch.randn_like(weight))
    wrapped.save_pretrained(tmp_path)
    base = small_model()
    layout = backend_for(base).layout(("q_proj", "v_proj"), 4, 6.0)
    if settings in REFUSED:
        with pytest.raises(InputError, match=next(iter(settings))):
            load_adapter(tmp_path, layout)
        return
    tokens = torch.tensor([[5, 9, 33, 40, 41, 7, 100]])
    with torch.no_grad():
        wanted = PeftModel.from_pretrained(small_model(), tmp_path).eval()(input_ids=tokens).logits[0, -3:-1]
    asked = [ScoreRequest(tuple(tokens[0, :-2].tolist()), tuple(tokens[0, -2:].tolist()), 0)]
    (found,) = Scorer(HooksBackend(base), rows=1, positions=64).score(asked, [load_adapter(tmp_path, layout)])
    steps = wanted.double().log_softmax(-1).gather(1, tokens[0, -2:, None])
    assert found.value == pytest.approx(float(steps.sum()), abs=1e-4)
