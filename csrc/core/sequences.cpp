#include "crystal/sequences.hpp"

#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "crystal/sequences_table.hpp"

namespace crystal {
namespace {

// The rows at which a distinct sequence first appears, as bits: a row's number is the bits before it.
class Firsts {
  public:
    explicit Firsts(std::size_t rows) : words_((rows + 63) / 64), before_(words_.size()) {}

    void add(std::uint32_t row, bool alone) noexcept {
        const std::uint64_t bit = std::uint64_t{1} << (row % 64);
        if (alone) {
            words_[row / 64] |= bit;
        } else {
            std::atomic_ref(words_[row / 64]).fetch_or(bit, std::memory_order_relaxed);
        }
    }

    // Numbers the rows and returns them, ascending.
    std::vector<std::int64_t> number() {
        std::uint32_t total = 0;
        for (std::size_t word = 0; word < words_.size(); ++word) {
            before_[word] = total;
            total += static_cast<std::uint32_t>(std::popcount(words_[word]));
        }
        std::vector<std::int64_t> rows;
        rows.reserve(total);
        for (std::size_t word = 0; word < words_.size(); ++word) {
            for (std::uint64_t left = words_[word]; left != 0; left &= left - 1) {
                rows.push_back(static_cast<std::int64_t>(word * 64) + std::countr_zero(left));
            }
        }
        return rows;
    }

    std::uint32_t operator[](std::uint32_t row) const noexcept {
        const std::uint64_t below = words_[row / 64] & ((std::uint64_t{1} << (row % 64)) - 1);
        return before_[row / 64] + static_cast<std::uint32_t>(std::popcount(below));
    }

  private:
    std::vector<std::uint64_t> words_;
    std::vector<std::uint32_t> before_;
};

// A table of this many entries stays in a core's own cache.
constexpr std::size_t kPartEntries = 8192;
constexpr int kMostBits = 10;
constexpr std::size_t kBatch = 128;
// A front that catches less than one row in kUseful rests for the kRest slabs that follow.
constexpr std::size_t kUseful = 8, kRest = 7;
// Many are equal where at least one in kOneIn of a spread of kProbe has an equal before it.
constexpr std::size_t kProbe = 8192, kOneIn = 4;

template <class Identity>
class Counter {
    using Entry = typename Identity::Entry;
    using Run = sequences::Run<Entry>;

  public:
    Counter(const RaggedView& ragged, const SequenceOptions& options)
        : ragged_(ragged), options_(options), rows_(ragged.rows()), threads_(thread_count(options.threads)) {
        while (bits_ < kMostBits && (rows_ >> bits_) > kPartEntries) ++bits_;
        slab_ = std::clamp<std::size_t>(rows_ / 64, 4096, 65536);
        runs_.resize((rows_ + slab_ - 1) / slab_);
        workers_ = std::clamp<std::size_t>(threads_, 1, std::max<std::size_t>(runs_.size(), 1));
        caught_.resize(workers_);
        if (options.inverse) result_.inverse.resize(rows_);
    }

    SequenceCounts count() {
        std::atomic<std::size_t> next{0};
        parallel_for(workers_, 1, threads_, options_.stop,
                     [&](std::size_t worker, std::size_t) { read(worker, next); });
        const std::size_t parts = std::size_t{1} << bits_;
        std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> found(parts);
        Firsts firsts(rows_);
        parallel_for(parts, std::max<std::size_t>(parts / (8 * threads_), 1), threads_, options_.stop,
                     [&](std::size_t begin, std::size_t end) {
                         sequences::PartTable<Identity> table;
                         for (std::size_t part = begin; part < end; ++part) {
                             settle(part, table);
                             for (const Entry& entry : table.distinct()) {
                                 firsts.add(entry.row, threads_ == 1);
                                 if (entry.weight > 1) found[part].emplace_back(entry.row, entry.weight);
                             }
                         }
                     });
        runs_.clear();
        result_.first = firsts.number();
        result_.counts.assign(result_.first.size(), 1);
        parallel_for(parts, 8, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
            for (std::size_t part = begin; part < end; ++part) {
                for (const auto& [row, count] : found[part]) result_.counts[firsts[row]] = count;
            }
        });
        if (options_.inverse) number_rows();
        return std::move(result_);
    }

  private:
    // One worker's share: slabs in ascending order, so that what its front holds came before what it reads.
    void read(std::size_t worker, std::atomic<std::size_t>& next) {
        sequences::Front front(rows_);
        std::vector<Entry> missed;
        missed.reserve(slab_);
        std::size_t rest = 0;
        for (std::size_t slab; (slab = next.fetch_add(1, std::memory_order_relaxed)) < runs_.size();) {
            throw_if(options_.stop);
            const std::size_t begin = slab * slab_, end = std::min(begin + slab_, rows_);
            missed.clear();
            if (rest > 0) {
                --rest;
                for (std::size_t row = begin; row < end; ++row) miss(Identity::entry(ragged_, row), missed);
            } else {
                for (std::size_t row = begin; row < end; row += kBatch) {
                    read_batch(row, std::min(row + kBatch, end), front, missed);
                }
                if ((end - begin - missed.size()) * kUseful < end - begin) rest = kRest;
            }
            runs_[slab] = Run(missed, bits_);
        }
        missed.clear();
        front.drain([&](std::uint32_t row, std::uint32_t weight) {
            missed.push_back(Identity::entry(ragged_, row));
            missed.back().weight = weight;
        });
        caught_[worker] = Run(missed, bits_);
    }

    void miss(const Entry& entry, std::vector<Entry>& missed) {
        missed.push_back(entry);
        if (options_.inverse) result_.inverse[entry.row] = static_cast<std::int32_t>(entry.row);
    }

    void read_batch(std::size_t begin, std::size_t end, sequences::Front& front, std::vector<Entry>& missed) {
        std::array<Entry, kBatch> entries;
        std::array<std::uint32_t, kBatch> places;
        const std::size_t size = end - begin;
        for (std::size_t i = 0; i < size; ++i) {
            entries[i] = Identity::entry(ragged_, begin + i);
            front.prefetch(entries[i].hash);
        }
        for (std::size_t i = 0; i < size; ++i) {
            places[i] =
                front.find_or_add(entries[i].hash, entries[i].row, Identity::key(ragged_, entries[i]));
        }
        for (std::size_t i = 0; i < size; ++i) {
            if (places[i] == 0 || !front.holds(places[i], Identity::key(ragged_, entries[i]))) {
                miss(entries[i], missed);
                continue;
            }
            const std::uint32_t first = front.count(places[i]);
            if (options_.inverse) result_.inverse[entries[i].row] = static_cast<std::int32_t>(first);
        }
    }

    // Finds the distinct sequences of one part: rows in ascending order first, so that the first row of each
    // stands for it, then the weights of what the fronts caught.
    void settle(std::size_t part, sequences::PartTable<Identity>& table) {
        std::size_t entries = 0;
        for (const Run& run : runs_) entries += run.part(part).size();
        table.clear(entries, bits_);
        const auto row = [&](const Entry& entry, std::uint32_t first) {
            if (options_.inverse && entry.row != first) {
                result_.inverse[entry.row] = static_cast<std::int32_t>(first);
            }
        };
        for (const Run& run : runs_) table.add(ragged_, run.part(part), row);
        for (const Run& run : caught_) table.add(ragged_, run.part(part), row);
    }

    // Until here `inverse` holds, for each row, an earlier row with the same sequence, or itself. Numbers go
    // in inverted, that is negative, so that a row reads the same number whether or not the row it points to
    // was numbered before it: threads need no order.
    void number_rows() {
        const std::span<std::int32_t> inverse = result_.inverse;
        const auto at = [&](std::int32_t row) {
            return std::atomic_ref(inverse[static_cast<std::size_t>(row)]);
        };
        const auto& first = result_.first;
        parallel_for(first.size(), slab_, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
            for (std::size_t id = begin; id < end; ++id) {
                inverse[static_cast<std::size_t>(first[id])] = ~static_cast<std::int32_t>(id);
            }
        });
        parallel_for(rows_, slab_, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
            for (std::size_t row = begin; row < end; ++row) {
                std::int32_t seen = inverse[row];
                if (seen < 0) continue;
                while (seen >= 0) seen = at(seen).load(std::memory_order_relaxed);
                at(static_cast<std::int32_t>(row)).store(seen, std::memory_order_relaxed);
            }
        });
        parallel_for(rows_, slab_, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
            for (std::size_t row = begin; row < end; ++row) inverse[row] = ~inverse[row];
        });
    }

    const RaggedView& ragged_;
    const SequenceOptions& options_;
    const std::size_t rows_, threads_;
    int bits_ = 0;
    std::size_t slab_ = 0, workers_ = 1;
    std::vector<Run> runs_, caught_;
    SequenceCounts result_;
};

}  // namespace

void check_ragged(const RaggedView& ragged) {
    if (ragged.offsets.empty()) throw std::invalid_argument("offsets need at least one entry");
    if (ragged.rows() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("there are more sequences than 31 bits can number: split them");
    }
    std::int64_t before = 0;
    for (std::size_t row = 0; row < ragged.offsets.size(); ++row) {
        if (ragged.offsets[row] < before) {
            throw std::invalid_argument("offsets[" + std::to_string(row) +
                                        "] = " + std::to_string(ragged.offsets[row]) + " is below " +
                                        (row == 0 ? "zero" : "the offset before it"));
        }
        before = ragged.offsets[row];
    }
    const std::size_t elements = ragged.bytes.size() / ragged.width;
    if (static_cast<std::size_t>(before) > elements) {
        throw std::invalid_argument("the last offset is " + std::to_string(before) + ", but there are " +
                                    std::to_string(elements) + " values");
    }
}

bool many_equal(const RaggedView& ragged) {
    const std::size_t rows = ragged.rows(), probes = std::min(rows, kProbe);
    if (probes < 64) return false;
    std::unordered_set<std::uint64_t> seen;
    seen.reserve(probes);
    for (std::size_t i = 0; i < probes; ++i) {
        const std::size_t row = i * rows / probes;
        seen.insert(quick_hash(ragged.data(row), ragged.size(row)));
    }
    return (probes - seen.size()) * kOneIn >= probes;
}

SequenceCounts count_sequences(const RaggedView& ragged, const SequenceOptions& options) {
    check_ragged(ragged);
    if (options.verify) return Counter<sequences::ByBytes>(ragged, options).count();
    return Counter<sequences::ByHash>(ragged, options).count();
}

}  // namespace crystal
