"""Store a trained grid model as it ships: weights in bfloat16, with its tokenizer.

Usage: PYTHONPATH=src python training/grids/store_grids.py FOLDER src/netgain/shipped/grids
"""

import sys
from pathlib import Path

import torch
from grid_tokenizer import build
from train_grids import LONGEST
from transformers import LlamaForCausalLM


def main() -> None:
    """From the first folder into the second."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    model = LlamaForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
    model.save_pretrained(target)
    build(LONGEST).save_pretrained(target)


if __name__ == "__main__":
    main()
