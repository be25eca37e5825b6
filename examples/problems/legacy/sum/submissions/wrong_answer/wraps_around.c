/* Thirty-two bits: only the largest sums are wrong. */
#include <stdint.h>
#include <stdio.h>

int main(void) {
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%d\n", (int32_t)((uint32_t)a + (uint32_t)b));
    return 0;
}
