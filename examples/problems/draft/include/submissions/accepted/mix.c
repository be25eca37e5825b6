#include <stdio.h>

static const long mixer[] = {
#include "mixer.txt"
};

int main(void) {
    long state = mixer[0], count, number;
    if (scanf("%ld", &count) != 1) return 1;
    while (count-- > 0 && scanf("%ld", &number) == 1) {
        state = (state * mixer[1] + number) % mixer[2];
    }
    printf("%ld\n", state);
    return 0;
}
