#include "crystal/sequences.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>

#include "crystal/sequences_firsts.hpp"
#include "crystal/sequences_table.hpp"

namespace crystal {
namespace {

// A table of this many entries stays in a core's own cache.
constexpr std::size_t kPartEntries = 8192;
constexpr int kMostBits = 10;
// So many entries make large pages, and longer pieces of every part than a slab's.
constexpr std::size_t kRun = std::size_t{1} << 18;
constexpr std::size_t kBatch = 128, kChunk = 4096;
// A front that catches less than one row in kUseful rests for the kRest slabs that follow, twice as many next
// time.
constexpr std::size_t kUseful = 8, kRest = 7;
// Many are equal where at least one in kOneIn of a spread of kProbe has an equal before it.
constexpr std::size_t kProbe = 8192, kOneIn = 4;

template <class Identity>
class Counter {
    using Entry = typename Identity::Entry;
    using Run = sequences::Run<Entry>;
    using Front = sequences::Front<Entry>;

    // What one worker has met: how often and where first the sequences of the front, and what missed it.
    struct Met {
        std::vector<std::uint32_t> counts, first;
        std::vector<Run> runs;
    };

  public:
    Counter(const RaggedView& ragged, const SequenceOptions& options)
        : ragged_(ragged),
          options_(options),
          rows_(ragged.rows()),
          threads_(thread_count(options.threads)),
          front_(rows_,
                 static_cast<std::size_t>(ragged.offsets.back() - ragged.offsets.front()) * ragged.width),
          firsts_(rows_) {
        while (bits_ < kMostBits && (rows_ >> bits_) > kPartEntries) ++bits_;
        slab_ = std::clamp<std::size_t>(rows_ / 4096, 64, 1024) * 64;
        met_.resize(std::clamp<std::size_t>(threads_, 1, std::max<std::size_t>(rows_ / slab_, 1)));
        if (options.inverse) result_.inverse.resize(rows_);
    }

    SequenceCounts count() {
        std::atomic<std::size_t> next{0};
        parallel_for(met_.size(), 1, threads_, options_.stop,
                     [&](std::size_t worker, std::size_t) { read(met_[worker], next); });
        collect();
        // By part, the row that stands for a sequence, and its count where that is not 1.
        std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>> found(std::size_t{1} << bits_);
        if (missed_) {
            parallel_for(found.size(), std::max<std::size_t>(found.size() / (8 * threads_), 1), threads_,
                         options_.stop, [&](std::size_t begin, std::size_t end) {
                             sequences::PartTable<Identity> table;
                             std::vector<std::uint32_t> entries;
                             for (std::size_t part = begin; part < end; ++part) {
                                 settle(part, table, entries);
                                 for (const Entry& entry : table.distinct()) {
                                     if (entry.weight > 1) found[part].emplace_back(entry.row, entry.weight);
                                 }
                             }
                         });
            runs_.clear();
        } else {
            for (const Entry& entry : caught_) {
                if (entry.weight > 0) firsts_.mark(entry.row);
                if (entry.weight > 1) found[0].emplace_back(entry.row, entry.weight);
            }
        }
        result_.first = firsts_.number(threads_);
        result_.counts.resize(result_.first.size());
        parallel_for(result_.counts.size(), slab_, threads_, options_.stop,
                     [&](std::size_t begin, std::size_t end) {
                         std::fill(&result_.counts[begin], &result_.counts[0] + end, 1);
                     });
        parallel_for(found.size(), 8, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
            for (std::size_t part = begin; part < end; ++part) {
                for (const auto& [row, count] : found[part]) result_.counts[firsts_[row]] = count;
            }
        });
        if (options_.inverse) number_rows();
        return std::move(result_);
    }

  private:
    // One worker's share of the slabs.
    void read(Met& met, std::atomic<std::size_t>& next) {
        met.counts.resize(front_.most());
        met.first.resize(front_.most());
        Column<Entry> missed;
        missed.reserve(std::min(kRun + slab_, rows_));
        std::size_t rest = 0, next_rest = kRest;
        const auto cut = [&] {
            met.runs.emplace_back(missed, bits_);
            missed.clear();
        };
        for (std::size_t slab; (slab = next.fetch_add(slab_, std::memory_order_relaxed)) < rows_;) {
            throw_if(options_.stop);
            const std::size_t end = std::min(slab + slab_, rows_), before = missed.size();
            if (rest > 0) {
                --rest;
                for (std::size_t row = slab; row < end; ++row) miss(Identity::entry(ragged_, row), missed);
            } else {
                std::size_t fresh = 0;
                for (std::size_t row = slab; row < end; row += kBatch) {
                    fresh += read_batch(row, std::min(row + kBatch, end), met, missed);
                }
                if ((end - slab - (missed.size() - before) - fresh) * kUseful < end - slab) {
                    rest = next_rest;
                    next_rest = 2 * next_rest + 1;
                }
            }
            if (missed.size() >= kRun) cut();
        }
        if (!missed.empty()) cut();
    }

    // Until rows are numbered, `inverse` holds what the front numbered a sequence, or inverted, that is
    // negative, the row that stands for it. What is missed counts as a first until another is found before
    // it: where most rows are distinct, threads then seldom need to mark what lies in another's slab.
    void miss(const Entry& entry, Column<Entry>& missed) {
        missed.push_back(entry);
        firsts_.mark(entry.row);
        if (options_.inverse) result_.inverse[entry.row] = ~static_cast<std::int32_t>(entry.row);
    }

    // Returns how many sequences this worker met for the first time.
    std::size_t read_batch(std::size_t begin, std::size_t end, Met& met, Column<Entry>& missed) {
        std::array<Entry, kBatch> entries;
        std::array<std::uint32_t, kBatch> places;
        const std::size_t size = end - begin;
        const bool whole = Identity::whole(ragged_, end - 1);
        for (std::size_t i = 0; i < size; ++i) {
            entries[i] = Identity::entry(ragged_, begin + i);
            front_.prefetch(entries[i].hash);
        }
        for (std::size_t i = 0; i < size; ++i) {
            places[i] = front_.find_or_add(entries[i], Identity::key(ragged_, entries[i]));
        }
        std::size_t fresh = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const sequences::Key key = Identity::key(ragged_, entries[i]);
            std::uint32_t place = places[i];
            if (place != 0 && !front_.holds(place, key, whole)) place = front_.search(entries[i], key, whole);
            if (place == 0) {
                miss(entries[i], missed);
                continue;
            }
            const std::uint32_t number = front_.number(place);
            if (met.counts[number]++ == 0) {
                met.first[number] = entries[i].row;
                ++fresh;
            }
            if (options_.inverse) result_.inverse[entries[i].row] = static_cast<std::int32_t>(number);
        }
        return fresh;
    }

    // What the front caught, by number: the first row and the count of all workers. A number that was given
    // to a sequence while another worker put the same into the front stays without any.
    void collect() {
        for (Met& met : met_) std::ranges::move(met.runs, std::back_inserter(runs_));
        missed_ = !runs_.empty();
        caught_.resize(front_.size());
        caught_runs_.resize((caught_.size() + kChunk - 1) / kChunk);
        parallel_for(
            caught_.size(), kChunk, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
                std::vector<Entry> numbered;
                for (std::size_t number = begin; number < end; ++number) {
                    Entry& entry = caught_[number] = front_.entry(number);
                    entry.weight = 0;
                    for (const Met& met : met_) {
                        if (met.counts.empty() || met.counts[number] == 0) continue;
                        entry.row =
                            entry.weight == 0 ? met.first[number] : std::min(entry.row, met.first[number]);
                        entry.weight += met.counts[number];
                    }
                    if (entry.weight == 0) continue;
                    numbered.push_back(entry);
                    numbered.back().weight = static_cast<std::uint32_t>(number);
                }
                if (missed_) caught_runs_[begin / kChunk] = Run(numbered, bits_);
            });
        met_.clear();
    }

    // Finds the distinct sequences of one part among what the front caught and what it missed.
    void settle(std::size_t part, sequences::PartTable<Identity>& table, std::vector<std::uint32_t>& found) {
        std::size_t entries = 0;
        for (const auto* runs : {&runs_, &caught_runs_}) {
            for (const Run& run : *runs) entries += run.part(part).size();
        }
        table.clear(entries, bits_);
        found.clear();
        for (const Run& run : runs_)
            table.add(ragged_, run.part(part), [](const Entry&) { return 1U; }, found);
        const auto count = [&](const Entry& entry) { return caught_[entry.weight].weight; };
        for (const Run& run : caught_runs_) table.add(ragged_, run.part(part), count, found);
        const std::uint32_t* at = found.data();
        for (const Run& run : runs_) {
            for (const Entry& entry : run.part(part)) {
                const std::uint32_t first = table.distinct()[*at++].row;
                if (first == entry.row) continue;
                firsts_.clear_shared(entry.row);
                if (options_.inverse) result_.inverse[entry.row] = ~static_cast<std::int32_t>(first);
            }
        }
        for (const Run& run : caught_runs_) {
            for (const Entry& entry : run.part(part)) {
                firsts_.mark_shared(caught_[entry.weight].row = table.distinct()[*at++].row);
            }
        }
    }

    void number_rows() {
        std::vector<std::uint32_t> numbers(caught_.size());
        bool final = !missed_;
        for (std::uint32_t i = 0; i < numbers.size(); ++i) {
            numbers[i] = firsts_[caught_[i].row];
            final = final && numbers[i] == i;
        }
        if (final) return;
        parallel_for(rows_, slab_, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
            // Every number below `next` was given to an earlier row, so the row that has it is the first.
            std::uint32_t next = firsts_[static_cast<std::uint32_t>(begin)];
            for (std::size_t row = begin; row < end; ++row) {
                const std::int32_t held = result_.inverse[row];
                const auto first = static_cast<std::uint32_t>(~held);
                const std::uint32_t number = held >= 0      ? numbers[static_cast<std::size_t>(held)]
                                             : first == row ? next
                                                            : firsts_[first];
                next += number == next ? 1 : 0;
                result_.inverse[row] = static_cast<std::int32_t>(number);
            }
        });
    }

    const RaggedView& ragged_;
    const SequenceOptions& options_;
    const std::size_t rows_, threads_;
    int bits_ = 0;
    std::size_t slab_ = 0;
    Front front_;
    sequences::Firsts firsts_;
    std::vector<Met> met_;          // by worker
    bool missed_ = false;           // whether any row missed the front
    std::vector<Run> runs_;         // of the rows that the front missed
    std::vector<Entry> caught_;     // by number
    std::vector<Run> caught_runs_;  // the same, with numbers as weights
    SequenceCounts result_;
};

}  // namespace

bool many_equal(const RaggedView& ragged) {
    const std::size_t rows = ragged.rows(), probes = std::min(rows, kProbe);
    if (probes < 64) return false;
    std::vector<std::uint64_t> hashes(probes);
    for (std::size_t i = 0; i < probes; ++i) {
        const std::size_t row = i * rows / probes;
        hashes[i] = quick_hash(ragged.data(row), ragged.size(row), ragged.room(row));
    }
    std::ranges::sort(hashes);
    const auto again = static_cast<std::size_t>(hashes.end() - std::unique(hashes.begin(), hashes.end()));
    return again * kOneIn >= probes;
}

SequenceCounts count_sequences(const RaggedView& ragged, const SequenceOptions& options) {
    check_ragged(ragged);
    if (options.verify) return Counter<sequences::ByBytes>(ragged, options).count();
    return Counter<sequences::ByHash>(ragged, options).count();
}

}  // namespace crystal
