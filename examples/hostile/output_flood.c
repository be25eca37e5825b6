/* Writes to both streams without end. Right verdict: output, exactly at the last byte. */
#include <unistd.h>

int main(void) {
    static char data[4096];
    for (;;) {
        write(1, data, sizeof data);
        write(2, data, sizeof data);
    }
}
