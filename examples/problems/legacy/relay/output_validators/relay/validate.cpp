// Usage: validate input answer feedback_directory < output
// The feedback directory stays between the passes: "passed" there says that this is the second.
// The word is read from the answer: what the input is in the second pass, judges disagree about.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    std::ifstream answer(argv[2]);
    const std::string feedback = argv[3];
    std::ofstream message(feedback + "/judgemessage.txt", std::ios::app);
    std::string word, output, more;
    if (!(answer >> word)) return 1;
    std::cin >> output;
    if (std::cin >> more) {
        message << "more than one word of output\n";
        return 43;
    }
    if (std::ifstream(feedback + "/passed")) {
        message << "second pass: " << output.substr(0, 60) << " for " << word << '\n';
        return output == word ? 42 : 43;
    }
    if (output.empty() || output.size() > 5 * word.size() ||
        output.find_first_not_of("01") != std::string::npos) {
        message << "first pass: not 1 to " << 5 * word.size() << " zeros and ones\n";
        return 43;
    }
    message << "first pass: " << output << '\n';
    std::ofstream(feedback + "/passed") << "once\n";
    std::reverse(output.begin(), output.end());
    std::ofstream(feedback + "/nextpass.in") << "decode\n" << output << '\n';
    return 42;
}
