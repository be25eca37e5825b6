/* @EXPECTED_RESULTS@: WRONG-ANSWER, TIMELIMIT
   It has closed its end and listens: where anything else holds that end, the referee waits for ever. */
#include <stdio.h>

int main(void) {
    fclose(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
