/* Kills all that it can see, init among it. Right verdict: signaled or exited; the runner lives. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    kill(1, SIGKILL);
    kill(-1, SIGKILL);
    puts("alive");
    return 0;
}
