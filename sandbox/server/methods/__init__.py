"""Every method of the protocol. Importing this fills METHODS."""

from sandbox.server.methods import blob, job, pipeline, server, stream

__all__ = ["blob", "job", "pipeline", "server", "stream"]
