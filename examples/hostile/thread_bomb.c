/* Starts threads until one is refused. Right verdict: processes (threads count as such). */
#include <pthread.h>
#include <unistd.h>

static void *sleeper(void *unused) {
    pause();
    return unused;
}

int main(void) {
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    while (pthread_create(&thread, &small, sleeper, 0) == 0)
        ;
    return 1;
}
