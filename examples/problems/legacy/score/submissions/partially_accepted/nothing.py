# An empty box is allowed, and worth nothing.
