/* Guesses on and on, and never reads what the judge says. */
#include <stdio.h>

int main(void) {
    for (;;) puts("1000");
}
