// Usage: referee input answer feedback_directory < guesses > replies
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

// The next word, of which no more is read than any number has: a submission may never end its line.
static std::string next_word() {
    std::string word;
    std::cin >> std::ws;
    for (int letter; word.size() < 10 && (letter = std::cin.peek()) > ' ';) word += char(std::cin.get());
    return word;
}

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    std::signal(SIGPIPE, SIG_IGN);  // who is gone hears no reply, and that is no fault of ours
    std::ifstream input(argv[1]);
    std::ofstream message(std::string(argv[3]) + "/judgemessage.txt");
    int secret, guesses;
    if (!(input >> secret >> guesses)) return 1;

    for (int turn = 1; turn <= guesses; turn++) {
        const std::string word = next_word();
        if (word.empty()) {
            message << "left before guess " << turn << '\n';
            return 43;
        }
        const int guess = word.size() > 4 || word.find_first_not_of("0123456789") != std::string::npos
                              ? 0 : std::atoi(word.c_str());
        if (guess < 1 || guess > 1000) {
            message << "guess " << turn << " is no number from 1 to 1000\n";
            return 43;
        }
        std::cout << (guess > secret ? "lower" : guess < secret ? "higher" : "correct") << std::endl;
        if (guess == secret) {
            if (!next_word().empty()) {
                message << "went on after guess " << turn << " was right\n";
                return 43;
            }
            message << "found with guess " << turn << '\n';
            return 42;
        }
    }
    message << "not found with " << guesses << " guesses\n";
    return 43;
}
