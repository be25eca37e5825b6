#include <stdio.h>

static long depth(volatile long level) {
    volatile char frame[4096];
    frame[level % 4096] = 1;
    return depth(level + 1) + frame[(level + 1) % 4096];
}

int main(void) {
    printf("%ld\n", depth(0));
    return 0;
}
