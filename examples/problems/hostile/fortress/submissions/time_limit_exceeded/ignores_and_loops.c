/* Deaf to all signals, and never done. */
#include <signal.h>

int main(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    for (volatile int turn = 0;; turn = !turn) {
    }
}
