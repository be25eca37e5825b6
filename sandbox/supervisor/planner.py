"""Spec, policy and host facts in; plans and grades out: all that can be decided before a clone."""

import contextlib
import errno
import functools
import math
import os
import re
import resource
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from sandbox.boundary.plan import Bind, Disk, SpawnPlan, TemplatePlan
from sandbox.inside.init import write_script
from sandbox.inside.machine import SPAWN_AT, machine_image, machine_job
from sandbox.inside.plan import SandboxPlan
from sandbox.kernel import processes as flags
from sandbox.spec.errors import ExecError, HostError, RefusedError, SpecError
from sandbox.spec.job import Job
from sandbox.spec.limits import GRADES, Limits
from sandbox.spec.policy import Policy
from sandbox.supervisor import landlock, rootfs, seccomp
from sandbox.supervisor.cgroup import Backend, JobCgroup
from sandbox.supervisor.cgroup.bandwidth import CORES, OUR_CORES
from sandbox.supervisor.host import ask, has_time_namespaces
from sandbox.supervisor.identity import Lease
from sandbox.supervisor.sysctls import NO_ATTACH, YAMA, read_sysctl

__all__ = [
    "Blueprint",
    "Planner",
    "Shape",
    "TemplateKey",
    "affinity_of",
    "check_core",
    "disk_of",
    "grades_of",
    "last_capability",
    "refuse_weak_grades",
    "rlimits_of",
    "shape_of",
    "template_key",
]

_PR_CAPBSET_READ = 23  # <linux/prctl.h>
_NAMESPACES = (
    flags.CLONE_NEWUSER
    | flags.CLONE_NEWNS
    | flags.CLONE_NEWPID
    | flags.CLONE_NEWNET
    | flags.CLONE_NEWIPC
    | flags.CLONE_NEWUTS
)
# Memory is the zygote's until the exec, so no page is copied; it waits for that, as in vfork(2).
_SHARED = flags.CLONE_VM | flags.CLONE_VFORK
_SHARING_SINCE = (6, 3)  # before, who shares memory stays in the time namespace that it was born in
_MOST_SCRIPTS = 16  # of sandboxes that differ in shape or disk, of 10 KiB
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEMLOCK_BYTES = 8 << 20
_STACK_BYTES = 8 << 20
_PENDING_SIGNALS = 1024
# What else is counted on our own user, too: of inotify instances it has 128 by default. And a user
# namespace, with which most escapes from one begin, is none even where the filter would allow it.
_SHARES = (
    (b"max_user_namespaces", 0),
    (b"max_inotify_instances", 16),
    (b"max_inotify_watches", 8192),
)
_PROC_USER = b"/proc/sys/user/"
_WALLS = ("identity", "view", "processes", "network", "ipc", "uts", "cgroup", "syscalls", "quotas")


class Facts(NamedTuple):
    """What this kernel offers of what is optional."""

    landlock: tuple[int, int, int] | None
    has_time_namespaces: bool
    has_keyrings: bool
    clone_flags: int
    shares: tuple[tuple[bytes, int], ...]
    can_listen: bool  # to the filter of a payload


def host_facts() -> Facts:
    """Ask the kernel. Once per supervisor: none of it changes while a kernel runs."""
    has_time = has_time_namespaces()
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    is_shared = not has_time or release >= _SHARING_SINCE
    # Yama's strictest scope lets nobody take an fd of another process, so no filter's listener.
    can_listen = read_sysctl(YAMA) != NO_ATTACH
    shared = _SHARED if is_shared else 0
    return Facts(
        landlock=landlock.handled_accesses(),
        has_time_namespaces=has_time,
        has_keyrings=ask(flags.session_keyring) is not None,
        clone_flags=shared,
        shares=_shares(),
        can_listen=can_listen,
    )


def _shares() -> tuple[tuple[bytes, int], ...]:
    """Those that a sandbox can take: containers are often shown /proc/sys to be read only."""
    try:
        if os.statvfs(_PROC_USER).f_flag & os.ST_RDONLY:
            return ()
    except OSError:
        return ()
    return tuple(share for share in _SHARES if os.path.exists(_PROC_USER + share[0]))


@functools.cache
def last_capability() -> int:
    """The highest one that this kernel has. proc_sys_kernel(5)"""
    try:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            return int(file.read())
    except FileNotFoundError:  # /proc mounted with subset=pid
        last = 0
        with contextlib.suppress(OSError):  # EINVAL: there is no such capability
            while True:
                flags.prctl(_PR_CAPBSET_READ, last + 1)
                last += 1
        return last


class Shape(NamedTuple):
    """What of a job its sandbox must be built for; all else may come late."""

    cwd: bytes
    terminal: bool
    has_inputs: bool
    is_pinned: bool  # to a core: it must be in a cpuset


class Blueprint(NamedTuple):
    """What one sandbox is made from."""

    plan: SandboxPlan
    spawn: SpawnPlan  # for the zygote
    script: bytes  # for init and stub
    mounts: tuple[tuple[bytes, bytes], ...]  # (mount point, least options) that it must then have


class TemplateKey(NamedTuple):
    """What of a job its template must be mounted for."""

    root: Path | None
    scratch: bytes
    mount_points: tuple[tuple[bytes, bool], ...]  # (target, is a directory): not init's to make
    policy: Policy


def template_key(job: Job, binds: tuple[Bind, ...], policy: Policy) -> TemplateKey:
    """Jobs of one key share a template."""
    points = tuple((bind.target, bind.is_directory) for bind in binds if not bind.is_created)
    return TemplateKey(job.root, rootfs.scratch_cwd(job), points, policy)


def shape_of(job: Job, limits: Limits) -> Shape:
    """Jobs of one template and shape can use the same parked sandboxes."""
    cwd = job.cwd + b"/"
    # Nobody can be in a bind that is not there yet.
    has_inputs = any(item.copied or cwd.startswith(item.destination + b"/") for item in job.inputs)
    return Shape(job.cwd, job.tty, has_inputs, limits.core is not None)


class Planner:
    """Plans for the jobs of one template."""

    def __init__(self, job: Job, binds: tuple[Bind, ...], policy: Policy, backend: Backend) -> None:
        """Raises SpecError: the job cannot be meant; HostError: a required wall is missing here."""
        self._policy = policy
        self._facts = host_facts()
        self.walls = _plan_walls(policy, self._facts)
        if backend.version == 0:
            self.walls["quotas"] = "absent: no cgroups"
        hierarchies = backend.hierarchies if policy.cgroup_files else ()
        compiled = seccomp.compile_filter(policy, listener=self._facts.can_listen)
        self.notifies = compiled.notifies
        self.template: TemplatePlan = rootfs.plan_template(
            job, binds, policy, hierarchies, machine_image(), SPAWN_AT
        )
        masks = rootfs.plan_proc_masks(policy)
        cgroup_mounts: tuple[tuple[bytes, bytes, bytes], ...] = ()
        if policy.cgroup_files and backend.version == 2:
            cgroup_mounts = ((b"cgroup2", b"", b"sys/fs/cgroup"),)
        elif policy.cgroup_files:
            cgroup_mounts = tuple(
                (b"cgroup", name, b"sys/fs/cgroup/" + name)
                for name in map(os.fsencode, hierarchies)
            )
        scratch = rootfs.scratch_cwd(job)
        handled = self._facts.landlock
        writable = rootfs.writable_paths(job)
        if self.template.keeps_lowers:
            writable = (b"/", *writable)
        self.mounts = rootfs.plan_mounts(scratch, self.template, masks, cgroup_mounts)
        self._sandbox = SandboxPlan(
            inside_id=rootfs.INSIDE_ID,
            drops_groups=False,
            has_keyrings=self._facts.has_keyrings,
            cgroup_fds=0,
            born_in_cgroup=False,
            shares=self._facts.shares,
            hostname=b"sandbox",
            scratch=scratch,
            uppers=rootfs.plan_uppers(self.template),
            disk=Disk(0, 0),
            proc_options=b"subset=pid" if policy.proc == "pid" else b"",
            proc_masks=masks,
            cgroup_mounts=cgroup_mounts,
            init_filter=seccomp.init_filter(),
            filter=compiled.program,
            notifies=compiled.notifies,
            last_capability=last_capability(),
            cwd=job.cwd,
            terminal=False,
            has_inputs=False,
            landlock=handled,
            landlock_paths=landlock.allowed_paths(handled[0], writable) if handled else (),
        )
        self._written: dict[tuple[object, ...], tuple[SandboxPlan, bytes, int]] = {}

    def spawn(self, lease: Lease | None) -> SpawnPlan:
        """What the zygote is told of a sandbox."""
        offsets = None
        if self._facts.has_time_namespaces:
            monotonic, boot = (
                int(time.clock_gettime(c)) for c in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)
            )
            offsets = b"monotonic -%d 0\nboottime -%d 0\n" % (monotonic, boot)
        base_id = 0 if lease is None else lease.base_id
        return SpawnPlan(_NAMESPACES | self._facts.clone_flags, base_id, rootfs.INSIDE_ID, offsets)

    def blueprint(
        self, spawn: SpawnPlan, shape: Shape, disk: Disk, lease: Lease | None, cgroup: JobCgroup
    ) -> Blueprint:
        """What one sandbox is made from, for the identity and cgroup that were taken for it."""
        fds, is_born = len(cgroup.entry_fds), cgroup.born_in
        key = (shape, disk, lease is None, fds, is_born)
        if key not in self._written:
            if len(self._written) >= _MOST_SCRIPTS:
                self._written.clear()
            plan = self._sandbox._replace(
                drops_groups=lease is not None,
                cgroup_fds=fds,
                born_in_cgroup=is_born,
                disk=disk,
                cwd=shape.cwd,
                terminal=shape.terminal,
                has_inputs=shape.has_inputs,
            )
            self._written[key] = (plan, *write_script(plan))
        plan, script, name_at = self._written[key]
        name = b"stub-" + secrets.token_hex(5).encode()
        script = script[:name_at] + name + script[name_at + len(name) :]
        return Blueprint(plan, spawn, script, self.mounts)

    def job(self, job: Job, limits: Limits) -> bytes:
        """What the stub executes. Raises ExecError: it is more than execve(2) takes."""
        environment = {**self._policy.environment, **job.environment}
        if limits.cpus < CORES:
            # Go looks at the affinity only, not at the quota, and would start a thread a core.
            environment.setdefault(b"GOMAXPROCS", b"%d" % math.ceil(limits.cpus))
        paths = _search(job.command[0], environment.get(b"PATH", b"/usr/bin:/bin"))
        variables = [b"%s=%s" % pair for pair in environment.items()]
        try:
            return machine_job(job.command, variables, paths)
        except ValueError as error:
            raise ExecError(errno.E2BIG, job.command[0]) from error


def disk_of(limits: Limits) -> Disk:
    """The size of the scratch space."""
    return Disk(-(-limits.disk_bytes // _PAGE_BYTES), limits.disk_inodes + rootfs.OWN_INODES)


def grades_of(limits: Limits, backend: Backend) -> dict[str, str]:
    """Who enforces each limit. "none" also where the job has no such limit."""
    grades = dict(backend.grades)
    grades |= dict.fromkeys(("wall", "output", "idle"), "polled")  # by the supervisor's own clock
    grades |= {"disk": "kernel", "fds": "rlimit", "stack": "rlimit"}
    unset = {"cpu_time": limits.cpu_seconds, "idle": limits.idle_seconds, "core": limits.core}
    return grades | {name: "none" for name, value in unset.items() if value is None}


def check_core(limits: Limits) -> None:
    """Raises SpecError where the job is to be pinned to a core that we may not use."""
    if limits.core is not None and limits.core not in OUR_CORES:
        cores = ", ".join(map(str, sorted(OUR_CORES)))
        raise SpecError("limits.core", f"{limits.core} is no core of ours; there are {cores}")


def refuse_weak_grades(job: Job, grades: dict[str, str], backend: Backend) -> None:
    """Raises RefusedError where a limit would be enforced by less than the job demands."""
    demanded = {} if job.allow_degraded else {"memory": "kernel", "processes": "kernel"}
    for limit, least in {**demanded, **job.required_grades}.items():
        if GRADES.index(grades[limit]) > GRADES.index(least):
            why = backend.gaps.get(limit, "this limit is not set, or has no stronger enforcer")
            raise RefusedError(
                f"limits.{limit} would be enforced by {grades[limit]}, the job demands {least}: "
                f"{why}"
            )


def _plan_walls(policy: Policy, facts: Facts) -> dict[str, str]:
    walls = dict.fromkeys(_WALLS, "up")
    present = {"landlock": facts.landlock is not None, "time": facts.has_time_namespaces}
    for wall, there in present.items():
        if not there and wall not in policy.optional_walls:
            raise HostError(
                f"the policy {policy.name} requires {wall}, which this kernel lacks; "
                f'fix: another kernel, or optional_walls = ["{wall}"] in the policy'
            )
        walls[wall] = "up" if there else "absent: kernel without it"
    return walls


def _search(command: bytes, path: bytes) -> tuple[bytes, ...]:
    if b"/" in command:
        return (command,)
    return tuple(directory + b"/" + command for directory in path.split(b":") if directory)


def affinity_of(limits: Limits, grades: dict[str, str]) -> tuple[int, ...]:
    """The CPUs to be pinned to by affinity: none where a cpuset does it, or nobody is to."""
    return (limits.core,) if limits.core is not None and grades["core"] != "kernel" else ()


def rlimits_of(limits: Limits, grades: dict[str, str]) -> tuple[tuple[int, int, int], ...]:
    """(resource, soft, hard) of every rlimit of the job, no higher than we may set them."""
    wanted = {
        # One byte, not none: at 0 the kernel still feeds a core to the host's `|handler` of
        # core_pattern, at 1 it does not (core(5); fs/coredump.c).
        resource.RLIMIT_CORE: (1, 1),
        resource.RLIMIT_NOFILE: (limits.fds, limits.fds),
        resource.RLIMIT_MEMLOCK: (_MEMLOCK_BYTES, _MEMLOCK_BYTES),
        resource.RLIMIT_NICE: (0, 0),
        resource.RLIMIT_RTPRIO: (0, 0),
        # The kernel counts what is queued on our own user as well (kernel/ucount.c), so that one
        # job could leave no timer and no signal for the others, nor for us.
        resource.RLIMIT_SIGPENDING: (_PENDING_SIGNALS, _PENDING_SIGNALS),
        resource.RLIMIT_STACK: (_STACK_BYTES, resource.RLIM_INFINITY),
    }
    if limits.stack_bytes is not None:
        wanted[resource.RLIMIT_STACK] = (limits.stack_bytes, limits.stack_bytes)
    if limits.cpu_seconds is not None:
        # Behind the polled limit, should the supervisor be late: whole seconds, per process.
        last = math.ceil(limits.cpu_seconds + limits.extra_seconds) + 1
        wanted[resource.RLIMIT_CPU] = (last, last + 1)
    if grades["processes"] != "kernel":
        # Init and the payload's own first process have the same uid.
        wanted[resource.RLIMIT_NPROC] = (limits.processes + 1, limits.processes + 1)
    return tuple(
        (number, _within(soft, most), _within(hard, most))
        for number, (soft, hard) in wanted.items()
        for most in (_own_hard_limit(number),)
    )


@functools.cache  # the zygote was started with them, and our own do not count any more
def _own_hard_limit(number: int) -> int:
    return resource.getrlimit(number)[1]


def _within(value: int, most: int) -> int:
    """The rlimit, no higher than we may set it; RLIM_INFINITY is -1."""
    if most == resource.RLIM_INFINITY:
        return value
    return most if value == resource.RLIM_INFINITY else min(value, most)
