"""Known container escapes as small programs, each with its control: `sandbox doctor --attack`."""
