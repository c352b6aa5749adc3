#pragma once
// CRYSTAL_CLONES before a function compiles it twice, plainly and for AVX2 (which brings the POPCNT
// instruction), and lets the loader choose; integer code only, so that both give the same bytes.
// ThreadSanitizer cannot run the loader's choice, other systems have none: there the plain one stands alone.
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define CRYSTAL_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CRYSTAL_CLONES
#endif
