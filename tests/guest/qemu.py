"""The distribution's kernel in QEMU: cpuset, PSI, Landlock, time namespaces, more than one CPU."""

import os
import shutil
from pathlib import Path

from initramfs import initramfs

__all__ = ["KERNELS", "find_qemu", "qemu_command", "quickest_accelerator"]

_QEMU = "qemu-system-x86_64"
_HOME_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
# Where fetch-kernel leaves what it unpacked: boot/vmlinuz-VERSION and lib/modules/VERSION.
KERNELS = (Path("/var/cache/sandbox/guest"), _HOME_CACHE / "sandbox/guest")


def quickest_accelerator() -> str:
    """What runs the guest's code: "kvm" with the CPU's help, else "tcg", which translates it.

    Some clouds' KVM (kvm_pvm) needs no such help. It runs kernels that were made for it, and
    interprets others an instruction at a time, which takes minutes where TCG takes seconds.
    """
    flags = Path("/proc/cpuinfo").read_text().split()
    helps = "vmx" in flags or "svm" in flags
    return "kvm" if helps and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


def find_qemu(directory: Path | None) -> Path:
    """The directory of an unpacked kernel; LookupError tells what is missing."""
    if not (shutil.which(_QEMU) and shutil.which("busybox")):
        raise LookupError("apt-get install qemu-system-x86 busybox-static uidmap")
    for candidate in [directory] if directory else KERNELS:
        if [*candidate.glob("lib/modules/*/modules.dep")] and [*candidate.glob("boot/vmlinuz-*")]:
            return candidate
    raise LookupError("no kernel for QEMU; fix: tests/guest/fetch-kernel")


def qemu_command(
    kernel: Path, exchange: Path, stream_fds: list[int], accel: str, cpus: int, memory_mib: int,
    kernel_arguments: str,
) -> list[str]:  # fmt: skip
    """The command that boots `kernel`; the guest's streams are `stream_fds`, stdout its console."""
    (image,), (modules,) = kernel.glob("boot/vmlinuz-*"), kernel.glob("lib/modules/*")
    (exchange / "initramfs").write_bytes(initramfs(modules))
    append = f"console=ttyS0 quiet loglevel=3 panic=-1 rdinit=/init {kernel_arguments}"
    command = [
        _QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "q35",
        "-accel", accel, "-cpu", "host" if accel == "kvm" else "Nehalem",
        "-smp", str(cpus), "-m", f"{memory_mib}M",
        "-kernel", str(image), "-initrd", f"{exchange}/initramfs", "-append", append,
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        "-device", "virtio-serial-pci,max_ports=4",
    ]  # fmt: skip
    for tag, options in ("root", "path=/,readonly=on"), ("exchange", f"path={exchange}"):
        # The files of several of the host's file systems have one numbering in the guest.
        shared = f"local,id={tag},{options},security_model=none,multidevs=remap"
        command += ["-fsdev", shared, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    for number, fd in enumerate(stream_fds, start=1):
        command += ["-chardev", f"file,id=stream{number},path=/dev/fd/{fd}"]
        command += ["-device", f"virtserialport,chardev=stream{number},nr={number}"]
    return command
