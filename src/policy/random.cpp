// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/random.hpp"

#include <cstring>

#include "base/bits.hpp"

namespace stave {
namespace {

/// One row of the ChaCha state; the four columns are worked on at once.
using Row [[gnu::vector_size(16)]] = std::uint32_t;

template <int kBits>
Row rotate(Row row) {
  return row << kBits | row >> (32 - kBits);
}

/// Row with its columns turned to the left, so that diagonals stand in columns.
template <int kColumns>
Row turn(Row row) {
  return __builtin_shufflevector(row, row, kColumns & 3, (kColumns + 1) & 3, (kColumns + 2) & 3, (kColumns + 3) & 3);
}

void quarter_rounds(Row& a, Row& b, Row& c, Row& d) {
  a += b, d = rotate<16>(d ^ a);
  c += d, b = rotate<12>(b ^ c);
  a += b, d = rotate<8>(d ^ a);
  c += d, b = rotate<7>(b ^ c);
}

constexpr std::uint32_t low_half(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t high_half(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
constexpr std::uint64_t join(std::uint32_t low, std::uint32_t high) { return low | std::uint64_t{high} << 32; }

}  // namespace

void chacha8_block(const Seed& key, std::uint64_t counter, std::uint64_t stream, std::uint32_t (&out)[16]) {
  const auto& words = key.words;
  const Row start[4] = {{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574},
                        {low_half(words[0]), high_half(words[0]), low_half(words[1]), high_half(words[1])},
                        {low_half(words[2]), high_half(words[2]), low_half(words[3]), high_half(words[3])},
                        {low_half(counter), high_half(counter), low_half(stream), high_half(stream)}};
  Row a = start[0];
  Row b = start[1];
  Row c = start[2];
  Row d = start[3];
  for (unsigned round = 0; round != 8; round += 2) {
    quarter_rounds(a, b, c, d);
    b = turn<1>(b), c = turn<2>(c), d = turn<3>(d);
    quarter_rounds(a, b, c, d);
    b = turn<3>(b), c = turn<2>(c), d = turn<1>(d);
  }
  const Row result[4] = {a + start[0], b + start[1], c + start[2], d + start[3]};
  std::memcpy(out, result, sizeof out);
}

void Random::start(const Seed& key, std::uint64_t stream, bool fresh_picks) {
  picks_ = fresh_picks ? kSentinel - 1 : 0;
  key_ = key;
  stream_ = stream;
  counter_ = 0;
  bits_ = 0;
  left_ = 0;
}

void Random::refill() {
  std::uint32_t first[16];
  std::uint32_t second[16];
  chacha8_block(key_, counter_, stream_, first);
  chacha8_block(key_, counter_ + 1, stream_, second);
  counter_ += 2;
  for (unsigned i = 0; i != 4; ++i) key_.words[i] = join(first[2 * i], first[2 * i + 1]);
  for (unsigned i = 0; i != 4; ++i) buffer_[i] = join(first[8 + 2 * i], first[9 + 2 * i]);
  for (unsigned i = 0; i != 8; ++i) buffer_[4 + i] = join(second[2 * i], second[2 * i + 1]);
  left_ = kBuffered;
}

std::uint64_t Random::take64() {
  if (left_ == 0) refill();
  const std::uint64_t word = buffer_[--left_];
  buffer_[left_] = 0;
  return word;
}

std::uint64_t Random::below(std::uint64_t limit) {
  return static_cast<std::uint64_t>((static_cast<Uint128>(take64()) * limit) >> 64);
}

Seed Random::take_seed() { return Seed{{take64(), take64(), take64(), take64()}}; }

Seed seed_from_entropy(const unsigned char (&entropy)[32]) {
  Seed raw;
  std::memcpy(raw.words, entropy, sizeof raw.words);
  std::uint32_t block[16];
  chacha8_block(raw, 0, 0x7374617665, block);
  return Seed{{join(block[0], block[1]), join(block[2], block[3]), join(block[4], block[5]), join(block[6], block[7])}};
}

Seed seed_from_number(std::uint64_t number) {
  std::uint32_t block[16];
  chacha8_block(Seed{{number, 0, 0, 0}}, 0, 0x73656564, block);
  return Seed{{join(block[0], block[1]), join(block[2], block[3]), join(block[4], block[5]), join(block[6], block[7])}};
}

}  // namespace stave
