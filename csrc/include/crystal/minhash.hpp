#pragma once
// MinHash signatures: the share of equal places in two of them estimates the Jaccard similarity of two sets.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/shingles.hpp"

namespace crystal {

enum class MinhashPath { fastest, scalar, avx2 };

bool minhash_path_available(MinhashPath path);

// Makes signatures, one text at a time: 32 bits of hash of each shingle, times an odd number, modulo 2^32;
// for each of these permutations the least product and the greatest one (min-max hash: Ji et al. 2013). The
// least come first, then the greatest. Two texts agree in a place with the probability of their Jaccard
// similarity, give or take collisions of 32 bits: about the product of the sets' sizes over 2^32. The two
// places of a permutation never disagree more than independent ones would, so their mean varies less.
class MinHasher {
  public:
    MinHasher(const Shingles& shingles, std::size_t places, MinhashPath path);

    // Writes the signature of one text: as many places as were asked for.
    void sign(const RaggedView& ragged, std::size_t row, std::span<std::uint32_t> out);

  private:
    using Extremes = void (*)(std::span<const std::uint32_t> hashes, std::span<const std::uint32_t> factors,
                              std::uint32_t* least, std::uint32_t* most);

    Shingles shingles_;
    std::size_t half_;
    Extremes extremes_;
    std::vector<std::uint32_t> factors_;  // padded to whole blocks
    std::vector<std::uint32_t> extreme_, hashes_;
    UnitRow row_;
};

struct MinhashOptions {
    Shingles shingles;
    std::size_t places = 128;
    MinhashPath path = MinhashPath::fastest;
    std::size_t threads = 1;
    StopFlag stop = nullptr;
};

// out [rows, places]. Where a spread of rows has many equal ones, equal rows are hashed once.
void minhash(const RaggedView& ragged, const MinhashOptions& options, std::span<std::uint32_t> out);

}  // namespace crystal
