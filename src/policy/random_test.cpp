// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <set>
#include <vector>

namespace stave {
namespace {

using Numbers = std::initializer_list<std::uint64_t>;

// --- a slow ChaCha, straight from its description, for any even number of rounds ------------------------------------

std::uint32_t rotate(std::uint32_t word, unsigned bits) { return word << bits | word >> (32 - bits); }

std::array<std::uint32_t, 16> reference_chacha(const std::array<std::uint32_t, 8>& key, std::uint64_t counter,
                                               std::uint64_t stream, unsigned rounds) {
  std::array<std::uint32_t, 16> start{};
  std::memcpy(start.data(), "expand 32-byte k", 16);
  std::copy(key.begin(), key.end(), start.begin() + 4);
  start[12] = static_cast<std::uint32_t>(counter);
  start[13] = static_cast<std::uint32_t>(counter >> 32);
  start[14] = static_cast<std::uint32_t>(stream);
  start[15] = static_cast<std::uint32_t>(stream >> 32);
  std::array<std::uint32_t, 16> x = start;
  const auto quarter = [&](unsigned a, unsigned b, unsigned c, unsigned d) {
    x[a] += x[b], x[d] ^= x[a], x[d] = rotate(x[d], 16);
    x[c] += x[d], x[b] ^= x[c], x[b] = rotate(x[b], 12);
    x[a] += x[b], x[d] ^= x[a], x[d] = rotate(x[d], 8);
    x[c] += x[d], x[b] ^= x[c], x[b] = rotate(x[b], 7);
  };
  for (unsigned round = 0; round != rounds; ++round) {
    for (unsigned i = 0; i != 4; ++i) {
      const unsigned shift = round % 2;  // odd rounds work on the diagonals
      quarter(i, 4 + (i + shift) % 4, 8 + (i + 2 * shift) % 4, 12 + (i + 3 * shift) % 4);
    }
  }
  for (unsigned i = 0; i != 16; ++i) x[i] += start[i];
  return x;
}

std::array<std::uint32_t, 8> words_of(const Seed& key) {
  std::array<std::uint32_t, 8> words{};
  for (unsigned i = 0; i != 4; ++i) {
    words[2 * i] = static_cast<std::uint32_t>(key.words[i]);
    words[2 * i + 1] = static_cast<std::uint32_t>(key.words[i] >> 32);
  }
  return words;
}

TEST(ReferenceChaCha, gives_the_published_key_stream) {
  // RFC 8439, 2.3.2: ChaCha20, whose 32-bit counter and 96-bit nonce are counter and stream here.
  std::array<std::uint32_t, 8> key{};
  for (unsigned i = 0; i != 8; ++i) key[i] = 0x03020100 + i * 0x04040404;
  const std::array<std::uint32_t, 16> expected = {
      0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
      0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9, 0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
  EXPECT_EQ(reference_chacha(key, 0x0900'0000'0000'0001, 0x4a00'0000, 20), expected);
}

TEST(ChaCha8, gives_the_published_key_stream) {
  // draft-strombergson-chacha-test-vectors, 256-bit key: TC1 (all zero) and TC2 (first bit of the key), 8 rounds, block
  // 0.
  struct Case {
    Seed key;
    unsigned char begin[32];
  };
  const Case cases[] = {
      {{{0, 0, 0, 0}},
       {0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6, 0x7f, 0x5b, 0xb8, 0xe8, 0x1f, 0x09, 0xa5, 0xa1,
        0x2c, 0x84, 0x0e, 0xc3, 0xce, 0x9a, 0x7f, 0x3b, 0x18, 0x1b, 0xe1, 0x88, 0xef, 0x71, 0x1a, 0x1e}},
      {{{1, 0, 0, 0}},
       {0xcf, 0x5e, 0xe9, 0xa0, 0x49, 0x4a, 0xa9, 0x61, 0x3e, 0x05, 0xd5, 0xed, 0x72, 0x5b, 0x80, 0x4b,
        0x12, 0xf4, 0xa4, 0x65, 0xee, 0x63, 0x5a, 0xcc, 0x3a, 0x31, 0x1d, 0xe8, 0x74, 0x04, 0x89, 0xea}},
  };
  for (const Case& c : cases) {
    std::uint32_t out[4][16];
    chacha8_blocks(c.key, 0, 0, out);
    EXPECT_EQ(std::memcmp(out, c.begin, sizeof c.begin), 0);
  }
}

TEST(ChaCha8, agrees_with_the_slow_one) {
  std::uint64_t state = 1;
  const auto next = [&state] { return state = state * 6364136223846793005U + 1442695040888963407U; };
  for (int turn = 0; turn != 2000; ++turn) {
    const Seed key{{next(), next(), next(), next()}};
    const std::uint64_t counter = turn % 3 == 0 ? next() : static_cast<std::uint64_t>(turn);
    const std::uint64_t stream = next();
    std::uint32_t out[4][16];
    chacha8_blocks(key, counter, stream, out);
    for (unsigned block = 0; block != 4; ++block) {
      const auto expected = reference_chacha(words_of(key), counter + block, stream, 8);
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), out[block])) << turn;
    }
  }
}

// --- the generator ---------------------------------------------------------------------------------------------------

std::vector<std::uint64_t> take(Random& random, int count) {
  std::vector<std::uint64_t> words;
  for (int i = 0; i != count; ++i) words.push_back(random.take64());
  return words;
}

TEST(Random, hands_out_seven_eighths_of_four_blocks_and_takes_the_rest_as_its_next_key) {
  const Seed key{{11, 22, 33, 44}};
  Random random;
  random.start(key, 5);
  std::array<std::uint32_t, 8> current = words_of(key);
  for (std::uint64_t batch = 0; batch != 50; ++batch) {
    std::vector<std::uint32_t> stream;
    for (unsigned block = 0; block != 4; ++block) {
      const auto words = reference_chacha(current, 4 * batch + block, 5, 8);
      stream.insert(stream.end(), words.begin(), words.end());
    }
    std::vector<std::uint64_t> expected;
    for (unsigned i = 8; i != 64; i += 2) expected.push_back(stream[i] | std::uint64_t{stream[i + 1]} << 32);
    std::vector<std::uint64_t> handed = take(random, 28);
    std::sort(handed.begin(), handed.end());  // in which order is nobody's business
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(handed, expected) << "batch " << batch;
    std::copy_n(stream.begin(), 8, current.begin());
  }
}

/// Whether the 8 bytes of `word` stand anywhere in the object.
bool contains(const Random& random, std::uint64_t word) {
  unsigned char bytes[sizeof random];
  std::memcpy(bytes, &random, sizeof random);
  for (std::size_t i = 0; i + 8 <= sizeof bytes; ++i) {
    if (std::memcmp(bytes + i, &word, 8) == 0) return true;
  }
  return false;
}

TEST(Random, keeps_nothing_of_what_it_handed_out) {
  const Seed key{{0x1111111111111111, 0x2222222222222222, 0x3333333333333333, 0x4444444444444444}};
  Random random;
  random.start(key, 0);
  for (int i = 0; i != 64; ++i) {
    const std::uint64_t word = random.take64();
    ASSERT_FALSE(contains(random, word)) << "word " << i;
    for (const std::uint64_t part : key.words)
      ASSERT_FALSE(contains(random, part)) << "the first key outlived its block";
  }
}

TEST(Random, same_key_and_stream_give_the_same_words_and_others_give_others) {
  std::set<std::vector<std::uint64_t>> seen;
  for (std::uint64_t stream = 0; stream != 8; ++stream) {
    for (std::uint64_t number = 0; number != 8; ++number) {
      Random a;
      Random b;
      a.start(seed_from_number(number), stream);
      b.start(seed_from_number(number), stream);
      std::vector<std::uint64_t> words = take(a, 9);
      EXPECT_EQ(words, take(b, 9));
      EXPECT_TRUE(seen.insert(words).second);
    }
  }
}

TEST(Random, start_forgets_what_was_buffered) {
  Random random;
  random.start(seed_from_number(1), 0);
  const std::vector<std::uint64_t> fresh = take(random, 8);
  (void)random.take64();
  random.start(seed_from_number(1), 0);
  EXPECT_EQ(take(random, 8), fresh);
}

TEST(Random, below_stays_below_and_reaches_all) {
  Random random;
  random.start(seed_from_number(9), 0);
  for (const std::uint64_t limit : Numbers{1, 2, 3, 7, 64, 1000}) {
    std::vector<int> counts(limit);
    for (std::uint64_t i = 0; i != 400 * limit; ++i) {
      const std::uint64_t value = random.below(limit);
      ASSERT_LT(value, limit);
      ++counts[value];
    }
    for (const int count : counts) {
      EXPECT_GT(count, 280) << "of 400 expected, limit " << limit;
      EXPECT_LT(count, 520) << "of 400 expected, limit " << limit;
    }
  }
  for (int i = 0; i != 100; ++i) EXPECT_LT(random.below(~std::uint64_t{0}), ~std::uint64_t{0});
}

// --- seeds
// -------------------------------------------------------------------------------------------------------------

TEST(Seed, from_entropy_depends_on_each_byte_and_shows_none) {
  unsigned char entropy[32] = {};
  for (unsigned i = 0; i != 32; ++i) entropy[i] = static_cast<unsigned char>(3 * i + 1);
  std::set<std::vector<std::uint64_t>> seen;
  const auto add = [&] {
    const Seed seed = seed_from_entropy(entropy);
    unsigned char bytes[32];
    std::memcpy(bytes, seed.words, 32);
    for (int at = 0; at <= 24; ++at) EXPECT_NE(std::memcmp(bytes + at, entropy + at, 8), 0) << "raw entropy shows";
    return seen.insert(std::vector<std::uint64_t>(std::begin(seed.words), std::end(seed.words))).second;
  };
  EXPECT_TRUE(add());
  for (unsigned i = 0; i != 32; ++i) {
    entropy[i] ^= 1;
    EXPECT_TRUE(add()) << "byte " << i;
    entropy[i] ^= 1;
  }
  EXPECT_FALSE(add());
}

TEST(Seed, from_number_is_a_function_of_it) {
  std::set<std::uint64_t> words;
  for (std::uint64_t number = 0; number != 1000; ++number) {
    const Seed seed = seed_from_number(number);
    EXPECT_EQ(std::memcmp(&seed, std::array{seed_from_number(number)}.data(), sizeof seed), 0);
    for (const std::uint64_t word : seed.words) EXPECT_TRUE(words.insert(word).second);
  }
}

TEST(Seed, taken_from_a_generator_is_fresh_each_time) {
  Random random;
  random.start(seed_from_number(1), 0);
  std::set<std::uint64_t> words;
  for (int i = 0; i != 100; ++i) {
    for (const std::uint64_t word : random.take_seed().words) EXPECT_TRUE(words.insert(word).second);
  }
}

}  // namespace
}  // namespace stave
