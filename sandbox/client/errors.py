"""What only a client can meet: there is no connection to the server, or it is not trusted."""

from __future__ import annotations

from sandbox.spec.errors import SandboxError

__all__ = ["DisconnectedError", "UntrustedError"]


class DisconnectedError(SandboxError):
    """The server is not reachable, or the connection was lost and could not be made again.

    What was asked for may or may not have happened; jobs that were accepted go on without us.
    """


class UntrustedError(SandboxError):
    """TLS failed: the server is not who it should be, or does not believe who we are."""
