#include "crystal/ngrams.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <type_traits>

#include "crystal/ngrams_table.hpp"
#include "crystal/sequences_table.hpp"

namespace crystal {
namespace {

constexpr std::size_t kSlabElements = std::size_t{1} << 17, kPartElements = 8192;
constexpr int kMostBits = 11;

// Sequences to count, each once, with how often it appears; no weights where each counts for itself.
struct Units {
    Column<std::int64_t> rows, weights;
    Column<std::int32_t> inverse;
    std::size_t size = 0;
    bool merged = false;
};

Units units_of(const RaggedView& ragged, const NgramOptions& options) {
    Units units;
    units.size = ragged.rows();
    if (!many_equal(ragged)) return units;
    SequenceCounts counts = count_sequences(ragged, {true, true, options.threads, options.stop});
    units.size = counts.first.size();
    units.rows = std::move(counts.first);
    units.weights = std::move(counts.counts);
    units.inverse = std::move(counts.inverse);
    units.merged = true;
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
int element_bits(const RaggedView& ragged) {
    if (ragged.width == 1) return 8;
    const std::uint8_t* const from = ragged.bytes.data();
    std::uint32_t all = 0;
    for (auto i = ragged.offsets.front(); i < ragged.offsets.back(); ++i) {
        all |= ngrams::element(ragged, from, static_cast<std::size_t>(i));
    }
    return std::max(static_cast<int>(std::bit_width(all)), 1);
}

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
        const auto elements = static_cast<std::size_t>(ragged.offsets.back() - ragged.offsets.front());
        const std::size_t mean = elements / std::max<std::size_t>(ragged.rows(), 1) + 1;
        slab_ = std::max<std::size_t>(kSlabElements / mean, 1);
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
        for (std::size_t row = 0; row < rows.size(); ++row) {
            rows[row] = distinct_[static_cast<std::size_t>(units_.inverse[row])];
        }
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

std::size_t elements_of(const RaggedView& ragged) {
    return static_cast<std::size_t>(ragged.offsets.back() - ragged.offsets.front());
}

template <class Gram, bool kWeighted>
NgramCounts count_with(const RaggedView& ragged, const Units& units, const NgramOptions& options, int bits) {
    const int parts = part_bits(elements_of(ragged));
    Reader<Gram, kWeighted> reader(ragged, units, options, bits, parts);
    reader.read();
    std::vector<std::map<std::int64_t, std::int64_t>> spectra(std::size_t{1} << parts);
    parallel_for(spectra.size(), 4, thread_count(options.threads), options.stop,
                 [&](std::size_t begin, std::size_t end) {
                     ngrams::Table<Gram> table;
                     std::array<std::int64_t, 64> few;  // most n-grams are rare
                     for (std::size_t part = begin; part < end; ++part) {
                         reader.count(part, table);
                         few.fill(0);
                         for (const auto& slot : table.slots()) {
                             if (slot.count < 64) {
                                 ++few[static_cast<std::size_t>(slot.count)];
                             } else {
                                 ++spectra[part][slot.count];
                             }
                         }
                         for (std::size_t c = 1; c < few.size(); ++c) {
                             if (few[c] > 0) spectra[part][static_cast<std::int64_t>(c)] += few[c];
                         }
                     }
                 });
    for (std::size_t part = 1; part < spectra.size(); ++part) {
        for (const auto& [count, ngrams] : spectra[part]) spectra[0][count] += ngrams;
    }
    NgramCounts result{{}, reader.distinct(), units.merged};
    for (const auto& [count, ngrams] : spectra[0]) result.spectrum.push_back({count, ngrams});
    return result;
}

}  // namespace

NgramCounts ngram_counts(const RaggedView& ragged, const NgramOptions& options) {
    check(ragged, options.n);
    const Units units = units_of(ragged, options);
    const int bits = element_bits(ragged);
    if (options.n * bits <= 64) {
        return units.merged ? count_with<ngrams::Narrow, true>(ragged, units, options, bits)
                            : count_with<ngrams::Narrow, false>(ragged, units, options, bits);
    }
    return units.merged ? count_with<ngrams::Broad, true>(ragged, units, options, 32)
                        : count_with<ngrams::Broad, false>(ragged, units, options, 32);
}

}  // namespace crystal
