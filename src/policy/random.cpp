// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/random.hpp"

#include <bit>
#include <cstring>

#include "base/bits.hpp"

namespace stave {
namespace {

struct Lanes {
  std::uint32_t word[16];

  void quarter(unsigned a, unsigned b, unsigned c, unsigned d) {
    word[a] += word[b], word[d] = std::rotl(word[d] ^ word[a], 16);
    word[c] += word[d], word[b] = std::rotl(word[b] ^ word[c], 12);
    word[a] += word[b], word[d] = std::rotl(word[d] ^ word[a], 8);
    word[c] += word[d], word[b] = std::rotl(word[b] ^ word[c], 7);
  }
};

constexpr std::uint32_t low_half(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t high_half(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
constexpr std::uint64_t join(std::uint32_t low, std::uint32_t high) { return low | std::uint64_t{high} << 32; }

}  // namespace

void chacha8_block(const Seed& key, std::uint64_t counter, std::uint64_t stream, std::uint32_t (&out)[16]) {
  Lanes start{{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}};
  for (unsigned i = 0; i != 4; ++i) {
    start.word[4 + 2 * i] = low_half(key.words[i]);
    start.word[5 + 2 * i] = high_half(key.words[i]);
  }
  start.word[12] = low_half(counter);
  start.word[13] = high_half(counter);
  start.word[14] = low_half(stream);
  start.word[15] = high_half(stream);
  Lanes lanes = start;
  for (unsigned round = 0; round != 8; round += 2) {
    lanes.quarter(0, 4, 8, 12);
    lanes.quarter(1, 5, 9, 13);
    lanes.quarter(2, 6, 10, 14);
    lanes.quarter(3, 7, 11, 15);
    lanes.quarter(0, 5, 10, 15);
    lanes.quarter(1, 6, 11, 12);
    lanes.quarter(2, 7, 8, 13);
    lanes.quarter(3, 4, 9, 14);
  }
  for (unsigned i = 0; i != 16; ++i) out[i] = lanes.word[i] + start.word[i];
}

void Random::start(const Seed& key, std::uint64_t stream, bool fresh_picks) {
  fresh_picks_ = fresh_picks;
  key_ = key;
  stream_ = stream;
  counter_ = 0;
  bits_ = 0;
  left_ = 0;
}

void Random::refill() {
  std::uint32_t block[16];
  chacha8_block(key_, counter_++, stream_, block);
  for (unsigned i = 0; i != 4; ++i) key_.words[i] = join(block[2 * i], block[2 * i + 1]);
  for (unsigned i = 0; i != kBuffered; ++i) buffer_[i] = join(block[8 + 2 * i], block[9 + 2 * i]);
  left_ = kBuffered;
}

std::uint64_t Random::take64() {
  if (left_ == 0) refill();
  const std::uint64_t word = buffer_[--left_];
  buffer_[left_] = 0;
  return word;
}

std::uint64_t Random::next_bits() {
  constexpr unsigned kBits = 60;  // ten picks
  return (fresh_picks_ ? take64() & low_bits(kBits) : 0) | std::uint64_t{1} << kBits;
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
