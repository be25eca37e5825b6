/* Encodes backwards, so that what comes back is the right way round. */
#include <stdio.h>
#include <string.h>

int main(void) {
    char command[16], word[256];
    if (scanf("%15s %255s", command, word) != 2) return 1;
    const int length = strlen(word);
    if (strcmp(command, "encode") == 0) {
        for (int i = length; i-- > 0;)
            for (int bit = 0; bit < 5; bit++) putchar('0' + ((word[i] - 'a') >> bit & 1));
    } else {
        for (int i = 0; i < length; i += 5) {
            int letter = 0;
            for (int bit = 0; bit < 5; bit++) letter = letter * 2 + word[i + bit] - '0';
            putchar('a' + letter);
        }
    }
    return putchar('\n') == EOF;
}
