/* Deaf to everything that can be ignored. */
#include <signal.h>
#include <stdio.h>

int main(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld\n", a + b);
    return 0;
}
