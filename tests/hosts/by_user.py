"""Hosts that an ordinary user can make: namespaces without rights, rlimits, containers."""

from hosts.cell import USER, Cell

__all__ = ["CELLS"]

_NO_USERNS = {
    name: "missing"
    for name in (
        "identity", "view", "processes", "network", "ipc", "uts", "cgroup", "syscalls", "landlock",
        "time",
    )
}  # fmt: skip
_OWN_NAMESPACE = ("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c")
_FORGOES = 'exec setpriv --inh-caps=-all --ambient-caps=-all "$0" "$@"'


def _sysctl(name: str, value: int) -> tuple[str, ...]:
    return (*_OWN_NAMESPACE, f"echo {value} > /proc/sys/user/{name}; {_FORGOES}")


def _lacks_namespaces(kind: str, wall: str, **more: object) -> Cell:
    name = f"max_{kind}_namespaces"
    return Cell(
        f"max-{kind}-namespaces",
        f"`user.{name}` is 0",
        USER,
        words=_sysctl(name, 0),
        runs=False,
        runs_degraded=False,
        walls={"identity": "weak", wall: "missing"},
        fix=f"user.{name}=28633",
    )._replace(**more)


CELLS = (
    Cell("bare", "an ordinary user of a host that was prepared by `sandbox setup`", USER),
    Cell(
        "max-user-namespaces", "`user.max_user_namespaces` is 0", USER,
        words=_sysctl("max_user_namespaces", 0),
        runs=False, runs_degraded=False, walls=_NO_USERNS,
        says="no user namespace", fix="user.max_user_namespaces=28633",
    ),
    _lacks_namespaces("pid", "processes"),
    _lacks_namespaces("net", "network"),
    _lacks_namespaces("ipc", "ipc", long=True),
    _lacks_namespaces("uts", "uts", long=True),
    _lacks_namespaces("cgroup", "cgroup", long=True),
    _lacks_namespaces("time", "time"),
    _lacks_namespaces(
        "mnt", "view", walls={"identity": "weak", "view": "missing", "processes": "missing"}
    ),
    Cell(
        "root-of-one-id", "root of a user namespace that has no other id (`unshare -r`)", USER,
        words=("unshare", "--user", "--map-root-user"),
        runs=False, runs_degraded=False, walls={**_NO_USERNS, "quotas": "missing"},
        says="has no ids", fix="be another user in it",
    ),
    Cell(
        "root-of-a-range", "root of a user namespace with a range of ids, as of rootless podman",
        USER, words=("unshare", "--user", "--map-root-user", "--map-auto"), needs=("newuidmap",),
        runs=False, runs_degraded=False, walls={**_NO_USERNS, "quotas": "missing"},
        says="has no ids", fix="give root some that it has",
    ),
    Cell(
        "bubblewrap", "inside bubblewrap, with the host's files and cgroups", USER,
        words=("bwrap", "--dev-bind", "/", "/", "--unshare-user"), needs=("bwrap",),
        walls={"identity": "weak"}, fix="start outside of it",
    ),
    Cell(
        "bubblewrap-all", "inside bubblewrap, with all that it can unshare", USER,
        words=("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs",
               "/tmp", "--unshare-all"),
        needs=("bwrap",),
        runs=False, walls={"identity": "weak", "quotas": "missing"},
        says="cgroup", fix="writable",
    ),
    Cell(
        "no-new-privs", "`no_new_privs` is set", USER, words=("setpriv", "--no-new-privs"),
        walls={"identity": "weak"}, fix="NoNewPrivileges=no",
    ),
    Cell(
        "few-files", "RLIMIT_NOFILE of 64", USER, words=("prlimit", "--nofile=64"),
        runs=False, runs_degraded=False, says="only 64 files", fix="LimitNOFILE=",
    ),
    Cell("some-files", "RLIMIT_NOFILE of 128", USER, words=("prlimit", "--nofile=128")),
    Cell(
        "no-file-size", "RLIMIT_FSIZE of 0", USER, words=("prlimit", "--fsize=0"),
        runs=False, runs_degraded=False, says="File too large",
    ),
    Cell(
        "few-processes", "RLIMIT_NPROC of 1", USER, each=("prlimit", "--nproc=1"),
        runs=False, runs_degraded=False, walls=_NO_USERNS,
        says="the keeper cannot be started", fix="TasksMax=",
    ),
    Cell(
        "no-locked-memory", "RLIMIT_MEMLOCK of 0", USER, words=("prlimit", "--memlock=0"),
        long=True,
    ),
    Cell("no-core", "RLIMIT_CORE of 0", USER, words=("prlimit", "--core=0"), long=True),
    Cell(
        "small-stack", "RLIMIT_STACK of 256 KiB", USER, words=("prlimit", "--stack=262144"),
        long=True,
    ),
    Cell(
        "no-standard-streams", "stdin, stdout and stderr of the runner are closed", USER,
        words=("sh", "-c", 'exec "$0" "$@" <&-'),
    ),
    Cell("no-environment", "an empty environment", USER, words=("env", "-i")),
)  # fmt: skip
