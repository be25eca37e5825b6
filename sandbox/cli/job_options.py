"""The options of `sandbox run` that describe a job."""

from sandbox.cli.options import Option

__all__ = ["LIMITS", "SETTINGS"]

# Each is the key of the same name in [limits].
LIMITS = {
    "--memory": Option("most memory, its files included: 256MiB", "SIZE"),
    "--cpu-time": Option("most CPU time of all its processes: 2s, 500ms", "TIME"),
    "--wall": Option("most time: 10s", "TIME"),
    "--idle": Option("end it after so long without CPU time or I/O", "TIME"),
    "--extra-time": Option("how long past a time limit it is killed; the verdict stays", "TIME"),
    "--processes": Option("most processes and threads", "N"),
    "--cpus": Option("CPU rate: 1, 0.5", "N"),
    "--core": Option("pin it to this core", "N"),
    "--disk": Option("most that its files hold: 64MiB, 64MiB:1000", "SIZE[:INODES]"),
    "--output": Option("most bytes of stdout and stderr together", "SIZE"),
    "--fds": Option("most open file descriptors of a process", "N"),
    "--stack": Option("stack of a process's first thread", "SIZE"),
}
# Each is the key of the same name in the document.
SETTINGS = {
    "--policy": Option("what it may do (default: default); see: sandbox policy", "NAME|FILE"),
    "--root": Option("its read-only root: the host's /usr, or an unpacked root", "host|DIR"),
    "--cwd": Option("its working directory, writable (default: /work)", "DIR"),
    "--ro": Option("show it a host file or directory, read-only", "SRC[:DST]"),
    "--copy": Option("give it a copy of a host file or directory", "SRC[:DST]"),
    "--collect": Option("write the file that it leaves at PATH to DEST", "PATH=DEST"),
    "--env": Option("set a variable", "K=V"),
    "--stdin": Option("what it reads (default: -, our own stdin)", "FILE|-"),
    "--tty": Option("a pseudo-terminal of its own"),
    "--disk-counts": Option("whether its files count into the memory limit", "memory|apart"),
    "--require-grade": Option("refuse it where LIMIT is enforced by less", "LIMIT=GRADE"),
    "--allow-degraded": Option("run it where the kernel enforces no memory or process limit"),
}
