/* Forks without end, in every child too. Right verdict: processes, or a time limit; nothing left. */
#include <unistd.h>

int main(void) {
    int refused = 0;
    while (!refused)
        refused = fork() < 0;
    return 1;
}
