/* Fills pipes, whose buffers are the kernel's memory. Right verdict: memory; where the fd limit
   comes first it exits with 1. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

int main(void) {
    static char data[65536];
    int ends[2];
    while (pipe2(ends, O_NONBLOCK) == 0) {
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        while (write(ends[1], data, sizeof data) > 0)
            ;
    }
    return 1;
}
