/* The right answer, after twice the time. */
#include <stdio.h>
#include <time.h>

int main(void) {
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    while (clock() < 2 * CLOCKS_PER_SEC) {
    }
    printf("%ld\n", a + b);
    return 0;
}
