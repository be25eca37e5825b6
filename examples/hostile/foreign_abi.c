/* Calls the kernel by the i386 way. Right verdict: violation. */
int main(void) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20)); /* getpid */
    return result > 0 ? 0 : 1;
}
