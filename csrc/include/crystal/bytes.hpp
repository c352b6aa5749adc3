#pragma once
// Little-endian bytes, written and read with every bound checked.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace crystal {

// Bytes that are not what they claim to be. The message is for people.
struct BadBytes : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

template <class Word>
Word swap_if_big(Word word) noexcept {
    if constexpr (std::endian::native == std::endian::little) return word;
    Word swapped = 0;
    for (std::size_t i = 0; i < sizeof(Word); ++i) {
        swapped = static_cast<Word>((swapped << 8) | ((word >> (8 * i)) & 0xff));
    }
    return swapped;
}

template <class Word>
Word load_word(const std::uint8_t* from) noexcept {
    Word word;
    std::memcpy(&word, from, sizeof(Word));
    return swap_if_big(word);
}

// Whether these bytes are text as Unicode has it: no overlong forms, no surrogates, nothing past U+10FFFF.
bool valid_utf8(std::string_view text) noexcept;

class ByteWriter {
  public:
    explicit ByteWriter(std::size_t expected) { bytes_.reserve(expected); }

    template <class Word>
    void word(Word value) {
        const Word little = swap_if_big(value);
        const auto* from = reinterpret_cast<const std::uint8_t*>(&little);
        bytes_.insert(bytes_.end(), from, from + sizeof(Word));
    }

    void text(std::string_view text) {
        const auto* from = reinterpret_cast<const std::uint8_t*>(text.data());
        bytes_.insert(bytes_.end(), from, from + text.size());
    }

    void pad() { bytes_.resize((bytes_.size() + 7) / 8 * 8, 0); }

    std::span<const std::uint8_t> written() const { return bytes_; }
    std::vector<std::uint8_t> take() { return std::move(bytes_); }

  private:
    std::vector<std::uint8_t> bytes_;
};

class ByteReader {
  public:
    explicit ByteReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

    std::size_t left() const { return bytes_.size() - at_; }

    template <class Word>
    Word word() {
        return load_word<Word>(take(1, sizeof(Word)).data());
    }

    // `count` items of `size` bytes each; checked before anything is allocated for them.
    std::span<const std::uint8_t> take(std::uint64_t count, std::size_t size) {
        if (count > left() / size) throw BadBytes("it ends too early");
        const auto part = bytes_.subspan(at_, static_cast<std::size_t>(count) * size);
        at_ += part.size();
        return part;
    }

    std::string_view text(std::uint64_t size) {
        const auto part = take(size, 1);
        return {reinterpret_cast<const char*>(part.data()), part.size()};
    }

    // Skips to the next multiple of 8; the bytes between must be zero, so that equal states have equal bytes.
    void pad() {
        for (const std::uint8_t byte : take((8 - at_ % 8) % 8, 1)) {
            if (byte != 0) throw BadBytes("its padding is not zero");
        }
    }

  private:
    std::span<const std::uint8_t> bytes_;
    std::size_t at_ = 0;
};

}  // namespace crystal
