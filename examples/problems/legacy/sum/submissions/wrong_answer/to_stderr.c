/* The right answer where nobody looks. */
#include <stdio.h>

int main(void) {
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    fprintf(stderr, "%ld\n", a + b);
    return 0;
}
