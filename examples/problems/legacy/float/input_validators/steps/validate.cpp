// n, then n lines of two numbers in plain decimal form.
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>

static const char *const DIGITS = "0123456789";

// "0", "-12.5", "0.000001": no leading zeros, no more than six digits behind the point.
static bool is_number(const std::string &word) {
    const std::string number = word.substr(word[0] == '-');
    const auto point = number.find('.');
    const std::string whole = number.substr(0, point);
    if (whole.empty() || whole.size() > 10 || (whole[0] == '0' && whole.size() > 1)) return false;
    if (whole.find_first_not_of(DIGITS) != std::string::npos) return false;
    if (point == std::string::npos) return true;
    const std::string rest = number.substr(point + 1);
    return !rest.empty() && rest.size() <= 6 && rest.find_first_not_of(DIGITS) == std::string::npos;
}

int main() {
    std::string line;
    if (!std::getline(std::cin, line) || line.size() > 3) return 43;
    const int count = std::atoi(line.c_str());
    if (count < 1 || count > 100 || line != std::to_string(count)) return 43;
    for (int step = 0; step < count; step++) {
        if (!std::getline(std::cin, line) || std::cin.eof()) return 43;
        const auto space = line.find(' ');
        if (space == std::string::npos) return 43;
        for (const std::string &word : {line.substr(0, space), line.substr(space + 1)})
            if (!is_number(word) || std::fabs(std::atof(word.c_str())) > 1e9) return 43;
    }
    return std::cin.peek() == EOF ? 42 : 43;
}
