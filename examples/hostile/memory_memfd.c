/* Fills a file that has no name and is on no mount, so that no disk limit sees it.
   Right verdict: memory. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    static char data[65536];
    int fd = memfd_create("fill", 0);
    while (write(fd, data, sizeof data) > 0)
        ;
    return 1;
}
