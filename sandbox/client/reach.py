"""How a server is met, and what is said when it is not there: the same for both clients."""

from __future__ import annotations

import errno

from sandbox.client import calls
from sandbox.client.errors import DisconnectedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.client.address import Address, Credentials
    from sandbox.client.calls import Call

__all__ = ["greeting", "lost", "silent", "unreachable"]


def greeting(address: Address, credentials: Credentials) -> Call | None:
    """The call that comes first, where the server does not know us by the socket itself."""
    if address.path is not None or credentials.token is None:
        return None
    return calls.hello(credentials.token)


def unreachable(address: Address, error: OSError) -> DisconnectedError:
    """What to say, and to do, where no connection can be made."""
    problem = error.strerror or str(error) or type(error).__name__
    if address.path is None:
        advice = "is `sandbox serve` running there, and may this machine reach it?"
    elif error.errno in (errno.ENOENT, errno.ECONNREFUSED):
        problem = "no server listens there"
        advice = "start `sandbox serve`, or say in SANDBOX_HOST where it is"
    elif error.errno == errno.EAGAIN:
        problem, advice = "it lets nobody in: too many wait already", "try again later"
    elif error.errno == errno.EACCES:
        advice = "this server is another user's; start `sandbox serve`, or ask them for a token"
    else:
        advice = "SANDBOX_HOST says where to look for one"
    return DisconnectedError(f"{address.text}: {problem}; {advice}")


def lost(address: Address, error: OSError | None = None) -> DisconnectedError:
    """The connection has ended, which the server did not announce."""
    problem = "" if error is None else f" ({error.strerror or error})"
    return DisconnectedError(f"{address.text}: the connection was lost{problem}")


def silent(address: Address, method: str, seconds: float) -> DisconnectedError:
    """The server is there, and says nothing."""
    return DisconnectedError(f"{address.text}: no answer to {method} for {seconds:g} s")
