/* Fills a writable directory and fails; the argument names a file in it.
   Right verdict: disk, or memory where that limit is lower. */
#include <fcntl.h>
#include <unistd.h>

int main(int count, char **arguments) {
    static char data[65536];
    int fd = open(count > 1 ? arguments[1] : "/tmp/fill", O_CREAT | O_WRONLY, 0600);
    while (write(fd, data, sizeof data) > 0)
        ;
    return 1;
}
