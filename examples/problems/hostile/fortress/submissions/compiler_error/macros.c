/* Ten of ten of ten: 10^12 numbers in one expression. */
#define A(x) x + x + x + x + x + x + x + x + x + x
#define B(x) A(A(A(A(x))))

int main(void) { return B(B(B(1))); }
