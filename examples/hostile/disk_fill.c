/* Fills the writable directories and fails. Right verdict: disk. */
#include <fcntl.h>
#include <unistd.h>

int main(void) {
    static char data[65536];
    int fd = open("/tmp/fill", O_CREAT | O_WRONLY, 0600);
    while (write(fd, data, sizeof data) > 0)
        ;
    return 1;
}
