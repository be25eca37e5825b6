// Usage: validate input answer feedback_directory < output
// The answer says only whether there is an order; any that fits is accepted.
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "verdict.h"

// The number that the word is, or 0: no stoi, which takes "12monkeys" for 12 and throws on 10^40.
static int number_of(const std::string &word, int most) {
    if (word.empty() || word.size() > 4 || word[0] == '0') return 0;
    for (const unsigned char letter : word)
        if (!std::isdigit(letter)) return 0;
    const int number = std::atoi(word.c_str());
    return number <= most ? number : 0;
}

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    std::ifstream input(argv[1]), answer(argv[2]);
    feedback = argv[3];
    int count;
    std::string expected;
    if (!(input >> count) || !(answer >> expected)) return 1;

    std::string word;
    if (!(std::cin >> word)) reject("no output", "There was no output.");
    if (word == "impossible") {
        if (expected != "impossible") reject("an order exists", "There is an order.");
    } else {
        std::vector<bool> seen(count + 1);
        int before = -1;
        for (int place = 1; place <= count; place++) {
            if (place > 1 && !(std::cin >> word))
                reject("only " + std::to_string(place - 1) + " numbers", "Numbers are missing.");
            const int number = number_of(word, count);
            if (number == 0)
                reject("place " + std::to_string(place) + ": not a number of the range", "What is that?");
            if (seen[number]) reject(std::to_string(number) + " stands twice", "A number stands twice.");
            if (before > 0 && std::abs(number - before) == 1)
                reject(std::to_string(before) + " beside " + std::to_string(number), "Neighbours!");
            seen[number] = true;
            before = number;
        }
        if (expected == "impossible") return 1;  // an order where the judges saw none
    }
    if (std::cin >> word) reject("more output than asked for", "There is more output than asked for.");
    accept("an order of " + std::to_string(count));
}
