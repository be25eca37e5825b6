/* Fixed work of one kind, or none: what a host and a language are measured by. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void integer(long count) {
    uint32_t x = 1;
    for (long i = 0; i < count; i++) {
        x = x * 1664525u + 1013904223u;
        x ^= x >> 13;
    }
    printf("%u\n", x);
}

static void memory(uint32_t size, long count) {
    uint32_t *next = malloc(size * sizeof *next);
    for (uint32_t i = 0; i < size; i++) next[i] = (i * 1664525u + 1013904223u) & (size - 1);
    uint32_t at = 0;
    for (long i = 0; i < count; i++) at = next[at];
    printf("%u\n", at);
}

static void floating(long count) {
    double sum = 0;
    for (long i = 0; i < count; i++) sum = sum * 0.999 + 1.0 / ((double)i + 0.5);
    printf("%.6f\n", sum * 1000);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "integer")) integer(atol(argv[2]));
    if (argc == 4 && !strcmp(argv[1], "memory")) memory((uint32_t)atol(argv[2]), atol(argv[3]));
    if (argc == 3 && !strcmp(argv[1], "float")) floating(atol(argv[2]));
}
