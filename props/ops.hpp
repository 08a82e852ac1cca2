// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The operation language: programs of heap operations as data, shared by model tests and fuzzers.
//
// A program is a header record and any number of operation records, eight bytes each, little-endian:
//
//   header     | version | settings | threads | failures |         seed          |
//   operation  |   op    |  thread  |  slot   |  detail  |       argument        |
//
// Decoding is total: any byte string of any length is a program. What is too short is filled up with zero bytes
// (header) or dropped (last record). It is also stable: the meaning of a byte under version n never changes; new
// operations come with version n+1, which old files do not name.
//
// Operations name no address. They act on numbered slots, and every operation is legal whatever a slot holds: an
// empty slot stands for a null pointer, and what is put into an occupied one replaces what was there, which is freed
// first. That is what keeps programs meaningful when a shrinker or a mutator drops a part of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace stave::props {

inline constexpr unsigned kMaxThreads = 8;
/// Slots that operations name one by one.
inline constexpr unsigned kSlots = 64;
/// Piles hold many allocations at once, so that eight bytes can fill a chunk.
inline constexpr unsigned kPiles = 4;
inline constexpr unsigned kPileCapacity = 1024;
inline constexpr std::size_t kRecordBytes = 8;
inline constexpr std::uint8_t kVersion = 3;

/// Codes below 0x80 are legal use, those from 0x80 are misuse, of which the first end a program, and those from 0xa0 do
/// not (version 2; some of them version 3). The numbers are internal to a build; the bytes in a file go through the
/// table of the file's version.
enum class OpCode : std::uint8_t {
  malloc_op = 0,
  calloc_op,
  realloc_op,
  reallocarray_op,
  aligned_alloc_op,
  memalign_op,
  free_op,
  free_remote,  ///< free by a thread that is not the one that allocated
  usable_size,
  fill,   ///< writes new contents over all of the usable size
  check,  ///< compares the contents of all that is live
  exit_thread,
  fork_child,
  trim,
  fail_next,   ///< plans a failure of coming system calls
  pile_up,     ///< many mallocs of one size
  pile_free,   ///< frees many of a pile, in one of four orders
  interleave,  ///< the next operation is interrupted by those after it (version 3)

  double_free_local_local = 0x80,
  double_free_local_remote,
  double_free_remote_local,
  double_free_remote_remote,
  interior_free,
  misaligned_free,
  foreign_free,
  realloc_freed,
  usable_size_freed,
  double_free_racing,  ///< one free in the middle of the other (version 3)

  overflow_write = 0xa0,  ///< right behind what the program has
  overflow_nul,           ///< one zero byte there
  write_beyond,           ///< farther behind, with a gap
  underflow_write,
  write_freed,        ///< into what the slot had before
  free_stale,         ///< frees what the slot had before, however long ago that was freed
  realloc_stale,      ///< the same, resized
  usable_size_stale,  ///< and asked for its size
  free_other_family,  ///< what malloc made, by operator delete and its kin
  free_other_size,    ///< with a size that was not asked for, or was
  free_other_alignment,
  forge_chunk,    ///< frees an address in a chunk that is the attacker's, with a real header
  free_in_large,  ///< the same inside of a large block
  free_unused,    ///< frees the last slot of a chunk, which was never handed out
  touch_guard,    ///< reads in front of and behind a large block or sample, and what a request of nothing gave
  touch_freed,    ///< reads what was freed
  flip_header,    ///< one bit of a chunk's header
  flip_line,      ///< of the words of 64 slots
  flip_notes,     ///< of what is remembered of a slot
  flip_large_record,
  flip_sample_record,
  flip_held_record,  ///< of a large block or a sample that was freed
  flip_state,        ///< the bit of the slot itself, in one of its words
  forge_link,        ///< a pointer between chunks leads to what looks like one, or to another one
  forge_counts,      ///< a chunk seems to be empty
};

[[nodiscard]] constexpr bool is_misuse(OpCode code) { return static_cast<std::uint8_t>(code) >= 0x80; }
/// Misuse after which a program may go on; what is owed then is in props/aftermath.hpp.
[[nodiscard]] constexpr bool is_attack(OpCode code) { return static_cast<std::uint8_t>(code) >= 0xa0; }
/// Those that change what is the allocator's own.
[[nodiscard]] constexpr bool is_flip(OpCode code) { return code >= OpCode::flip_header; }

/// What an attacker does to a program is of one class, as a bug is.
enum class MisuseClass : std::uint8_t { none, bounds, freed, frees, mismatch, forgery, metadata };
[[nodiscard]] MisuseClass misuse_class(OpCode code);

/// Every operation of a version, in the order of its code.
[[nodiscard]] std::span<const OpCode> legal_ops(std::uint8_t version = kVersion);
/// Misuse that ends a program.
[[nodiscard]] std::span<const OpCode> misuse_ops(std::uint8_t version = kVersion);
[[nodiscard]] std::span<const OpCode> attack_ops(std::uint8_t version = kVersion);
[[nodiscard]] const char* op_name(OpCode code);
/// The id of the fault that a misuse must end with; nullptr if it need not end with one.
[[nodiscard]] const char* expected_fault(OpCode code);

struct Op {
  OpCode code = OpCode::malloc_op;
  std::uint8_t thread = 0;  ///< below Header::threads once decoded
  std::uint8_t slot = 0;    ///< below kSlots once decoded
  std::uint8_t detail = 0;  ///< alignment, element count, failing call, or number of allocations
  std::uint32_t argument = 0;

  friend bool operator==(const Op&, const Op&) = default;
};

/// The systematic failures of a whole program: each `period`-th call of one kind (0: none fails).
struct FailurePlan {
  static constexpr std::uint8_t kAnyCall = 7;
  std::uint8_t call = 0;  ///< number of the kind, kAnyCall for all of them
  std::uint8_t period = 0;

  friend bool operator==(const FailurePlan&, const FailurePlan&) = default;
};

struct Header {
  std::uint8_t version = kVersion;  ///< 1 to 3
  std::uint8_t profile = 1;         ///< 0 light, 1 default, 2 strict, 3 fuzz
  bool guard_by_protect = false;
  bool misuse_allowed = false;  ///< otherwise codes of misuse decode as legal operations
  bool tight_region = false;    ///< so little address space that running out of it is ordinary
  bool threads_borrow = false;  ///< their first allocations of each class come from a heap that they share
  std::uint8_t threads = 1;
  FailurePlan failures;
  std::uint32_t seed = 0;

  friend bool operator==(const Header&, const Header&) = default;
};

struct Program {
  Header header;
  std::vector<Op> ops;

  friend bool operator==(const Program&, const Program&) = default;
};

/// The sizes that the size codes of operations mean: the edges of the heap's size classes come from outside, so that
/// the table follows the allocator. Without an allocator at hand a rough table serves.
class SizeTable {
 public:
  static constexpr unsigned kMaxClasses = 256;

  SizeTable();
  explicit SizeTable(std::span<const std::size_t> class_sizes);

  /// Asks a heap for the edges: the usable size of each request is a class, if it is more than the request.
  template <class UsableSizeOf>
  [[nodiscard]] static SizeTable probe(UsableSizeOf&& usable_size_of, std::size_t limit) {
    SizeTable table;
    table.count_ = 0;
    for (std::size_t size = 1; size <= limit && table.count_ < kMaxClasses;) {
      const std::size_t usable = usable_size_of(size);
      if (usable < size) break;
      table.classes_[table.count_++] = usable;
      size = usable + 1;
    }
    if (table.count_ == 0) table = SizeTable();
    return table;
  }

  [[nodiscard]] std::size_t decode(std::uint32_t argument) const;
  /// The smallest class that holds `size`; 0: none does.
  [[nodiscard]] std::size_t class_of(std::size_t size) const {
    for (const std::size_t each : classes()) {
      if (each >= size) return each;
    }
    return 0;
  }
  [[nodiscard]] std::span<const std::size_t> classes() const { return {classes_.data(), count_}; }

 private:
  std::array<std::size_t, kMaxClasses> classes_{};
  unsigned count_ = 0;
};

/// A size below 2^28 as an argument that no table changes.
[[nodiscard]] constexpr std::uint32_t literal_size(std::size_t size) {
  return 0xE000'0000U | (static_cast<std::uint32_t>(size) & 0x0FFF'FFFFU);
}
/// class `index` of the table, moved by -1, 0 or +1 bytes.
[[nodiscard]] constexpr std::uint32_t class_edge(unsigned index, int delta) {
  return 0x4000'0000U | (index << 2U) | static_cast<std::uint32_t>(delta + 1);
}
/// Entry of the table of sizes that no machine can serve.
[[nodiscard]] constexpr std::uint32_t huge_size(unsigned index) { return 0xD000'0000U | index; }

/// The alignment that a detail byte stands for; some are no powers of two, or absurd ones.
[[nodiscard]] std::size_t decode_alignment(std::uint8_t detail);
[[nodiscard]] constexpr bool is_power_of_two(std::size_t n) { return n != 0 && (n & (n - 1)) == 0; }
/// The number of elements that a detail byte stands for, given the element's size; some products overflow.
[[nodiscard]] std::size_t decode_count(std::uint8_t detail, std::size_t element_size);

/// Whether an operation asks for memory by its argument.
[[nodiscard]] constexpr bool is_request(OpCode code) { return code <= OpCode::memalign_op || code == OpCode::pile_up; }
/// Number of allocations of a pile operation.
[[nodiscard]] constexpr unsigned pile_count(const Op& op) { return op.detail + 1U; }
[[nodiscard]] constexpr unsigned pile_number(const Op& op) { return op.slot % kPiles; }
/// Size of a pile's allocations: small and medium only, or one operation could ask for gigabytes.
[[nodiscard]] inline std::size_t pile_size(const Op& op, const SizeTable& sizes) {
  const std::size_t size = sizes.decode(op.argument);
  return size > 65536 ? size % 65537 : size;
}
/// The order in which pile_free takes allocations.
enum class PileOrder : std::uint8_t { newest_first, oldest_first, every_other, scattered };
[[nodiscard]] constexpr PileOrder pile_order(const Op& op) { return static_cast<PileOrder>(op.argument & 3U); }
/// Index, in a pile of `size` entries, of the next allocation to free; the same for a runner and for a printed
/// program. `step` counts the allocations that the operation freed before.
[[nodiscard]] unsigned pile_pick(const Op& op, unsigned size, unsigned step);

/// What a fail_next operation plans.
struct NextFailure {
  std::uint8_t call;   ///< as FailurePlan::call
  std::uint8_t skip;   ///< calls that still succeed
  std::uint8_t count;  ///< calls that then fail
};
[[nodiscard]] constexpr NextFailure decode_failure(const Op& op) {
  return {static_cast<std::uint8_t>(op.detail & 7U), static_cast<std::uint8_t>(op.argument & 0x1FU),
          static_cast<std::uint8_t>(1U + ((op.argument >> 8U) & 7U))};
}

/// Where an interleave operation interrupts the next one, and by how many of those that follow. Each is carried out by
/// its own thread; one whose thread is in the middle of something, or whose slot or pile is, waits until nobody is.
/// What never comes to its point is interrupted at its end.
struct Interruption {
  std::uint8_t point = 0;  ///< of yield_point_name; 0: any
  unsigned passes = 0;     ///< so often the point is passed before
  unsigned count = 0;
};
inline constexpr unsigned kMostInterrupting = 8;
[[nodiscard]] constexpr Interruption decode_interruption(const Op& op) {
  // Near points most often, whatever the bytes are.
  const unsigned far = (op.argument & 8U) != 0 ? (op.argument >> 1U) & 0x1F8U : 0U;
  return {static_cast<std::uint8_t>(op.detail & 15U), (op.argument & 7U) + far, 1 + op.slot % kMostInterrupting};
}
inline constexpr unsigned kYieldPoints = 9;
/// What the heap calls the point; "any" for 0 and for numbers from kYieldPoints on.
[[nodiscard]] const char* yield_point_name(unsigned point);

/// The thread that carries out a free_remote, or a misuse's second or remote step, for memory that `owner` holds.
[[nodiscard]] constexpr unsigned other_thread(unsigned owner, unsigned wish, unsigned threads) {
  return threads < 2 ? owner : (owner + 1 + wish % (threads - 1)) % threads;
}

/// Where misuse by interior pointer points: a multiple of 16 inside `usable` bytes (at least 32 of them).
[[nodiscard]] constexpr std::size_t interior_offset(const Op& op, std::size_t usable) {
  return 16 * (1 + op.argument % (usable / 16 - 1));
}
[[nodiscard]] constexpr std::size_t misaligned_offset(const Op& op) { return 1 + op.argument % 7; }

/// What an attack writes: so many bytes of this value.
struct Written {
  unsigned count;
  std::uint8_t value;
  std::size_t gap;  ///< bytes left out before them
};
[[nodiscard]] constexpr Written decode_write(const Op& op) {
  return {op.code == OpCode::overflow_nul ? 1U : 1U + op.detail % 24U,
          op.code == OpCode::overflow_nul ? std::uint8_t{0} : static_cast<std::uint8_t>(op.argument),
          op.code == OpCode::write_beyond ? (op.argument >> 8U) % 512U : 0U};
}
/// The size that a free of another size names: near the right one, or any.
[[nodiscard]] constexpr std::size_t other_size(const Op& op, std::size_t size) {
  return op.detail % 2 == 0 ? size + op.argument % 65U : op.argument % 262144U;
}
/// Slots that hold less get an allocation of this size before an interior free.
inline constexpr std::size_t kInteriorMinimum = 64;

[[nodiscard]] Header decode_header(const std::uint8_t* data, std::size_t size);
/// Decodes the record that starts at `record`.
[[nodiscard]] Op decode_op(const Header& header, const std::uint8_t* record);
/// The number of operation records in `size` bytes.
[[nodiscard]] constexpr std::size_t op_count(std::size_t size) {
  return size < 2 * kRecordBytes ? 0 : size / kRecordBytes - 1;
}
[[nodiscard]] Program decode(const std::uint8_t* data, std::size_t size);

void encode_header(const Header& header, std::uint8_t* record);
/// pre: the header's version has the operation.
void encode_op(const Header& header, const Op& op, std::uint8_t* record);
[[nodiscard]] std::vector<std::uint8_t> encode(const Program& program);

[[nodiscard]] std::string to_text(const Header& header);
[[nodiscard]] std::string to_text(const Op& op, const SizeTable& sizes);
[[nodiscard]] std::string to_text(const Program& program, const SizeTable& sizes);
/// A C program that does the same through the malloc family, with one POSIX thread for each logical one, handing
/// over in the program's order. What has no public counterpart (failing system calls) stays as a comment.
[[nodiscard]] std::string to_c(const Program& program, const SizeTable& sizes);

}  // namespace stave::props
