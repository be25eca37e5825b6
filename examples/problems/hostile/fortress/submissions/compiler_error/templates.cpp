// Each type has two of the next: 2^900 of them, were they ever made.
template <int depth, int which>
struct Tree {
    static constexpr long size = Tree<depth - 1, 2 * which % 1000003>::size + Tree<depth - 1, (2 * which + 1) % 1000003>::size;
};
template <int which>
struct Tree<0, which> {
    static constexpr long size = 1;
};

int main() { return Tree<800, 1>::size; }
