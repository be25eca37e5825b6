/* Children that take memory, each less than the limit. Right verdict: memory, and none survives. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            memset(malloc(32 << 20), 1, 32 << 20);
            pause();
        }
    pause();
}
