/* Both wait for the other one's first word. */
#include <stdio.h>

int main(void) {
    char reply[16];
    return scanf("%15s", reply) == 1;
}
