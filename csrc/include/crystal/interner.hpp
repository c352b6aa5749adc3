#pragma once
// Texts to ids: parts by hash, each of them an arena of bytes that never moves and an index beside it.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "crystal/slot_index.hpp"

namespace crystal {

class Interner {
  public:
    // Stands for "no text" wherever an id is expected.
    static constexpr std::uint32_t kNone = SlotIndex::kNone;
    // Ids travel as int32 in Arrow dictionaries.
    static constexpr std::size_t kMost = 0x7ffffffe;

    Interner() : parts_(kHashParts) {}

    // The id of this text, a new one if it was never seen. Throws std::length_error past kMost texts.
    std::uint32_t intern(std::string_view text);
    // The same for below 2^32 texts, each part by one thread; ids do not depend on how many there are.
    void intern_all(std::span<const std::string_view> texts, std::span<std::uint32_t> ids,
                    std::size_t threads);
    // The same for all texts of another: entry i of the result is the id here of id i there.
    std::vector<std::uint32_t> intern_all(const Interner& other, std::size_t threads);
    // The id of this text, kNone if it was never seen.
    std::uint32_t find(std::string_view text) const;

    std::string_view text(std::uint32_t id) const { return parts_[id % kHashParts].text(id / kHashParts); }

    std::size_t size() const;
    // All ids are below it; some below it may be no text's.
    std::size_t id_limit() const;
    std::size_t text_bytes() const;
    // Heap bytes held, growth room included.
    std::size_t nbytes() const;

    // All ids, ascending by (128-bit hash, then bytes): the order that does not depend on who came first.
    std::vector<std::uint32_t> canonical_order() const;

  private:
    // Text i of a part has the id i * kHashParts + part.
    class Part {
      public:
        std::string_view text(std::size_t number) const noexcept {
            const Chunk& chunk = chunks_[number / kChunk];
            const std::size_t i = number % kChunk;
            const std::uint32_t begin = i == 0 ? 0 : chunk.ends[i - 1];
            return {chunk.base + begin, chunk.ends[i] - begin};
        }
        std::size_t size() const noexcept { return index_.size(); }
        std::size_t text_bytes() const noexcept { return text_bytes_; }
        std::size_t nbytes() const noexcept;

        void reserve(std::size_t more);
        void prefetch_slot(std::uint64_t hash) const noexcept { index_.prefetch(hash); }
        void prefetch_place(std::uint64_t hash) const noexcept;
        void prefetch_text(std::uint64_t hash) const noexcept;
        // Room must have been made.
        std::uint32_t intern(std::uint64_t hash, std::string_view text);
        std::uint32_t find(std::uint64_t hash, std::string_view text) const;

      private:
        static constexpr std::size_t kChunk = 4;
        // Texts that lie behind one another: 6 bytes a text say where it is, however much there is in all.
        struct Chunk {
            const char* base;
            std::array<std::uint32_t, kChunk> ends;
        };

        void keep(std::string_view text);
        char* make_room(Chunk& chunk, std::size_t held, std::size_t more);

        std::vector<Chunk> chunks_;
        std::vector<std::unique_ptr<char[]>> blocks_;
        char* at_ = nullptr;
        std::size_t room_ = 0, block_bytes_ = 0, last_block_ = 0, text_bytes_ = 0;
        SlotIndex index_;
    };

    std::vector<Part> parts_;
};

}  // namespace crystal
