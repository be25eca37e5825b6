/* @EXPECTED_RESULTS@: CORRECT, MEMORY-LIMIT, RUN-ERROR
   Files in memory count as memory, or there are none. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    static char page[65536];
    const int file = memfd_create("filler", 0);
    for (int pages = 0; file >= 0 && pages < 16384 && write(file, page, sizeof page) > 0; pages++) {
    }
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld\n", a + b);
    return 0;
}
