#include <math.h>
#include <stdio.h>

int main(void) {
    int count;
    double x, y;
    if (scanf("%d", &count) != 1) return 1;
    while (count-- > 0) {
        if (scanf("%lf %lf", &x, &y) != 2) return 1;
        printf("%.9f\n", sqrt(x * x + y * y));
    }
    return 0;
}
