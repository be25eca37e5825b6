/* Spins through a fixed amount of arithmetic; prints the CPU seconds that it took. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

int main(void) {
    volatile uint64_t sum = 0;
    struct timespec used;
    for (uint64_t i = 0; i < 150000000; i++)
        sum = sum * 6364136223846793005u + i;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("%.9f\n", used.tv_sec + used.tv_nsec / 1e9);
}
