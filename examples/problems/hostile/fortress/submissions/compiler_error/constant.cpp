// A constant that the compiler has to compute for ever.
constexpr unsigned long collatz(unsigned long n) {
    unsigned long steps = 0;
    for (unsigned long i = n;; i = i * 6364136223846793005 + 1) steps += i & 1;
    return steps;
}

static_assert(collatz(27) != 0);

int main() {}
