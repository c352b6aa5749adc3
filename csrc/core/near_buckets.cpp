#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "crystal/hash.hpp"
#include "crystal/near_duplicates.hpp"

namespace crystal::near {

Forest::Forest(std::size_t texts) : parents_(texts) { std::iota(parents_.begin(), parents_.end(), 0U); }

std::uint32_t Forest::find(std::uint32_t text) noexcept {
    while (parents_[text] != text) text = parents_[text] = parents_[parents_[text]];
    return text;
}

void Forest::join(std::uint32_t a, std::uint32_t b) noexcept {
    const auto [first, last] = std::minmax({find(a), find(b)});
    parents_[last] = first;
}

void Forest::settle() noexcept {
    // A parent stands before its children, so it has its root already.
    for (std::uint32_t& parent : parents_) parent = parents_[parent];
}

Bucket::Bucket(const RaggedView& ragged, std::span<const std::int64_t> rows,
               const NearDuplicateOptions& options)
    : ragged_(ragged), rows_(rows), options_(options) {}

std::uint32_t Bucket::find(std::uint32_t group) noexcept {
    while (groups_[group].parent != group) {
        group = groups_[group].parent = groups_[groups_[group].parent].parent;
    }
    return group;
}

void Bucket::compare(std::span<std::uint64_t> texts, const Forest& forest, std::vector<Joined>& joined) {
    const auto text_of = [](std::uint64_t entry) { return static_cast<std::uint32_t>(entry); };
    const std::uint32_t root = forest.root(text_of(texts.front()));
    if (std::ranges::all_of(texts, [&](std::uint64_t e) { return forest.root(text_of(e)) == root; })) return;
    std::vector<std::pair<Hash128, std::uint32_t>> order(texts.size());
    std::ranges::transform(texts, order.begin(), [&](std::uint64_t entry) {
        const std::uint32_t text = text_of(entry);
        return std::pair(hash_bytes({ragged_.data(row(text)), ragged_.size(row(text))}), text);
    });
    std::ranges::sort(order);
    groups_.clear();
    used_ = units_ = seen_ = 0;
    std::unordered_map<std::uint32_t, std::uint32_t> known;
    for (const auto& [hash, text] : order) {
        if (seen_ % 256 == 0) throw_if(options_.stop);
        const auto fresh = static_cast<std::uint32_t>(groups_.size());
        const auto [at, is_new] = known.try_emplace(forest.root(text), fresh);
        if (is_new) groups_.push_back({fresh, 0, 0});
        place(text, at->second, joined);
    }
}

void Bucket::place(std::uint32_t text, std::uint32_t group, std::vector<Joined>& joined) {
    group = find(group);
    // Read where the next anchor would stand, so that to keep it costs nothing.
    if (used_ == anchors_.size()) anchors_.emplace_back();
    Anchor& mine = anchors_[used_];
    bool read = false;
    const auto read_once = [&] {
        if (!read) mine.shingles.read(ragged_, row(text), options_.shingles);
        read = true;
    };
    std::size_t met = 0;  // anchors of clusters that stay others
    for (std::size_t i = 0; i < used_; ++i) {
        const std::uint32_t other = find(anchors_[i].group);
        if (other == group) continue;
        read_once();
        ++compared;
        if (!ShingleSet::similar(mine.shingles, anchors_[i].shingles, options_.threshold)) continue;
        joined.push_back({text, anchors_[i].text});
        groups_[other].parent = group;
        groups_[group].anchors += groups_[other].anchors;
        groups_[group].size += groups_[other].size;
    }
    for (std::size_t i = 0; i < used_; ++i) met += find(anchors_[i].group) != group ? 1 : 0;
    unchecked += static_cast<std::int64_t>(seen_ - groups_[group].size - met);
    ++seen_;
    ++groups_[group].size;
    if (used_ == kAnchors || groups_[group].anchors >= kOfOne || units_ > kUnits) return;
    read_once();
    units_ += mine.shingles.units();
    mine.text = text;
    mine.group = group;
    ++groups_[group].anchors;
    ++used_;
}

}  // namespace crystal::near
