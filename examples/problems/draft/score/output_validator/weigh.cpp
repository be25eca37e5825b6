// Usage: run input answer feedback_directory < output
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <vector>

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    std::ifstream input(argv[1]), answer(argv[2]);
    const std::string feedback = argv[3];
    std::ofstream message(feedback + "/judgemessage.txt");
    std::size_t count;
    int capacity, best = 0, filled = 0;
    if (!(input >> count >> capacity)) return 1;
    std::vector<int> weights(count);
    for (int &weight : weights)
        if (!(input >> weight)) return 1;
    for (std::size_t number; answer >> number;) best += weights.at(number - 1);
    if (best == 0) return 1;

    std::set<std::size_t> chosen;
    for (std::string word; std::cin >> word;) {
        if (word.size() > 2 || word.find_first_not_of("0123456789") != std::string::npos) {
            message << "not a number\n";
            return 43;
        }
        const std::size_t number = std::stoul(word);
        if (number < 1 || number > count || !chosen.insert(number).second) {
            message << number << " is no weight, or was taken already\n";
            return 43;
        }
        filled += weights[number - 1];
    }
    message << filled << " of " << best << ", capacity " << capacity << '\n';
    if (filled > capacity) return 43;
    std::ofstream(feedback + "/score_multiplier.txt") << double(filled) / best << '\n';
    return 42;
}
