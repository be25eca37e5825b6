#include <stdio.h>
#include <unistd.h>

int main(void) {
    close(1);
    close(2);
    printf("5\n");
    return 0;
}
