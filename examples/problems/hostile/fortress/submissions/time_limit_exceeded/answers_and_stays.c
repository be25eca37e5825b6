/* The right answer, stdout closed, and then it stays. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld\n", a + b);
    fclose(stdout);
    for (;;) pause();
}
