// One line, two integers, one space between them, nothing else.
#include <iostream>
#include <iterator>
#include <string>

int main() {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    const auto space = text.find(' ');
    if (space == std::string::npos || space > 11 || text.size() > 24 || text.back() != '\n') return 43;
    try {
        // What was read must print as it stood there: no sign, zero or letter more.
        const long long a = std::stoll(text), b = std::stoll(text.substr(space + 1));
        if (text != std::to_string(a) + " " + std::to_string(b) + "\n") return 43;
        return -1000000000 <= a && a <= 1000000000 && -1000000000 <= b && b <= 1000000000 ? 42 : 43;
    } catch (const std::exception &) {
        return 43;
    }
}
