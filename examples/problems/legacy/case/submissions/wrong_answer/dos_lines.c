/* Right but for a carriage return at the end of each line. */
#include <ctype.h>
#include <stdio.h>

int main(void) {
    int letter;
    while ((letter = getchar()) != EOF) {
        if (letter == '\n') putchar('\r');
        putchar(toupper(letter));
    }
    return 0;
}
