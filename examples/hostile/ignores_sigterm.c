/* Ignores every signal that it can, and spins. Right verdict: a time limit. */
#include <signal.h>

int main(void) {
    for (int number = 1; number < 65; number++)
        signal(number, SIG_IGN);
    for (;;)
        ;
}
