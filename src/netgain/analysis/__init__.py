"""From claims to verdicts: numbers, intervals and what they support. Reads records only; no model, no torch."""
