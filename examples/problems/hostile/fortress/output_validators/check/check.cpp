// Usage: check input answer feedback_directory < output
// A validator as people write them: it trusts the output to be text of some sensible size.
#include <fstream>
#include <iostream>
#include <string>

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    std::ifstream answer(argv[2]);
    std::ofstream message(std::string(argv[3]) + "/judgemessage.txt");
    std::string expected, word, more;
    if (!(answer >> expected)) return 1;
    if (!(std::cin >> word)) {
        message << "no output\n";
        return 43;
    }
    message << "found " << word << ", expected " << expected << '\n';
    if (std::cin >> more) {
        message << "and then " << more << '\n';
        return 43;
    }
    return word == expected ? 42 : 43;
}
