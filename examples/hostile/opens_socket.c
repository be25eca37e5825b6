/* Asks for an internet socket. Right verdict: exited with 1, refused by the filter's errno. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0)
        return 0;
    perror("socket");
    return 1;
}
