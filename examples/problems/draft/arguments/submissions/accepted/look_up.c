#include <stdio.h>
#include <string.h>

static int translate(const char *wanted) {
    char word[32], meaning[32];
    FILE *book = fopen("book.txt", "r");
    if (!book) return 0;
    while (fscanf(book, "%31s %31s", word, meaning) == 2)
        if (strcmp(word, wanted) == 0) return fclose(book), puts(meaning) > 0;
    return 0;
}

int main(int count, char **words) {
    char word[32];
    for (int i = 1; i < count; i++)
        if (!translate(words[i])) return 1;
    while (scanf("%31s", word) == 1)
        if (!translate(word)) return 1;
    return 0;
}
