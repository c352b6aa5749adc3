#include "crystal/ngrams.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <type_traits>

#include "crystal/ngrams_table.hpp"
#include "crystal/sequences_table.hpp"

namespace crystal {
namespace {

constexpr std::size_t kSlabElements = std::size_t{1} << 17, kLeastSlabElements = std::size_t{1} << 13;
constexpr std::size_t kPartElements = 2048, kRows = 65536;
constexpr int kMostBits = 11;

// Sequences to count, each once, with how often it appears; no weights where each counts for itself.
struct Units {
    Column<std::int64_t> rows, weights;
    Column<std::int32_t> inverse;
    std::size_t size = 0, elements = 0;  // of all units together
    bool merged = false;
};

std::size_t elements_of(const RaggedView& ragged) {
    return static_cast<std::size_t>(ragged.offsets.back() - ragged.offsets.front());
}

Units units_of(const RaggedView& ragged, const NgramOptions& options) {
    Units units;
    units.size = ragged.rows();
    units.elements = elements_of(ragged);
    if (!many_equal(ragged)) return units;
    SequenceCounts counts = count_sequences(ragged, {true, true, options.threads, options.stop});
    units.size = counts.first.size();
    units.rows = std::move(counts.first);
    units.weights = std::move(counts.counts);
    units.inverse = std::move(counts.inverse);
    units.merged = true;
    units.elements = 0;
    for (const std::int64_t row : units.rows)
        units.elements += ragged.size(static_cast<std::size_t>(row)) / ragged.width;
    return units;
}

void check(const RaggedView& ragged, int n) {
    check_ragged(ragged);
    if (n < 1 || n > 4) throw std::invalid_argument("n-grams have 1 to 4 elements");
    if (ragged.width != 1 && ragged.width != 4) throw std::invalid_argument("elements have 1 or 4 bytes");
    for (std::size_t row = 0; row < ragged.rows(); ++row) {
        if (ragged.size(row) / ragged.width > 0x7fffffffU) {
            throw std::invalid_argument("a sequence has more than 2^31 - 1 elements");
        }
    }
}

// The bits of the largest element.
int element_bits(const RaggedView& ragged, std::size_t threads, StopFlag stop) {
    if (ragged.width == 1) return 8;
    const std::uint8_t* const from = ragged.bytes.data();
    const auto first = static_cast<std::size_t>(ragged.offsets.front());
    std::atomic<std::uint32_t> all{0};
    parallel_for(elements_of(ragged), std::size_t{1} << 18, threads, stop,
                 [&](std::size_t begin, std::size_t end) {
                     std::uint32_t some = 0;
                     for (std::size_t i = first + begin; i < first + end; ++i)
                         some |= ngrams::element(ragged, from, i);
                     all.fetch_or(some, std::memory_order_relaxed);
                 });
    return std::max(static_cast<int>(std::bit_width(all.load())), 1);
}

// How many n-grams appear how often.
class Spectrum {
  public:
    // A slot of a table; those that are empty have the count 0, which is cheaper to count than to pass over.
    void add(std::int64_t count) {
        if (count < static_cast<std::int64_t>(few_.size())) {
            ++few_[static_cast<std::size_t>(count)];
        } else {
            many_.push_back(count);
        }
    }

    void merge(const Spectrum& other) {
        for (std::size_t count = 0; count < few_.size(); ++count) few_[count] += other.few_[count];
        many_.insert(many_.end(), other.many_.begin(), other.many_.end());
    }

    // Ascending in count.
    std::vector<Multiplicity> lines() {
        std::vector<Multiplicity> lines;
        for (std::size_t count = 1; count < few_.size(); ++count) {
            if (few_[count] > 0) lines.push_back({static_cast<std::int64_t>(count), few_[count]});
        }
        std::ranges::sort(many_);
        for (const std::int64_t count : many_) {
            if (lines.empty() || lines.back().count != count) lines.push_back({count, 0});
            ++lines.back().ngrams;
        }
        return lines;
    }

  private:
    std::array<std::int64_t, 1024> few_{};  // by count: most n-grams are rare
    std::vector<std::int64_t> many_;        // the counts themselves
};

int part_bits(std::size_t elements) {
    int bits = 0;
    while (bits < kMostBits && (elements >> bits) > kPartElements) ++bits;
    return bits;
}

template <class Gram, bool kWeighted>
class Reader {
    using Entry = std::conditional_t<kWeighted, ngrams::Weighted<Gram>, Gram>;

  public:
    Reader(const RaggedView& ragged, const Units& units, const NgramOptions& options, int element_bits,
           int parts)
        : ragged_(ragged), units_(units), options_(options), element_bits_(element_bits), part_bits_(parts) {
        const std::size_t mean = units.elements / std::max<std::size_t>(units.size, 1) + 1;
        slab_ = std::clamp(units.elements / 32, kLeastSlabElements, kSlabElements) / mean + 1;
        runs_.resize((units.size + slab_ - 1) / slab_);
        distinct_.resize(units.size);
    }

    void read() {
        parallel_for(runs_.size(), 1, thread_count(options_.threads), options_.stop,
                     [&](std::size_t slab, std::size_t) { read_slab(slab); });
    }

    void count(std::size_t part, ngrams::Table<Gram>& table) const {
        table.clear(part_bits_);
        for (const auto& run : runs_) {
            for (const Entry& entry : run.part(part)) {
                if constexpr (kWeighted) {
                    table.add(entry, entry.weight);
                } else {
                    table.add(entry, 1);
                }
            }
        }
    }

    std::vector<std::int32_t> distinct() {
        if (!units_.merged) return std::move(distinct_);
        std::vector<std::int32_t> rows(units_.inverse.size());
        parallel_for(rows.size(), kRows, thread_count(options_.threads), options_.stop,
                     [&](std::size_t begin, std::size_t end) {
                         for (std::size_t row = begin; row < end; ++row) {
                             rows[row] = distinct_[static_cast<std::size_t>(units_.inverse[row])];
                         }
                     });
        return rows;
    }

  private:
    void read_slab(std::size_t slab) {
        std::vector<Entry> entries;
        entries.reserve(kSlabElements + kSlabElements / 8);
        ngrams::Distinct<Gram> seen;
        const auto n = static_cast<std::size_t>(options_.n);
        for (std::size_t unit = slab * slab_; unit < std::min((slab + 1) * slab_, units_.size); ++unit) {
            const std::size_t row = units_.merged ? static_cast<std::size_t>(units_.rows[unit]) : unit;
            const std::size_t size = ragged_.size(row) / ragged_.width;
            if (size < n) continue;
            const std::uint8_t* const data = ragged_.data(row);
            typename Gram::Window window(options_.n, element_bits_);
            seen.start(size - n + 1);
            for (std::size_t i = 0; i < size; ++i) {
                window.push(ngrams::element(ragged_, data, i));
                if (i + 1 < n) continue;
                const Gram gram = window.get();
                seen.add(gram);
                if constexpr (kWeighted) {
                    entries.push_back({gram, units_.weights[unit]});
                } else {
                    entries.push_back(gram);
                }
            }
            distinct_[unit] = seen.found();
        }
        runs_[slab] = sequences::Run<Entry>(entries, part_bits_);
    }

    const RaggedView& ragged_;
    const Units& units_;
    const NgramOptions& options_;
    int element_bits_, part_bits_;
    std::size_t slab_ = 1;
    std::vector<sequences::Run<Entry>> runs_;
    std::vector<std::int32_t> distinct_;
};

template <class Gram, bool kWeighted>
NgramCounts count_with(const RaggedView& ragged, const Units& units, const NgramOptions& options, int bits) {
    const int cut = part_bits(units.elements);
    Reader<Gram, kWeighted> reader(ragged, units, options, bits, cut);
    reader.read();
    const std::size_t parts = std::size_t{1} << cut, threads = thread_count(options.threads);
    const std::size_t grain = std::max<std::size_t>(parts / (8 * threads), 1);
    std::vector<Spectrum> spectra((parts + grain - 1) / grain);
    parallel_for(parts, grain, threads, options.stop, [&](std::size_t begin, std::size_t end) {
        ngrams::Table<Gram> table;
        Spectrum& spectrum = spectra[begin / grain];
        for (std::size_t part = begin; part < end; ++part) {
            reader.count(part, table);
            for (const auto& slot : table.slots()) spectrum.add(slot.count);
        }
    });
    for (std::size_t i = 1; i < spectra.size(); ++i) spectra[0].merge(spectra[i]);
    return {spectra[0].lines(), reader.distinct(), units.merged};
}

}  // namespace

NgramCounts ngram_counts(const RaggedView& ragged, const NgramOptions& options) {
    check(ragged, options.n);
    const Units units = units_of(ragged, options);
    const int bits = element_bits(ragged, thread_count(options.threads), options.stop);
    if (options.n * bits <= 64) {
        return units.merged ? count_with<ngrams::Narrow, true>(ragged, units, options, bits)
                            : count_with<ngrams::Narrow, false>(ragged, units, options, bits);
    }
    return units.merged ? count_with<ngrams::Broad, true>(ragged, units, options, 32)
                        : count_with<ngrams::Broad, false>(ragged, units, options, 32);
}

}  // namespace crystal
