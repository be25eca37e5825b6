/* Namespaces and mounts of its own. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>

int main(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 3;
    return mount("proc", "/proc", "proc", 0, 0) == 0 ? 0 : 4;
}
