/* Prints the wall clock as it was when main began. */
#include <stdio.h>
#include <time.h>

int main(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("%ld.%09ld\n", (long)now.tv_sec, now.tv_nsec);
}
