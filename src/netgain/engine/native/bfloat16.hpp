// The same operations on activations in bfloat16: a few rows at a time are widened to float in the nearest cache, go
// through the float kernels, and are rounded back. Weights of norms, adapters, statistics and the cache of keys and
// values stay float.
#pragma once

typedef uint16_t bf16; // the upper half of a float

static void widen(long n, const bf16 *from, float *to) {
    for (long i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        std::memcpy(to + i, &bits, 4);
    }
}

// to the nearest, ties to even; a NaN stays one
static void narrow(long n, const float *from, bf16 *to) {
    for (long i = 0; i < n; i++) {
        uint32_t bits;
        std::memcpy(&bits, from + i, 4);
        uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        to[i] = (bf16)((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 0x40 : nearest);
    }
}

template <int TAG> static float *widened(long n, const bf16 *from) {
    float *to = scratch<float, TAG>(n);
    widen(n, from, to);
    return to;
}

// Calls f(first, count) for runs of rows that stay in the nearest cache while `width` floats of each are worked on.
template <class F> static void runs(long n, long width, F f) {
    long most = std::max(1L, 8192 / width);
    for (long t = 0; t < n; t += most) f(t, std::min(most, n - t));
}

static void norm_half(long n, int d, const bf16 *x, const bf16 *delta, const float *w, float eps, bf16 *out, bf16 *y,
                      float *rstd) {
    runs(n, d, [&](long t, long m) {
        float *row = widened<10>(m * d, x + t * d), *to = scratch<float, 11>(m * d);
        if (delta) { // the sum that is kept is the one that is normalised
            float *add = widened<12>(m * d, delta + t * d);
            for (long i = 0; i < m * d; i++) row[i] += add[i];
            narrow(m * d, row, out + t * d);
            widen(m * d, out + t * d, row);
        }
        norm<float>(m, d, row, nullptr, w, eps, nullptr, to, rstd + t);
        narrow(m * d, to, y + t * d);
    });
}

static void norm_back_half(long n, int d, const bf16 *dy, const bf16 *x, const float *w, const float *rstd, bf16 *dx,
                           bool acc) {
    runs(n, d, [&](long t, long m) {
        float *g = widened<10>(m * d, dy + t * d), *row = widened<11>(m * d, x + t * d), *to = scratch<float, 12>(m * d);
        if (acc) widen(m * d, dx + t * d, to);
        norm_back<float>(m, d, g, row, w, rstd + t, to, acc);
        narrow(m * d, to, dx + t * d);
    });
}

static void head_norm_half(long n, int heads, int hd, bf16 *x, long ld, const float *w, float eps, bf16 *raw, long ldr,
                           float *rstd) {
    for (long t = 0; t < n; t++) {
        float *row = widened<10>(heads * hd, x + t * ld), *to = scratch<float, 11>(heads * hd);
        std::memcpy(raw + t * ldr, x + t * ld, heads * hd * sizeof(bf16));
        norm<float>(heads, hd, row, nullptr, w, eps, nullptr, to, rstd + t * heads);
        narrow(heads * hd, to, x + t * ld);
    }
}

static void head_norm_back_half(long n, int heads, int hd, bf16 *dx, long ld, const float *w, const bf16 *raw, long ldr,
                                const float *rstd) {
    for (long t = 0; t < n; t++) {
        float *g = widened<10>(heads * hd, dx + t * ld), *row = widened<11>(heads * hd, raw + t * ldr);
        float *to = scratch<float, 12>(heads * hd);
        norm_back<float>(heads, hd, g, row, w, rstd + t * heads, to, false);
        narrow(heads * hd, to, dx + t * ld);
    }
}

static void rope_half(long n, int heads, int hd, bf16 *x, long ld, const int64_t *position, const float *c, const float *s,
                      float sign) {
    for (long t = 0; t < n; t++) {
        float *row = widened<10>(heads * hd, x + t * ld);
        rope<float>(1, heads, hd, row, heads * hd, position + t, c, s, sign);
        narrow(heads * hd, row, x + t * ld);
    }
}

static void swiglu_half(long n, int f, const bf16 *gate_up, bf16 *out) {
    runs(n, 2 * f, [&](long t, long m) {
        float *row = widened<10>(m * 2 * f, gate_up + t * 2 * f), *to = scratch<float, 11>(m * f);
        swiglu<float>(m, f, row, to);
        narrow(m * f, to, out + t * f);
    });
}

static void swiglu_back_half(long n, int f, bf16 *gate_up, const bf16 *d_out) {
    runs(n, 2 * f, [&](long t, long m) {
        float *row = widened<10>(m * 2 * f, gate_up + t * 2 * f), *g = widened<11>(m * f, d_out + t * f);
        swiglu_back<float>(m, f, row, g);
        narrow(m * 2 * f, row, gate_up + t * 2 * f);
    });
}

static void cross_entropy_half(long n, int vocabulary, bf16 *logits, long ld, const int64_t *target, const float *weight,
                               float *losses) {
    int wide = (vocabulary + Simd<float>::L - 1) / Simd<float>::L * Simd<float>::L;
    for (long t = 0; t < n; t++) {
        float *row = scratch<float, 10>(wide);
        widen(vocabulary, logits + t * ld, row);
        cross_entropy<float>(1, vocabulary, row, wide, target + t, weight + t, losses + t);
        narrow(vocabulary, row, logits + t * ld);
    }
}

static void attention_half(int sequences, const int64_t *start, const int64_t *keys, Heads z, const bf16 *qkv, long ld,
                           float scale, bf16 *out, long ldo, float *lse) {
    for (int s = 0; s < sequences; s++) {
        int64_t n = start[s + 1] - start[s], own[2] = {0, n};
        float *in = widened<10>(n * ld, qkv + start[s] * ld), *to = scratch<float, 11>(n * ldo);
        attention<float>(1, own, keys + s, z, in, ld, scale, to, ldo, lse + start[s] * z.heads);
        narrow(n * ldo, to, out + start[s] * ldo);
    }
}

static void attention_back_half(int sequences, const int64_t *start, const int64_t *keys, Heads z, const bf16 *qkv, long ld,
                                float scale, const bf16 *out, const bf16 *d_out, long ldo, const float *lse, bf16 *dqkv) {
    for (int s = 0; s < sequences; s++) {
        int64_t n = start[s + 1] - start[s], own[2] = {0, n};
        float *in = widened<10>(n * ld, qkv + start[s] * ld), *g = widened<11>(n * ldo, d_out + start[s] * ldo);
        float *to = scratch<float, 12>(n * ld), *o = widened<15>(n * ldo, out + start[s] * ldo);
        attention_back<float>(1, own, keys + s, z, in, ld, scale, o, g, ldo, lse + start[s] * z.heads, to);
        narrow(n * ld, to, dqkv + start[s] * ld);
    }
}

template <bool READ>
static void lora_half(int groups, const int64_t *start, const int64_t *slot, const Adapters *z, const float *weights,
                      float scale, const bf16 *x, float *hidden, bf16 *y, long ldy) {
    long all = (long)z->count * z->rank, d = z->inputs;
    for (int g = 0; g < groups; g++) {
        int64_t n = start[g + 1] - start[g], own[2] = {0, n};
        float *in = widened<10>(n * d, x + start[g] * d), *to = widened<11>(n * ldy, y + start[g] * ldy);
        (READ ? lora_read<float> : lora<float>)(1, own, slot + g, z, weights, scale, in, hidden + start[g] * all, to, ldy);
        narrow(n * ldy, to, y + start[g] * ldy);
    }
}

static void lora_back_half(int groups, const int64_t *start, const int64_t *slot, const Adapters *z, const float *weights,
                           float *gradients, float scale, const bf16 *x, const float *hidden, const bf16 *dy, long ldy,
                           bf16 *dx) {
    long all = (long)z->count * z->rank, d = z->inputs;
    for (int g = 0; g < groups; g++) {
        int64_t n = start[g + 1] - start[g], own[2] = {0, n};
        float *in = widened<10>(n * d, x + start[g] * d), *from = widened<11>(n * ldy, dy + start[g] * ldy);
        float *to = dx ? widened<12>(n * d, dx + start[g] * d) : nullptr;
        lora_back<float>(1, own, slot + g, z, weights, gradients, scale, in, hidden + start[g] * all, from, ldy, to);
        if (dx) narrow(n * d, to, dx + start[g] * d);
    }
}

static void remember_half(long n, Heads z, const bf16 *qkv, long ld, const int64_t *entry, const int64_t *at, long capacity,
                          float *keys, float *values) {
    for (long t = 0; t < n; t++) {
        float *row = widened<10>((z.heads + 2 * z.kv_heads) * z.size, qkv + t * ld);
        remember<float>(1, z, row, ld, entry + t, at + t, capacity, keys, values);
    }
}

static void recall_half(long n, Heads z, const bf16 *qkv, long ld, const int64_t *shared, const int64_t *shared_length,
                        const int64_t *own, const int64_t *own_length, long capacity, const float *keys, const float *values,
                        float scale, bf16 *out, long ldo) {
    constexpr long MOST = 8 * ROWS; // whole runs of neighbours that may read a shared entry together
    for (long t = 0; t < n; t += MOST) {
        long m = std::min(MOST, n - t);
        float *in = widened<10>(m * ld, qkv + t * ld), *to = scratch<float, 11>(m * ldo);
        recall<float>(m, z, in, ld, shared + t, shared_length + t, own + t, own_length + t, capacity, keys, values, scale, to, ldo);
        narrow(m * ldo, to, out + t * ldo);
    }
}

extern "C" {
void norm_bf16(long n, long d, const bf16 *x, const bf16 *delta, const float *w, double eps, bf16 *out, bf16 *y, float *rstd) {
    norm_half(n, d, x, delta, w, eps, out, y, rstd);
}
void norm_back_bf16(long n, long d, const bf16 *dy, const bf16 *x, const float *w, const float *rstd, bf16 *dx, long acc) {
    norm_back_half(n, d, dy, x, w, rstd, dx, acc);
}
void head_norm_bf16(long n, long heads, long hd, bf16 *x, long ld, const float *w, double eps, bf16 *raw, long ldr, float *rstd) {
    head_norm_half(n, heads, hd, x, ld, w, eps, raw, ldr, rstd);
}
void head_norm_back_bf16(long n, long heads, long hd, bf16 *dx, long ld, const float *w, const bf16 *raw, long ldr,
                         const float *rstd) {
    head_norm_back_half(n, heads, hd, dx, ld, w, raw, ldr, rstd);
}
void rope_bf16(long n, long heads, long hd, bf16 *x, long ld, const int64_t *p, const float *c, const float *s, double sign) {
    rope_half(n, heads, hd, x, ld, p, c, s, sign);
}
void swiglu_bf16(long n, long f, const bf16 *x, bf16 *out) { swiglu_half(n, f, x, out); }
void swiglu_back_bf16(long n, long f, bf16 *x, const bf16 *d) { swiglu_back_half(n, f, x, d); }
void cross_entropy_bf16(long n, long v, bf16 *x, long ld, const int64_t *y, const float *w, float *l) {
    cross_entropy_half(n, v, x, ld, y, w, l);
}
void attention_bf16(long n, const int64_t *start, const int64_t *keys, long h, long kh, long hd, const bf16 *qkv, long ld,
                    double scale, bf16 *out, long ldo, float *lse) {
    attention_half(n, start, keys, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, scale, out, ldo, lse);
}
void attention_back_bf16(long n, const int64_t *start, const int64_t *keys, long h, long kh, long hd, const bf16 *qkv, long ld,
                         double scale, const bf16 *out, const bf16 *d, long ldo, const float *lse, bf16 *dqkv) {
    attention_back_half(n, start, keys, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, scale, out, d, ldo, lse, dqkv);
}
void lora_bf16(long n, const int64_t *start, const int64_t *slot, const Adapters *z, const float *w, double scale, const bf16 *x,
               float *hidden, bf16 *y, long ldy) {
    lora_half<false>(n, start, slot, z, w, scale, x, hidden, y, ldy);
}
void lora_read_bf16(long n, const int64_t *start, const int64_t *slot, const Adapters *z, const float *w, double scale,
                    const bf16 *x, float *hidden, bf16 *y, long ldy) {
    lora_half<true>(n, start, slot, z, w, scale, x, hidden, y, ldy);
}
void lora_back_bf16(long n, const int64_t *start, const int64_t *slot, const Adapters *z, const float *w, float *grad,
                    double scale, const bf16 *x, const float *hidden, const bf16 *dy, long ldy, bf16 *dx) {
    lora_back_half(n, start, slot, z, w, grad, scale, x, hidden, dy, ldy, dx);
}
void remember_bf16(long n, long h, long kh, long hd, const bf16 *qkv, long ld, const int64_t *entry, const int64_t *at,
                   long capacity, float *keys, float *values) {
    remember_half(n, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, entry, at, capacity, keys, values);
}
void recall_bf16(long n, long h, long kh, long hd, const bf16 *qkv, long ld, const int64_t *shared, const int64_t *sl,
                 const int64_t *own, const int64_t *ol, long capacity, const float *keys, const float *values, double scale,
                 bf16 *out, long ldo) {
    recall_half(n, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, shared, sl, own, ol, capacity, keys, values, scale, out, ldo);
}
}
#include "tiles16.hpp"
