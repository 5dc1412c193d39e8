"""Readers for what training runs and evaluations leave on disk, one file for each format (docs/readers.md)."""
