"""Methods: ways to improve, each in one file over shared steps."""
