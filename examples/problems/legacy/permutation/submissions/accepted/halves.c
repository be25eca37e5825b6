/* Another order: from the two halves in turn, a number each, the upper half first. */
#include <stdio.h>

int main(void) {
    int n;
    if (scanf("%d", &n) != 1) return 1;
    if (n == 2 || n == 3) return puts("impossible") < 0;
    if (n == 4) return puts("3 1 4 2") < 0;
    const int half = n / 2;
    for (int i = 1; i <= half; i++) printf("%d\n%d\n", half + i, i);
    if (n % 2) printf("%d\n", n);
    return 0;
}
