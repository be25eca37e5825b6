"""Where clients come in: a unix socket, and TCP with TLS; each connection is a Connection."""

import contextlib
import errno
import os
import resource
import socket
import ssl
import stat
from operator import methodcaller
from pathlib import Path

import trio

from sandbox.server.connection import Connection
from sandbox.server.intake import Intake
from sandbox.server.service import Service
from sandbox.server.tcp import bind_tcp
from sandbox.server.tenants import Tenant, Tenants, peer_uid
from sandbox.spec.errors import HostError, RefusedError
from sandbox.wire.errors import error_to_map
from sandbox.wire.messages import Notification, encode

__all__ = ["Doors", "bind_unix", "open_tcp"]

_BACKLOG = 512
_MOST_CONNECTIONS = 16_384
_FD_SHARE = 0.5  # of our descriptors, for connections; the rest is the jobs'
_MOST_OVER = 256  # connections of tenants that had none, when all places are taken
_MOST_STRANGERS = 256  # on TCP, before they have said who they are
_HANDSHAKE_SECONDS = 10.0
_LOOK_SECONDS = 0.02
_QUIET_SECONDS = 0.25
_PAUSE_SECONDS = 0.1  # with no fd or memory left: others must end first
_SHORT_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def bind_unix(path: Path, mode: int = 0o600) -> socket.socket:
    """Listen at `path`, for its owner alone by default; what nobody listens at is replaced.

    Raises HostError: another server is there, or something else; or it cannot be made.
    """
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            # To a file that is no socket, connect(2) is refused as to a socket of nobody.
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise HostError(f"{path} is no socket, and is left alone; fix: --socket PATH")
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise HostError(f"another server listens at {path}; fix: end it, or --socket PATH")
        mask = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise HostError(
            f"cannot listen at {path}: {error.strerror or error}; fix: --socket PATH"
        ) from error
    except BaseException:
        listener.close()
        raise
    finally:
        probe.close()
    return listener


def open_tcp(host: str, port: int) -> list[socket.socket]:
    """Listen at every address of `host`. Raises HostError."""
    try:
        return bind_tcp(host, port, _BACKLOG)
    except OSError as error:
        raise HostError(
            f"cannot listen at {host}:{port}: {error.strerror or error}; fix: --tcp HOST:PORT"
        ) from error


class Doors:
    """Lets clients in: not too many, and none that may not."""

    def __init__(self, service: Service, nursery: trio.Nursery) -> None:
        """`nursery`: for the connections, which outlast their listeners."""
        self._service, self._nursery = service, nursery
        most_fds, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.intake = Intake(min(_MOST_CONNECTIONS, int(most_fds * _FD_SHARE)))
        self._open: set[Connection] = set()
        self._shaking_hands = 0
        self._strangers: set[Connection] = set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def unix(self, listener: socket.socket) -> None:
        """Let in whom the kernel says to be somebody we know."""
        door = trio.socket.from_stdlib_socket(listener)
        while True:
            peer = await self._accept(door)
            if peer is None:
                continue
            try:
                uid = peer_uid(peer)  # type: ignore[arg-type]
                tenant = self._service.tenants.of_uid(uid)
                connection = self._connection(trio.SocketStream(peer), tenant, f"uid {uid}")
                connection.recheck = methodcaller("of_uid", uid)
            except (RefusedError, OSError) as error:
                self._turn_away(peer, error)
                continue
            self._nursery.start_soon(self._serve, connection)

    async def tcp(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        """Let in who comes over the network; `context`: with TLS, else in clear."""
        door = trio.socket.from_stdlib_socket(listener)
        while True:
            peer = await self._accept(door)
            if peer is None:
                continue
            self._strangers = {one for one in self._strangers if not one.is_known}
            if self._shaking_hands + len(self._strangers) >= _MOST_STRANGERS:
                self._turn_away(peer, RefusedError("busy: too many have not said who they are", 1))
                continue
            self._shaking_hands += 1
            self._nursery.start_soon(self._meet, peer, context)

    def review(self, tenants: Tenants) -> None:
        """End the connections of whom a new configuration does not let in."""
        for connection in self._open:
            connection.end_unless_known(tenants)

    async def wait_until_answered(self) -> None:
        """Wait until no client has waited for anything for a moment, or none is there.

        Who was told the end of a job may have one question more, about its output.
        """
        quiet_at = trio.current_time() + _QUIET_SECONDS
        while self._open and trio.current_time() < quiet_at:
            await trio.sleep(_LOOK_SECONDS)
            if any(connection.is_busy for connection in self._open):
                quiet_at = trio.current_time() + _QUIET_SECONDS

    async def _accept(self, door: trio.socket.SocketType) -> trio.socket.SocketType | None:
        try:
            peer, _ = await door.accept()
        except OSError as error:
            if error.errno in _SHORT_ERRNOS:
                self._service.log.event("no_room", level="warning", error=str(error))
                await trio.sleep(_PAUSE_SECONDS)
            return None
        if self.connections >= self.intake.most_connections + _MOST_OVER:
            self._turn_away(peer, RefusedError(f"busy: {self.connections} connections", 1))
            return None
        return peer

    def _turn_away(self, peer: trio.socket.SocketType, error: RefusedError | OSError) -> None:
        self._service.log.event("stranger_refused", error=str(error))
        word = encode(Notification("error", (error_to_map(error),)))
        with contextlib.suppress(OSError), socket.socket(fileno=peer.detach()) as refused:
            refused.send(word, socket.MSG_DONTWAIT)  # a new socket has room for it

    async def _meet(self, peer: trio.socket.SocketType, context: ssl.SSLContext | None) -> None:
        where = "tcp"
        try:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a half-open one ends
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            where = "{}:{}".format(*peer.getpeername()[:2])
            stream: trio.abc.Stream = trio.SocketStream(peer)
            tenant: Tenant | None = None
            certificate = b""
            if context is not None:
                tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
                with trio.fail_after(_HANDSHAKE_SECONDS):
                    await tls.do_handshake()
                certificate = tls.getpeercert(binary_form=True) or b""
                if certificate:
                    with contextlib.suppress(RefusedError):  # nobody's: then a token may tell
                        tenant = self._service.tenants.of_certificate(certificate)
                stream = tls
            connection = self._connection(stream, tenant, where)
            if tenant is None:
                self._strangers.add(connection)
            else:
                connection.recheck = methodcaller("of_certificate", certificate)
        except (OSError, ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError) as error:
            self._service.log.event("handshake_failed", peer=where, error=str(error))
            peer.close()
            return
        except RefusedError as error:  # its tenant has too many connections
            self._turn_away(peer, error)
            return
        finally:
            self._shaking_hands -= 1
        await self._serve(connection)

    def _connection(self, stream: trio.abc.Stream, tenant: Tenant | None, where: str) -> Connection:
        return Connection(stream, self._service, tenant, where, self.intake)

    async def _serve(self, connection: Connection) -> None:
        self._open.add(connection)
        try:
            await connection.serve()
        except Exception as error:  # a bug of ours: it costs this connection, and no other
            self._service.log.bug(error, peer=connection.where)
        finally:
            self._strangers.discard(connection)
            self._open.discard(connection)
