"""The language model: many adapters trained and examined at once. The only package that imports torch."""
