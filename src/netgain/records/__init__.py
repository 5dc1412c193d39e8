"""What is written down: costs, sources, claims. Plain values without behaviour beyond their own arithmetic."""
