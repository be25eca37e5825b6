// As work.c, with a standard library.
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

static void integer(long count) {
    std::uint32_t x = 1;
    for (long i = 0; i < count; i++) {
        x = x * 1664525u + 1013904223u;
        x ^= x >> 13;
    }
    std::cout << x << '\n';
}

static void memory(std::uint32_t size, long count) {
    std::vector<std::uint32_t> next(size);
    for (std::uint32_t i = 0; i < size; i++) next[i] = (i * 1664525u + 1013904223u) & (size - 1);
    std::uint32_t at = 0;
    for (long i = 0; i < count; i++) at = next[at];
    std::cout << at << '\n';
}

static void floating(long count) {
    double sum = 0;
    for (long i = 0; i < count; i++) sum = sum * 0.999 + 1.0 / (static_cast<double>(i) + 0.5);
    std::cout << std::fixed << std::setprecision(6) << sum * 1000 << '\n';
}

int main(int argc, char **argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.empty()) return 0;
    if (words[0] == "integer") integer(std::stol(words[1]));
    if (words[0] == "memory") memory(static_cast<std::uint32_t>(std::stol(words[1])), std::stol(words[2]));
    if (words[0] == "float") floating(std::stol(words[1]));
}
