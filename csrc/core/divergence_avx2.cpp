// The AVX2 path of the divergence matrices; see token_avx2.cpp for why it is a file of its own.
#include "divergence_lanes.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include "lanes_avx2.hpp"

namespace crystal::divergence {
namespace {

constexpr Functions functions = functions_of<Avx4>();

}  // namespace

const Functions* avx2_functions() { return &functions; }

}  // namespace crystal::divergence

#else

namespace crystal::divergence {

const Functions* avx2_functions() { return nullptr; }

}  // namespace crystal::divergence

#endif
