#pragma once
// Four doubles as an array, every operation rounded as AVX2 rounds it: the path without vector instructions.
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>

namespace crystal {
namespace {

struct Scalar4 {
    double v[4];

    template <class F>
    static Scalar4 each(F f) {
        return {{f(0), f(1), f(2), f(3)}};
    }
    static Scalar4 all(double x) { return {{x, x, x, x}}; }
    static Scalar4 load(const double* x) { return {{x[0], x[1], x[2], x[3]}}; }
    void store(double* x) const {
        for (int i = 0; i < 4; ++i) x[i] = v[i];
    }
    Scalar4 split(Scalar4& n) const {
        return each([&](int i) {
            const auto bits = std::bit_cast<std::uint64_t>(v[i]);
            const std::uint64_t steps = (0x4006a09e667f3bccU - bits) >> 52;
            n.v[i] = std::bit_cast<double>(steps | 0x4330000000000000U);
            return std::bit_cast<double>(bits + (steps << 52));
        });
    }
    static void transpose(Scalar4* rows) {
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < i; ++j) std::swap(rows[i].v[j], rows[j].v[i]);
    }
};

inline Scalar4 operator+(const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return a.v[i] + b.v[i]; });
}
inline Scalar4 operator-(const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return a.v[i] - b.v[i]; });
}
inline Scalar4 operator*(const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return a.v[i] * b.v[i]; });
}
inline Scalar4 operator/(const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return a.v[i] / b.v[i]; });
}
inline Scalar4 fma(const Scalar4& a, const Scalar4& b, const Scalar4& c) {
    return Scalar4::each([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
inline Scalar4 min(const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Scalar4 max(const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Scalar4 root(const Scalar4& a) {
    return Scalar4::each([&](int i) { return std::sqrt(a.v[i]); });
}
inline Scalar4 magnitude(const Scalar4& a) {
    return Scalar4::each([&](int i) { return std::abs(a.v[i]); });
}
// Masks are 1 where they hold, else 0.
inline Scalar4 greater_mask(const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return a.v[i] > b.v[i] ? 1.0 : 0.0; });
}
inline Scalar4 select(const Scalar4& mask, const Scalar4& a, const Scalar4& b) {
    return Scalar4::each([&](int i) { return mask.v[i] != 0.0 ? a.v[i] : b.v[i]; });
}
inline bool any(const Scalar4& mask) { return mask.v[0] + mask.v[1] + mask.v[2] + mask.v[3] != 0.0; }

}  // namespace
}  // namespace crystal
