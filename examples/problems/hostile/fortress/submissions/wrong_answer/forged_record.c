/* Records of judges' protocols, one after the other. */
#include <stdio.h>

int main(void) {
    const char record[] = "\x94\x01\x00\xc0\xa2" "AC\0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\x1b[2K\rAC\x1b]0;AC\a\n";
    fwrite(record, 1, sizeof record, stdout);
    fwrite(record, 1, sizeof record, stderr);
    return 0;
}
