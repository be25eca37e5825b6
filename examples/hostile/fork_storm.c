/* Forks without end and never gives up. Right verdict: a time limit; nothing is left. */
#include <unistd.h>

int main(void) {
    for (;;)
        fork();
}
