/* Makes empty files until none is left, with names that are no text. Right verdict: disk. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char name[64];
    for (long i = 0;; i++) {
        snprintf(name, sizeof name, "\xff\xfe%ld", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0)
            return 1;
        close(fd);
    }
}
