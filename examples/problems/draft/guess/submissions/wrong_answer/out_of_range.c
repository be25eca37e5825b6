#include <stdio.h>

int main(void) {
    char reply[16];
    puts("99999999999999999999");
    fflush(stdout);
    return scanf("%15s", reply) == 1;
}
