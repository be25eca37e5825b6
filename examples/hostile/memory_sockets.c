/* Fills socket buffers. Right verdict: memory; where the fd limit comes first it exits with 1. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    static char data[65536];
    int ends[2], size = 8 << 20;
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0) {
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        while (write(ends[0], data, sizeof data) > 0)
            ;
    }
    return 1;
}
