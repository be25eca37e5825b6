"""`sandbox run` by a server: the same job, streams and exit code, in somebody else's process."""

from __future__ import annotations

import os

from sandbox.cli.attached import Attached
from sandbox.client import calls
from sandbox.client.address import default_address, find_credentials, parse_address
from sandbox.client.link import Link
from sandbox.client.requests import job_map
from sandbox.spec.errors import SandboxError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.cli.transfer import Fetch
    from sandbox.client.address import Address
    from sandbox.spec.result import Result

__all__ = ["connect", "find_link", "run_attached", "run_detached"]

_ANSWER_SECONDS = 30.0
_NO_HOST = "none"


def connect(host: str | None) -> Link:
    """A connection to the server at `host`, or to the one that this user has by default.

    Raises SpecError, DisconnectedError: what is not there, and what to do.
    """
    address = default_address() if host is None else parse_address(host, "--host")
    return Link(address, find_credentials(), _ANSWER_SECONDS)


def find_link(host: str | None) -> Link | None:
    """A connection for `sandbox run`; None: there is no server, or none is wanted.

    One that was asked for by --host or $SANDBOX_HOST must be there. Raises as `connect`.
    """
    asked = host or os.environ.get("SANDBOX_HOST")
    if asked == _NO_HOST:
        return None
    if asked:
        return connect(asked)
    address = default_address()
    if address.path is None or not os.path.exists(address.path):
        return None
    try:
        link = connect(None)
        if not _is_local(address):
            link.ask(calls.hello(None))
    except SandboxError:  # left behind by a server that was killed, or it is not for us
        return None
    return link


def run_attached(
    link: Link, document: dict[str, Any], said: dict[str, Any], *, stdout_fd: int, stderr_fd: int
) -> Result:
    """Run a job with these streams, and stdin from us or the file that it names. It ends with us.

    Raises what the server or the job's own error says.
    """
    stdin_fd, is_opened = _open_stdin(document.pop("stdin", "-"))
    try:
        job, fetches = _place(link, document)
        attached = Attached(link, stdin_fd, stdout_fd, stderr_fd)
        status = attached.run(job, {"attached": True, **said}, tty=document.get("tty") is True)
    finally:
        if is_opened:
            os.close(stdin_fd)
    try:
        if status.error is not None:
            raise status.error
        result = status.result
        assert result is not None
        if fetches:
            from sandbox.cli.transfer import fetch

            told = {one.path: fetch(link, status.job, status.artifacts, one) for one in fetches}
            result = result._replace(artifacts={**result.artifacts, **told})
        return result
    finally:
        link.send(calls.delete(status.job))


def run_detached(link: Link, document: dict[str, Any], said: dict[str, Any]) -> str:
    """Submit a job that goes on without us, and reads nothing of ours; its id."""
    if document.get("stdin", "-") == "-":
        document.pop("stdin", None)
    if _is_local(link.address):
        job = job_map(document)  # the server writes its files, as far as it may
    else:
        job, fetches = _place(link, document)
        if fetches:
            problem = f"{fetches[0].destination} is out of the server's reach; name only the PATH"
            raise SpecError("collect", problem)
    status = link.ask(calls.submit(job, said))
    return status.job


def _place(link: Link, document: dict[str, Any]) -> tuple[dict[str, Any], list[Fetch]]:
    """The job as the server can read it, and what of its artifacts is to be fetched.

    Also from a server of our own: it writes hardly anything of ours.
    """
    from sandbox.cli.transfer import send_inputs, take_fetches

    if _is_local(link.address):
        job = job_map(document)
        return job, take_fetches(job)
    return send_inputs(link, document)


def _open_stdin(stdin: Any) -> tuple[int, bool]:
    if stdin == "-" or not isinstance(stdin, str):
        return 0, False
    try:
        return os.open(stdin, os.O_RDONLY | os.O_CLOEXEC), True
    except OSError as error:
        raise SpecError("stdin", f"{stdin}: {error.strerror}") from error


def _is_local(address: Address) -> bool:
    """Whether the server reads and writes this host's files, as ourselves."""
    if address.path is None:
        return False
    return os.geteuid() in (0, os.stat(address.path).st_uid)
