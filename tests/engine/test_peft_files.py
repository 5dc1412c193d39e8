import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from netgain.engine.choose import backend_for
from netgain.engine.lora import fresh
from netgain.engine.peft_files import load_adapter, save_adapter
from netgain.errors import InputError

from .small import ALL, peft_names, small_model

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
    for change in ({"use_dora": True}, {"peft_type": "IA3"}, {"target_modules": "all-linear"}, {"bias": "all"}):
        path.write_text(json.dumps(config | change))
        with pytest.raises(InputError, match="plain LoRA"):
            load_adapter(tmp_path, layout)
