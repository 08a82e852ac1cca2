// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random bits for picking slots and places: a ChaCha8 generator per thread heap, buffered.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"

namespace stave {

/// A key for a generator, or raw material for keys.
struct Seed {
  std::uint64_t words[4];
};

/// ChaCha with 8 rounds (D. J. Bernstein): 256-bit key, 64-bit counter, 64-bit stream number. Of
/// each two blocks 768 bits serve 120 picks of 6 bits, and the others become the next key (fast key erasure), so that a
/// leaked state does not tell earlier picks.
class Random {
 public:
  /// \param fresh_picks  false: take6() gives 0 always, so that picks follow one another in order.
  void start(const Seed& key, std::uint64_t stream, bool fresh_picks = true);

  /// Whether take6() may be called. `bits_` holds unused bits below a sentinel 1; that alone left means none.
  [[nodiscard]] STAVE_FAST bool has_bits() {
    if (bits_ > 1) [[likely]]
      return true;
    if (left_ == 0) return false;
    next_bits();
    return true;
  }
  /// Makes has_bits() true.
  void fetch_bits() {
    if (bits_ > 1) return;
    if (left_ == 0) refill();
    next_bits();
  }

  /// 6 fresh bits. pre: has_bits()
  STAVE_FAST unsigned take6() {
    const auto taken = static_cast<unsigned>(bits_ & 63);
    bits_ >>= 6;
    return taken;
  }

  /// 64 fresh bits.
  [[nodiscard]] std::uint64_t take64();
  /// A number below `limit` (not 0), without modulo bias that matters (2^-32 and less for limits below 2^32).
  [[nodiscard]] std::uint64_t below(std::uint64_t limit);
  /// Material for keys.
  [[nodiscard]] Seed take_seed();

 private:
  /// pre: left_ != 0
  STAVE_FAST void next_bits() {
    const std::uint64_t word = buffer_[--left_];
    buffer_[left_] = 0;
    bits_ = (word & picks_) | kSentinel;
  }
  STAVE_SLOW void refill();

  static constexpr std::uint64_t kSentinel = std::uint64_t{1} << 60;  ///< above ten picks
  static constexpr unsigned kBuffered = 12;  ///< words handed out per two blocks; the other four become the next key

  std::uint64_t bits_ = 0;
  unsigned left_ = 0;
  std::uint64_t buffer_[kBuffered] = {};
  Seed key_ = {};
  std::uint64_t counter_ = 0;
  std::uint64_t stream_ = 0;
  std::uint64_t picks_ = kSentinel - 1;  ///< the bits of a word that picks get; none if picks follow one another
};

/// One ChaCha block of 8 rounds: exposed for the known-answer test.
void chacha8_block(const Seed& key, std::uint64_t counter, std::uint64_t stream, std::uint32_t (&out)[16]);

/// Hashes `bytes` of raw entropy into a key, by running it through the block function.
[[nodiscard]] Seed seed_from_entropy(const unsigned char (&entropy)[32]);
/// A seed that follows from one number: for instances and for reproducible runs.
[[nodiscard]] Seed seed_from_number(std::uint64_t number);

}  // namespace stave
