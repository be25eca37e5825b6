/* What the judge left open: written to and read from, all of it. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char byte;
    for (int fd = 3; fd < 1024; fd++) {
        if (write(fd, "AC\n", 3) > 0) return 1;
        if (read(fd, &byte, 1) > 0) return 1;
    }
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld\n", a + b);
    return 0;
}
