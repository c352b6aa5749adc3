#pragma once
// Texts to dense ids 0, 1, 2 ...: one arena of bytes, an open-addressing table of ids beside it.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace crystal {

class Interner {
  public:
    // Stands for "no text" wherever an id is expected.
    static constexpr std::uint32_t kNone = 0xffffffff;
    // Ids travel as int32 in Arrow dictionaries.
    static constexpr std::size_t kMost = 0x7ffffffe;

    // The id of this text, a new one if it was never seen. Throws std::length_error past kMost texts.
    std::uint32_t intern(std::string_view text);
    // The same for many texts, whose slots are fetched together: one wait for memory a block and not one a
    // text.
    void intern_all(std::span<const std::string_view> texts, std::span<std::uint32_t> ids);
    // The id of this text, kNone if it was never seen.
    std::uint32_t find(std::string_view text) const;

    std::string_view text(std::uint32_t id) const {
        const std::uint64_t begin = id == 0 ? 0 : ends_[id - 1];
        return {arena_.data() + begin, static_cast<std::size_t>(ends_[id] - begin)};
    }

    std::size_t size() const { return ends_.size(); }
    std::size_t text_bytes() const { return arena_.size(); }
    // Heap bytes held, growth room included.
    std::size_t nbytes() const;

    // All ids, ascending by (128-bit hash, then bytes): the order that does not depend on who came first.
    std::vector<std::uint32_t> canonical_order() const;

  private:
    // The tag holds 32 bits of the hash: nearly every other text is told apart without a look at the arena,
    // and the table grows without hashing anything again.
    struct Slot {
        std::uint32_t tag;
        std::uint32_t id;
    };

    std::size_t probe(std::uint32_t tag, std::string_view text) const;
    std::uint32_t intern_tagged(std::uint32_t tag, std::string_view text);
    void reserve(std::size_t more);

    std::vector<char> arena_;
    std::vector<std::uint64_t> ends_;
    std::vector<Slot> slots_;
};

}  // namespace crystal
