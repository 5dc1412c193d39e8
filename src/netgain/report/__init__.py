"""From verdict to page and terminal. Nothing is computed here; every number comes from the verdict."""
