"""What the document says of hosts that no test makes."""

__all__ = ["TEXT"]

_ROWS = (
    (
        "a job of `sandbox` itself",
        "a sandbox in a sandbox is a violation (`unshare(CLONE_NEWUSER)`), by which the job ends",
        "none: the policies allow no user namespaces",
    ),
    (
        "Ubuntu from 23.10, where `kernel.apparmor_restrict_unprivileged_userns` is 1",
        "a user namespace comes without rights: mounts fail with EACCES, `view` is missing, jobs "
        "are refused",
        "an AppArmor profile with `userns,` for the interpreter, which `sandbox doctor --fix` "
        "prints (`apparmor.d(5)`)",
    ),
    (
        "SELinux, enforcing, with a policy that confines the user or the unit (class "
        "`user_namespace`, Linux 6.1)",
        "user namespaces fail with EACCES or EPERM, and the kernel's log has the `avc` line",
        "a policy module that allows it: `audit2allow -a -M sandbox`, read it, "
        "`semodule -i sandbox.pp`",
    ),
    (
        "kernels that are not Linux (gVisor, WSL 1)",
        "`sandbox doctor` names the first call that is missing",
        "a Linux kernel",
    ),
)
TEXT = """\
## Other hosts

Only the first of these is run, by a test of its own; the others are from the documents named.

| host | what is to be expected | fix |
|---|---|---|
""" + "".join(f"| {' | '.join(row)} |\n" for row in _ROWS)
