/* Two of itself, each of which has two: more lines than anybody can read. */
#if __INCLUDE_LEVEL__ < 60
#include __FILE__
#include __FILE__
#endif
