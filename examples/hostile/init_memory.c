/* Writes to init through /proc. Right verdict: exited with 1: init is not dumpable. */
#include <fcntl.h>
#include <stdio.h>

int main(void) {
    if (open("/proc/1/mem", O_RDWR) >= 0)
        return 0;
    perror("/proc/1/mem");
    return 1;
}
