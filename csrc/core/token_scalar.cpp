// The path without vector instructions: eight lanes as an array, every operation rounded as AVX2 rounds it.
#include "token_curve_row.hpp"
#include "token_divergence_row.hpp"
#include "token_row.hpp"

namespace crystal::tokens {
namespace {

struct Scalar8 {
    static constexpr int lanes = 8, abreast = 2;
    float v[8];

    using Counter = std::int64_t;
    static Counter no_count() { return 0; }
    static std::int64_t total(Counter count) { return count; }

    using Bits = std::uint32_t;
    static Bits no_bits() { return 0; }
    static bool any(Bits seen) { return seen >= 2048; }
    using Table = const std::uint32_t*;
    static Table table(const std::uint32_t* entries) { return entries; }

    static Scalar8 all(float x) {
        return each([x](int) { return x; });
    }
    static Scalar8 load(const float* x) {
        return each([x](int i) { return x[i]; });
    }
    void store(float* x) const {
        for (int i = 0; i < 8; ++i) x[i] = v[i];
    }
    static Scalar8 load_float16(const std::uint16_t* x) {
        return each([x](int i) { return Float16::value(x[i]); });
    }
    // Thirty-two logits: the even ones, then the odd ones, as they lie in 32-bit words.
    static void load_bfloat16(const std::uint16_t* x, Scalar8* z) {
        for (int k = 0; k < 4; ++k)
            z[k] = each([x, k](int i) { return Bfloat16::value(x[2 * (8 * (k % 2) + i) + k / 2]); });
    }

    template <class F>
    static Scalar8 each(F f) {
        Scalar8 result;
        for (int i = 0; i < 8; ++i) result.v[i] = f(i);
        return result;
    }
};

Scalar8 operator+(const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return a.v[i] + b.v[i]; });
}
Scalar8 operator-(const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return a.v[i] - b.v[i]; });
}
Scalar8 operator*(const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return a.v[i] * b.v[i]; });
}
// Masks are 1 where they hold, else 0.
Scalar8 operator&(const Scalar8& value, const Scalar8& mask) {
    return Scalar8::each([&](int i) { return mask.v[i] != 0.0F ? value.v[i] : 0.0F; });
}
Scalar8 fma(const Scalar8& a, const Scalar8& b, const Scalar8& c) {
    return Scalar8::each([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
Scalar8 fms(const Scalar8& a, const Scalar8& b, const Scalar8& c) {
    return Scalar8::each([&](int i) { return std::fma(a.v[i], b.v[i], -c.v[i]); });
}
Scalar8 min(const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
Scalar8 max(const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
Scalar8 max_second_nan(const Scalar8& a, const Scalar8& b) { return max(a, b); }
Scalar8 greater_mask(const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return a.v[i] > b.v[i] ? 1.0F : 0.0F; });
}
Scalar8 equal_mask(const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return a.v[i] == b.v[i] ? 1.0F : 0.0F; });
}
Scalar8 select(const Scalar8& mask, const Scalar8& a, const Scalar8& b) {
    return Scalar8::each([&](int i) { return mask.v[i] != 0.0F ? a.v[i] : b.v[i]; });
}
Scalar8 bits_of(const Scalar8& a, std::uint32_t bits) {
    return Scalar8::each([&](int i) {
        const std::uint32_t kept = read_logit<std::uint32_t>(&a.v[i]) & bits;
        return read_logit<float>(&kept);
    });
}
Scalar8 magnitude(const Scalar8& a) { return bits_of(a, 0x7FFFFFFFU); }
// The largest power of two that |a| reaches.
Scalar8 power_below(const Scalar8& a) { return bits_of(a, 0x7F800000U); }
std::int64_t count_up(std::int64_t count, const Scalar8& mask) {
    for (const float one : mask.v) count += one != 0.0F ? 1 : 0;
    return count;
}
bool any_greater(const Scalar8& a, const Scalar8& b) {
    bool any = false;
    for (int i = 0; i < 8; ++i) any = any || a.v[i] > b.v[i];
    return any;
}
float largest(const Scalar8& a) {
    float result = a.v[0];
    for (const float x : a.v) result = x > result || result != result ? x : result;
    return result;
}
double sum(const Scalar8& a) {
    double four[4];
    for (int i = 0; i < 4; ++i) four[i] = static_cast<double>(a.v[i]) + static_cast<double>(a.v[i + 4]);
    return (four[0] + four[2]) + (four[1] + four[3]);
}
// Adds the integer in the low bits of `shifted` to the exponent of p.
Scalar8 add_exponent(const Scalar8& p, const Scalar8& shifted) {
    return Scalar8::each([&](int i) {
        const std::uint32_t bits =
            read_logit<std::uint32_t>(&p.v[i]) + (read_logit<std::uint32_t>(&shifted.v[i]) << 23);
        return read_logit<float>(&bits);
    });
}

Scalar8 power(const std::uint32_t* table, const Scalar8& grid) {
    return Scalar8::each([&](int i) {
        const auto bits = read_logit<std::uint32_t>(&grid.v[i]), result = table[bits % 16] + (bits << 19);
        return read_logit<float>(&result);
    });
}
std::uint32_t collect(std::uint32_t seen, const Scalar8& a, std::uint32_t expected) {
    for (const float& x : a.v) seen |= read_logit<std::uint32_t>(&x) ^ expected;
    return seen;
}

}  // namespace

RowFunction scalar_row(LogitType type, TokenLevel level) { return row_function<Scalar8>(type, level); }

CurveFunction scalar_curve(LogitType type) { return curve_function<Scalar8>(type); }

PairFunction scalar_pair(LogitType type) { return pair_function<Scalar8>(type); }

}  // namespace crystal::tokens
