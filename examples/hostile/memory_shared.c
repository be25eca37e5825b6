/* Touches shared anonymous memory without end: it outlives the process that made it.
   Right verdict: memory. */
#include <string.h>
#include <sys/mman.h>

int main(void) {
    for (;;) {
        void *block = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (block != MAP_FAILED)
            memset(block, 1, 1 << 20);
    }
}
