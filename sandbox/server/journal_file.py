"""The journal's files: opened, checked, made durable. SQLite in WAL mode.

What SQLite does about the disk, by `PRAGMA synchronous` (pragma.html, wal.html, wal.c of 3.40):

    OFF     no fsync ever. A kill -9 loses nothing, a power failure may corrupt the database.
    NORMAL  a commit is written to the WAL and not synced. A checkpoint syncs the WAL before it
            copies pages to the database, and the database before the WAL may be used again. The
            first commit that does so syncs the WAL once, for its new header: without that, a new
            frame could reach the disk before the header that says that the old frames are void.
    FULL    as NORMAL, and each commit syncs the WAL.

The journal runs at NORMAL: a commit has reached the kernel and waits for no disk. Checkpoints are
a second connection's, in a thread of its own, and so is the first commit of each new WAL. Commits
wait for it only while the WAL begins anew, once in some 16 MiB: for the few pages that were written
during the copy, and four syncs. A commit that must outlive a power failure is followed by an
fdatasync of the whole WAL: the call that FULL makes, but apart from the commit, so that many share
it and those who need none do not wait for it.
"""

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import NamedTuple

from sandbox.server.directories import sync_directory
from sandbox.spec.errors import HostError

__all__ = ["Disk", "JournalFile", "open_file"]

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x53424A4C  # "SBJL"; file(1) shows it

# A state changes three times, a request never: so that no change copies a request of 512 KiB, each
# has a table. Without rowids, because a rowid would make each insert write a second index.
_SCHEMA = """
CREATE TABLE jobs (
    job        TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    key        TEXT,
    state      TEXT NOT NULL,
    label      TEXT,
    priority   INTEGER NOT NULL,
    runs       INTEGER NOT NULL,
    most_runs  INTEGER NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at   REAL,
    bytes      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_by_key ON jobs (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (tenant, state, job);
CREATE INDEX jobs_by_end ON jobs (tenant, ended_at, job, bytes) WHERE ended_at IS NOT NULL;
CREATE TABLE requests (job TEXT PRIMARY KEY, request BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE outcomes (job TEXT PRIMARY KEY, outcome BLOB NOT NULL) WITHOUT ROWID;
"""
_MOST_IDLE_WAL_BYTES = 64 << 20  # what a burst of great requests leaves is given back
_LOCK_SECONDS = 30


class Disk:
    """What the journal's disk thread does to its files; everything here may wait for the disk."""

    def __init__(self, connection: sqlite3.Connection, wal_fd: int) -> None:
        self._connection = connection
        self._wal_fd = wal_fd

    def sync(self) -> None:
        """Have every commit so far outlive a power failure. Raises OSError: fdatasync(2)."""
        os.fdatasync(self._wal_fd)

    def copy(self) -> None:
        """Copy what the WAL holds to the database, beside commits. Raises sqlite3.Error."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def restart(self) -> None:
        """Copy the rest and have the WAL begin anew; nobody may commit. Raises sqlite3.Error."""
        self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        _write_wal_header(self._connection)

    def close(self) -> None:
        """Close the connection and the fd."""
        self._connection.close()
        os.close(self._wal_fd)


class JournalFile(NamedTuple):
    """An open journal: the connection for orders, and what the disk thread needs."""

    path: Path
    connection: sqlite3.Connection
    disk: Disk

    def close(self) -> None:
        """Close all; the last connection copies the WAL to the database, syncs and unlinks it.

        Where it cannot (a full disk), the WAL stays and the next open reads it.
        """
        self.disk.close()
        self.connection.close()


def open_file(path: Path) -> JournalFile:
    """Open the journal at `path`, or make an empty one, 0600; what it holds is on the disk then.

    Its directory is synced; whoever makes that directory syncs the one above. After a kill the
    whole file is checked, which reads all of it. Raises HostError: it cannot be opened or written,
    is none of ours, of a newer schema, or corrupt.
    """
    wal = path.with_name(f"{path.name}-wal")
    with contextlib.ExitStack() as undo:
        try:
            _create(path)
            # Who closes in order leaves no WAL.
            was_closed = not wal.exists() or wal.stat().st_size == 0
            connection = _connect(path)
            undo.callback(connection.close)
            _check_kind(path, connection)
            if not was_closed:
                _check_content(path, connection)
            _prepare(connection)
            disk_connection = _connect(path)
            undo.callback(disk_connection.close)
            wal_fd = os.open(wal, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            undo.callback(os.close, wal_fd)
            sync_directory(path.parent)
        except sqlite3.Error as error:
            raise _host_error(path, error) from error
        except UnicodeDecodeError as error:  # of a message that quotes what is in the schema
            raise HostError(_corrupt(path, "its schema is no text")) from error
        except OSError as error:
            raise HostError(
                f"the journal {path}: {error.strerror}; fix: let {path.parent} be a directory that "
                f"uid {os.geteuid()} may write, with room in its file system"
            ) from error
        undo.pop_all()
    return JournalFile(path, connection, Disk(disk_connection, wal_fd))


def _create(path: Path) -> None:
    # SQLite gives its other files the mode of this one, and would make it by the umask.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise HostError(f"the journal {path} is no regular file; fix: remove it")
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def _connect(path: Path) -> sqlite3.Connection:
    # Opened in one thread and used in another, by one at a time.
    connection = sqlite3.connect(
        path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in (
            "synchronous = NORMAL",
            "wal_autocheckpoint = 0",  # a commit would do it, and wait for the disk
            f"journal_size_limit = {_MOST_IDLE_WAL_BYTES}",
            "secure_delete = FAST",  # zeros where that costs no write of its own
            "temp_store = MEMORY",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_kind(path: Path, connection: sqlite3.Connection) -> None:
    version = _number(connection, "PRAGMA user_version")
    application = _number(connection, "PRAGMA application_id")
    is_empty = _number(connection, "SELECT count(*) FROM sqlite_master") == 0
    if application != _APPLICATION_ID and not (is_empty and application == version == 0):
        raise HostError(
            f"{path} is a database of another program; fix: remove it, or choose another place"
        )
    if version > SCHEMA_VERSION:
        raise HostError(
            f"the journal {path} has schema {version}, this sandbox knows {SCHEMA_VERSION}; "
            f"fix: run the newer sandbox that wrote it, or {_move_away(path)}"
        )


def _check_content(path: Path, connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise HostError(_corrupt(path, " ".join(str(found).split())))


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    if _number(connection, "PRAGMA user_version") == 0:
        # A script is no transaction by itself: without one, a kill would leave half a schema.
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    _write_wal_header(connection)


def _write_wal_header(connection: sqlite3.Connection) -> None:
    # The first commit of a WAL syncs it, so no order's should be the first: this changes nothing,
    # and is a commit all the same.
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _host_error(path: Path, error: sqlite3.Error) -> HostError:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return HostError(_corrupt(path, str(error)))
    return HostError(
        f"the journal {path} cannot be opened: {error} ({name}); fix: let "
        f"{path.parent} be on a local file system with room, and in use by one server only"
    )


def _corrupt(path: Path, problem: str) -> str:
    return (
        f"the journal {path} is corrupt ({problem}): what it says of accepted jobs and their "
        f"results is not trusted; fix: {_move_away(path)}, where sqlite3's .recover may read some"
    )


def _move_away(path: Path) -> str:
    return (
        f"move {path.name}, {path.name}-wal and {path.name}-shm together to another directory: the "
        "server then starts with an empty journal and knows none of the jobs in this one"
    )


def _number(connection: sqlite3.Connection, question: str) -> int:
    (number,) = connection.execute(question).fetchone()
    return int(number)
