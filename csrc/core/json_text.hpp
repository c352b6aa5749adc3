#pragma once
// The grammar of JSON (RFC 8259), token by token. Each function moves `at` past what it read, and returns
// false where that is not JSON; where it then stands is of no use.
#include <cstddef>
#include <string_view>
#include <vector>

namespace crystal::json {

inline void skip_space(const char*& at, const char* end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) ++at;
}

bool literal(const char*& at, const char* end, std::string_view word);

// A number; `integral` says whether it has neither fraction nor exponent.
bool skip_number(const char*& at, const char* end, bool& integral);

// Appends the text of a string as UTF-8. With `plain`, a string without escapes sets it and is not appended.
// Escaped lone surrogates and bytes that are not UTF-8 are refused.
bool read_string(const char*& at, const char* end, std::vector<char>& out, bool* plain);

// Any value, with objects and arrays to a depth.
bool skip_value(const char*& at, const char* end, std::size_t depth);

}  // namespace crystal::json
