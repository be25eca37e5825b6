/* Mounts a fresh /proc over a writable directory. Right verdict: violation, which names the call. */
#include <sys/mount.h>

int main(void) {
    return mount("proc", "/tmp", "proc", 0, 0) != 0;
}
