// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/random.hpp"

#include <cstring>

#include "base/bits.hpp"
#include "os/sanitizer.hpp"

namespace stave {
namespace {

/// One word of the ChaCha state, of four blocks at once.
using Lanes [[gnu::vector_size(16)]] = std::uint32_t;

template <int kBits>
Lanes rotate(Lanes word) {
  return word << kBits | word >> (32 - kBits);
}

STAVE_FAST void quarter_round(Lanes& a, Lanes& b, Lanes& c, Lanes& d) {
  a += b, d = rotate<16>(d ^ a);
  c += d, b = rotate<12>(b ^ c);
  a += b, d = rotate<8>(d ^ a);
  c += d, b = rotate<7>(b ^ c);
}

constexpr std::uint32_t low_half(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t high_half(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

/// The beginning of a key stream.
Seed first_words(const Seed& key, std::uint64_t stream) {
  std::uint32_t blocks[4][16];
  chacha8_blocks(key, 0, stream, blocks);
  Seed seed;
  std::memcpy(seed.words, blocks, sizeof seed.words);
  return seed;
}

Lanes all(std::uint32_t word) { return Lanes{word, word, word, word}; }

}  // namespace

void chacha8_blocks(const Seed& key, std::uint64_t counter, std::uint64_t stream, std::uint32_t (&out)[4][16]) {
  const std::uint64_t counters[4] = {counter, counter + 1, counter + 2, counter + 3};
  Lanes start[16] = {all(0x61707865), all(0x3320646e), all(0x79622d32), all(0x6b206574)};
  for (unsigned i = 0; i != 4; ++i) {
    start[4 + 2 * i] = all(low_half(key.words[i]));
    start[5 + 2 * i] = all(high_half(key.words[i]));
    start[12][i] = low_half(counters[i]);
    start[13][i] = high_half(counters[i]);
  }
  start[14] = all(low_half(stream));
  start[15] = all(high_half(stream));
  Lanes x[16];
  std::memcpy(x, start, sizeof x);
  for (unsigned round = 0; round != 8; round += 2) {
    quarter_round(x[0], x[4], x[8], x[12]);
    quarter_round(x[1], x[5], x[9], x[13]);
    quarter_round(x[2], x[6], x[10], x[14]);
    quarter_round(x[3], x[7], x[11], x[15]);
    quarter_round(x[0], x[5], x[10], x[15]);
    quarter_round(x[1], x[6], x[11], x[12]);
    quarter_round(x[2], x[7], x[8], x[13]);
    quarter_round(x[3], x[4], x[9], x[14]);
  }
  for (unsigned i = 0; i != 16; i += 4) {
    // Four words of four blocks become four blocks of four words.
    const Lanes a = x[i] + start[i];
    const Lanes b = x[i + 1] + start[i + 1];
    const Lanes c = x[i + 2] + start[i + 2];
    const Lanes d = x[i + 3] + start[i + 3];
    const Lanes ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const Lanes ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Lanes cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const Lanes cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const Lanes rows[4] = {
        __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
        __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
    for (unsigned block = 0; block != 4; ++block) std::memcpy(&out[block][i], &rows[block], sizeof rows[block]);
  }
}

void Random::start(const Seed& key, std::uint64_t stream) {
  sanitizer::zero_own(this, sizeof *this);
  key_ = key;
  stream_ = stream;
}

void Random::refill() {
  std::uint32_t blocks[4][16];
  static_assert(sizeof blocks == sizeof key_ + sizeof buffer_);
  chacha8_blocks(key_, counter_, stream_, blocks);
  counter_ += 4;
  sanitizer::copy_own(&key_, blocks, sizeof key_);
  sanitizer::copy_own(buffer_, reinterpret_cast<const char*>(blocks) + sizeof key_, sizeof buffer_);
  left_ = kBuffered;
}

std::uint64_t Random::below(std::uint64_t limit) {
  return static_cast<std::uint64_t>((static_cast<Uint128>(take64()) * limit) >> 64);
}

Seed Random::take_seed() { return Seed{{take64(), take64(), take64(), take64()}}; }

Seed seed_from_entropy(const unsigned char (&entropy)[32]) {
  Seed raw;
  std::memcpy(raw.words, entropy, sizeof raw.words);
  return first_words(raw, 0x7374617665);
}

Seed seed_from_number(std::uint64_t number) { return first_words(Seed{{number, 0, 0, 0}}, 0x73656564); }

}  // namespace stave
