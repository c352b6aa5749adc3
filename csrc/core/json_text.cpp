#include "json_text.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace crystal::json {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

// Length of the well-formed UTF-8 sequence at a byte above 0x7f, 0 if there is none (Unicode 15, table 3-7).
std::size_t sequence(const char* at, const char* end) {
    const auto byte = [&](std::ptrdiff_t i) {
        return i < end - at ? static_cast<unsigned char>(at[i]) : static_cast<unsigned char>(0);
    };
    const auto tail = [&](std::ptrdiff_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned lead = byte(0);
    const unsigned second = byte(1);
    if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return 0;
        return tail(1) && tail(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return 0;
        return tail(1) && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

bool hex(const char*& at, const char* end, std::uint32_t& code) {
    if (end - at < 4) return false;
    code = 0;
    for (int i = 0; i < 4; ++i, ++at) {
        const char c = *at;
        std::uint32_t value = 0;
        if (digit(c))
            value = static_cast<std::uint32_t>(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = static_cast<std::uint32_t>(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            value = static_cast<std::uint32_t>(c - 'A' + 10);
        else
            return false;
        code = code << 4 | value;
    }
    return true;
}

void append(std::vector<char>& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | code >> 6);
        put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    } else {
        put(0xF0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3F));
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    }
}

// One escape, with `at` behind the backslash.
bool escape(const char*& at, const char* end, std::vector<char>& out) {
    if (at >= end) return false;
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char c = *at++;
    if (const std::size_t i = kNames.find(c); i != std::string_view::npos) {
        out.push_back(kMeanings[i]);
        return true;
    }
    std::uint32_t code = 0;
    if (c != 'u' || !hex(at, end, code) || (code >= 0xDC00 && code <= 0xDFFF)) return false;
    if (code >= 0xD800 && code <= 0xDBFF) {
        std::uint32_t low = 0;
        if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return false;
        at += 2;
        if (!hex(at, end, low) || low < 0xDC00 || low > 0xDFFF) return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append(out, code);
    return true;
}

// True for the bytes that need a look: quote, backslash, control characters, and all beyond ASCII.
constexpr std::array<bool, 256> kSpecial = [] {
    std::array<bool, 256> special{};
    for (std::size_t c = 0; c < 256; ++c) special[c] = c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
    return special;
}();

// The same for eight bytes at once; it may say yes where only a byte above a special one was meant, never no.
bool any_special(const char* at) {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    const std::uint64_t control = word - kOnes * 0x20;
    const std::uint64_t quote = (word ^ kOnes * 0x22) - kOnes;
    const std::uint64_t backslash = (word ^ kOnes * 0x5C) - kOnes;
    return ((control | quote | backslash | word) & kOnes * 0x80) != 0;
}

}  // namespace

bool literal(const char*& at, const char* end, std::string_view word) {
    if (static_cast<std::size_t>(end - at) < word.size() || std::memcmp(at, word.data(), word.size()) != 0)
        return false;
    at += word.size();
    return true;
}

bool skip_number(const char*& at, const char* end, bool& integral) {
    const auto digits = [&] {
        const char* const start = at;
        while (at < end && digit(*at)) ++at;
        return at > start;
    };
    integral = true;
    if (at < end && *at == '-') ++at;
    if (at < end && *at == '0')
        ++at;
    else if (!digits())
        return false;
    if (at < end && *at == '.') {
        integral = false;
        ++at;
        if (!digits()) return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        integral = false;
        ++at;
        if (at < end && (*at == '+' || *at == '-')) ++at;
        if (!digits()) return false;
    }
    return true;
}

bool read_string(const char*& at, const char* end, std::vector<char>& out, bool* plain) {
    ++at;  // the opening quote, which the caller saw
    bool escaped = false;
    const char* run = at;
    while (true) {
        while (end - at >= 8 && !any_special(at)) at += 8;
        while (at < end && !kSpecial[static_cast<unsigned char>(*at)]) ++at;
        if (at >= end) return false;
        const char c = *at;
        if (c == '"') {
            if (plain != nullptr) *plain = !escaped;
            if (plain == nullptr || escaped) out.insert(out.end(), run, at);
            ++at;
            return true;
        }
        if (c == '\\') {
            out.insert(out.end(), run, at);
            ++at;
            if (!escape(at, end, out)) return false;
            escaped = true;
            run = at;
            continue;
        }
        const std::size_t length = sequence(at, end);
        if (length == 0) return false;  // a control character, or no UTF-8
        at += length;
    }
}

bool skip_value(const char*& at, const char* end, std::size_t depth) {
    if (at >= end) return false;
    const char c = *at;
    if (c == '"') {
        std::vector<char> ignored;  // allocates only for strings with escapes
        bool plain = false;
        return read_string(at, end, ignored, &plain);
    }
    if (c == 't') return literal(at, end, "true");
    if (c == 'f') return literal(at, end, "false");
    if (c == 'n') return literal(at, end, "null");
    if (c != '{' && c != '[') {
        bool integral = false;
        return skip_number(at, end, integral);
    }
    if (depth == 0) return false;
    const char close = c == '{' ? '}' : ']';
    ++at;
    skip_space(at, end);
    if (at < end && *at == close) return ++at, true;
    while (true) {
        if (c == '{') {
            if (at >= end || *at != '"' || !skip_value(at, end, 0)) return false;
            skip_space(at, end);
            if (at >= end || *at++ != ':') return false;
            skip_space(at, end);
        }
        if (!skip_value(at, end, depth - 1)) return false;
        skip_space(at, end);
        if (at >= end) return false;
        if (*at == close) return ++at, true;
        if (*at++ != ',') return false;
        skip_space(at, end);
    }
}

}  // namespace crystal::json
