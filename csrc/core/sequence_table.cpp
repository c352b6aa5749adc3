#include "crystal/sequence_table.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "crystal/bytes.hpp"
#include "crystal/sequences_table.hpp"

namespace crystal {
namespace {

constexpr std::size_t kSlabElements = std::size_t{1} << 17, kBatch = 32;

// A sequence or n-gram on its way to its part: where it stands, and whose it is.
struct Pending {
    std::uint64_t hash, low;
    std::uint32_t at, row;  // `at` is an element for n-grams
};

// Everything that may be wrong, before anything is changed. Returns what the batch adds to the total.
std::int64_t checked_total(const SequenceBatch& batch) {
    const RaggedView& ragged = batch.ragged;
    check_ragged(ragged);
    const std::size_t rows = ragged.rows();
    if (!batch.cells.empty() && batch.cells.size() != rows)
        throw std::invalid_argument("one cell a sequence");
    if (!batch.counts.empty() && batch.counts.size() != rows)
        throw std::invalid_argument("one count a sequence");
    for (const std::int32_t cell : batch.cells) {
        if (cell < 0) throw std::invalid_argument("a cell is negative");
    }
    if (batch.n < 0 || batch.n > 4) throw std::invalid_argument("n-grams have 1 to 4 elements");
    if (static_cast<std::uint64_t>(ragged.offsets.back()) >> 32 != 0) {
        throw std::invalid_argument("a block has more than 2^32 elements");
    }
    const char* const overflow = "the sum of all counts leaves int64";
    std::int64_t total = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        const std::int64_t count = batch.counts.empty() ? 1 : batch.counts[row];
        const auto elements = static_cast<std::int64_t>(ragged.size(row) / ragged.width);
        const std::int64_t each = batch.n == 0 ? 1 : std::max<std::int64_t>(elements - batch.n + 1, 0);
        if (count < 0) throw std::invalid_argument("a count is negative: " + std::to_string(count));
        std::int64_t product = 0;
        if (__builtin_mul_overflow(count, each, &product) || __builtin_add_overflow(total, product, &total)) {
            throw std::overflow_error(overflow);
        }
        if (ragged.size(row) > std::numeric_limits<std::uint32_t>::max()) {
            throw std::invalid_argument("a sequence has more than 2^32 - 1 bytes");
        }
    }
    return total;
}

// The counts of a batch after equal sequences of one cell were found: the first of them has all, the others
// none, and are passed over. What is counted of a sequence is then counted once.
std::vector<std::int64_t> merged_counts(const SequenceBatch& batch, std::size_t threads, StopFlag stop) {
    const std::size_t rows = batch.ragged.rows();
    SequenceCounts found = count_sequences(batch.ragged, {true, true, threads, stop});
    if (!batch.cells.empty()) {
        // A sequence and its cell, as a sequence of two numbers.
        std::vector<std::int32_t> pairs(2 * rows);
        std::vector<std::int64_t> offsets(rows + 1);
        for (std::size_t row = 0; row < rows; ++row) {
            pairs[2 * row] = found.inverse[row];
            pairs[2 * row + 1] = batch.cells[row];
            offsets[row + 1] = static_cast<std::int64_t>(2 * row + 2);
        }
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(pairs.data());
        const RaggedView ragged{{bytes, pairs.size() * sizeof(std::int32_t)}, offsets, sizeof(std::int32_t)};
        found = count_sequences(ragged, {true, true, threads, stop});
    }
    std::vector<std::int64_t> counts(rows);
    for (std::size_t row = 0; row < rows; ++row) {
        const auto first =
            static_cast<std::size_t>(found.first[static_cast<std::size_t>(found.inverse[row])]);
        counts[first] += batch.counts.empty() ? 1 : batch.counts[row];
    }
    return counts;
}

class Reader {
  public:
    explicit Reader(const SequenceBatch& batch) : batch_(batch), ragged_(batch.ragged) {
        const auto elements = static_cast<std::size_t>(ragged_.offsets.back() - ragged_.offsets.front());
        const std::size_t rows = std::max<std::size_t>(ragged_.rows(), 1);
        slab_ = std::clamp<std::size_t>(kSlabElements / (elements / rows + 1), 1, 16384);
        runs_.resize((ragged_.rows() + slab_ - 1) / slab_);
    }

    void read(std::size_t threads, StopFlag stop) {
        parallel_for(runs_.size(), 1, threads, stop, [&](std::size_t slab, std::size_t) { read_slab(slab); });
    }

    void count(std::size_t index, SequencePart& part, bool verify) const {
        for (const auto& run : runs_) {
            const std::span<const Pending> all = run.part(index);
            for (std::size_t begin = 0; begin < all.size(); begin += kBatch) {
                const std::span<const Pending> some =
                    all.subspan(begin, std::min(kBatch, all.size() - begin));
                part.reserve(some.size());
                for (const Pending& one : some) part.prefetch_slot({one.hash, one.low}, cell(one.row));
                for (const Pending& one : some) part.prefetch_entry({one.hash, one.low}, cell(one.row));
                for (const Pending& one : some) {
                    part.prefetch_key({one.hash, one.low}, cell(one.row));
                    __builtin_prefetch(key(one).data());
                }
                for (const Pending& one : some) {
                    const std::int64_t count = batch_.counts.empty() ? 1 : batch_.counts[one.row];
                    part.add({{one.hash, one.low}, count, cell(one.row), key(one)}, verify);
                }
            }
        }
    }

  private:
    std::uint32_t cell(std::uint32_t row) const noexcept {
        return batch_.cells.empty() ? 0 : static_cast<std::uint32_t>(batch_.cells[row]);
    }

    std::span<const std::uint8_t> key(const Pending& one) const noexcept {
        if (batch_.n == 0) return {ragged_.data(one.row), ragged_.size(one.row)};
        return {ragged_.bytes.data() + one.at * ragged_.width,
                static_cast<std::size_t>(batch_.n) * ragged_.width};
    }

    void read_slab(std::size_t slab) {
        std::vector<Pending> pending;
        const std::size_t end = std::min((slab + 1) * slab_, ragged_.rows());
        const auto n = static_cast<std::int64_t>(batch_.n);
        for (std::size_t row = slab * slab_; row < end; ++row) {
            if (!batch_.counts.empty() && batch_.counts[row] == 0) continue;
            Pending one{0, 0, 0, static_cast<std::uint32_t>(row)};
            // A sequence is one key, or one for each place at which n elements follow before its end.
            const std::int64_t first = n == 0 ? 0 : ragged_.offsets[row];
            const std::int64_t last = n == 0 ? 0 : ragged_.offsets[row + 1] - n;
            for (std::int64_t at = first; at <= last; ++at) {
                one.at = static_cast<std::uint32_t>(at);
                const Hash128 hash = hash_bytes(key(one));
                one.hash = hash.high;
                one.low = hash.low;
                pending.push_back(one);
            }
        }
        runs_[slab] = sequences::Run<Pending>(pending, SequenceTable::kBits);
    }

    const SequenceBatch& batch_;
    const RaggedView& ragged_;
    std::size_t slab_ = 1;
    std::vector<sequences::Run<Pending>> runs_;
};

}  // namespace

std::size_t SequenceTable::size() const noexcept {
    std::size_t size = 0;
    for (const SequencePart& part : parts_) size += part.size();
    return size;
}

std::size_t SequenceTable::nbytes() const noexcept {
    std::size_t bytes = sizeof *this + parts_.capacity() * sizeof(SequencePart);
    for (const SequencePart& part : parts_) bytes += part.nbytes();
    return bytes;
}

void SequenceTable::add(const SequenceBatch& given, std::size_t threads, StopFlag stop) {
    std::int64_t total = checked_total(given);
    if (__builtin_add_overflow(total, total_, &total)) {
        throw std::overflow_error("the sum of all counts leaves int64");
    }
    threads = thread_count(threads);
    SequenceBatch batch = given;
    std::vector<std::int64_t> counts;
    if (batch.n > 0 && many_equal(batch.ragged)) {
        counts = merged_counts(batch, threads, stop);
        batch.counts = counts;
    }
    Reader reader(batch);
    reader.read(threads, stop);
    total_ = total;
    parallel_for(kParts, 4, threads, nullptr, [&](std::size_t begin, std::size_t end) {
        for (std::size_t part = begin; part < end; ++part) reader.count(part, parts_[part], verify_);
    });
}

void SequenceTable::add_records(std::span<const std::uint8_t> records, std::span<const std::uint32_t> map) {
    std::int64_t total = total_;
    SequenceRecord record;
    const auto each = [&](auto&& take) {
        std::size_t at = 0;
        while (const std::size_t size = SequenceRecord::read(records.subspan(at), record)) {
            take();
            at += size;
        }
        return at;
    };
    const std::size_t whole = each([&] {
        if (record.cell >= map.size()) throw std::invalid_argument("a record has no such cell");
        if (__builtin_add_overflow(total, record.count, &total)) {
            throw std::overflow_error("the sum of all counts leaves int64");
        }
    });
    if (whole != records.size()) throw BadBytes("the last record is not whole");
    total_ = total;
    each([&] {
        SequencePart& part = parts_[record.hash.high >> (64 - kBits)];
        record.cell = map[record.cell];
        part.reserve(1);
        part.add(record, verify_);
    });
}

void SequenceTable::clear() {
    std::vector<SequencePart> fresh(kParts);
    parts_.swap(fresh);
    total_ = 0;
}

std::vector<std::uint8_t> SequenceTable::part(std::size_t index, std::span<const std::uint32_t> ranks,
                                              bool ranked) const {
    std::vector<std::uint8_t> out;
    parts_.at(index).write(ranks, ranked, out);
    return out;
}

}  // namespace crystal
