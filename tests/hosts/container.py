"""Runs a program in a container of crun: `container.py KIND UID DIRECTORY -- COMMAND…`.

KIND `default`: as engines start one, with Docker's capabilities, masked and read-only paths of
/proc, and a seccomp filter; `open`: without the last two, as docs/operations.md has it; `bare`:
as crun itself does, without capabilities and with no_new_privs. UID is who the command runs as.
The container's files are this host's, read-only, with its own /proc, /sys, /dev and /tmp.
DIRECTORY is for the bundle.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_OWN = ("proc", "sys", "dev", "tmp", "run", "mnt", "lost+found")
_FORBIDDEN = (
    "unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "move_mount", "fsopen",
    "fsmount", "fsconfig", "mount_setattr", "sethostname", "keyctl", "bpf",
)  # fmt: skip
_CLONE_NEW = 0x7E020080
_CAPABILITIES = [
    f"CAP_{name}" for name in (
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
        "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    )
]  # fmt: skip


def main() -> None:
    """Write the bundle, and become crun."""
    kind, uid, directory, *command = (word for word in sys.argv[1:] if word != "--")
    bundle = Path(directory)
    (bundle / "rootfs").mkdir()
    specification = ["crun", "spec", *(["--rootless"] if os.geteuid() else [])]
    subprocess.run(specification, cwd=bundle, check=True)
    config: dict[str, Any] = json.loads((bundle / "config.json").read_text())
    process = config["process"]
    process |= {"terminal": False, "args": command, "cwd": "/"}
    process["env"] = [f"{name}={value}" for name, value in os.environ.items()]
    process["user"] = {"uid": int(uid), "gid": int(uid)}
    config["root"] = {"path": "rootfs", "readonly": False}
    config["mounts"] += [
        {"destination": f"/{path.name}", "source": str(path), "options": ["rbind", "ro"]}
        for path in Path("/").iterdir()
        if path.name not in _OWN and path.is_dir() and not path.is_symlink()
    ]
    config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
                             "options": ["mode=1777"]})  # fmt: skip
    if kind != "bare":
        process["noNewPrivileges"] = False
        sets = ("bounding", "effective", "permitted") if uid == "0" else ("bounding",)
        process["capabilities"] = dict.fromkeys(sets, _CAPABILITIES)
    if kind == "open":
        config["linux"] |= {"maskedPaths": [], "readonlyPaths": []}
    else:
        config["linux"]["seccomp"] = _filter()
    (bundle / "config.json").write_text(json.dumps(config))
    for path in Path("/").iterdir():  # merged /usr
        if path.is_symlink():
            (bundle / "rootfs" / path.name).symlink_to(path.readlink())
    words = ["crun", "--root", f"{bundle}/state", "--cgroup-manager=disabled"]
    os.execvp("crun", [*words, "run", "--bundle", str(bundle), f"hosts-{os.getpid()}"])


def _filter() -> dict[str, Any]:
    refuse = {"action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    masked = {"index": 0, "value": 0, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    bits = [1 << n for n in range(32) if _CLONE_NEW >> n & 1]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": [*_FORBIDDEN], **refuse},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            *(
                {"names": ["clone"], "args": [masked | {"value": bit, "valueTwo": bit}], **refuse}
                for bit in bits
            ),
        ],
    }


if __name__ == "__main__":
    main()
