/* Nobody will hear from it again, and it listens to the end. */
#include <stdio.h>

int main(void) {
    fclose(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
