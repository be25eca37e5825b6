"""User-mode Linux: a guest kernel that is an ordinary program, and needs no rights."""

import shutil
import subprocess
from pathlib import Path

__all__ = ["find_uml", "uml_command", "uml_environment"]

_UML = "linux.uml"
_HERE = Path(__file__).parent


def find_uml() -> str:
    """The kernel; LookupError tells what is missing."""
    kernel = shutil.which(_UML)
    if not kernel or not Path("/bin/busybox").exists():
        raise LookupError("apt-get install user-mode-linux busybox-static uidmap")
    if _state_is_larger() and not shutil.which("gcc"):
        raise LookupError("user-mode Linux and this CPU's AMX need gcc; apt-get install gcc")
    return kernel


def uml_command(
    kernel: str, exchange: Path, stream_fds: list[int], memory_mib: int, kernel_arguments: str
) -> list[str]:
    """The command that boots it; the guest's streams are `stream_fds`, stdout its console."""
    consoles = [f"con{n}=null,fd:{fd}" for n, fd in enumerate(stream_fds, start=1)]
    return [
        kernel, f"mem={memory_mib}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
        f"init={exchange}/init", f"uml_dir={exchange}/", "umid=uml", "quiet", "loglevel=3",
        "con=null", "ssl=null", "con0=null,fd:1", *consoles, *kernel_arguments.split(),
    ]  # fmt: skip


def uml_environment(exchange: Path, memory_directory: str) -> dict[str, str]:
    """What the command's environment has beside ours: where the guest's memory is a file."""
    environment = {"TMPDIR": memory_directory}
    if _state_is_larger():
        library = exchange / "xstate.so"
        source = _HERE / "xstate.c"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
        environment["LD_PRELOAD"] = str(library)
    return environment


def _state_is_larger() -> bool:
    """Whether this CPU's extended state is larger than what UML keeps of it; see xstate.c."""
    return " amx_tile " in Path("/proc/cpuinfo").read_text()
