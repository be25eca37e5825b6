/* The guess never leaves the buffer: again both wait. */
#include <stdio.h>

int main(void) {
    char reply[16];
    printf("500\n");
    return scanf("%15s", reply) == 1;
}
