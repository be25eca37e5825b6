/* As the judge would kill it: the right answer, and then SIGKILL. */
#include <signal.h>
#include <stdio.h>

int main(void) {
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld\n", a + b);
    fflush(stdout);
    return raise(SIGKILL);
}
