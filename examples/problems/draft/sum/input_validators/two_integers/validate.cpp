// One line, two integers, one space between them, nothing else.
#include <iostream>
#include <iterator>
#include <string>

int main() {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    const auto space = text.find(' ');
    if (space == std::string::npos || space > 14 || text.size() > 30 || text.back() != '\n') return 43;
    try {
        // What was read must print as it stood there: no sign, zero or letter more.
        const long long a = std::stoll(text), b = std::stoll(text.substr(space + 1));
        if (text != std::to_string(a) + " " + std::to_string(b) + "\n") return 43;
        const long long most = 1000000000000;
        return -most <= a && a <= most && -most <= b && b <= most ? 42 : 43;
    } catch (const std::exception &) {
        return 43;
    }
}
