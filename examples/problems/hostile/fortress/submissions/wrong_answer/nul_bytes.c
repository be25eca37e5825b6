/* The right number, behind a NUL. */
#include <stdio.h>

int main(void) {
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld%c0\n", a + b, 0);
    return 0;
}
