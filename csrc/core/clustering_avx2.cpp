// The AVX2 path of clustering; see token_avx2.cpp for why it is a file of its own.
#include "clustering_lanes.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include "lanes_avx2.hpp"

namespace crystal::clustering {
namespace {

constexpr Functions lanes = functions_of<Avx4>();

}  // namespace

const Functions* avx2_functions() { return &lanes; }

}  // namespace crystal::clustering

#else

namespace crystal::clustering {

const Functions* avx2_functions() { return nullptr; }

}  // namespace crystal::clustering

#endif
