/* One number of nearly all the output that is allowed. */
#include <stdio.h>

int main(void) {
    for (int digit = 0; digit < 1000000; digit++) putchar('9');
    return 0;
}
