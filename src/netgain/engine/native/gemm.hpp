// Small matrix products for one core: register tiles over GCC/Clang vector types, no intrinsics, no fast-math
// (a NaN must stay a NaN). Every product is C[M x N] = alpha * A * B (+ C or + bias), with A read by broadcast
// through any strides and B read in rows of whole vectors, either in place or from panels packed beforehand.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#if defined(__AVX512F__)
constexpr int BYTES = 64, NV = 4;
#elif defined(__AVX__)
constexpr int BYTES = 32, NV = 2;
#elif defined(__aarch64__)
constexpr int BYTES = 16, NV = 4;
#else
constexpr int BYTES = 16, NV = 2;
#endif
constexpr int MR = 6;        // rows of a register tile; its width is NV vectors
constexpr int K_BLOCK = 768; // longest run over K before C is written back
constexpr int M_BLOCK = 96;  // rows of A that stay in the second-level cache

template <class T> struct Simd {
    typedef T V __attribute__((vector_size(BYTES)));
    typedef T U __attribute__((vector_size(BYTES), aligned(alignof(T)), may_alias)); // unaligned access
    using I = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
    typedef I M __attribute__((vector_size(BYTES)));
    static constexpr int L = BYTES / sizeof(T);
    static constexpr int NR = L * NV; // columns of a panel
    static V load(const T *p) { return *(const U *)p; }
    static void store(T *p, V v) { *(U *)p = v; }
    static V splat(T x) { return x - V{}; }
    static T sum(V v) {
        T s = 0;
        for (int i = 0; i < L; i++) s += v[i];
        return s;
    }
    static M iota() {
        M m;
        for (int i = 0; i < L; i++) m[i] = i;
        return m;
    }
};

// A buffer per thread and tag that only grows, aligned to a cache line.
template <class T, int TAG> T *scratch(long count) {
    static thread_local std::vector<T> held;
    if ((long)held.size() < count + 64) held.resize(count + 64);
    return (T *)(((uintptr_t)held.data() + 63) & ~(uintptr_t)63);
}

template <class T, int R, int C>
static inline __attribute__((always_inline)) void tile(int K, const T *A, long rs, long cs, const T *B, long ldb, T *out,
                                                       long ldc, T alpha, bool accumulate, const T *bias) {
    using S = Simd<T>;
    typename S::V c[R][C];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < C; j++) c[i][j] = S::splat(0);
    for (int i = 0; i < R; i++) // results are rarely in the nearest cache: fetch them while computing
        for (int j = 0; j < C; j++) __builtin_prefetch(out + i * ldc + S::L * j, 1);
    for (int k = 0; k < K; k++) {
        typename S::V b[C];
        for (int j = 0; j < C; j++) b[j] = S::load(B + k * ldb + S::L * j);
        for (int i = 0; i < R; i++) {
            T a = A[i * rs + k * cs];
            for (int j = 0; j < C; j++) c[i][j] += a * b[j];
        }
    }
    for (int i = 0; i < R; i++)
        for (int j = 0; j < C; j++) {
            T *p = out + i * ldc + S::L * j;
            typename S::V v = alpha * c[i][j];
            if (accumulate) v += S::load(p);
            else if (bias) v += S::load(bias + S::L * j);
            S::store(p, v);
        }
}

template <class T, int C>
static void rows(int m, int K, const T *A, long rs, long cs, const T *B, long ldb, T *out, long ldc, T alpha, bool acc,
                 const T *bias) {
    for (; m >= MR; m -= MR, A += MR * rs, out += MR * ldc) tile<T, MR, C>(K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias);
    switch (m) {
    case 5: tile<T, 5, C>(K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias); break;
    case 4: tile<T, 4, C>(K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias); break;
    case 3: tile<T, 3, C>(K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias); break;
    case 2: tile<T, 2, C>(K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias); break;
    case 1: tile<T, 1, C>(K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias); break;
    }
}

// One panel of n <= NR columns. Columns past the last whole vector go through a small tile on the stack, so B must be
// readable (zero-padded) up to a whole number of vectors.
template <class T>
static void panel(int m, int n, int K, const T *A, long rs, long cs, const T *B, long ldb, T *out, long ldc, T alpha,
                  bool acc, const T *bias) {
    constexpr int L = Simd<T>::L;
    if (n % L) {
        T edge[MR * Simd<T>::NR];
        for (int i = 0; i < m; i += MR) {
            int r = std::min(MR, m - i), wide = (n + L - 1) / L * L;
            panel<T>(r, wide, K, A + i * rs, rs, cs, B, ldb, edge, Simd<T>::NR, alpha, false, nullptr);
            for (int a = 0; a < r; a++)
                for (int j = 0; j < n; j++) {
                    T *p = out + (i + a) * ldc + j;
                    *p = edge[a * Simd<T>::NR + j] + (acc ? *p : bias ? bias[j] : T(0));
                }
        }
        return;
    }
    switch (n / L) {
    case 1: return rows<T, 1>(m, K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias);
    case 2: return rows<T, 2>(m, K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias);
    case 3: return rows<T, NV >= 3 ? 3 : 1>(m, K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias);
    case 4: return rows<T, NV >= 4 ? 4 : 1>(m, K, A, rs, cs, B, ldb, out, ldc, alpha, acc, bias);
    }
}

template <class T, int STAGE> static inline void butterfly(typename Simd<T>::V *r) {
    using S = Simd<T>;
    if constexpr (STAGE < S::L) {
        typename S::M lo, hi;
        for (int j = 0; j < S::L; j++) {
            lo[j] = (j & STAGE) ? S::L + j - STAGE : j;
            hi[j] = (j & STAGE) ? S::L + j : j + STAGE;
        }
        for (int i = 0; i < S::L; i++)
            if (!(i & STAGE)) {
                typename S::V a = r[i], b = r[i + STAGE];
                r[i] = __builtin_shuffle(a, b, lo);
                r[i + STAGE] = __builtin_shuffle(a, b, hi);
            }
        butterfly<T, STAGE * 2>(r);
    }
}

// Packs B (K x N, element (k, n) at n * ld + k, i.e. stored transposed) into panels of NR columns: [panel][k][NR].
template <class T> static void pack_transposed(int K, int N, const T *B, long ld, T *out) {
    using S = Simd<T>;
    for (int n0 = 0; n0 < N; n0 += S::NR, out += (long)K * S::NR)
        for (int j = 0; j < S::NR; j += S::L) {
            int have = std::clamp(N - n0 - j, 0, S::L), k = 0;
            if (!have) continue; // whole vectors past the end are never read
            const T *from = B + (long)(n0 + j) * ld;
            for (; k + S::L <= K; k += S::L) {
                typename S::V r[S::L];
                for (int i = 0; i < S::L; i++) r[i] = i < have ? S::load(from + i * ld + k) : S::splat(0);
                butterfly<T, 1>(r);
                for (int i = 0; i < S::L; i++) S::store(out + (long)(k + i) * S::NR + j, r[i]);
            }
            for (; k < K; k++)
                for (int i = 0; i < S::L; i++) out[(long)k * S::NR + j + i] = i < have ? from[i * ld + k] : T(0);
        }
}

template <class T> static void pack_rows(int K, int N, const T *B, long ld, T *out) {
    using S = Simd<T>;
    for (int n0 = 0; n0 < N; n0 += S::NR, out += (long)K * S::NR) {
        int have = std::min(N - n0, S::NR);
        for (int k = 0; k < K; k++) {
            std::memcpy(out + (long)k * S::NR, B + k * ld + n0, have * sizeof(T));
            std::fill(out + (long)k * S::NR + have, out + (long)(k + 1) * S::NR, T(0));
        }
    }
}

// C = alpha A B (+ C | + bias) with B in panels of all K rows.
template <class T>
static void product_packed(int M, int N, int K, const T *A, long rs, long cs, const T *B, T *C, long ldc, T alpha, bool acc,
                           const T *bias) {
    constexpr int NR = Simd<T>::NR;
    int blocks = (K + K_BLOCK - 1) / K_BLOCK, kb = blocks ? (K + blocks - 1) / blocks : 1;
    for (int m0 = 0; m0 < M; m0 += M_BLOCK)
        for (int k0 = 0; k0 < K; k0 += kb)
            for (int n0 = 0; n0 < N; n0 += NR)
                panel<T>(std::min(M_BLOCK, M - m0), std::min(NR, N - n0), std::min(kb, K - k0), A + m0 * rs + k0 * cs, rs, cs,
                         B + (long)n0 * K + (long)k0 * NR, NR, C + m0 * ldc + n0, ldc, alpha, acc || k0 > 0,
                         bias ? bias + n0 : nullptr);
}

// The same with B in rows (element (k, n) at k * ld + n).
template <class T>
static void product(int M, int N, int K, const T *A, long rs, long cs, const T *B, long ldb, T *C, long ldc, T alpha,
                    bool acc) {
    using S = Simd<T>;
    int whole = N / S::L * S::L;
    for (int n0 = 0; n0 < whole; n0 += S::NR)
        panel<T>(M, std::min(S::NR, whole - n0), K, A, rs, cs, B + n0, ldb, C + n0, ldc, alpha, acc, nullptr);
    if (whole < N) {
        T *edge = scratch<T, 0>((long)K * S::NR);
        pack_rows<T>(K, N - whole, B + whole, ldb, edge);
        panel<T>(M, N - whole, K, A, rs, cs, edge, S::NR, C + whole, ldc, alpha, acc, nullptr);
    }
}

// The same with B stored transposed (element (k, n) at n * ld + k).
template <class T>
static void product_transposed(int M, int N, int K, const T *A, long rs, long cs, const T *B, long ldb, T *C, long ldc,
                               T alpha, bool acc) {
    constexpr int NR = Simd<T>::NR;
    T *packed = scratch<T, 1>((long)K * ((N + NR - 1) / NR * NR));
    pack_transposed<T>(K, N, B, ldb, packed);
    product_packed<T>(M, N, K, A, rs, cs, packed, C, ldc, alpha, acc, (const T *)nullptr);
}
