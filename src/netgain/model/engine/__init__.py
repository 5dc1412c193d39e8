"""The engine: many LoRA adapters trained and answered with in one pack. Unmetered, and private to the model's door."""
