"""Exam: the one way anything is scored."""
