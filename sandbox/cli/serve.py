"""`sandbox serve`: the runner as a daemon."""

from __future__ import annotations

from pathlib import Path

from sandbox.cli.options import Option, help_lines, parse_options
from sandbox.spec.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.server.config import Config

__all__ = ["new_token", "run"]

_OPTIONS = {
    "--config": Option("all of this and more from a TOML file; options override it", "FILE"),
    "--socket": Option("where to listen (default: $XDG_RUNTIME_DIR/sandbox/sandbox.sock)", "PATH"),
    "--tcp": Option("listen there too: with TLS, or in clear as the file says", "HOST:PORT"),
    "--metrics": Option("Prometheus metrics over HTTP", "HOST:PORT"),
    "--state": Option("journal, outputs, blobs (default: ~/.local/state/sandbox)", "DIR"),
    "--log": Option("how lines are written", "human|json"),
    "--allow-degraded": Option("serve where the kernel enforces no memory or process limit"),
    "--help": Option("show this"),
}
_HELP = f"""\
Usage: sandbox serve [OPTIONS]

Run jobs for clients, until SIGTERM or SIGINT; SIGHUP reads policies and tenants again.

{help_lines(_OPTIONS)}"""


def run(words: Sequence[str]) -> int:
    """Serve until told to end. Raises SandboxError: it could not begin."""
    given, rest = parse_options(words, _OPTIONS)
    if rest:
        raise SpecError(rest[0], "serve takes options only")
    values = dict(given)
    if "--help" in values:
        print(_HELP)
        return 0
    from sandbox.judge.service.extension import JudgeExtension
    from sandbox.server.serve import serve

    serve(_config(values), lambda: _config(values), [JudgeExtension()])
    return 0


def new_token() -> tuple[str, str]:
    """A token that nobody guesses, and what serve.toml has in its place."""
    from sandbox.server.tenants import new_token

    return new_token()


def _config(values: Mapping[str, str | None]) -> Config:
    from sandbox.server.config import Config, load_config, read_address, require_safe
    from sandbox.spec.fields import read_choice

    file = values.get("--config")
    config = Config() if file is None else load_config(Path(file))
    listen, state = config.listen, config.state
    if (path := values.get("--socket")) is not None:
        listen = listen._replace(socket=Path(path).absolute())
    for name in ("tcp", "metrics"):
        if (address := values.get(f"--{name}")) is not None:
            listen = listen._replace(**{name: read_address(address, f"--{name}")})
    if (path := values.get("--state")) is not None:
        state = state._replace(directory=Path(path).absolute())
    config = config._replace(listen=listen, state=state)
    if (log := values.get("--log")) is not None:
        config = config._replace(log_format=read_choice(log, "--log", ("human", "json")))
    if "--allow-degraded" in values:
        config = config._replace(allow_degraded=True)
    require_safe(config)
    return config
