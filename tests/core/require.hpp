#pragma once
// What a test of the core asks for; where it is not so, the program says what and where, and ends.
#include <cstdio>
#include <cstdlib>
#include <source_location>

inline void require(bool holds, const char* what,
                    std::source_location where = std::source_location::current()) {
    if (holds) return;
    std::fprintf(stderr, "%s:%u: not so: %s\n", where.file_name(), static_cast<unsigned>(where.line()), what);
    std::exit(1);
}
#define REQUIRE(condition) require((condition), #condition)
