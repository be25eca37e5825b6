/* Stops itself, as Ctrl-Z would. Right verdict: idle or wall_time. */
#include <signal.h>
#include <unistd.h>

int main(void) {
    kill(getpid(), SIGSTOP);
    return 0;
}
