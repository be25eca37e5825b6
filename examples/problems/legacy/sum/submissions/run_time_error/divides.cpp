#include <iostream>

int main() {
    long a, b;
    std::cin >> a >> b;
    volatile long zero = a - a;
    std::cout << b / zero << '\n';
}
