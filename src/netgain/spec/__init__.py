"""What was asked: files that people write, read strictly."""
