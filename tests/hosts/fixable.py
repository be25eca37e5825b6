"""Hosts whose gaps the doctor's own script closes: root of a guest runs it as printed, twice."""

from hosts.cell import GUEST, ROOT, Cell
from hosts.in_guests import ACCOUNT, PREPARED, SETUP, SYSTEMD, UML, UML_LACKS

__all__ = ["CELLS", "MEMFD", "SMOKE"]

_NO_RANGES = "rm -f /etc/subuid /etc/subgid"
_NOT_SET_UID = "chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap"
_NO_USERNS = "echo 0 > /proc/sys/user/max_user_namespaces"
_NO_CLONE = "echo 0 > /proc/sys/kernel/unprivileged_userns_clone"
_NOSUID = "mount -o remount,bind,nosuid /"
_NO_CGROUPS = "umount -R /sys/fs/cgroup"


def _broken(name: str, host: str, *lines: str, rounds: int = 1, prepare: str = PREPARED) -> Cell:
    script = prepare + "\n".join(lines)
    return Cell(name, host, GUEST, guest=UML, prepare=script, rounds=rounds, walls=UML_LACKS)


# What hides behind another gap is found in the next round.
SMOKE = _broken(
    "fix-all", "all of it at once", _NO_RANGES, _NOT_SET_UID, _NO_USERNS, _NO_CLONE, _NOSUID,
    _NO_CGROUPS, rounds=4, prepare="",
)  # fmt: skip
# Of this host itself, in a pid namespace and with an /etc of its own, which root prepares.
MEMFD = Cell(
    "fix-memfd", "vm.memfd_noexec is 2", ROOT, own_pids=True, rounds=1,
    prepare="mount -t tmpfs none {scratch}; mkdir {scratch}/upper {scratch}/work\n"
    "mount -t overlay -o lowerdir=/etc,upperdir={scratch}/upper,workdir={scratch}/work etc /etc\n"
    "echo 2 > /proc/sys/vm/memfd_noexec",
)  # fmt: skip
_SERVICE = (
    "systemd-run", "--pipe", "--wait", "--quiet", "--collect", "--property=User={user}",
    "--setenv=PYTHONPATH={checkout}",
)  # fmt: skip
CELLS = (
    Cell(
        "fix-systemd", "a service without Delegate=, of a user without a manager", GUEST,
        guest=SYSTEMD, prepare=f"{ACCOUNT}systemctl start systemd-logind", rounds=1,
        each=_SERVICE, as_root=True, walls=UML_LACKS,
    ),
    _broken("fix-not-prepared", "no cgroup subtree", prepare=""),
    _broken("fix-ranges", "no subordinate ids", _NO_RANGES),
    _broken("fix-helpers", "newuidmap is not set-uid", _NOT_SET_UID),
    _broken("fix-nosuid", "newuidmap is on a nosuid mount", _NOSUID),
    _broken("fix-user-namespaces", "user.max_user_namespaces is 0", _NO_USERNS),
    _broken("fix-userns-clone", "kernel.unprivileged_userns_clone is 0", _NO_CLONE),
    _broken(
        "fix-network-namespaces", "user.max_net_namespaces is 0",
        "echo 0 > /proc/sys/user/max_net_namespaces",
    ),
    _broken("fix-mounts", "no cgroup hierarchy is mounted", _NO_CGROUPS, rounds=2, prepare=SETUP),
    _broken("fix-bounded", "set-uid programs get no CAP_SYS_ADMIN")._replace(
        root_words=("setpriv", "--bounding-set=-sys_admin")
    ),
)  # fmt: skip
