#include "crystal/bytes.hpp"

namespace crystal {

bool valid_utf8(std::string_view text) noexcept {
    const auto* at = reinterpret_cast<const std::uint8_t*>(text.data());
    const auto* const end = at + text.size();
    while (at != end) {
        if (*at < 0x80) {
            // Most text is ASCII: eight bytes at a time.
            ++at;
            while (end - at >= 8 && (load_word<std::uint64_t>(at) & 0x8080808080808080ULL) == 0) at += 8;
            continue;
        }
        // The first byte says how many follow, and the smallest code point that needs so many.
        const int more = (*at & 0xe0) == 0xc0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : (*at & 0xf8) == 0xf0 ? 3 : 0;
        if (more == 0 || end - at <= more) return false;
        const std::uint32_t least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
        std::uint32_t point = *at & (0x3fU >> more);
        for (int i = 1; i <= more; ++i) {
            if ((at[i] & 0xc0) != 0x80) return false;
            point = point << 6 | (at[i] & 0x3fU);
        }
        const bool surrogate = point >= 0xd800 && point <= 0xdfff;
        if (point < least || point > 0x10ffff || surrogate) return false;
        at += more + 1;
    }
    return true;
}

}  // namespace crystal
