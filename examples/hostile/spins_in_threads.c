/* Spins in eight threads. Right verdict: cpu_time, of all threads together. */
#include <pthread.h>

static void *spin(void *unused) {
    for (;;)
        ;
    return unused;
}

int main(void) {
    pthread_t thread;
    for (int i = 0; i < 7; i++)
        pthread_create(&thread, 0, spin, 0);
    spin(0);
}
