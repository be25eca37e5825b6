/* Reads a large file again and again. Right verdict: exited with 0, because page cache that counts
   into the memory limit can be reclaimed. */
#include <fcntl.h>
#include <unistd.h>

int main(int count, char **arguments) {
    static char data[65536];
    for (int round = 0; round < 3; round++) {
        int fd = open(count > 1 ? arguments[1] : arguments[0], O_RDONLY);
        while (read(fd, data, sizeof data) > 0)
            ;
        close(fd);
    }
    return 0;
}
