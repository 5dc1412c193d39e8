"""Trials of our own: their rows make a claim, and the claim a verdict."""
