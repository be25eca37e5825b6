/* Opens files until one is refused. Right verdict: exited with 1. Nobody counts that refusal, so
   no limit is blamed for it. */
#include <fcntl.h>
#include <stdio.h>

int main(void) {
    while (open("/dev/null", O_RDONLY) >= 0)
        ;
    perror("/dev/null");
    return 1;
}
