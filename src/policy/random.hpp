// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random bits for the order of slots, and for places: a ChaCha8 generator per thread heap, buffered.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"

namespace stave {

/// A key for a generator, or raw material for keys.
struct Seed {
  std::uint64_t words[4];
};

/// ChaCha with 8 rounds (D. J. Bernstein): 256-bit key, 64-bit counter, 64-bit stream number. Of each four blocks 28
/// words are handed out, and the others become the next key (fast key erasure), so that a leaked state does not tell
/// what was handed out earlier.
class Random {
 public:
  void start(const Seed& key, std::uint64_t stream);

  /// 64 fresh bits.
  [[nodiscard]] std::uint64_t take64() {
    if (left_ == 0) [[unlikely]]
      refill();
    const std::uint64_t word = buffer_[--left_];
    buffer_[left_] = 0;
    return word;
  }
  /// A number below `limit` (not 0), without modulo bias that matters (2^-32 and less for limits below 2^32).
  [[nodiscard]] std::uint64_t below(std::uint64_t limit);
  /// Material for keys.
  [[nodiscard]] Seed take_seed();

 private:
  STAVE_SLOW void refill();

  static constexpr unsigned kBuffered = 28;

  unsigned left_ = 0;
  std::uint64_t buffer_[kBuffered] = {};
  Seed key_ = {};
  std::uint64_t counter_ = 0;
  std::uint64_t stream_ = 0;
};

/// Four successive ChaCha blocks of 8 rounds: exposed for the known-answer test.
void chacha8_blocks(const Seed& key, std::uint64_t counter, std::uint64_t stream, std::uint32_t (&out)[4][16]);

/// Hashes `bytes` of raw entropy into a key, by running it through the block function.
[[nodiscard]] Seed seed_from_entropy(const unsigned char (&entropy)[32]);
/// A seed that follows from one number: for instances and for reproducible runs.
[[nodiscard]] Seed seed_from_number(std::uint64_t number);

}  // namespace stave
