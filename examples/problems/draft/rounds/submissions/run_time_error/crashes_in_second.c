#include <stdio.h>
#include <stdlib.h>

int main(void) {
    int total, count, number;
    if (scanf("%d %d", &total, &count) != 2) return 1;
    if (total > 0) abort();
    while (count-- > 0) {
        if (scanf("%d", &number) != 1) return 1;
        printf("%d\n", total += number);
        fflush(stdout);
    }
    return 0;
}
