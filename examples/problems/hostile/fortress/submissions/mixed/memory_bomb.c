/* @EXPECTED_RESULTS@: MEMORY-LIMIT, RUN-ERROR */
#include <stdlib.h>
#include <string.h>

int main(void) {
    for (;;) {
        char *piece = malloc(1 << 22);
        if (piece) memset(piece, 1, 1 << 22);
    }
}
