#include "crystal/linkage.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "clustering_paths.hpp"

namespace crystal {
namespace {

using clustering::Functions;
using clustering::Join;
using clustering::Near;

constexpr double never = std::numeric_limits<double>::infinity();

struct Merge {
    std::size_t a, b;
    double height;
};

// The clusters that are apart, each in the slot of one of its rows. A merge writes one row of the table and
// no column: of the two places where the distance of a pair stands, that in the row which was merged last
// holds. Before a row is searched it fetches what the clusters merged since then have in its column.
class Slots {
  public:
    Slots(std::span<double> distances, std::size_t n, Join how, const Functions& functions)
        : functions_(functions),
          how_(how),
          data_(distances.data()),
          stride_(n),
          size_(n),
          apart_(n),
          names_(n),
          members_(n, 1.0),
          barred_(n, 0.0),
          current_(n, 0),
          merged_(n, 0),
          newer_(n + 1),
          older_(n + 1) {
        unlist_all();
        std::iota(names_.begin(), names_.end(), std::size_t{0});
        for (std::size_t i = 0; i < n; ++i) row(i)[i] = never;
    }

    std::size_t apart() const { return apart_; }
    bool alive(std::size_t i) const { return barred_[i] == 0.0; }
    const double* distances(std::size_t i) const { return data_ + i * stride_; }

    Near nearest(std::size_t i) {
        fetch(i);
        return functions_.nearest(row(i), barred_.data(), size_);
    }

    Merge join(std::size_t from, std::size_t into, double height) {
        const Merge merge{names_[from], names_[into], height};
        fetch(from);
        fetch(into);
        functions_.join(how_, row(from), members_[from], members_[into], size_, row(into));
        row(into)[into] = never;
        barred_[from] = never;
        members_[into] += members_[from];
        --apart_;
        unlist(from);
        unlist(into);
        current_[into] = merged_[into] = ++merges_;
        // Listed from the last merged on; the place beyond all slots is both ends.
        const std::size_t end = newer_.size() - 1;
        older_[into] = older_[end];
        newer_[into] = end;
        newer_[older_[into]] = into;
        older_[end] = into;
        return merge;
    }

    // Moves the rows together once half are gone, and renumbers the chain. Their order stays.
    void close_up(std::vector<std::size_t>& chain, std::size_t& first) {
        if (2 * apart_ > size_ || size_ < 64) return;
        std::vector<std::size_t> kept, place(size_);
        for (std::size_t i = 0; i < size_; ++i)
            if (alive(i)) {
                fetch(i);
                place[i] = kept.size();
                kept.push_back(i);
            }
        for (std::size_t i = 0; i < kept.size(); ++i) {
            const double* old = row(kept[i]);
            double* now = row(i);
            for (std::size_t j = 0; j < kept.size(); ++j) now[j] = old[kept[j]];
            names_[i] = names_[kept[i]];
            members_[i] = members_[kept[i]];
        }
        for (std::size_t& slot : chain) slot = place[slot];
        first = 0;
        size_ = kept.size();
        std::fill(barred_.begin(), barred_.end(), 0.0);
        std::fill(current_.begin(), current_.end(), merges_);
        unlist_all();
    }

  private:
    double* row(std::size_t i) { return data_ + i * stride_; }

    void fetch(std::size_t i) {
        double* into = row(i);
        const std::size_t end = newer_.size() - 1;
        for (std::size_t slot = older_[end]; slot != end && merged_[slot] > current_[i]; slot = older_[slot])
            into[slot] = data_[slot * stride_ + i];
        current_[i] = merges_;
    }

    // What is in no list is a ring of its own.
    void unlist_all() {
        std::iota(newer_.begin(), newer_.end(), std::size_t{0});
        older_ = newer_;
    }

    void unlist(std::size_t slot) {
        newer_[older_[slot]] = newer_[slot];
        older_[newer_[slot]] = older_[slot];
        newer_[slot] = older_[slot] = slot;
    }

    const Functions& functions_;
    Join how_;
    double* data_;
    std::size_t stride_, size_, apart_, merges_ = 0;
    std::vector<std::size_t> names_;
    std::vector<double> members_, barred_;
    std::vector<std::size_t> current_, merged_, newer_, older_;
};

// A chain of nearest neighbours ends in two that are each other's; complete and average linkage may merge
// these at once (Murtagh 1983). Among equals the one before in the chain is nearest, then the lowest number.
std::vector<Merge> chain_merges(std::span<double> distances, std::size_t n, Join how,
                                const Functions& functions, StopFlag stop) {
    Slots slots(distances, n, how, functions);
    std::vector<Merge> merges;
    merges.reserve(n - 1);
    std::vector<std::size_t> chain;
    std::size_t first = 0;
    while (slots.apart() > 1) {
        throw_if(stop);
        const std::size_t before = slots.apart();
        if (chain.empty()) {
            while (!slots.alive(first)) ++first;
            chain.push_back(first);
        }
        while (slots.apart() == before) {
            const std::size_t last = chain.back();
            const Near near = slots.nearest(last);
            if (chain.size() == 1 || slots.distances(last)[chain[chain.size() - 2]] != near.distance) {
                chain.push_back(near.index);
                continue;
            }
            const std::size_t other = chain[chain.size() - 2];
            chain.resize(chain.size() - 2);
            merges.push_back(slots.join(std::min(last, other), std::max(last, other), near.distance));
            slots.close_up(chain, first);
        }
    }
    return merges;
}

// Prim's algorithm: from the clusters that are reached always to the nearest row. Rows that follow each other
// at up to some height are the clusters of that height, so a row and the one before it stand for a merge.
std::vector<Merge> nearest_first(std::span<const double> distances, std::size_t n, const Functions& functions,
                                 StopFlag stop) {
    std::vector<double> reach(n, never), barred(n, 0.0);
    std::vector<Merge> merges;
    merges.reserve(n - 1);
    std::size_t last = 0;
    for (std::size_t i = 1; i < n; ++i) {
        if (i % 64 == 0) throw_if(stop);
        barred[last] = never;
        const Near near = functions.nearer(distances.data() + last * n, barred.data(), n, reach.data());
        merges.push_back({last, near.index, near.distance});
        last = near.index;
    }
    return merges;
}

}  // namespace

bool distance_table(std::span<const double> distances, std::size_t n, std::span<double> table) {
    const bool condensed = distances.size() == n * (n - 1) / 2 && n != 0;
    if (table.size() != n * n || (!condensed && distances.size() != n * n))
        throw std::invalid_argument("distances and table do not match");
    constexpr std::size_t tile = 32;
    bool good = true;
    for (std::size_t top = 0; top < n; top += tile)
        for (std::size_t left = top; left < n; left += tile)
            for (std::size_t i = top; i < std::min(top + tile, n); ++i) {
                const std::size_t start = std::max(left, i + 1), end = std::min(left + tile, n);
                // Row i of the upper triangle, addressed by column: i (2n - i - 1) / 2 pairs come before it.
                const double* row =
                    condensed ? distances.data() + i * (2 * n - i - 1) / 2 : distances.data() + i * n;
                const std::size_t skipped = condensed ? i + 1 : 0;
                for (std::size_t j = start; j < end; ++j) {
                    const double value = row[j - skipped];
                    good &= std::abs(value) < never;
                    if (!condensed) good &= distances[j * n + i] == value;
                    table[i * n + j] = table[j * n + i] = value;
                }
            }
    for (std::size_t i = 0; i < n; ++i) table[i * n + i] = 0.0;
    return good;
}

void linkage(std::span<double> distances, std::size_t n, LinkageMethod method, bool portable,
             std::span<std::int64_t> left, std::span<std::int64_t> right, std::span<std::int64_t> sizes,
             std::span<double> heights, StopFlag stop) {
    const std::size_t merges_due = n == 0 ? 0 : n - 1;
    if (distances.size() != n * n || left.size() != merges_due || right.size() != merges_due ||
        sizes.size() != merges_due || heights.size() != merges_due)
        throw std::invalid_argument("distances and tree do not match");
    if (n < 2) return;
    const Functions& functions = clustering::functions(portable);
    std::vector<Merge> merges =
        method == LinkageMethod::single
            ? nearest_first(distances, n, functions, stop)
            : chain_merges(distances, n, method == LinkageMethod::complete ? Join::larger : Join::average,
                           functions, stop);
    std::stable_sort(merges.begin(), merges.end(),
                     [](const Merge& a, const Merge& b) { return a.height < b.height; });
    std::vector<std::size_t> parent(2 * n - 1), size(2 * n - 1, 1);
    std::iota(parent.begin(), parent.end(), std::size_t{0});
    const auto find = [&](std::size_t i) {
        while (parent[i] != i) i = parent[i] = parent[parent[i]];
        return i;
    };
    for (std::size_t i = 0; i < merges.size(); ++i) {
        const std::size_t a = find(merges[i].a), b = find(merges[i].b), made = n + i;
        parent[a] = parent[b] = made;
        size[made] = size[a] + size[b];
        left[i] = static_cast<std::int64_t>(std::min(a, b));
        right[i] = static_cast<std::int64_t>(std::max(a, b));
        sizes[i] = static_cast<std::int64_t>(size[made]);
        heights[i] = merges[i].height;
    }
}

}  // namespace crystal
