"""Domains: families of problems with their grading."""
