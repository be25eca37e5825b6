"""All targets, by name: each is a module of this package with a `target`."""

import importlib

from fuzz.driver import Target

__all__ = ["TARGETS", "load"]

TARGETS = (
    "archive", "caches", "client", "compare", "config", "conversation", "frame", "http",
    "journal", "message", "options", "plan", "policy", "problem", "procfs", "report", "server",
    "spec", "syscall_text",
)  # fmt: skip


def load(name: str) -> tuple[Target, tuple[bytes, ...]]:
    """The target, and the pieces that its inputs are made of."""
    module = importlib.import_module(f"fuzz.{name}")
    target: Target = module.target
    return target, getattr(module, "TOKENS", ())
