"""Trials: what was asked is planned, run in units that are never repeated, and written down."""
