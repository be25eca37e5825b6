/* Pushes a command into the caller's terminal. Right verdict: violation, with a terminal or
   without: the filter is asked before the descriptor is. */
#include <sys/ioctl.h>

int main(void) {
    return ioctl(0, TIOCSTI, "\n") != 0;
}
