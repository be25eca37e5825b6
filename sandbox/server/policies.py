"""The policies that jobs may name: the package's, and those of a directory of the administrator."""

from pathlib import Path

from sandbox.spec.policy import Policy, load_policy, policy_names
from sandbox.supervisor.toml_cache import parse

__all__ = ["Policies"]


class Policies:
    """Read when they are first asked for, and again after `reload`. Running jobs keep theirs."""

    def __init__(self, directory: Path | None) -> None:
        """`directory`: NAME.toml in it comes before the package's policy of that name."""
        self._directory = directory
        self._read: dict[str, Policy] = {}

    def get(self, name: str) -> Policy:
        """The policy of this name, or of the file of this path. Raises SpecError naming it."""
        if name.endswith(".toml"):
            return load_policy(name, parse)  # a caller's own file, as it is now
        if name not in self._read:
            self._read[name] = load_policy(self._locate(name), parse)
        return self._read[name]

    def names(self) -> list[str]:
        """Every name that `get` knows."""
        own = self._directory.glob("*.toml") if self._directory else ()
        return sorted({*policy_names(), *(path.stem for path in own)})

    def reload(self) -> None:
        """Read them all again. Raises SpecError, and changes nothing: one is wrong."""
        fresh = {name: load_policy(self._locate(name), parse) for name in self.names()}
        self._read = fresh

    def _locate(self, name: str) -> str:
        if self._directory is not None and name.isprintable() and "/" not in name:
            path = self._directory / f"{name}.toml"
            if path.is_file():
                return str(path)
        return name
