#include <stdio.h>

int main(void) {
    long state, factor, modulus, count, number;
    FILE *mixer = fopen("mixer.txt", "r");
    if (!mixer || fscanf(mixer, "%ld %ld %ld", &state, &factor, &modulus) != 3) return 1;
    if (scanf("%ld", &count) != 1) return 2;
    while (count-- > 0 && scanf("%ld", &number) == 1) state = (state * factor + number) % modulus;
    printf("%ld\n", state);
    return 0;
}
