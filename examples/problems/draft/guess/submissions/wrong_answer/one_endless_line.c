/* A guess of digits without end: the validator must not read for ever. */
#include <stdio.h>

int main(void) {
    for (;;) putchar('1');
}
