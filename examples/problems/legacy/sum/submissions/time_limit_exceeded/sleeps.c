/* No CPU time at all: only the wall limit ends it. */
#include <unistd.h>

int main(void) {
    for (;;) pause();
}
