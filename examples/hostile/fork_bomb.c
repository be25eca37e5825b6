/* Forks without end, in every child too; each gives up when it is refused.
   Right verdict: processes. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    while (fork() >= 0)
        ;
    perror("fork");
    return 1;
}
