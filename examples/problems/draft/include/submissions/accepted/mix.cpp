#include <iostream>

#include "mixer.h"

int main() {
    int count;
    std::cin >> count;
    Mixer mixer;
    for (int number; count > 0 && std::cin >> number; count--) mixer.add(number);
    std::cout << mixer.result() << '\n';
}
