#pragma once
// 2^d as a polynomial, where the table of token_row.hpp does not serve: at any d, or in lanes that have none.
// Private to the file that includes it, for the reason that token_row.hpp gives.

namespace crystal::tokens {
namespace {

// 2^f for f from -0.5 to 0.5 with the exponent raised by the integer in the low bits of `shifted`, relative
// error 1.7e-7.
template <class V>
inline V exp2_fraction(V f, V shifted) {
    V p = fma(V::all(0x1.5bb994p-10F), f, V::all(0x1.3cea84p-7F));
    p = fma(p, f, V::all(0x1.c6b754p-5F));
    p = fma(p, f, V::all(0x1.ebf9bcp-3F));
    p = fma(p, f, V::all(0x1.62e42ap-1F));
    p = fma(p, f, V::all(1.0F));
    return add_exponent(p, shifted);
}

// 2^d for -125 <= d <= 0, relative error below 2e-7; a NaN becomes any number.
template <class V>
inline V exp2_lanes(V d) {
    const V magic = V::all(12582912.0F), shifted = d + magic;
    return exp2_fraction(d - (shifted - magic), shifted);
}

}  // namespace
}  // namespace crystal::tokens
