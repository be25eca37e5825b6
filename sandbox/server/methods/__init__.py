"""Every method of the protocol: importing this declares them all."""

from sandbox.server.method import METHODS
from sandbox.server.methods import blob, job, pipeline, server, stream

__all__ = ["METHODS", "blob", "job", "pipeline", "server", "stream"]
