/* Writes so many MiB to stdout, in pieces of 64 KiB. */
#include <stdlib.h>
#include <unistd.h>

static char piece[65536];

int main(int argc, char **argv) {
    long left = argc > 1 ? atol(argv[1]) * 16 : 0;
    while (left-- > 0)
        for (size_t written = 0; written < sizeof piece;) {
            ssize_t count = write(STDOUT_FILENO, piece + written, sizeof piece - written);
            if (count < 0)
                return 1;
            written += count;
        }
}
