"""Whoever only reads or prices needs no model libraries."""

import subprocess
import sys

CODE = """
import sys
import netgain.metering.price, netgain.metering.rates, netgain.metering.verification, netgain.metering.estimate
heavy = {"torch", "transformers", "peft", "genai_prices"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_prices_budgets_and_verification_need_no_model_library() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
