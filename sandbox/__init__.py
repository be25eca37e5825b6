"""Run programs that nobody trusts, on one shared kernel, without root."""

__version__ = "0.1.0"
