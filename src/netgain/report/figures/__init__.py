"""The figures of the page: each a pure function from verdict rows to one static SVG."""
