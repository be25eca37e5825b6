// What every submission is given: the state, and how one number changes it.
#include <cstdint>

class Mixer {
  public:
    void add(std::uint64_t number) { state = (state * 31 + number) % 1000003; }
    std::uint64_t result() const { return state; }

  private:
    std::uint64_t state = 17;
};
