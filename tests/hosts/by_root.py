"""Hosts that only root can make: in mount and pid namespaces of its own, for an ordinary user."""

from hosts.cell import ROOT, Cell

__all__ = ["CELLS"]

_ALL_MISSING = {
    name: "missing"
    for name in (
        "identity", "view", "processes", "network", "ipc", "uts", "cgroup", "syscalls", "landlock",
        "time",
    )
}  # fmt: skip
_SHARED_ID = {"identity": "weak"}
_FILTERED = ("{python}", "-B", "{here}/filtered.py")
_READ_ONLY_CGROUPS = (
    "for point in $(findmnt -rno TARGET -t cgroup,cgroup2); do "
    "mount -o remount,bind,ro $point; done"
)
_CONTAINER = ("{python}", "-B", "{here}/container.py")
# crun takes a v2 hierarchy beside v1 for a mistake where it has a controller.
_NOT_HYBRID = "umount /sys/fs/cgroup/unified 2>/dev/null || true"
# A file of its own below a copy of its directory: a mount below /usr would be in the overlay's way.
_CHROOT = (
    "mkdir {scratch}/root; mount --bind / {scratch}/root\n"
    "for name in proc sys dev tmp; do mount --rbind /$name {scratch}/root/$name; done"
)

CELLS = (
    Cell("root", "root, whose runner drops for good", ROOT, as_root=True),
    Cell(
        "no-account", "a uid without an account, a grant or a cgroup", ROOT,
        root_words=("setpriv", "--reuid", "4000000", "--regid", "4000000", "--clear-groups"),
        as_root=True,
        runs=False, walls={**_SHARED_ID, "quotas": "missing"},
        says="not delegated", fix="sandbox setup --user 4000000",
    ),
    Cell(
        "no-subuid", "/etc/subuid and /etc/subgid grant the user nothing", ROOT,
        prepare="for name in subuid subgid; do mount --bind /dev/null /etc/$name; done",
        walls=_SHARED_ID, fix="sandbox setup --user",
    ),
    Cell(
        "no-newuidmap", "newuidmap and newgidmap are not installed", ROOT,
        prepare="mkdir {scratch}/bin\n"
        "for file in /usr/bin/*; do ln -s $file {scratch}/bin/; done\n"
        "rm {scratch}/bin/newuidmap {scratch}/bin/newgidmap; export PATH={scratch}/bin",
        walls=_SHARED_ID, fix="install",
    ),
    Cell(
        "mount-below-usr", "something is mounted below /usr", ROOT,
        prepare="mount -t tmpfs none /usr/local",
        runs=False, runs_degraded=False, walls={"view": "missing"},
        says="/usr/local", fix="unmount /usr/local",
    ),
    Cell(
        "nosuid", "the root file system is mounted nosuid", ROOT,
        prepare="mount -o remount,bind,nosuid /",
        walls=_SHARED_ID, fix="mount -o remount,bind,suid /",
    ),
    Cell(
        "hidepid", "/proc with hidepid=2", ROOT, prepare="mount -t proc -o hidepid=2 proc /proc"
    ),
    Cell(
        "processes-only", "/proc with hidepid=invisible,subset=pid", ROOT,
        prepare="mount -t proc -o hidepid=invisible,subset=pid proc /proc",
    ),
    Cell(
        "masked-proc", "parts of /proc are mounted over, as container engines do", ROOT,
        prepare="mount --bind /dev/null /proc/timer_list || mount --bind /dev/null /proc/keys\n"
        "mount -t tmpfs -o ro none /proc/fs",
        runs=False, runs_degraded=False, walls={"processes": "missing"},
        says="proc", fix="systempaths=unconfined",
    ),
    Cell(
        "read-only-sys", "/sys is mounted read-only", ROOT, prepare="mount -o remount,bind,ro /sys"
    ),
    Cell(
        "read-only-cgroups", "the cgroup hierarchies are mounted read-only", ROOT,
        prepare=_READ_ONLY_CGROUPS,
        runs=False, walls={"quotas": "missing"},
        says="cgroup", fix="ProtectControlGroups=no",
    ),
    Cell(
        "no-cgroups", "no cgroup hierarchy is mounted", ROOT, prepare="umount -R /sys/fs/cgroup",
        runs=False, walls={"quotas": "missing"},
        says="no cgroup hierarchy is mounted", fix="mount -t cgroup",
    ),
    Cell(
        "no-sys", "there is no /sys", ROOT, long=True, prepare="umount -R /sys",
        runs=False, walls={"quotas": "missing"},
        says="no cgroup hierarchy is mounted", fix="mount sysfs",
    ),
    Cell(
        "no-shm", "/dev/shm cannot be written", ROOT, long=True,
        prepare="mount -t tmpfs -o ro none /dev/shm",
    ),
    Cell(
        "no-dev", "/dev is empty", ROOT, prepare="mount -t tmpfs none /dev",
        runs=False, runs_degraded=False, walls={"identity": "weak", "view": "missing"},
        fix="/dev with null",
    ),
    Cell(
        "read-only-tmp", "neither /tmp nor /run/user can be written", ROOT,
        prepare="mount -t tmpfs -o ro none /tmp; mount -t tmpfs -o ro none /run",
        runs=False, runs_degraded=False, walls={"identity": "missing"},
        says="/tmp/sandbox-", fix="/run/user/UID",
    ),
    Cell(
        "noexec-tmp", "/tmp is noexec, nosuid, nodev", ROOT, long=True,
        prepare="mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 none /tmp",
    ),
    Cell(
        "read-only-root", "the root file system is read-only, /tmp is not", ROOT,
        prepare="mount -t tmpfs -o mode=1777 none /tmp; mount -o remount,bind,ro /",
    ),
    Cell(
        "chroot", "in a chroot", ROOT, prepare=_CHROOT, root_words=("chroot", "{scratch}/root"),
        runs=False, runs_degraded=False, walls=_ALL_MISSING,
        says="no user namespace", fix="chroot",
    ),
    Cell(
        "memfd-noexec", "`vm.memfd_noexec` is 2", ROOT, own_pids=True,
        prepare="echo 2 > /proc/sys/vm/memfd_noexec",
        runs=False, runs_degraded=False, walls={"processes": "missing"},
        says="vm.memfd_noexec", fix="vm.memfd_noexec=1",
    ),
    Cell(
        "few-pids", "a pid namespace with `kernel.pid_max` 400", ROOT, own_pids=True,
        prepare="echo 400 > /proc/sys/kernel/pid_max",
    ),
    Cell(
        "filter-unshare", "a seccomp filter refuses unshare, setns, clone with namespaces", ROOT,
        root_words=(*_FILTERED, "unshare", "setns", "namespaces", "clone3", "--"),
        runs=False, runs_degraded=False, walls=_ALL_MISSING,
        says="no user namespace", fix="seccomp filter is around us",
    ),
    Cell(
        "filter-clone3", "a seccomp filter answers clone3 with ENOSYS", ROOT,
        root_words=(*_FILTERED, "clone3", "--"),
        runs=False, runs_degraded=False, walls={"processes": "missing"},
        says="clone", fix="seccomp filter is around us",
    ),
    Cell(
        "filter-setns", "a seccomp filter refuses setns, as podman's", ROOT,
        root_words=(*_FILTERED, "setns", "--"),
        walls={"view": "weak"}, fix="seccomp filter is around us",
    ),
    Cell(
        "filter-mount", "a seccomp filter refuses mount", ROOT,
        root_words=(*_FILTERED, "mount", "--"),
        runs=False, runs_degraded=False, walls={"view": "missing", "processes": "missing"},
        fix="seccomp filter is around us",
    ),
    Cell(
        "filter-new-mounts", "a seccomp filter refuses the newer mount calls", ROOT,
        root_words=(*_FILTERED, "open_tree", "move_mount", "mount_setattr", "fsopen", "--"),
        runs=False, runs_degraded=False, walls={"view": "missing"},
        fix="seccomp filter is around us",
    ),
    Cell(
        "filter-sethostname", "a seccomp filter refuses sethostname", ROOT,
        root_words=(*_FILTERED, "sethostname", "--"),
        runs=False, runs_degraded=False, walls={"uts": "missing"},
        says="hostname", fix="seccomp filter is around us",
    ),
    Cell(
        "root-without-rights", "root without a capability", ROOT, as_root=True,
        root_words=("setpriv", "--inh-caps=-all", "--bounding-set=-all"),
        runs=False, runs_degraded=False, walls={**_ALL_MISSING, "quotas": "missing"},
        says="root lacks CAP_SETGID and CAP_SETUID and CAP_SYS_ADMIN", fix="be an ordinary user",
    ),
    Cell(
        "container", "a container of crun, with Docker's capabilities, filter and masks", ROOT,
        as_root=True, prepare=_NOT_HYBRID, needs=("crun",),
        root_words=(*_CONTAINER, "default", "{uid}", "{scratch}", "--"),
        runs=False, runs_degraded=False, walls={**_ALL_MISSING, "quotas": "missing"},
        says="no user namespace", fix="a seccomp filter is around us",
    ),
    Cell(
        "container-open", "the same, without the filter and masked paths", ROOT,
        as_root=True, prepare=_NOT_HYBRID, needs=("crun",),
        root_words=(*_CONTAINER, "open", "{uid}", "{scratch}", "--"),
        runs=False, walls={"identity": "weak", "quotas": "missing"},
        says="read-only", fix="setcap cap_setuid=ep",
    ),
    Cell(
        "container-root", "the same, as root of the container", ROOT, long=True,
        as_root=True, prepare=_NOT_HYBRID, needs=("crun",),
        root_words=(*_CONTAINER, "open", "0", "{scratch}", "--"),
        runs=False, runs_degraded=False, walls={**_ALL_MISSING, "quotas": "missing"},
        says="root lacks CAP_SYS_ADMIN", fix="be an ordinary user",
    ),
    Cell(
        "container-rootless", "a rootless container of crun, with one id, as its root", ROOT,
        prepare=_NOT_HYBRID, needs=("crun",),
        words=(*_CONTAINER, "bare", "0", "{scratch}", "--"),
        runs=False, runs_degraded=False, walls={**_ALL_MISSING, "quotas": "missing"},
        says="root lacks", fix="be an ordinary user",
    ),
)  # fmt: skip
