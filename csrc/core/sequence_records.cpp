#include "crystal/sequence_records.hpp"

#include <algorithm>
#include <numeric>

#include "crystal/bytes.hpp"

namespace crystal {
namespace {

constexpr std::int64_t kFew = 64;

template <class Word>
void append(std::vector<std::uint8_t>& out, Word value) {
    const Word little = swap_if_big(value);
    const auto* from = reinterpret_cast<const std::uint8_t*>(&little);
    out.insert(out.end(), from, from + sizeof little);
}

// Whole records at the start: calls take(record) for each and returns their bytes.
template <class Take>
std::size_t each_record(std::span<const std::uint8_t> bytes, Take&& take) {
    std::size_t at = 0;
    SequenceRecord record;
    while (const std::size_t size = SequenceRecord::read(bytes.subspan(at), record)) {
        take(record);
        at += size;
    }
    return at;
}

}  // namespace

std::size_t SequenceRecord::read(std::span<const std::uint8_t> bytes, SequenceRecord& record) {
    if (bytes.size() < kHead) return 0;
    const std::uint8_t* const at = bytes.data();
    const std::size_t length = load_word<std::uint32_t>(at + 28);
    if (bytes.size() - kHead < length) return 0;
    record.hash = {load_word<std::uint64_t>(at), load_word<std::uint64_t>(at + 8)};
    record.count = static_cast<std::int64_t>(load_word<std::uint64_t>(at + 16));
    record.cell = load_word<std::uint32_t>(at + 24);
    record.key = bytes.subspan(kHead, length);
    return kHead + length;
}

void SequenceRecord::write(std::vector<std::uint8_t>& out) const {
    append(out, hash.high);
    append(out, hash.low);
    append(out, static_cast<std::uint64_t>(count));
    append(out, cell);
    append(out, static_cast<std::uint32_t>(key.size()));
    out.insert(out.end(), key.begin(), key.end());
}

bool SequenceRecord::same(const SequenceRecord& other) const noexcept {
    return hash == other.hash && cell == other.cell && std::ranges::equal(key, other.key);
}

bool before(const SequenceRecord& a, const SequenceRecord& b, std::span<const std::uint32_t> ranks) noexcept {
    if (a.hash != b.hash) return a.hash < b.hash;
    if (!std::ranges::equal(a.key, b.key)) {
        return std::lexicographical_compare(a.key.begin(), a.key.end(), b.key.begin(), b.key.end());
    }
    return ranks[a.cell] < ranks[b.cell];
}

RunMerger::RunMerger(std::size_t runs, std::vector<std::uint32_t> ranks, bool ranked)
    : sources_(runs), ranks_(std::move(ranks)), ranked_(ranked) {}

void RunMerger::feed(std::size_t run, std::span<const std::uint8_t> bytes, bool last) {
    Source& source = sources_.at(run);
    if (source.held || source.last) throw std::invalid_argument("the run needs no bytes");
    source.bytes.erase(source.bytes.begin(), source.bytes.begin() + static_cast<std::ptrdiff_t>(source.at));
    source.bytes.insert(source.bytes.end(), bytes.begin(), bytes.end());
    source.at = 0;
    source.last = last;
}

bool RunMerger::load(Source& source) const {
    if (source.held || source.done) return true;
    const std::size_t size = SequenceRecord::read(std::span(source.bytes).subspan(source.at), source.head);
    if (size > 0) {
        if (source.head.cell >= ranks_.size()) throw BadBytes("a record of a run has no such cell");
        source.at += size;
        source.held = true;
        return true;
    }
    if (!source.last) return false;
    if (source.at != source.bytes.size()) throw BadBytes("a run ends inside a record");
    source.done = true;
    return true;
}

std::size_t RunMerger::advance(std::vector<std::uint8_t>& out, std::size_t limit) {
    while (true) {
        Source* least = nullptr;
        for (std::size_t run = 0; run < sources_.size(); ++run) {
            Source& source = sources_[run];
            if (!load(source)) return run;
            if (source.held && (least == nullptr || before(source.head, least->head, ranks_)))
                least = &source;
        }
        if (least == nullptr) return kDone;
        if (out.size() >= limit) return kFull;
        SequenceRecord merged = least->head;
        least->held = false;
        for (Source& source : sources_) {
            if (!source.held || !source.head.same(merged)) continue;
            merged.count += source.head.count;
            source.held = false;
        }
        if (ranked_) merged.cell = ranks_[merged.cell];
        merged.write(out);
    }
}

RecordCheck::RecordCheck(bool verify, std::size_t unit, std::size_t length, std::size_t cells)
    : verify_(verify), unit_(unit), length_(length), ranks_(cells), used_(cells, 0) {
    std::iota(ranks_.begin(), ranks_.end(), 0U);
}

std::size_t RecordCheck::check(std::span<const std::uint8_t> bytes) {
    return each_record(bytes, [&](const SequenceRecord& record) {
        if (record.count < 1) throw BadBytes("a count is below 1");
        if (record.cell >= used_.size()) throw BadBytes("a record points outside the cells");
        const std::size_t size = record.key.size();
        if (!verify_ && size != 0) throw BadBytes("a record has a key where only hashes are kept");
        if (verify_ && (size % unit_ != 0 || (length_ != 0 && size != length_))) {
            throw BadBytes("a key has another length");
        }
        if (verify_ && hash_bytes(record.key) != record.hash) throw BadBytes("a hash is not that of its key");
        if (any_ && !before(last_, record, ranks_)) throw BadBytes("its records are not in canonical order");
        used_[record.cell] = 1;
        last_key_.assign(record.key.begin(), record.key.end());
        last_ = record;
        last_.key = last_key_;
        any_ = true;
    });
}

void RecordCheck::finish() const {
    if (std::ranges::find(used_, 0) != used_.end()) throw BadBytes("a cell has no record");
}

void SequenceSpectra::add(std::span<const std::uint8_t> records) {
    each_record(records, [&](const SequenceRecord& record) {
        if (record.cell >= few_.size()) few_.resize(std::size_t{record.cell} + 1);
        if (record.count >= kFew) {
            many_.push_back({record.cell, record.count, 1});
            return;
        }
        std::vector<std::int64_t>& few = few_[record.cell];
        if (few.empty()) few.resize(kFew);
        ++few[static_cast<std::size_t>(record.count)];
    });
}

std::vector<SequenceSpectra::Line> SequenceSpectra::lines() const {
    std::vector<Line> all(many_);
    for (std::size_t cell = 0; cell < few_.size(); ++cell) {
        for (std::size_t count = 0; count < few_[cell].size(); ++count) {
            if (few_[cell][count] == 0) continue;
            all.push_back(
                {static_cast<std::uint32_t>(cell), static_cast<std::int64_t>(count), few_[cell][count]});
        }
    }
    std::ranges::sort(all, [](const Line& a, const Line& b) {
        return a.cell != b.cell ? a.cell < b.cell : a.count < b.count;
    });
    std::vector<Line> lines;
    for (const Line& line : all) {
        if (!lines.empty() && lines.back().cell == line.cell && lines.back().count == line.count) {
            lines.back().sequences += line.sequences;
        } else {
            lines.push_back(line);
        }
    }
    return lines;
}

}  // namespace crystal
