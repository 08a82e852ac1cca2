// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "fuzz/mutate.hpp"

#include <algorithm>
#include <cstring>

#include "props/ops.hpp"

namespace stave::fuzz {
namespace {

using props::kRecordBytes;
using props::Op;
using props::OpCode;

/// splitmix64: small, and all that is asked of it is to follow from the seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(next() % n); }
  std::uint64_t next() {
    state_ += 0x9E37'79B9'7F4A'7C15U;
    std::uint64_t z = state_;
    z = (z ^ z >> 30U) * 0xBF58'476D'1CE4'E5B9U;
    z = (z ^ z >> 27U) * 0x94D0'49BB'1331'11EBU;
    return z ^ z >> 31U;
  }

 private:
  std::uint64_t state_;
};

/// A program as bytes with whole records, in a buffer with room for more.
struct Records {
  std::uint8_t* data;
  std::size_t count;  ///< without the header
  std::size_t limit;

  [[nodiscard]] std::uint8_t* at(std::size_t i) const { return data + (i + 1) * kRecordBytes; }
  void open(std::size_t i, std::size_t n) {
    std::memmove(at(i + n), at(i), (count - i) * kRecordBytes);
    count += n;
  }
  void close(std::size_t i, std::size_t n) {
    std::memmove(at(i), at(i + n), (count - i - n) * kRecordBytes);
    count -= n;
  }
};

constexpr std::size_t kSmallClasses = 24;

std::uint32_t random_edge(Dice& dice, std::size_t classes) {
  return props::class_edge(dice.below(classes), static_cast<int>(dice.below(3)) - 1);
}

/// Most are small: a page that is touched, or a mapping, takes as long as the whole life of a small allocation.
std::uint32_t edge_argument(Dice& dice) {
  switch (dice.below(16)) {
    case 0:
      return props::huge_size(dice.below(32));
    case 1:
      return 0x7000'0000U | dice.below(256);
    case 2:
      return 0x8000'0000U | dice.below(512);
    case 3:
      return 0xC000'0000U | dice.below(4096);
    case 4:
      return random_edge(dice, 64);
    case 5:
    case 6:
    case 7:
      return props::literal_size(dice.below(1024));
    default:
      return random_edge(dice, kSmallClasses);
  }
}

/// Makes an operation one that has the next interrupted: soon, or at a point that it names.
void make_interleave(Op& op, Dice& dice) {
  op.code = OpCode::interleave;
  op.slot = static_cast<std::uint8_t>(dice.below(2) == 0 ? 0 : dice.below(props::kMostInterrupting));
  op.detail = static_cast<std::uint8_t>(dice.below(2) == 0 ? 0 : dice.below(props::kYieldPoints));
  op.argument = dice.below(4) == 0 ? dice.below(1024) : dice.below(4);
}

Op random_op(Dice& dice, const props::Header& header) {
  Op op;
  const auto legal = props::legal_ops(header.version);
  op.code = legal[dice.below(legal.size())];
  op.thread = static_cast<std::uint8_t>(dice.below(header.threads));
  op.slot = static_cast<std::uint8_t>(dice.below(dice.below(2) == 0 ? 8 : props::kSlots));
  op.detail = static_cast<std::uint8_t>(dice.below(256));
  op.argument = edge_argument(dice);
  if (op.code == OpCode::interleave) make_interleave(op, dice);
  return op;
}

Op random_misuse(Dice& dice, const props::Header& header) {
  Op op = random_op(dice, header);
  const bool goes_on = header.version != 1 && dice.below(4) != 0;
  const auto misuse = goes_on ? props::attack_ops(header.version) : props::misuse_ops(header.version);
  op.code = misuse[dice.below(misuse.size())];
  if (goes_on && dice.below(2) == 0) op.argument = static_cast<std::uint32_t>(dice.next());
  return op;
}

void mutate_header(std::uint8_t* record, Dice& dice) {
  props::Header header = props::decode_header(record, kRecordBytes);
  switch (dice.below(8)) {
    case 0:
      header.profile = static_cast<std::uint8_t>(dice.below(4));
      break;
    case 1:
      header.threads = static_cast<std::uint8_t>(1 + dice.below(props::kMaxThreads));
      break;
    case 2:
      header.guard_by_protect = !header.guard_by_protect;
      break;
    case 3:
      header.tight_region = !header.tight_region;
      break;
    case 5:
      header.threads_borrow = !header.threads_borrow;
      break;
    case 4:
      header.failures.call = static_cast<std::uint8_t>(dice.below(8));
      header.failures.period = static_cast<std::uint8_t>(dice.below(3) == 0 ? 0 : dice.below(16));
      break;
    case 6:
      header.version = props::kVersion;
      break;
    default:
      header.seed = static_cast<std::uint32_t>(dice.next());
      break;
  }
  props::encode_header(header, record);
}

void set_argument(std::uint8_t* record, std::uint32_t argument) {
  for (unsigned i = 0; i < 4; ++i) record[4 + i] = static_cast<std::uint8_t>(argument >> (8 * i));
}

/// Changes one field of a record, most often to something that matters.
void mutate_record(std::uint8_t* record, const props::Header& header, Dice& dice) {
  switch (dice.below(8)) {
    case 0:
      props::encode_op(header, random_op(dice, header), record);
      break;
    case 1:
      record[1] = static_cast<std::uint8_t>(dice.below(header.threads));
      break;
    case 2:
      record[2] = static_cast<std::uint8_t>(dice.below(8));
      break;
    case 3:
      record[3] = static_cast<std::uint8_t>(dice.below(256));
      break;
    case 4:
      record[0] = static_cast<std::uint8_t>(dice.below(32));
      break;
    default:
      set_argument(record, edge_argument(dice));
      break;
  }
}

/// Whether what an argument asks for may take pages of its own.
bool is_large(std::uint32_t argument) {
  constexpr std::uint32_t kMostLiteral = 4096;
  const std::uint32_t kind = argument >> 28U;
  if (kind >= 4 && kind <= 6) return ((argument >> 2U) & 0x3FFU) >= kSmallClasses;
  if (kind == 14) return (argument & 0x0FFF'FFFFU) > kMostLiteral;
  return kind >= 7 && kind <= 12;
}

/// A full pile, or a block or an alignment of megabytes, takes as long as fifty programs without one, so few programs
/// have one. In the others all piles together are small, and at most three requests are large, by some units. Any more
/// ask for what the program asks for elsewhere: what is freed and what is allocated meet where their sizes do.
void cut_cost(const Records& program, Dice& dice) {
  constexpr unsigned kUncutOnceIn = 128;
  constexpr std::size_t kMostBytes = std::size_t{256} << 10U;
  constexpr std::size_t kMostServed = std::size_t{256} << 20U;
  static const props::SizeTable sizes;
  if (program.count == 0 || dice.below(kUncutOnceIn) == 0) return;
  const props::Header header = props::decode_header(program.data, kRecordBytes);
  unsigned left_to_pile = 8;
  unsigned left_large = dice.below(4);
  for (std::size_t i = 0; i != program.count; ++i) {
    std::uint8_t* const record = program.at(i);
    const Op op = props::decode_op(header, record);
    if (!props::is_request(op.code)) continue;
    if (op.code == OpCode::pile_up) {
      std::uint8_t& detail = record[3];
      if (props::pile_count(op) > left_to_pile)
        detail = static_cast<std::uint8_t>(std::min(op.detail + 0U, dice.below(4)));
      left_to_pile -= std::min(left_to_pile, detail + 1U);
    } else if (op.code >= OpCode::aligned_alloc_op && op.detail >> 5U == 6) {
      record[3] ^= 0x60U;  // of the alignments below those of megabytes
    }
    if (!is_large(op.argument)) continue;
    if (left_large == 0) {
      const Op other = props::decode_op(header, program.at(dice.below(program.count)));
      const bool is_small = props::is_request(other.code) && !is_large(other.argument);
      set_argument(record, is_small ? other.argument : random_edge(dice, kSmallClasses));
      continue;
    }
    --left_large;
    const std::size_t size = sizes.decode(op.argument);
    if (size > kMostBytes && size <= kMostServed) set_argument(record, 0xC000'0000U | dice.below(64));
  }
}

}  // namespace

std::size_t mutate_program(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed,
                           std::size_t (*byte_mutate)(std::uint8_t*, std::size_t, std::size_t)) {
  Dice dice(seed);
  if (max_size < 2 * kRecordBytes) return std::min(size, max_size);
  if (size < kRecordBytes) {
    std::memset(data + size, 0, kRecordBytes - size);
    if (size == 0) data[0] = props::kVersion;
    size = kRecordBytes;
  }
  size = std::min(size, max_size);
  Records program{data, size / kRecordBytes - 1, max_size / kRecordBytes - 1};
  if (byte_mutate != nullptr && dice.below(16) == 0) {
    const std::size_t mutated = byte_mutate(data, size, max_size);
    if (mutated >= kRecordBytes) cut_cost({data, mutated / kRecordBytes - 1, program.limit}, dice);
    return std::max<std::size_t>(mutated, 1);
  }
  for (unsigned rounds = 1 + dice.below(4); rounds != 0; --rounds) {
    const props::Header header = props::decode_header(data, kRecordBytes);
    const std::size_t room = program.limit - program.count;
    const std::size_t at = program.count == 0 ? 0 : dice.below(program.count);
    switch (program.count == 0 ? 0 : dice.below(16)) {
      case 0:
      case 1:
      case 2:
        if (room == 0) break;
        program.open(at, 1);
        props::encode_op(header, random_op(dice, header), program.at(at));
        break;
      case 3:
      case 4:
        program.close(at, 1 + dice.below(std::min<std::size_t>(program.count - at, 4)));
        break;
      case 5: {
        const std::size_t other = dice.below(program.count);
        std::swap_ranges(program.at(at), program.at(at) + kRecordBytes, program.at(other));
        break;
      }
      case 6: {
        const std::size_t n = std::min({program.count - at, room, std::size_t{1} + dice.below(16)});
        program.open(at + n, n);
        std::memcpy(program.at(at + n), program.at(at), n * kRecordBytes);
        break;
      }
      case 7:
        mutate_header(data, dice);
        break;
      case 8: {
        // An allocation's life in one go: what it takes to reach the far sides of a heap.
        if (room < 2) break;
        Op op = random_op(dice, header);
        op.code = OpCode::malloc_op;
        program.open(at, 2);
        props::encode_op(header, op, program.at(at));
        op.code = dice.below(2) == 0 ? OpCode::free_remote : OpCode::realloc_op;
        op.argument = edge_argument(dice);
        props::encode_op(header, op, program.at(at + 1));
        break;
      }
      case 9:
      case 10:
      case 11:
        if (header.misuse_allowed && room != 0) {
          program.open(at, 1);
          props::encode_op(header, random_misuse(dice, header), program.at(at));
          break;
        }
        [[fallthrough]];
      case 12:
        if (header.version >= 3 && room != 0) {
          // In front of what may be long in coming to a point: a free by another thread has three of them.
          Op op = props::decode_op(header, program.at(at));
          if (dice.below(2) == 0) {
            op.code = OpCode::free_remote;
            props::encode_op(header, op, program.at(at));
          }
          make_interleave(op, dice);
          program.open(at, 1);
          props::encode_op(header, op, program.at(at));
          break;
        }
        [[fallthrough]];
      default:
        mutate_record(program.at(at), header, dice);
        break;
    }
  }
  cut_cost(program, dice);
  return (program.count + 1) * kRecordBytes;
}

std::size_t cross_over_programs(const std::uint8_t* first, std::size_t first_size, const std::uint8_t* second,
                                std::size_t second_size, std::uint8_t* out, std::size_t max_size, unsigned seed) {
  Dice dice(seed);
  if (max_size < kRecordBytes || first_size < kRecordBytes) return 0;
  std::memcpy(out, first, kRecordBytes);
  const std::size_t limit = max_size / kRecordBytes - 1;
  const std::size_t heads = props::op_count(first_size);
  const std::size_t tails = props::op_count(second_size);
  std::size_t count = 0;
  const auto append = [&](const std::uint8_t* data, std::size_t from, std::size_t n) {
    n = std::min(n, limit - count);
    if (n != 0) std::memcpy(out + (count + 1) * kRecordBytes, data + (from + 1) * kRecordBytes, n * kRecordBytes);
    count += n;
  };
  if (dice.below(2) == 0) {
    // A beginning of one and an end of the other.
    append(first, 0, heads == 0 ? 0 : dice.below(heads + 1));
    const std::size_t from = tails == 0 ? 0 : dice.below(tails);
    append(second, from, tails - from);
  } else {
    // Both in turns, as two threads would be.
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < heads || j < tails) {
      const std::size_t n = 1 + dice.below(4);
      if (i < heads && (j >= tails || dice.below(2) == 0)) {
        append(first, i, std::min(n, heads - i));
        i += n;
      } else {
        append(second, j, std::min(n, tails - j));
        j += n;
      }
    }
  }
  cut_cost({out, count, limit}, dice);
  return (count + 1) * kRecordBytes;
}

}  // namespace stave::fuzz
