/* As many threads as there may be; each spins. */
#include <pthread.h>

static void *spin(void *nothing) {
    for (volatile int turn = 0;; turn = !turn) {
    }
    return nothing;
}

int main(void) {
    pthread_t thread;
    for (int i = 0; i < 10000; i++) pthread_create(&thread, 0, spin, 0);
    spin(0);
    return 0;
}
