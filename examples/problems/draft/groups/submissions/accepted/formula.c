#include <stdio.h>

static long long common(long long a, long long b) { return b ? common(b, a % b) : a; }

int main(void) {
    long long a, b, n;
    if (scanf("%lld %lld %lld", &a, &b, &n) != 3) return 1;
    printf("%lld\n", n / a + n / b - n / (a / common(a, b) * b));
    return 0;
}
