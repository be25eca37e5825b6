/* Stopped: it uses nothing, waits for nothing, and is not at its end. */
#include <signal.h>

int main(void) {
    for (;;) raise(SIGSTOP);
}
