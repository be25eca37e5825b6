/* Leaves a double-forked daemon in its own session, which holds stdout open.
   Right verdict: exited with 0, at once, and the daemon is gone. */
#include <unistd.h>

int main(void) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0)
            for (;;)
                pause();
        _exit(0);
    }
    write(1, "daemon started\n", 15);
    return 0;
}
