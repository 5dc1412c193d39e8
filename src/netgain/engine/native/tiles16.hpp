// Products of bfloat16 rows with frozen bfloat16 weights, summed in float, for processors with AVX-512 BF16: the tiles
// of gemm.hpp with pairs of neighbouring inputs in the place of single ones. Without those instructions torch multiplies.
#pragma once

#if defined(__AVX512BF16__) && defined(__AVX512BW__)
#include <immintrin.h>

constexpr int NC = 64;             // columns of a panel: [panel][pair of inputs][NC][2]
constexpr long PAIRS_BLOCK = 1024; // longest run over pairs before sums are written back: a panel stays in the second-level cache

// Packs B (K x N) with element (k, n) at k * rs + n * cs; what lies past K or N is zero.
static void pack_pairs(long K, long N, const bf16 *B, long rs, long cs, bf16 *out) {
    for (long n0 = 0; n0 < N; n0 += NC)
        for (long k = 0; k < K; k += 2)
            for (int j = 0; j < NC; j++)
                for (int e = 0; e < 2; e++) *out++ = n0 + j < N && k + e < K ? B[(k + e) * rs + (n0 + j) * cs] : 0;
}

template <int R>
static inline __attribute__((always_inline)) void tile16(long pairs, const bf16 *A, long lda, const bf16 *B, float *out,
                                                         long ldc, bool more) {
    __m512 c[R][4];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < 4; j++) c[i][j] = more ? _mm512_loadu_ps(out + i * ldc + 16 * j) : _mm512_setzero_ps();
    for (long k = 0; k < pairs; k++) {
        __m512i b[4];
        for (int j = 0; j < 4; j++) b[j] = _mm512_loadu_si512(B + (k * NC + 16 * j) * 2);
        for (int i = 0; i < R; i++) {
            int32_t pair;
            std::memcpy(&pair, A + i * lda + 2 * k, 4);
            __m512bh a = (__m512bh)_mm512_set1_epi32(pair);
            for (int j = 0; j < 4; j++) c[i][j] = _mm512_dpbf16_ps(c[i][j], a, (__m512bh)b[j]);
        }
    }
    for (int i = 0; i < R; i++)
        for (int j = 0; j < 4; j++) _mm512_storeu_ps(out + i * ldc + 16 * j, c[i][j]);
}

static void rows16(long m, long pairs, const bf16 *A, long lda, const bf16 *B, float *out, long ldc, bool more) {
    for (; m >= MR; m -= MR, A += MR * lda, out += MR * ldc) tile16<MR>(pairs, A, lda, B, out, ldc, more);
    switch (m) {
    case 5: tile16<5>(pairs, A, lda, B, out, ldc, more); break;
    case 4: tile16<4>(pairs, A, lda, B, out, ldc, more); break;
    case 3: tile16<3>(pairs, A, lda, B, out, ldc, more); break;
    case 2: tile16<2>(pairs, A, lda, B, out, ldc, more); break;
    case 1: tile16<1>(pairs, A, lda, B, out, ldc, more); break;
    }
}

// C = A B + bias, rounded. Sums of a block of rows and a panel of columns stay in the nearest cache until they are whole.
static void product16(long M, long N, long K, const bf16 *A, long lda, const bf16 *B, bf16 *C, long ldc, const bf16 *bias) {
    constexpr long ROWS_BLOCK = 96;
    long pairs = (K + 1) / 2, blocks = (pairs + PAIRS_BLOCK - 1) / PAIRS_BLOCK, most = (pairs + blocks - 1) / blocks;
    long panels = (N + NC - 1) / NC, wide = blocks > 1 ? panels * NC : NC;
    float *sums = scratch<float, 20>(ROWS_BLOCK * wide + NC), *added = scratch<float, 21>(NC);
    std::vector<bf16> odd; // rows of an odd length have no whole last pair: a copy with a zero behind
    if (K % 2) {
        odd.assign(M * 2 * pairs, 0);
        for (long i = 0; i < M; i++) std::memcpy(odd.data() + i * 2 * pairs, A + i * lda, K * sizeof(bf16));
        A = odd.data(), lda = 2 * pairs;
    }
    for (long m0 = 0; m0 < M; m0 += ROWS_BLOCK) {
        long m = std::min(ROWS_BLOCK, M - m0);
        for (long p0 = 0; p0 < pairs; p0 += most)
            for (long n0 = 0; n0 < N; n0 += NC) {
                float *to = blocks > 1 ? sums + n0 : sums;
                rows16(m, std::min(most, pairs - p0), A + m0 * lda + 2 * p0, lda, B + (n0 * pairs + p0 * NC) * 2, to, wide, p0 > 0);
                if (p0 + most < pairs) continue;
                long n = std::min((long)NC, N - n0);
                if (bias) widen(n, bias + n0, added);
                for (long i = 0; i < m; i++) {
                    if (bias)
                        for (long j = 0; j < n; j++) to[i * wide + j] += added[j];
                    narrow(n, to + i * wide, C + (m0 + i) * ldc + n0);
                }
            }
    }
}

extern "C" {
long packed_size_bf16(long k, long n) { return (k + 1) / 2 * 2 * ((n + NC - 1) / NC * NC); }
void pack_transposed_bf16(long k, long n, const bf16 *b, bf16 *out) { pack_pairs(k, n, b, 1, k, out); }
void pack_rows_bf16(long k, long n, const bf16 *b, bf16 *out) { pack_pairs(k, n, b, n, 1, out); }
void linear_bf16(long m, long n, long k, const bf16 *a, long lda, const bf16 *b, bf16 *c, long ldc, const bf16 *bias) {
    product16(m, n, k, a, lda, b, c, ldc, bias);
}
}
#endif
