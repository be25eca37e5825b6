/* A million files, or as many as there may be. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char name[32];
    for (int i = 0; i < 1000000; i++) {
        snprintf(name, sizeof name, "/tmp/%d", i);
        const int file = open(name, O_WRONLY | O_CREAT, 0600);
        if (file < 0) break;
        close(file);
    }
    long a, b;
    if (scanf("%ld %ld", &a, &b) != 2) return 1;
    printf("%ld\n", a + b);
    return 0;
}
