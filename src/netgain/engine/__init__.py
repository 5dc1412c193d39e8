"""The engine: many LoRA adapters train and answer in one pack. It imports nothing of netgain but its errors."""
