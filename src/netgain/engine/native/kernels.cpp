// The element-wise, attention and adapter work of a decoder on one core. Plain C entry points, one set per type
// (_f32, _f64); all arrays are row-major with explicit row strides (ld). Maths as in Hugging Face's Llama and Qwen.
#include "gemm.hpp"

template <class T> static typename Simd<T>::V exp_v(typename Simd<T>::V x) {
    using S = Simd<T>;
    if constexpr (sizeof(T) == 4) { // 2^n * polynomial (Cephes expf), relative error below 2e-7; NaN stays NaN
        typename S::V lo = S::splat(-87.3f), hi = S::splat(88.3f);
        x = x < lo ? lo : x;
        x = x > hi ? hi : x;
        typename S::V magic = S::splat(12582912.0f), n = x * 1.44269504f + magic;
        n = n - magic;
        typename S::V r = x - n * 0.693359375f - n * -2.12194440e-4f, p = S::splat(1.9875691500e-4f);
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        p = p * r * r + r + 1.0f;
        typename S::M bits = (__builtin_convertvector(n, typename S::M) + 127) << 23;
        return p * (typename S::V)bits;
    } else {
        for (int i = 0; i < S::L; i++) x[i] = std::exp(x[i]);
        return x;
    }
}

constexpr double LOG2E = 1.4426950408889634, LN2 = 0.6931471805599453;
// 2^x for x <= 0 or little more: a third fewer operations than exp_v, as log2(e) goes into a factor that is there anyhow
template <class T> static inline typename Simd<T>::V exp2_v(typename Simd<T>::V x) {
    using S = Simd<T>;
    if constexpr (sizeof(T) == 4) { // 2^n * polynomial (Cephes exp2f), relative error below 2e-7; NaN stays NaN
        typename S::V lo = S::splat(-126.0f), magic = S::splat(12582912.0f);
        x = x < lo ? lo : x;
        typename S::V n = x + magic, r = x - (n - magic), p = S::splat(1.535336188e-4f);
        p = p * r + 1.339887440e-3f;
        p = p * r + 9.618437357e-3f;
        p = p * r + 5.550332471e-2f;
        p = p * r + 2.402264791e-1f;
        p = p * r + 6.931472029e-1f;
        p = p * r + 1.0f;
        return (typename S::V)((typename S::M)p + ((typename S::M)n << 23));
    } else {
        for (int i = 0; i < S::L; i++) x[i] = std::exp2(x[i]);
        return x;
    }
}

// f(offset) for whole vectors, then g(offset) for the rest
template <class T, class F, class G> static inline void sweep(long n, F f, G g) {
    long i = 0;
    for (; i + Simd<T>::L <= n; i += Simd<T>::L) f(i);
    for (; i < n; i++) g(i);
}

template <class T> static T dot(long n, const T *a, const T *b) {
    typename Simd<T>::V s{};
    T rest = 0;
    sweep<T>(n, [&](long i) { s += Simd<T>::load(a + i) * Simd<T>::load(b + i); }, [&](long i) { rest += a[i] * b[i]; });
    return Simd<T>::sum(s) + rest;
}

// out = (x + delta) when delta is given; y = weight * out * rstd
template <class T>
static void norm(long n, int d, const T *x, const T *delta, const T *weight, T eps, T *out, T *y, T *rstd) {
    using S = Simd<T>;
    for (long t = 0; t < n; t++, x += d, y += d) {
        const T *row = x;
        if (delta) {
            sweep<T>(d, [&](long i) { S::store(out + i, S::load(x + i) + S::load(delta + i)); },
                     [&](long i) { out[i] = x[i] + delta[i]; });
            row = out, out += d, delta += d;
        }
        T r = T(1) / std::sqrt(dot<T>(d, row, row) / d + eps);
        rstd[t] = r;
        sweep<T>(d, [&](long i) { S::store(y + i, S::load(weight + i) * (S::load(row + i) * r)); },
                 [&](long i) { y[i] = weight[i] * (row[i] * r); });
    }
}

template <class T> static void norm_back_row(int d, const T *dy, const T *x, const T *w, T r, T *dx, bool acc) {
    using S = Simd<T>;
    typename S::V s{};
    T rest = 0;
    sweep<T>(d, [&](long i) { s += S::load(dy + i) * S::load(w + i) * S::load(x + i); },
             [&](long i) { rest += dy[i] * w[i] * x[i]; });
    T c = (S::sum(s) + rest) * r * r * r / d;
    sweep<T>(d,
             [&](long i) {
                 typename S::V v = S::load(dy + i) * S::load(w + i) * r - S::load(x + i) * c;
                 S::store(dx + i, acc ? S::load(dx + i) + v : v);
             },
             [&](long i) {
                 T v = dy[i] * w[i] * r - x[i] * c;
                 dx[i] = acc ? dx[i] + v : v;
             });
}

template <class T> static void norm_back(long n, int d, const T *dy, const T *x, const T *w, const T *rstd, T *dx, bool acc) {
    for (long t = 0; t < n; t++) norm_back_row<T>(d, dy + t * d, x + t * d, w, rstd[t], dx + t * d, acc);
}

// Norm of each head's vector in place (raw keeps the input), as Qwen3 does for queries and keys.
template <class T>
static void head_norm(long n, int heads, int hd, T *x, long ld, const T *w, T eps, T *raw, long ldr, T *rstd) {
    for (long t = 0; t < n; t++)
        for (int h = 0; h < heads; h++) {
            T *from = x + t * ld + h * hd, *kept = raw + t * ldr + h * hd;
            std::memcpy(kept, from, hd * sizeof(T));
            norm<T>(1, hd, kept, nullptr, w, eps, nullptr, from, rstd + t * heads + h);
        }
}
template <class T>
static void head_norm_back(long n, int heads, int hd, T *dx, long ld, const T *w, const T *raw, long ldr, const T *rstd) {
    T *copy = scratch<T, 0>(hd);
    for (long t = 0; t < n; t++)
        for (int h = 0; h < heads; h++) {
            std::memcpy(copy, dx + t * ld + h * hd, hd * sizeof(T));
            norm_back_row<T>(hd, copy, raw + t * ldr + h * hd, w, rstd[t * heads + h], dx + t * ld + h * hd, false);
        }
}

// Rotary embedding in place for `heads` adjacent heads; sign -1 undoes it (the gradient).
template <class T>
static void rope(long n, int heads, int hd, T *x, long ld, const int64_t *position, const T *cosine, const T *sine, T sign) {
    using S = Simd<T>;
    int half = hd / 2;
    for (long t = 0; t < n; t++) {
        const T *c = cosine + position[t] * half, *s = sine + position[t] * half;
        for (int h = 0; h < heads; h++) {
            T *a = x + t * ld + h * hd, *b = a + half;
            sweep<T>(half,
                     [&](long i) {
                         typename S::V u = S::load(a + i), v = S::load(b + i), ci = S::load(c + i), si = S::load(s + i) * sign;
                         S::store(a + i, u * ci - v * si);
                         S::store(b + i, v * ci + u * si);
                     },
                     [&](long i) {
                         T u = a[i], v = b[i], si = s[i] * sign;
                         a[i] = u * c[i] - v * si, b[i] = v * c[i] + u * si;
                     });
        }
    }
}

template <class T> static T sigmoid(T x) { return T(1) / (T(1) + std::exp(-x)); }

template <class T> static void swiglu(long n, int f, const T *gate_up, T *out) {
    using S = Simd<T>;
    for (long t = 0; t < n; t++) {
        const T *g = gate_up + t * 2 * f, *u = g + f;
        T *o = out + t * f;
        sweep<T>(f,
                 [&](long i) {
                     typename S::V x = S::load(g + i);
                     S::store(o + i, x / (T(1) + exp_v<T>(-x)) * S::load(u + i));
                 },
                 [&](long i) { o[i] = g[i] * sigmoid(g[i]) * u[i]; });
    }
}

// gate_up becomes its own gradient, given d_out
template <class T> static void swiglu_back(long n, int f, T *gate_up, const T *d_out) {
    using S = Simd<T>;
    for (long t = 0; t < n; t++) {
        T *g = gate_up + t * 2 * f, *u = g + f;
        const T *d = d_out + t * f;
        sweep<T>(f,
                 [&](long i) {
                     typename S::V x = S::load(g + i), s = T(1) / (T(1) + exp_v<T>(-x)), y = S::load(d + i);
                     typename S::V dg = y * S::load(u + i) * s * (T(1) + x * (T(1) - s));
                     S::store(u + i, y * x * s);
                     S::store(g + i, dg);
                 },
                 [&](long i) {
                     T x = g[i], s = sigmoid(x), y = d[i], dg = y * u[i] * s * (1 + x * (1 - s));
                     u[i] = y * x * s, g[i] = dg;
                 });
    }
}

// s[0..limit) becomes exp(s - its maximum), or 2 to that power, s[limit..wide) zero; returns the sum, sets the maximum.
// wide is whole vectors.
template <class T, bool BINARY = false> static T softmax_row(T *s, int limit, int wide, T &top) {
    using S = Simd<T>;
    typename S::V best = S::splat(-INFINITY), total{};
    int i = 0;
    for (; i + S::L <= limit; i += S::L) {
        typename S::V x = S::load(s + i);
        best = x > best ? x : best;
    }
    T m = -INFINITY;
    for (int j = 0; j < S::L; j++) m = best[j] > m ? best[j] : m;
    for (; i < limit; i++) m = s[i] > m ? s[i] : m;
    top = m;
    for (i = 0; i < wide && i < limit; i += S::L) {
        typename S::V x = S::load(s + i) - m, e = BINARY ? exp2_v<T>(x) : exp_v<T>(x);
        if (i + S::L > limit) e = S::iota() < (typename S::I)(limit - i) ? e : S::splat(0);
        S::store(s + i, e);
        total += e;
    }
    for (; i < wide; i += S::L) S::store(s + i, S::splat(0));
    return S::sum(total);
}

template <class T> static void scale_row(T *s, int wide, T by) {
    for (int i = 0; i < wide; i += Simd<T>::L) Simd<T>::store(s + i, Simd<T>::load(s + i) * by);
}

// Logits become their gradient: weight * (softmax - onehot); losses get the unweighted cross-entropy. ld whole vectors.
template <class T>
static void cross_entropy(long n, int vocabulary, T *logits, long ld, const int64_t *target, const T *weight, T *losses) {
    for (long t = 0; t < n; t++, logits += ld) {
        T top, wanted = logits[target[t]], sum = softmax_row<T>(logits, vocabulary, (int)ld, top);
        losses[t] = std::log(sum) + (top - wanted);
        scale_row<T>(logits, (int)ld, weight[t] / sum);
        logits[target[t]] -= weight[t];
    }
}

struct Heads {
    int32_t heads, kv_heads, size;
};

// Attention takes BAND rows at a time and, going back, BLOCK rows against CHUNK keys, so that what lies between two
// products stays in the nearest caches. CHUNK is whole bands and whole panels.
constexpr int BAND = 2 * MR, BLOCK = 8 * BAND;
template <class T> constexpr int CHUNK = Simd<T>::NR > 32 ? 192 : 96;

// One head's part of rows with stride ld, side by side: a stride of many rows falls on few sets of a cache.
template <class T> static void gather(long n, int hd, const T *from, long ld, T *to) {
    for (long t = 0; t < n; t++) std::memcpy(to + t * hd, from + t * ld, hd * sizeof(T));
}
template <class T> static void scatter(long n, int hd, const T *from, T *to, long ld) {
    for (long t = 0; t < n; t++) std::memcpy(to + t * ld, from + t * hd, hd * sizeof(T));
}

// Variable-length attention. Sequence s owns rows [start[s], start[s+1]) of qkv ([query heads | key heads | value heads],
// row stride ld); its first keys[s] rows are text, later rows are probes that see all the text and nobody sees.
template <class T>
static void attention(int sequences, const int64_t *start, const int64_t *keys, Heads z, const T *qkv, long ld, T scale, T *out,
                      long ldo, T *lse) {
    constexpr int NR = Simd<T>::NR, L = Simd<T>::L;
    const T *none = nullptr;
    int group = z.heads / z.kv_heads, hd = z.size;
    for (int s = 0; s < sequences; s++) {
        int n = (int)(start[s + 1] - start[s]), text = (int)keys[s], ldp = (text + NR - 1) / NR * NR;
        const T *base = qkv + start[s] * ld;
        T *kt = scratch<T, 2>((long)ldp * hd), *v = scratch<T, 3>((long)text * hd), *p = scratch<T, 4>((long)BAND * ldp);
        for (int kh = 0; kh < z.kv_heads; kh++) {
            pack_transposed<T>(hd, text, base + (z.heads + kh) * hd, ld, kt);
            gather<T>(text, hd, base + (z.heads + z.kv_heads + kh) * hd, ld, v);
            for (int h = kh * group; h < (kh + 1) * group; h++)
                for (int i = 0; i < n; i += BAND) {
                    int m = std::min(BAND, n - i), seen = std::min(i + m, text), wide = (seen + L - 1) / L * L;
                    T sums[BAND], *to = out + (start[s] + i) * ldo + h * hd;
                    product_packed<T>(m, wide, hd, base + i * ld + h * hd, ld, 1, kt, p, ldp, scale * T(LOG2E), false, none);
                    for (int a = 0; a < m; a++) {
                        T top;
                        sums[a] = softmax_row<T, true>(p + a * ldp, std::min(i + a + 1, text), wide, top);
                        lse[(start[s] + i + a) * z.heads + h] = top * T(LN2) + std::log(sums[a]);
                    }
                    product<T>(m, hd, seen, p, ldp, 1, v, hd, to, ldo, T(1), false);
                    for (int a = 0; a < m; a++) // a head is shorter than the row of keys: divided here, not there
                        for (int j = 0; j < hd; j++) to[a * ldo + j] /= sums[a];
                }
        }
    }
}

// One row of scores and of the gradients of its probabilities becomes the probabilities and the gradients of the scores
// (before their scale): limit keys are seen, the rest up to wide are not.
template <class T> static void softmax_back_row(T *p, T *dp, int limit, int wide, T norm, T delta) {
    using S = Simd<T>;
    for (int j = 0; j < wide; j += S::L) {
        typename S::V e = exp2_v<T>(S::load(p + j) - norm);
        if (j + S::L > limit) e = S::iota() < (typename S::I)(limit - j) ? e : S::splat(0);
        S::store(p + j, e);
        S::store(dp + j, e * (S::load(dp + j) - delta));
    }
}

// d_out and out have row stride ldo; a row's sum of p * dp is that of d_out * out (Dao 2023, FlashAttention-2, section 3.1),
// so that its keys can be taken in chunks.
template <class T>
static void attention_back(int sequences, const int64_t *start, const int64_t *keys, Heads z, const T *qkv, long ld, T scale,
                           const T *out, const T *d_out, long ldo, const T *lse, T *dqkv) {
    constexpr int NR = Simd<T>::NR, L = Simd<T>::L, C = CHUNK<T>;
    const T *none = nullptr;
    int group = z.heads / z.kv_heads, hd = z.size;
    T *p = scratch<T, 4>((long)BLOCK * C), *dp = scratch<T, 5>((long)BLOCK * C);
    T *q = scratch<T, 7>((long)BLOCK * hd), *g = scratch<T, 8>((long)BLOCK * hd), *dq = scratch<T, 9>((long)BLOCK * hd);
    for (int s = 0; s < sequences; s++) {
        int n = (int)(start[s + 1] - start[s]), text = (int)keys[s], ldp = (text + NR - 1) / NR * NR;
        const T *base = qkv + start[s] * ld;
        T *to = dqkv + start[s] * ld, *kt = scratch<T, 2>((long)ldp * hd), *vt = scratch<T, 3>((long)ldp * hd);
        T *k = scratch<T, 6>((long)text * hd), *dk = scratch<T, 13>((long)n * hd), *dv = scratch<T, 14>((long)n * hd);
        for (int kh = 0; kh < z.kv_heads; kh++) {
            int kc = (z.heads + kh) * hd, vc = kc + z.kv_heads * hd;
            pack_transposed<T>(hd, text, base + kc, ld, kt);
            pack_transposed<T>(hd, text, base + vc, ld, vt);
            gather<T>(text, hd, base + kc, ld, k);
            std::fill(dk, dk + (long)n * hd, T(0)); // a probe's key and value are nobody's: their gradients stay zero
            std::fill(dv, dv + (long)n * hd, T(0));
            for (int h = kh * group; h < (kh + 1) * group; h++)
                for (int i0 = 0; i0 < n; i0 += BLOCK) {
                    int rows = std::min(BLOCK, n - i0), all = std::min(i0 + rows, text);
                    long first_row = start[s] + i0;
                    T norm[BLOCK], delta[BLOCK];
                    gather<T>(rows, hd, base + i0 * ld + h * hd, ld, q);
                    gather<T>(rows, hd, d_out + first_row * ldo + h * hd, ldo, g);
                    for (int a = 0; a < rows; a++) {
                        norm[a] = lse[(first_row + a) * z.heads + h] * T(LOG2E);
                        delta[a] = dot<T>(hd, g + a * hd, out + (first_row + a) * ldo + h * hd);
                    }
                    for (int c = 0; c < all; c += C) {
                        for (int i = 0; i < rows; i += BAND) {
                            int m = std::min(BAND, rows - i), seen = std::min(std::min(i0 + i + m, text) - c, C);
                            int wide = (seen + L - 1) / L * L;
                            if (seen <= 0) continue;
                            T *ps = p + i * C, *ds = dp + i * C;
                            product_packed<T>(m, wide, hd, q + i * hd, hd, 1, kt + (long)c * hd, ps, C, scale * T(LOG2E), false, none);
                            product_packed<T>(m, wide, hd, g + i * hd, hd, 1, vt + (long)c * hd, ds, C, T(1), false, none);
                            for (int a = 0; a < m; a++) {
                                int limit = std::min(std::min(i0 + i + a + 1, text) - c, wide);
                                softmax_back_row<T>(ps + a * C, ds + a * C, limit, wide, norm[i + a], delta[i + a]);
                            }
                            product<T>(m, hd, seen, ds, C, 1, k + (long)c * hd, hd, dq + i * hd, hd, scale, c > 0);
                        }
                        // keys [j, j + BAND) get their gradients from the block's rows that see them: from `first` on
                        for (int j = c; j < std::min(c + C, all); j += BAND) {
                            int m = std::min(BAND, std::min(c + C, all) - j), first = std::max(0, (j - i0) / BAND * BAND);
                            T *ps = p + first * C + j - c, *ds = dp + first * C + j - c;
                            product<T>(m, hd, rows - first, ds, 1, C, q + first * hd, hd, dk + (long)j * hd, hd, scale, true);
                            product<T>(m, hd, rows - first, ps, 1, C, g + first * hd, hd, dv + (long)j * hd, hd, T(1), true);
                        }
                    }
                    scatter<T>(rows, hd, dq, to + i0 * ld + h * hd, ld);
                }
            scatter<T>(n, hd, dk, to + kc, ld);
            scatter<T>(n, hd, dv, to + vc, ld);
        }
    }
}

// Adapters of one input in one layer: `count` targets of rank r side by side. In a slot's flat weights, A is one block
// [count * r, d] at `a`; B of target t is [size[t], r] at b[t] and feeds columns [column[t], + size[t]) of y.
struct Adapters {
    int32_t count, rank, inputs, pad;
    int64_t stride, a;
    const int64_t *b, *column, *size;
};

template <class T>
static void lora(int groups, const int64_t *start, const int64_t *slot, const Adapters *z, const T *weights, T scale, const T *x,
                 T *hidden, T *y, long ldy) {
    int all = z->count * z->rank, r = z->rank, d = z->inputs;
    for (int g = 0; g < groups; g++) {
        int n = (int)(start[g + 1] - start[g]);
        const T *w = weights + slot[g] * z->stride;
        T *hid = hidden + start[g] * all;
        product_transposed<T>(n, all, d, x + start[g] * d, d, 1, w + z->a, d, hid, all, T(1), false);
        for (int t = 0; t < z->count; t++)
            product_transposed<T>(n, (int)z->size[t], r, hid + t * r, all, 1, w + z->b[t], r,
                                  y + start[g] * ldy + z->column[t], ldy, scale, true);
    }
}

// The same for adapters that are only read: A is kept as [d, count * r] and each B as [r, size], so nothing is packed.
template <class T>
static void lora_read(int groups, const int64_t *start, const int64_t *slot, const Adapters *z, const T *weights, T scale,
                      const T *x, T *hidden, T *y, long ldy) {
    int all = z->count * z->rank, r = z->rank, d = z->inputs;
    for (int g = 0; g < groups; g++) {
        int n = (int)(start[g + 1] - start[g]);
        const T *w = weights + slot[g] * z->stride;
        T *hid = hidden + start[g] * all;
        product<T>(n, all, d, x + start[g] * d, d, 1, w + z->a, all, hid, all, T(1), false);
        for (int t = 0; t < z->count; t++)
            product<T>(n, (int)z->size[t], r, hid + t * r, all, 1, w + z->b[t], z->size[t],
                       y + start[g] * ldy + z->column[t], ldy, scale, true);
    }
}

template <class T>
static void lora_back(int groups, const int64_t *start, const int64_t *slot, const Adapters *z, const T *weights, T *gradients,
                      T scale, const T *x, const T *hidden, const T *dy, long ldy, T *dx) {
    int all = z->count * z->rank, r = z->rank, d = z->inputs;
    for (int g = 0; g < groups; g++) {
        int n = (int)(start[g + 1] - start[g]);
        const T *w = weights + slot[g] * z->stride, *hid = hidden + start[g] * all;
        T *grad = gradients + slot[g] * z->stride, *back = scratch<T, 2>((long)n * all);
        for (int t = 0; t < z->count; t++) {
            const T *from = dy + start[g] * ldy + z->column[t];
            int size = (int)z->size[t];
            product<T>(size, r, n, from, 1, ldy, hid + t * r, all, grad + z->b[t], r, scale, false);
            product<T>(n, r, size, from, ldy, 1, w + z->b[t], r, back + t * r, all, scale, false);
        }
        product<T>(all, d, n, back, 1, all, x + start[g] * d, d, grad + z->a, d, T(1), false);
        if (dx) product<T>(n, d, all, back, all, 1, w + z->a, d, dx + start[g] * d, d, T(1), true);
    }
}

// A cache entry holds, per kv head, keys in blocks of KEYS positions ([capacity / KEYS][size][KEYS]) and values
// ([capacity][size]): both are read front to back.
constexpr int KEYS = 16, ROWS = 5;
template <class T>
static void remember(long n, Heads z, const T *qkv, long ld, const int64_t *entry, const int64_t *at, long capacity, T *keys,
                     T *values) {
    int hd = z.size;
    for (long t = 0; t < n; t++)
        for (int kh = 0; kh < z.kv_heads; kh++) {
            const T *k = qkv + t * ld + (z.heads + kh) * hd, *v = k + z.kv_heads * hd;
            long plane = (entry[t] * z.kv_heads + kh) * hd * capacity;
            T *kt = keys + plane + at[t] / KEYS * KEYS * hd + at[t] % KEYS;
            for (int i = 0; i < hd; i++) kt[i * KEYS] = k[i];
            std::memcpy(values + plane + at[t] * hd, v, hd * sizeof(T));
        }
}

// out[r][0..count) = scale * q[r] . keys for R queries with row stride ld, whole vectors
template <class T, int R> static void scores(int hd, int count, const T *q, long ld, const T *keys, T scale, T *out, long ldo) {
    using S = Simd<T>;
    constexpr int U = 4, C = KEYS / S::L;
    for (int v = 0; v < (count + S::L - 1) / S::L; v += U) {
        typename S::V acc[R][U];
        const T *from[U];
        for (int u = 0; u < U; u++) {
            int w = std::min(v + u, (count - 1) / S::L); // past the end the last vector is computed again
            from[u] = keys + (long)(w / C) * KEYS * hd + w % C * S::L;
            for (int r = 0; r < R; r++) acc[r][u] = S::splat(0);
        }
        for (int k = 0; k < hd; k++)
            for (int u = 0; u < U; u++) {
                typename S::V b = S::load(from[u] + k * KEYS);
                for (int r = 0; r < R; r++) acc[r][u] += q[r * ld + k] * b;
            }
        for (int u = 0; u < U && (v + u) * S::L < count; u++)
            for (int r = 0; r < R; r++) S::store(out + r * ldo + (v + u) * S::L, acc[r][u] * scale);
    }
}

template <class T>
static void scores_of(int rows, int hd, int count, const T *q, long ld, const T *keys, T scale, T *out, long ldo) {
    switch (rows) {
    case 1: return scores<T, 1>(hd, count, q, ld, keys, scale, out, ldo);
    case 2: return scores<T, 2>(hd, count, q, ld, keys, scale, out, ldo);
    case 3: return scores<T, 3>(hd, count, q, ld, keys, scale, out, ldo);
    case 4: return scores<T, 4>(hd, count, q, ld, keys, scale, out, ldo);
    case 5: return scores<T, 5>(hd, count, q, ld, keys, scale, out, ldo);
    }
}

// out[0..hd) += sum over t of s[t] * values[t], in four partial sums
template <class T> static void weigh(int count, int hd, const T *s, const T *values, T *out) {
    using S = Simd<T>;
    int i = 0;
    for (; i + 2 * S::L <= hd; i += 2 * S::L) {
        typename S::V acc[4][2] = {};
        int t = 0;
        for (; t + 4 <= count; t += 4)
            for (int u = 0; u < 4; u++)
                for (int j = 0; j < 2; j++) acc[u][j] += s[t + u] * S::load(values + (long)(t + u) * hd + i + j * S::L);
        for (; t < count; t++)
            for (int j = 0; j < 2; j++) acc[0][j] += s[t] * S::load(values + (long)t * hd + i + j * S::L);
        for (int j = 0; j < 2; j++)
            S::store(out + i + j * S::L, S::load(out + i + j * S::L) + (acc[0][j] + acc[1][j]) + (acc[2][j] + acc[3][j]));
    }
    for (; i < hd; i++)
        for (int t = 0; t < count; t++) out[i] += s[t] * values[(long)t * hd + i];
}

// Each query row sees shared_length positions of cache entry `shared` and own_length of `own`. Neighbours with the same
// shared entry read it together.
template <class T>
static void recall(long n, Heads z, const T *qkv, long ld, const int64_t *shared, const int64_t *shared_length,
                   const int64_t *own, const int64_t *own_length, long capacity, const T *keys, const T *values, T scale, T *out,
                   long ldo) {
    using S = Simd<T>;
    int group = z.heads / z.kv_heads, hd = z.size;
    long plane = (long)hd * capacity;
    for (long t = 0; t < n;) {
        int a = (int)shared_length[t], wa = (a + S::L - 1) / S::L * S::L, m = 1, longest = (int)own_length[t];
        while (m < ROWS && t + m < n && shared[t + m] == shared[t] && shared_length[t + m] == a)
            longest = std::max(longest, (int)own_length[t + m++]);
        int ldp = wa + (longest + KEYS - 1) / KEYS * KEYS;
        T *p = scratch<T, 4>((long)m * ldp);
        for (int h = 0; h < z.heads; h++) {
            const T *q = qkv + t * ld + h * hd;
            T *to = out + t * ldo + h * hd;
            long common = (shared[t] * z.kv_heads + h / group) * plane;
            if (a) scores_of<T>(m, hd, a, q, ld, keys + common, scale, p, ldp);
            for (int r = 0; r < m; r++) {
                int b = (int)own_length[t + r], wide = wa + (b + S::L - 1) / S::L * S::L;
                T *s = p + r * ldp, top;
                scores<T, 1>(hd, b, q + r * ld, ld, keys + (own[t + r] * z.kv_heads + h / group) * plane, scale, s + wa, ldp);
                for (int j = a; j < wa; j++) s[j] = -INFINITY;
                T sum = softmax_row<T>(s, wa + b, wide, top);
                for (int j = a; j < wa; j++) s[j] = 0;
                scale_row<T>(s, wide, T(1) / sum);
            }
            product<T>(m, hd, a, p, ldp, 1, values + common, hd, to, ldo, T(1), false);
            for (int r = 0; r < m; r++)
                weigh<T>((int)own_length[t + r], hd, p + r * ldp + wa, values + (own[t + r] * z.kv_heads + h / group) * plane, to + r * ldo);
        }
        t += m;
    }
}

// Euclidean norm of each slot's gradient
template <class T> static void gradient_norms(int n, const int64_t *slot, long stride, const T *gradients, double *norms) {
    using S = Simd<T>;
    for (int g = 0; g < n; g++) {
        const T *w = gradients + slot[g] * stride;
        double total = 0;
        for (long i = 0; i < stride; i += 4096) {
            long m = std::min(4096L, stride - i);
            total += dot<T>(m, w + i, w + i);
        }
        norms[g] = std::sqrt(total);
    }
}

// AdamW; per slot: clip factor, 1 - rate * decay, rate / bias correction 1, 1 / sqrt(bias correction 2)
template <class T>
static void adamw(int n, const int64_t *slot, long stride, T *weights, const T *gradients, T *first, T *second,
                  const double *factors, double beta1, double beta2, double eps) {
    using S = Simd<T>;
    for (int g = 0; g < n; g++, factors += 4) {
        long o = slot[g] * stride;
        T clip = (T)factors[0], keep = (T)factors[1], rate = (T)factors[2], root = (T)factors[3], e = (T)eps;
        T b1 = (T)beta1, b2 = (T)beta2, c1 = (T)(1 - beta1), c2 = (T)(1 - beta2);
        for (long i = o; i < o + stride; i += S::L) { // slots are padded to whole vectors
            typename S::V x = S::load(gradients + i) * clip, m = S::load(first + i) * b1 + x * c1;
            typename S::V v = S::load(second + i) * b2 + x * x * c2, r;
            for (int j = 0; j < S::L; j++) r[j] = std::sqrt(v[j]);
            S::store(first + i, m);
            S::store(second + i, v);
            S::store(weights + i, S::load(weights + i) * keep - m * rate / (r * root + e));
        }
    }
}

template <class T> static long packed_size(long k, long n) { return k * ((n + Simd<T>::NR - 1) / Simd<T>::NR * Simd<T>::NR); }

#define EXPORT(T, S)                                                                                                            \
    extern "C" {                                                                                                                \
    long packed_size_##S(long k, long n) { return packed_size<T>(k, n); }                                                       \
    void pack_transposed_##S(long k, long n, const T *b, T *out) { pack_transposed<T>(k, n, b, k, out); }                       \
    void pack_rows_##S(long k, long n, const T *b, T *out) { pack_rows<T>(k, n, b, n, out); }                                   \
    void linear_##S(long m, long n, long k, const T *a, long lda, const T *b, T *c, long ldc, const T *bias) {                  \
        product_packed<T>(m, n, k, a, lda, 1, b, c, ldc, T(1), false, bias);                                                    \
    }                                                                                                                           \
    void norm_##S(long n, long d, const T *x, const T *delta, const T *w, double eps, T *out, T *y, T *rstd) {                  \
        norm<T>(n, d, x, delta, w, (T)eps, out, y, rstd);                                                                       \
    }                                                                                                                           \
    void norm_back_##S(long n, long d, const T *dy, const T *x, const T *w, const T *rstd, T *dx, long acc) {                   \
        norm_back<T>(n, d, dy, x, w, rstd, dx, acc);                                                                            \
    }                                                                                                                           \
    void head_norm_##S(long n, long heads, long hd, T *x, long ld, const T *w, double eps, T *raw, long ldr, T *rstd) {         \
        head_norm<T>(n, heads, hd, x, ld, w, (T)eps, raw, ldr, rstd);                                                           \
    }                                                                                                                           \
    void head_norm_back_##S(long n, long heads, long hd, T *dx, long ld, const T *w, const T *raw, long ldr, const T *rstd) {   \
        head_norm_back<T>(n, heads, hd, dx, ld, w, raw, ldr, rstd);                                                             \
    }                                                                                                                           \
    void rope_##S(long n, long heads, long hd, T *x, long ld, const int64_t *p, const T *c, const T *s, double sign) {          \
        rope<T>(n, heads, hd, x, ld, p, c, s, (T)sign);                                                                         \
    }                                                                                                                           \
    void swiglu_##S(long n, long f, const T *x, T *out) { swiglu<T>(n, f, x, out); }                                            \
    void swiglu_back_##S(long n, long f, T *x, const T *d) { swiglu_back<T>(n, f, x, d); }                                      \
    void cross_entropy_##S(long n, long v, T *x, long ld, const int64_t *y, const T *w, T *l) {                                 \
        cross_entropy<T>(n, v, x, ld, y, w, l);                                                                                 \
    }                                                                                                                           \
    void attention_##S(long n, const int64_t *start, const int64_t *keys, long h, long kh, long hd, const T *qkv, long ld,      \
                       double scale, T *out, long ldo, T *lse) {                                                                \
        attention<T>(n, start, keys, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, (T)scale, out, ldo, lse);                        \
    }                                                                                                                           \
    void attention_back_##S(long n, const int64_t *start, const int64_t *keys, long h, long kh, long hd, const T *qkv, long ld, \
                            double scale, const T *out, const T *d, long ldo, const T *lse, T *dqkv) {                          \
        attention_back<T>(n, start, keys, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, (T)scale, out, d, ldo, lse, dqkv);          \
    }                                                                                                                           \
    void lora_##S(long n, const int64_t *start, const int64_t *slot, const Adapters *z, const T *w, double scale, const T *x,   \
                  T *hidden, T *y, long ldy) {                                                                                  \
        lora<T>(n, start, slot, z, w, (T)scale, x, hidden, y, ldy);                                                             \
    }                                                                                                                           \
    void lora_read_##S(long n, const int64_t *start, const int64_t *slot, const Adapters *z, const T *w, double scale, const T *x,   \
                  T *hidden, T *y, long ldy) {                                                                                  \
        lora_read<T>(n, start, slot, z, w, (T)scale, x, hidden, y, ldy);                                                             \
    }                                                                                                                           \
    void lora_back_##S(long n, const int64_t *start, const int64_t *slot, const Adapters *z, const T *w, T *grad, double scale, \
                       const T *x, const T *hidden, const T *dy, long ldy, T *dx) {                                             \
        lora_back<T>(n, start, slot, z, w, grad, (T)scale, x, hidden, dy, ldy, dx);                                             \
    }                                                                                                                           \
    void remember_##S(long n, long h, long kh, long hd, const T *qkv, long ld, const int64_t *entry, const int64_t *at,         \
                      long capacity, T *keys, T *values) {                                                                      \
        remember<T>(n, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, entry, at, capacity, keys, values);                            \
    }                                                                                                                           \
    void recall_##S(long n, long h, long kh, long hd, const T *qkv, long ld, const int64_t *shared, const int64_t *sl,          \
                    const int64_t *own, const int64_t *ol, long capacity, const T *keys, const T *values, double scale, T *out, \
                    long ldo) {                                                                                                 \
        recall<T>(n, Heads{(int)h, (int)kh, (int)hd}, qkv, ld, shared, sl, own, ol, capacity, keys, values, (T)scale, out, ldo); \
    }                                                                                                                           \
    void gradient_norms_##S(long n, const int64_t *slot, long stride, const T *g, double *out) {                                \
        gradient_norms<T>(n, slot, stride, g, out);                                                                             \
    }                                                                                                                           \
    void adamw_##S(long n, const int64_t *slot, long stride, T *w, const T *g, T *m, T *v, const double *factors, double b1,    \
                   double b2, double eps) {                                                                                     \
        adamw<T>(n, slot, stride, w, g, m, v, factors, b1, b2, eps);                                                            \
    }                                                                                                                           \
    }
EXPORT(float, f32)
EXPORT(double, f64)
#include "bfloat16.hpp"
