"""A judgehost for DOMjudge: its work and its words, our engine."""

from sandbox.judge.domjudge.config import Config, load_config
from sandbox.judge.domjudge.worker import work

__all__ = ["Config", "load_config", "work"]
