// The same numbers in a form that nobody else prints: +1.41421356e+00, all in one line.
#include <cmath>
#include <cstdio>

int main() {
    int count;
    double x, y;
    if (std::scanf("%d", &count) != 1) return 1;
    while (count-- > 0) {
        if (std::scanf("%lf %lf", &x, &y) != 2) return 1;
        std::printf(" %+.12E", std::hypot(x, y));
    }
    return 0;
}
