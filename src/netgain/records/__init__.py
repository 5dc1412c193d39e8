"""What is written down: costs, events, and the journal that holds them. Nothing here knows who may spend or why."""
