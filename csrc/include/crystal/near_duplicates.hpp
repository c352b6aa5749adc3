#pragma once
// Clusters of nearly equal texts: MinHash bands propose pairs, exact Jaccard similarity of the shingle sets
// decides, and pairs join (single linkage).
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/shingles.hpp"

namespace crystal {

struct NearDuplicateOptions {
    Shingles shingles;
    double threshold = 0.8;  // of the Jaccard similarity, in (0, 1]
    // Two texts are compared if all `rows` places of their signatures agree in one of `bands`.
    std::size_t bands = 18, rows = 5;
    // What the bands' keys may take: 4 bytes a band and distinct text; more bands are made in several passes.
    std::size_t key_bytes = std::size_t{1} << 30;
    std::size_t threads = 1;
    StopFlag stop = nullptr;
};

struct NearDuplicates {
    // Clusters are numbered in the order in which they first appear.
    Column<std::int32_t> inverse;      // the cluster of each row
    Column<std::int64_t> first;        // where each cluster first appears, ascending
    std::vector<std::int64_t> counts;  // how many rows it has
    std::int64_t distinct = 0;         // different texts
    std::int64_t compared = 0;         // pairs whose similarity was computed
    std::int64_t unchecked = 0;        // pairs that crowded buckets proposed and nobody compared
};

// The same clusters for any number of threads, and for any order of the rows up to their numbers.
NearDuplicates near_duplicates(const RaggedView& ragged, const NearDuplicateOptions& options);

namespace near {

// Texts that are known to be in one cluster.
class Forest {
  public:
    explicit Forest(std::size_t texts);
    // The cluster's first text. Valid after settle().
    std::uint32_t root(std::uint32_t text) const noexcept { return parents_[text]; }
    void join(std::uint32_t a, std::uint32_t b) noexcept;
    void settle() noexcept;
    std::span<const std::uint32_t> roots() const noexcept { return parents_; }

  private:
    std::uint32_t find(std::uint32_t text) noexcept;

    std::vector<std::uint32_t> parents_;
};

struct Joined {
    std::uint32_t a, b;
};

// Compares the texts of one bucket: those whose key of one band is the same.
//
// A text is compared with texts of other clusters only, and with a cluster's until one is similar. A million
// nearly equal texts so cost a comparison each. What would still be quadratic, a bucket of many texts that
// are not similar, is bounded: later texts meet at most kAnchors earlier ones, kOfOne of a cluster, and
// `unchecked` counts the pairs that were left out. Texts are taken in the order of their contents' hash, so
// that not even this depends on the order of rows.
class Bucket {
  public:
    static constexpr std::size_t kAnchors = 256, kOfOne = 64, kUnits = std::size_t{1} << 20;

    // `rows` says where each distinct text stands in `ragged`.
    Bucket(const RaggedView& ragged, std::span<const std::int64_t> rows, const NearDuplicateOptions& options);

    // `texts` is reordered; pairs that join clusters are added to `joined`.
    void compare(std::span<std::uint64_t> texts, const Forest& forest, std::vector<Joined>& joined);

    std::int64_t compared = 0, unchecked = 0;

  private:
    struct Group {
        std::uint32_t parent, anchors, size;
    };
    struct Anchor {
        std::uint32_t text, group;
        ShingleSet shingles;
    };

    std::uint32_t find(std::uint32_t group) noexcept;
    void place(std::uint32_t text, std::uint32_t group, std::vector<Joined>& joined);
    std::size_t row(std::uint32_t text) const noexcept { return static_cast<std::size_t>(rows_[text]); }

    const RaggedView& ragged_;
    std::span<const std::int64_t> rows_;
    const NearDuplicateOptions& options_;
    std::vector<Group> groups_;
    std::vector<Anchor> anchors_;  // of which the first `used_` are in use; the rest keep their memory
    std::size_t used_ = 0, units_ = 0, seen_ = 0;
};

}  // namespace near
}  // namespace crystal
