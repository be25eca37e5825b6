/* A thread that spins while the answer is given. */
#include <pthread.h>
#include <stdio.h>

static void *spin(void *nothing) {
    for (volatile int turn = 0;; turn = !turn) {
    }
    return nothing;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, 0, spin, 0);
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld\n", a + b);
    return 0;
}
