#include "crystal/near_duplicates.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <utility>

#include "crystal/minhash.hpp"

namespace crystal {
namespace {

using near::Bucket;
using near::Forest;
using near::Joined;

constexpr std::size_t kPartTexts = 8192, kSlab = 65536;
constexpr int kMostBits = 11;

class Finder {
  public:
    Finder(const RaggedView& ragged, const NearDuplicateOptions& options)
        : ragged_(ragged),
          options_(options),
          threads_(thread_count(options.threads)),
          same_(count_sequences(ragged, {true, true, options.threads, options.stop})),
          texts_(same_.first.size()),
          forest_(texts_) {
        while (bits_ < kMostBits && (texts_ >> bits_) > kPartTexts) ++bits_;
        parts_.resize((std::size_t{1} << bits_) + 1);
        proposals_.resize(texts_);
    }

    NearDuplicates find() {
        const std::size_t at_once = std::clamp<std::size_t>(
            options_.key_bytes / std::max<std::size_t>(4 * texts_, 1), 1, options_.bands);
        keys_.resize(at_once * texts_);
        for (std::size_t band = 0; band < options_.bands; band += at_once) {
            const std::size_t end = std::min(band + at_once, options_.bands);
            make_keys(band, end);
            for (std::size_t i = 0; i < end - band; ++i) {
                join_band(std::span(keys_).subspan(i * texts_, texts_));
            }
        }
        number();
        return std::move(result_);
    }

  private:
    // keys_ [end - begin, texts]: 32 bits of hash of each band. Two bands whose keys agree by chance cost a
    // comparison and nothing else.
    void make_keys(std::size_t begin, std::size_t end) {
        const std::size_t rows = options_.rows;
        parallel_for(texts_, 1024, threads_, options_.stop, [&](std::size_t from, std::size_t to) {
            std::vector<std::uint32_t> signature(options_.bands * rows);
            MinHasher hasher(options_.shingles, signature.size(), MinhashPath::fastest);
            for (std::size_t text = from; text < to; ++text) {
                hasher.sign(ragged_, static_cast<std::size_t>(same_.first[text]), signature);
                const auto places = std::span(std::as_const(signature)).subspan(begin * rows);
                for (std::size_t band = 0; band < end - begin; ++band) {
                    std::uint64_t key = band;
                    for (const std::uint32_t value : places.subspan(band * rows, rows)) {
                        key = key * 0x9e6c63d0876a9a99ULL + value;
                    }
                    keys_[band * texts_ + text] = static_cast<std::uint32_t>(mix64(key) >> 32);
                }
            }
        });
    }

    void join_band(std::span<const std::uint32_t> keys) {
        propose(keys);
        struct Found {
            std::vector<Joined> joined;
            std::int64_t compared = 0, unchecked = 0;
        };
        std::vector<Found> found(parts_.size() - 1);
        parallel_for(found.size(), 8, threads_, options_.stop, [&](std::size_t begin, std::size_t end) {
            Bucket bucket(ragged_, same_.first, options_);
            std::vector<std::uint64_t> repeated;
            for (std::size_t part = begin; part < end; ++part) {
                bucket.compared = bucket.unchecked = 0;
                repeat(part, repeated);
                for (std::size_t at = 0, next; at < repeated.size(); at = next) {
                    next = at + 1;
                    while (next < repeated.size() && repeated[next] >> 32 == repeated[at] >> 32) ++next;
                    if (next - at == 1) continue;
                    bucket.compare(std::span(repeated).subspan(at, next - at), forest_, found[part].joined);
                }
                found[part].compared = bucket.compared;
                found[part].unchecked = bucket.unchecked;
            }
        });
        for (const Found& some : found) {
            for (const Joined& pair : some.joined) forest_.join(pair.a, pair.b);
            result_.compared += some.compared;
            result_.unchecked += some.unchecked;
        }
        forest_.settle();
    }

    // proposals_: a band's key above the text's number, cut into parts by the key's top bits. Memory is that
    // of the band before.
    void propose(std::span<const std::uint32_t> keys) {
        const std::size_t slabs = (texts_ + kSlab - 1) / kSlab, parts = parts_.size() - 1;
        const auto part_of = [&](std::uint32_t key) {
            return static_cast<std::size_t>((static_cast<std::uint64_t>(key) << bits_) >> 32);
        };
        places_.assign(slabs * parts, 0);
        const auto each_slab = [&](auto&& visit) {
            parallel_for(slabs, 1, threads_, options_.stop, [&](std::size_t slab, std::size_t) {
                std::uint32_t* const place = places_.data() + slab * parts;
                const std::size_t end = std::min((slab + 1) * kSlab, texts_);
                for (std::size_t text = slab * kSlab; text < end; ++text) {
                    visit(place[part_of(keys[text])], text);
                }
            });
        };
        each_slab([](std::uint32_t& place, std::size_t) { ++place; });
        std::uint32_t at = 0;
        for (std::size_t part = 0; part < parts; ++part) {
            parts_[part] = at;
            for (std::size_t slab = 0; slab < slabs; ++slab) {
                at += std::exchange(places_[slab * parts + part], at);
            }
        }
        parts_[parts] = at;
        each_slab([&](std::uint32_t& place, std::size_t text) {
            proposals_[place++] = (static_cast<std::uint64_t>(keys[text]) << 32) | text;
        });
    }

    // The proposals of one part whose key comes twice, sorted, among a few that merely fall on the same bit:
    // most keys are alone, and need no sorting.
    void repeat(std::size_t part, std::vector<std::uint64_t>& repeated) const {
        const auto all = std::span(proposals_).subspan(parts_[part], parts_[part + 1] - parts_[part]);
        const std::size_t slots = std::bit_ceil(std::max<std::size_t>(8 * all.size(), 64));
        const int shift = 64 - std::countr_zero(slots);
        const auto slot = [&](std::uint64_t proposal) {
            return static_cast<std::size_t>(((proposal >> 32) * 0x9e3779b97f4a7c15ULL) >> shift);
        };
        std::vector<std::uint64_t> once(slots / 64), twice(slots / 64);
        for (const std::uint64_t proposal : all) {
            const std::size_t at = slot(proposal);
            const std::uint64_t bit = std::uint64_t{1} << (at % 64);
            twice[at / 64] |= once[at / 64] & bit;
            once[at / 64] |= bit;
        }
        repeated.clear();
        for (const std::uint64_t proposal : all) {
            const std::size_t at = slot(proposal);
            if ((twice[at / 64] >> (at % 64) & 1) != 0) repeated.push_back(proposal);
        }
        std::ranges::sort(repeated);
    }

    // From roots of distinct texts to clusters of rows. A root is the first text of its cluster, and texts
    // are numbered by first appearance: so are clusters.
    void number() {
        std::vector<std::int32_t> cluster(texts_);
        for (std::uint32_t text = 0; text < texts_; ++text) {
            const std::uint32_t root = forest_.root(text);
            if (root == text) {
                cluster[text] = static_cast<std::int32_t>(result_.first.size());
                result_.first.push_back(same_.first[text]);
                result_.counts.push_back(0);
            }
            cluster[text] = cluster[root];
            result_.counts[static_cast<std::size_t>(cluster[text])] += same_.counts[text];
        }
        result_.distinct = static_cast<std::int64_t>(texts_);
        result_.inverse = std::move(same_.inverse);
        for (std::int32_t& id : result_.inverse) id = cluster[static_cast<std::size_t>(id)];
    }

    const RaggedView& ragged_;
    const NearDuplicateOptions& options_;
    const std::size_t threads_;
    SequenceCounts same_;
    const std::size_t texts_;
    int bits_ = 0;
    Forest forest_;
    std::vector<std::uint32_t> keys_, places_, parts_;
    std::vector<std::uint64_t> proposals_;
    NearDuplicates result_;
};

}  // namespace

NearDuplicates near_duplicates(const RaggedView& ragged, const NearDuplicateOptions& options) {
    check_shingles(ragged, options.shingles);
    if (!(options.threshold > 0.0 && options.threshold <= 1.0)) {
        throw std::invalid_argument("the threshold is outside (0, 1]");
    }
    if (options.bands == 0 || options.rows == 0) throw std::invalid_argument("there is no band");
    return Finder(ragged, options).find();
}

}  // namespace crystal
