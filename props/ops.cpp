// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "props/ops.hpp"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace stave::props {
namespace {

using enum OpCode;

// How a byte names an operation under version 1. Frozen: files depend on it. Repeated entries are weights, which
// make a random byte string a program that allocates a little more than it frees.
constexpr OpCode kLegalV1[] = {
    malloc_op,   calloc_op,   realloc_op, reallocarray_op, aligned_alloc_op, memalign_op, free_op,
    free_remote, usable_size, fill,       check,           exit_thread,      fork_child,  trim,
    fail_next,   pile_up,     pile_free,  malloc_op,       malloc_op,        malloc_op,   malloc_op,
    calloc_op,   realloc_op,  realloc_op, realloc_op,      aligned_alloc_op, free_op,     free_op,
    free_remote, free_remote, fill,       pile_free,
};
static_assert(std::size(kLegalV1) == 32);

/// Two tables, one behind the other.
template <std::size_t kFirst, std::size_t kSecond>
constexpr auto joined(const OpCode (&first)[kFirst], const OpCode (&second)[kSecond]) {
  std::array<OpCode, kFirst + kSecond> both{};
  std::copy_n(first, kFirst, both.begin());
  std::copy_n(second, kSecond, both.begin() + kFirst);
  return both;
}

constexpr auto kLegalV3 = joined(kLegalV1, {interleave, interleave, interleave, interleave});

// Every legal operation; the last one came with version 3.
constexpr OpCode kLegal[] = {
    malloc_op,   calloc_op,   realloc_op, reallocarray_op, aligned_alloc_op, memalign_op, free_op,
    free_remote, usable_size, fill,       check,           exit_thread,      fork_child,  trim,
    fail_next,   pile_up,     pile_free,  interleave,
};

constexpr OpCode kMisuseV1[] = {
    double_free_local_local,
    double_free_local_remote,
    double_free_remote_local,
    double_free_remote_remote,
    interior_free,
    misaligned_free,
    foreign_free,
    realloc_freed,
    usable_size_freed,
};
constexpr auto kEndingV3 = joined(kMisuseV1, {double_free_racing});

// Version 2 has no other legal operations, and the same bytes for them.
constexpr OpCode kMisuseV2[] = {
    overflow_write,
    overflow_nul,
    write_beyond,
    underflow_write,
    write_freed,
    write_freed,
    free_stale,
    realloc_stale,
    usable_size_stale,
    free_stale,
    free_other_family,
    free_other_size,
    free_other_size,
    forge_chunk,
    free_other_alignment,
    free_in_large,
    flip_header,
    flip_line,
    flip_notes,
    flip_large_record,
    double_free_local_local,
    double_free_local_remote,
    double_free_remote_local,
    double_free_remote_remote,
    interior_free,
    misaligned_free,
    foreign_free,
    realloc_freed,
    usable_size_freed,
    touch_guard,
    touch_freed,
};
constexpr auto kMisuseV3 = joined(kMisuseV2, {double_free_racing, flip_sample_record, flip_held_record, flip_state,
                                              forge_link, forge_counts, free_unused});
constexpr OpCode kAttacks[] = {
    overflow_write,       overflow_nul,  write_beyond,      underflow_write,   write_freed,
    free_stale,           realloc_stale, usable_size_stale, free_other_family, free_other_size,
    free_other_alignment, forge_chunk,   free_in_large,     touch_guard,       touch_freed,
    flip_header,          flip_line,     flip_notes,        flip_large_record, flip_sample_record,
    flip_held_record,     flip_state,    forge_link,        forge_counts,      free_unused,
};
constexpr std::size_t kAttacksV2 = 19;

constexpr std::uint8_t kFirstMisuseByte = 0x80;

std::span<const OpCode> legal_of(std::uint8_t version) {
  if (version < 3) return kLegalV1;
  return kLegalV3;
}
std::span<const OpCode> misuse_of(std::uint8_t version) {
  if (version == 1) return kMisuseV1;
  if (version == 2) return kMisuseV2;
  return kMisuseV3;
}

// Settings byte of the header.
constexpr std::uint8_t kProfileMask = 0x03;
constexpr std::uint8_t kGuardByProtect = 0x04;
constexpr std::uint8_t kMisuseAllowed = 0x08;
constexpr std::uint8_t kTightRegion = 0x10;
constexpr std::uint8_t kThreadsBorrow = 0x20;

constexpr std::size_t kSizeMax = SIZE_MAX;
constexpr std::size_t kPtrdiffMax = PTRDIFF_MAX;

// Sizes that no machine can serve: at the borders of size_t and ptrdiff_t, and where adding a header, a page or a
// 64 KiB unit wraps round.
constexpr std::size_t kHuge[] = {
    kPtrdiffMax,
    kPtrdiffMax + 1,
    kPtrdiffMax - 1,
    kPtrdiffMax - 4095,
    kSizeMax,
    kSizeMax - 1,
    kSizeMax - 7,
    kSizeMax - 8,
    kSizeMax - 15,
    kSizeMax - 16,
    kSizeMax - 31,
    kSizeMax - 4095,
    kSizeMax - 4096,
    kSizeMax - 8191,
    kSizeMax - 65535,
    kSizeMax - 65536,
    kSizeMax - 131071,
    kPtrdiffMax - 65535,
    std::size_t{1} << 62,
    std::size_t{1} << 48,
    std::size_t{1} << 47,
    (std::size_t{1} << 47) - 4096,
    std::size_t{1} << 40,
    (std::size_t{1} << 32) + 1,
    std::size_t{1} << 32,
    kSizeMax / 2 - 16,
};

constexpr int kDeltas[] = {0, -1, 1, -8, 8, -16, 16, -17};

constexpr std::size_t kOddAlignments[] = {
    0,
    3,
    24,
    48,
    4097,
    kSizeMax,
    kPtrdiffMax,
    std::size_t{1} << 63,
    std::size_t{1} << 62,
    std::size_t{1} << 47,
    12,
    65535,
    65537,
    kSizeMax - 15,
    1,
    6,
};

constexpr std::size_t moved(std::size_t size, int delta) { return size + static_cast<std::size_t>(delta); }

// Class sizes when no allocator is at hand: 16-byte steps, then four between the powers of two.
constexpr auto kRoughClasses = [] {
  std::array<std::size_t, 8 + 4 * 10> classes{};
  std::size_t n = 0;
  for (std::size_t size = 16; size <= 128; size += 16) classes[n++] = size;
  for (std::size_t power = 128; n < classes.size(); power *= 2) {
    for (std::size_t quarter = 1; quarter <= 4 && n < classes.size(); ++quarter) {
      classes[n++] = power + quarter * power / 4;
    }
  }
  return classes;
}();

std::uint32_t load32(const std::uint8_t* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8U |
         static_cast<std::uint32_t>(bytes[2]) << 16U | static_cast<std::uint32_t>(bytes[3]) << 24U;
}

void store32(std::uint32_t value, std::uint8_t* bytes) {
  for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

[[gnu::format(printf, 2, 3)]] void append(std::string& text, const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (length > 0) text.append(line, std::min(static_cast<std::size_t>(length), sizeof line - 1));
}

constexpr const char* kProfiles[] = {"light", "default", "strict", "fuzz"};
constexpr const char* kCalls[] = {"map",           "unmap",        "protect", "discard",
                                  "guard_install", "guard_remove", "remap",   "any"};

std::string size_text(std::size_t size) {
  std::string text;
  if (size > kSizeMax - 262144) {
    append(text, "SIZE_MAX - %zu", kSizeMax - size);
  } else {
    append(text, "%zuu", size);
    if (size > 0xFFFF'FFFFU) text += "l";
  }
  return text;
}

}  // namespace

std::span<const OpCode> legal_ops(std::uint8_t version) { return {kLegal, std::size(kLegal) - (version < 3 ? 1 : 0)}; }
std::span<const OpCode> misuse_ops(std::uint8_t version) {
  if (version < 3) return kMisuseV1;
  return kEndingV3;
}
std::span<const OpCode> attack_ops(std::uint8_t version) {
  return {kAttacks, version < 3 ? kAttacksV2 : std::size(kAttacks)};
}

MisuseClass misuse_class(OpCode code) {
  if (!is_misuse(code)) return MisuseClass::none;
  if (is_flip(code)) return MisuseClass::metadata;
  switch (code) {
    case overflow_write:
    case overflow_nul:
    case write_beyond:
    case underflow_write:
    case touch_guard:
      return MisuseClass::bounds;
    case write_freed:
    case touch_freed:
      return MisuseClass::freed;
    case free_other_family:
    case free_other_size:
    case free_other_alignment:
      return MisuseClass::mismatch;
    case forge_chunk:
    case free_in_large:
    case foreign_free:
      return MisuseClass::forgery;
    default:
      return MisuseClass::frees;
  }
}

const char* op_name(OpCode code) {
  switch (code) {
    case malloc_op:
      return "malloc";
    case calloc_op:
      return "calloc";
    case realloc_op:
      return "realloc";
    case reallocarray_op:
      return "reallocarray";
    case aligned_alloc_op:
      return "aligned_alloc";
    case memalign_op:
      return "memalign";
    case free_op:
      return "free";
    case free_remote:
      return "free-remote";
    case usable_size:
      return "usable-size";
    case fill:
      return "fill";
    case check:
      return "check";
    case exit_thread:
      return "exit-thread";
    case fork_child:
      return "fork-child";
    case trim:
      return "trim";
    case fail_next:
      return "fail-next";
    case pile_up:
      return "pile-up";
    case pile_free:
      return "pile-free";
    case interleave:
      return "interleave";
    case double_free_local_local:
      return "double-free-local-local";
    case double_free_local_remote:
      return "double-free-local-remote";
    case double_free_remote_local:
      return "double-free-remote-local";
    case double_free_remote_remote:
      return "double-free-remote-remote";
    case interior_free:
      return "interior-free";
    case misaligned_free:
      return "misaligned-free";
    case foreign_free:
      return "foreign-free";
    case realloc_freed:
      return "realloc-freed";
    case usable_size_freed:
      return "usable-size-freed";
    case double_free_racing:
      return "double-free-racing";
    case overflow_write:
      return "overflow-write";
    case overflow_nul:
      return "overflow-nul";
    case write_beyond:
      return "write-beyond";
    case underflow_write:
      return "underflow-write";
    case write_freed:
      return "write-freed";
    case free_stale:
      return "free-stale";
    case realloc_stale:
      return "realloc-stale";
    case usable_size_stale:
      return "usable-size-stale";
    case free_other_family:
      return "free-other-family";
    case free_other_size:
      return "free-other-size";
    case free_other_alignment:
      return "free-other-alignment";
    case forge_chunk:
      return "forge-chunk";
    case free_in_large:
      return "free-in-large";
    case touch_guard:
      return "touch-guard";
    case touch_freed:
      return "touch-freed";
    case free_unused:
      return "free-unused";
    case flip_header:
      return "flip-header";
    case flip_line:
      return "flip-line";
    case flip_notes:
      return "flip-notes";
    case flip_large_record:
      return "flip-large-record";
    case flip_sample_record:
      return "flip-sample-record";
    case flip_held_record:
      return "flip-held-record";
    case flip_state:
      return "flip-state";
    case forge_link:
      return "forge-link";
    case forge_counts:
      return "forge-counts";
  }
  return "?";
}

const char* expected_fault(OpCode code) {
  switch (code) {
    case double_free_local_local:
    case double_free_local_remote:
    case double_free_remote_local:
    case double_free_remote_remote:
    case double_free_racing:
      return "double-free";
    case interior_free:
      return "interior-pointer";
    case misaligned_free:
      return "misaligned-pointer";
    case foreign_free:
      return "foreign-pointer";
    case realloc_freed:
    case usable_size_freed:
      return "freed-pointer";
    default:
      return nullptr;
  }
}

SizeTable::SizeTable() : SizeTable(kRoughClasses) {}

SizeTable::SizeTable(std::span<const std::size_t> class_sizes) {
  for (const std::size_t size : class_sizes.first(std::min<std::size_t>(class_sizes.size(), kMaxClasses))) {
    classes_[count_++] = size;
  }
}

std::size_t SizeTable::decode(std::uint32_t argument) const {
  switch (argument >> 28U) {
    case 0x0:
    case 0x1:
    case 0x2:
      return argument & 0x3FFU;
    case 0x3:
      return argument & 0x3FU;
    case 0x4:
    case 0x5:
    case 0x6:
      return moved(classes_[((argument >> 2U) & 0x3FFU) % count_], static_cast<int>((argument & 3U) % 3U) - 1);
    case 0x7:
      return moved((((argument >> 4U) & 0xFU) + 1) * std::size_t{4096}, kDeltas[argument & 7U]);
    case 0x8: {
      const std::size_t power = std::size_t{1} << (((argument >> 4U) & 0x1FU) % 21U);
      const std::size_t size = moved(power, kDeltas[argument & 7U]);
      return size > 2 * power ? power : size;  // 1 - 16 must not become a size near SIZE_MAX: kHuge has those
    }
    case 0x9:
      return argument & 0x3'FFFFU;
    case 0xA:
      return argument & 0xFFFFU;
    case 0xB:
      return argument & 0x3F'FFFFU;
    case 0xC:
      return moved((((argument >> 4U) & 0xFFU) + 1) * std::size_t{65536}, kDeltas[argument & 7U]);
    case 0xD:
      return kHuge[(argument & 0xFFU) % std::size(kHuge)];
    case 0xE:
      return argument & 0x0FFF'FFFFU;
    default:
      return argument & 0x1FFU;
  }
}

std::size_t decode_alignment(std::uint8_t detail) {
  const unsigned low = detail & 0x1FU;
  switch (detail >> 5U) {
    case 5:
      return std::size_t{1} << (13 + low % 8);
    case 6:
      return std::size_t{1} << (21 + low % 11);
    case 7:
      return kOddAlignments[low % std::size(kOddAlignments)];
    default:
      return std::size_t{1} << (low % 13);
  }
}

std::size_t decode_count(std::uint8_t detail, std::size_t element_size) {
  constexpr std::size_t kCounts[] = {1, 1, 2, 3, 5, 16, 100, 0, 7, 33};
  const unsigned low = detail & 0xFU;
  if (low < std::size(kCounts)) return kCounts[low];
  const std::size_t divisor = std::max<std::size_t>(element_size, 1);
  switch (low) {
    case 10:
      return 1000;
    case 11:
      return kSizeMax / divisor;
    case 12:
      return kSizeMax / divisor + (element_size > 1 ? 1 : 0);  // the first product that wraps round
    case 13:
      return std::size_t{1} << 32;
    case 14:
      return kPtrdiffMax / divisor + 1;
    default:
      return kSizeMax;
  }
}

unsigned pile_pick(const Op& op, unsigned size, unsigned step) {
  switch (pile_order(op)) {
    case PileOrder::newest_first:
      return size - 1;
    case PileOrder::oldest_first:
      return 0;
    case PileOrder::every_other:
      return size - 1 - step % size;
    case PileOrder::scattered:
      break;
  }
  return ((op.argument >> 2U) * 2654435761U + step * 40503U) % size;
}

const char* yield_point_name(unsigned point) {
  constexpr const char* kNames[kYieldPoints] = {"any",
                                                "remote-free-before-mark",
                                                "remote-free-before-done",
                                                "remote-free-before-signal",
                                                "drain-before-pending",
                                                "collect-before-clear",
                                                "collect-before-unmark",
                                                "free-before-lock",
                                                "orphan-before-lock"};
  return kNames[point < kYieldPoints ? point : 0];
}

Header decode_header(const std::uint8_t* data, std::size_t size) {
  std::uint8_t record[kRecordBytes] = {};
  std::copy_n(data, std::min(size, kRecordBytes), record);
  Header header;
  // Other numbers have meant version 2 since there is one.
  header.version = record[0] < 2 ? 1 : record[0] == kVersion ? kVersion : 2;
  header.profile = record[1] & kProfileMask;
  header.guard_by_protect = (record[1] & kGuardByProtect) != 0;
  header.misuse_allowed = (record[1] & kMisuseAllowed) != 0;
  header.tight_region = (record[1] & kTightRegion) != 0;
  header.threads_borrow = (record[1] & kThreadsBorrow) != 0;
  header.threads = static_cast<std::uint8_t>(1 + record[2] % kMaxThreads);
  header.failures.call = record[3] & 7U;
  header.failures.period = record[3] >> 3U;
  header.seed = load32(record + 4);
  return header;
}

Op decode_op(const Header& header, const std::uint8_t* record) {
  Op op;
  if (header.misuse_allowed && record[0] >= kFirstMisuseByte) {
    const auto misuse = misuse_of(header.version);
    op.code = misuse[(record[0] - kFirstMisuseByte) % misuse.size()];
  } else {
    const auto legal = legal_of(header.version);
    op.code = legal[record[0] % legal.size()];
  }
  op.thread = record[1] % header.threads;
  op.slot = record[2] % kSlots;
  op.detail = record[3];
  op.argument = load32(record + 4);
  return op;
}

Program decode(const std::uint8_t* data, std::size_t size) {
  Program program;
  program.header = decode_header(data, size);
  const std::size_t count = op_count(size);
  program.ops.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    program.ops.push_back(decode_op(program.header, data + (i + 1) * kRecordBytes));
  }
  return program;
}

void encode_header(const Header& header, std::uint8_t* record) {
  record[0] = header.version;
  record[1] = static_cast<std::uint8_t>(
      (header.profile & kProfileMask) | (header.guard_by_protect ? kGuardByProtect : 0U) |
      (header.misuse_allowed ? kMisuseAllowed : 0U) | (header.tight_region ? kTightRegion : 0U) |
      (header.threads_borrow ? kThreadsBorrow : 0U));
  record[2] = static_cast<std::uint8_t>(header.threads - 1);
  record[3] =
      static_cast<std::uint8_t>((header.failures.call & 7U) | static_cast<unsigned>(header.failures.period) << 3U);
  store32(header.seed, record + 4);
}

void encode_op(const Header& header, const Op& op, std::uint8_t* record) {
  const bool misuse = is_misuse(op.code);
  const auto codes = misuse ? misuse_of(header.version) : legal_of(header.version);
  const auto place = std::find(codes.begin(), codes.end(), op.code) - codes.begin();
  record[0] = static_cast<std::uint8_t>((misuse ? kFirstMisuseByte : 0) + place);
  record[1] = op.thread;
  record[2] = op.slot;
  record[3] = op.detail;
  store32(op.argument, record + 4);
}

std::vector<std::uint8_t> encode(const Program& program) {
  std::vector<std::uint8_t> bytes((program.ops.size() + 1) * kRecordBytes);
  encode_header(program.header, bytes.data());
  for (std::size_t i = 0; i < program.ops.size(); ++i)
    encode_op(program.header, program.ops[i], &bytes[(i + 1) * kRecordBytes]);
  return bytes;
}

std::string to_text(const Header& header) {
  std::string text;
  append(text, "program version %u profile %s guards %s threads %u%s region %s seed %" PRIu32, header.version,
         kProfiles[header.profile & 3U], header.guard_by_protect ? "mprotect" : "advice", header.threads,
         header.threads_borrow ? " that borrow" : "", header.tight_region ? "tight" : "ample", header.seed);
  if (header.failures.period != 0) {
    append(text, " every %u. call of %s fails", header.failures.period, kCalls[header.failures.call & 7U]);
  }
  if (header.misuse_allowed) text += " misuse allowed";
  return text;
}

std::string to_text(const Op& op, const SizeTable& sizes) {
  std::string text;
  append(text, "t%u ", op.thread);
  const std::size_t size = sizes.decode(op.argument);
  switch (op.code) {
    case malloc_op:
      append(text, "p%u = malloc(%s)", op.slot, size_text(size).c_str());
      break;
    case calloc_op:
      append(text, "p%u = calloc(%s, %s)", op.slot, size_text(decode_count(op.detail, size)).c_str(),
             size_text(size).c_str());
      break;
    case realloc_op:
      append(text, "p%u = realloc(p%u, %s)", op.slot, op.slot, size_text(size).c_str());
      break;
    case reallocarray_op:
      append(text, "p%u = reallocarray(p%u, %s, %s)", op.slot, op.slot,
             size_text(decode_count(op.detail, size)).c_str(), size_text(size).c_str());
      break;
    case aligned_alloc_op:
    case memalign_op:
      append(text, "p%u = %s(%s, %s)", op.slot, op_name(op.code), size_text(decode_alignment(op.detail)).c_str(),
             size_text(size).c_str());
      break;
    case free_op:
      append(text, "free(p%u)", op.slot);
      break;
    case free_remote:
      append(text, "free(p%u) by another thread (%u after its owner)", op.slot, op.detail);
      break;
    case usable_size:
      append(text, "malloc_usable_size(p%u)", op.slot);
      break;
    case fill:
      append(text, "fill p%u", op.slot);
      break;
    case check:
      text += "check all contents";
      break;
    case exit_thread:
      text += "ends";
      break;
    case fork_child:
      text += "forks; go on in the child";
      break;
    case trim:
      text += "malloc_trim(0)";
      break;
    case fail_next: {
      const NextFailure next = decode_failure(op);
      append(text, "after %u calls of %s the next %u fail", next.skip, kCalls[next.call], next.count);
      break;
    }
    case pile_up:
      append(text, "pile %u += %u x malloc(%s)", pile_number(op), pile_count(op),
             size_text(pile_size(op, sizes)).c_str());
      break;
    case pile_free: {
      constexpr const char* kOrders[] = {"newest first", "oldest first", "every other", "scattered"};
      append(text, "free %u of pile %u, %s", pile_count(op), pile_number(op),
             kOrders[static_cast<unsigned>(pile_order(op))]);
      break;
    }
    case interleave: {
      const Interruption interruption = decode_interruption(op);
      append(text, "interrupt the next at %s, passed %u times, by the %u after it",
             yield_point_name(interruption.point), interruption.passes, interruption.count);
      break;
    }
    case overflow_write:
    case overflow_nul:
    case write_beyond:
    case underflow_write:
    case write_freed: {
      const Written written = decode_write(op);
      append(text, "%s p%u: %u bytes of 0x%02x", op_name(op.code), op.slot, written.count, written.value);
      if (written.gap != 0) append(text, ", %zu bytes on", written.gap);
      break;
    }
    default:
      append(text, "%s p%u", op_name(op.code), op.slot);
      if (expected_fault(op.code) != nullptr) append(text, " (expects %s)", expected_fault(op.code));
      break;
  }
  return text;
}

std::string to_text(const Program& program, const SizeTable& sizes) {
  std::string text = to_text(program.header) + "\n";
  unsigned index = 0;
  for (const Op& op : program.ops) {
    append(text, "%4u  ", index++);
    text += to_text(op, sizes) + "\n";
  }
  return text;
}

namespace {

// Everything a printed program needs: slots with their contents, alignment and zero checks.
constexpr const char* kCPrologue = R"(#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct slot { unsigned char *p, *stale; size_t n, stale_n; unsigned char fill, spoiled; } s[64], pile[4][1024];
static unsigned piled[4];
static unsigned char fills;

static void wrong(const char* what, void* p) {
  fprintf(stderr, "%p: %s\n", p, what);
  exit(3);
}
static void look(struct slot* a, size_t n) {
  if (!a->spoiled) for (size_t i = 0; i < n; i++) if (a->p[i] != a->fill) wrong("contents changed", a->p + i);
}
static void paint(struct slot* a) {
  if (a->p) { a->n = malloc_usable_size(a->p); a->fill = ++fills; a->spoiled = 0; memset(a->p, a->fill, a->n); }
}
static void put(struct slot* a, void* p, size_t size, size_t alignment) {
  a->p = p; a->n = 0;
  if (!p) return;
  if ((uintptr_t)p % 16 || (uintptr_t)p % alignment) wrong("misaligned", p);
  if (malloc_usable_size(p) < size) wrong("too small", p);
  paint(a);
}
static void drop(struct slot* a) {
  if (a->p) { look(a, a->n); a->stale = a->p; a->stale_n = a->n; }
  free(a->p);
  a->p = NULL; a->n = 0;
}
static void op_malloc(struct slot* a, size_t size) { put(a, malloc(size), size, 1); }
static void op_calloc(struct slot* a, size_t count, size_t size) {
  unsigned char* p = calloc(count, size);
  if (p) for (size_t i = 0; i < count * size; i++) if (p[i]) wrong("calloc is not zero", p + i);
  put(a, p, p ? count * size : 0, 1);
}
static void op_realloc(struct slot* a, size_t count, size_t size) {
  struct slot old = *a;
  void* p = reallocarray(old.p, count, size);
  if (!p && !(old.p && (count == 0 || size == 0))) return;
  if (p && old.p) { struct slot kept = {p, 0, 0, 0, old.fill, old.spoiled}; look(&kept, old.n < count * size ? old.n : count * size); }
  put(a, p, p ? count * size : 0, 1);
}
static void op_aligned(struct slot* a, void* p, size_t alignment, size_t size) {
  if (!alignment || alignment & (alignment - 1)) alignment = 1; /* a malloc may take it for another one */
  put(a, p, size, alignment);
}
static void op_fill(struct slot* a) { if (a->p) { look(a, a->n); paint(a); } }
static void spoil(void) {
  for (unsigned i = 0; i < 64; i++) s[i].spoiled = 1;
  for (unsigned k = 0; k < 4; k++) for (unsigned i = 0; i < piled[k]; i++) pile[k][i].spoiled = 1;
}
static void op_check(void) {
  for (unsigned i = 0; i < 64; i++) if (s[i].p) look(&s[i], s[i].n);
  for (unsigned k = 0; k < 4; k++) for (unsigned i = 0; i < piled[k]; i++) if (pile[k][i].p) look(&pile[k][i], pile[k][i].n);
}
static void op_pile_up(unsigned k, size_t size) { op_malloc(&pile[k][piled[k]++], size); }
static void op_unpile(unsigned k, unsigned i) {
  drop(&pile[k][i]);
  memmove(&pile[k][i], &pile[k][i + 1], (--piled[k] - i) * sizeof pile[k][i]);
}
static void leave(pid_t child) {
  int status = 1;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
  exit(WEXITSTATUS(status));
}
)";

constexpr const char* kCThreads = R"(
static void step(unsigned k);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int turn = -1;
static unsigned turn_step;
static struct life { pthread_t id; int number, running, leaving; } lives[8];

static void* worker(void* argument) {
  struct life* self = argument;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (turn != self->number) pthread_cond_wait(&moved, &lock);
    const unsigned k = turn_step;
    const int leaving = self->leaving;
    pthread_mutex_unlock(&lock);
    if (!leaving) step(k);
    pthread_mutex_lock(&lock);
    turn = -1;
    pthread_cond_broadcast(&moved);
    if (leaving) break;
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}
static void dispatch(unsigned t, unsigned k, int leaving) {
  struct life* life = &lives[t];
  pthread_mutex_lock(&lock);
  life->number = (int)t;
  life->leaving = leaving;
  if (!life->running) { life->running = 1; if (pthread_create(&life->id, NULL, worker, life)) abort(); }
  turn_step = k;
  turn = (int)t;
  pthread_cond_broadcast(&moved);
  while (turn != -1) pthread_cond_wait(&moved, &lock);
  pthread_mutex_unlock(&lock);
  if (leaving) { pthread_join(life->id, NULL); life->running = 0; }
}
/* Runs the steps from `first`; those of thread `self` on the calling thread, the others each on its own. */
static void conduct(unsigned first, int self) {
  for (unsigned k = first; k < sizeof who; k++) {
    if (who[k] == self) { if (!ends[k]) step(k); }
    else dispatch(who[k], k, ends[k]);
  }
}
static void op_fork(unsigned t, unsigned k) {
  const pid_t child = fork();
  if (child) leave(child);
  memset(lives, 0, sizeof lives);
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&moved, NULL);
  turn = -1;
  conduct(k + 1, (int)t);
  exit(0);
}
)";

// Follows ownership and pile sizes as a runner does, which needs no allocator: both depend on the program alone.
class CPrinter {
 public:
  CPrinter(const Program& program, const SizeTable& sizes) : program_(program), sizes_(sizes) {
    for (const Op& op : program.ops) threaded_ = threaded_ || op.code == exit_thread;
    threaded_ = threaded_ || program.header.threads > 1;
  }

  std::string print() {
    for (const Op& op : program_.ops) {
      add(op);
      if (is_misuse(op.code) && !is_attack(op.code)) break;
    }
    std::string text = "/* ";
    text += to_text(program_.header);
    text += "\n   Build: cc -std=gnu11 -pthread. Exits 0 when nothing went wrong. */\n";
    text += kCPrologue;
    if (threaded_) {
      text += "\nstatic const unsigned char who[] = {" + who_ + "};\nstatic const unsigned char ends[] = {" + ends_ +
              "};\n";
      text += kCThreads;
    }
    text += "\nstatic void step(unsigned k) {\n  switch (k) {\n" + steps_ + "    default: break;\n  }\n}\n\n";
    text += "int main(void) {\n";
    if (threaded_) {
      text += "  conduct(0, -1);\n";
    } else {
      append(text, "  for (unsigned k = 0; k < %u; k++) step(k);\n", count_);
    }
    text += "  op_check();\n  return 0;\n}\n";
    return text;
  }

 private:
  void begin(unsigned thread, bool ends) {
    append(who_, "%s%u", count_ == 0 ? "" : ", ", thread);
    append(ends_, "%s%u", count_ == 0 ? "" : ", ", ends ? 1U : 0U);
    append(steps_, "    case %u: ", count_);
    ++count_;
  }
  void end() { steps_ += "break;\n"; }

  void replace(const Op& op) {
    owner_[op.slot] = op.thread;
    append(steps_, "drop(&s[%u]); ", op.slot);
  }

  void misuse_setup(const Op& op, std::size_t size) {
    append(steps_, "if (!s[%u].p) op_malloc(&s[%u], %s); ", op.slot, op.slot, size_text(size).c_str());
  }

  void add(const Op& op) {
    const std::size_t size = sizes_.decode(op.argument);
    const std::string bytes = size_text(size);
    unsigned acting = op.thread;
    const unsigned owner = owner_[op.slot];
    const unsigned other = other_thread(owner, op.detail, program_.header.threads);
    if (op.code == free_remote) acting = other;
    if (is_attack(op.code)) {
      add_attack(op, owner, other);
      return;
    }
    if (is_misuse(op.code)) {
      add_misuse(op, size, owner, other);
      return;
    }
    begin(acting, op.code == exit_thread);
    switch (op.code) {
      case malloc_op:
        replace(op);
        append(steps_, "op_malloc(&s[%u], %s); ", op.slot, bytes.c_str());
        break;
      case calloc_op:
        replace(op);
        append(steps_, "op_calloc(&s[%u], %s, %s); ", op.slot, size_text(decode_count(op.detail, size)).c_str(),
               bytes.c_str());
        break;
      case realloc_op:
      case reallocarray_op: {
        owner_[op.slot] = op.thread;
        const std::size_t count = op.code == realloc_op ? 1 : decode_count(op.detail, size);
        append(steps_, "op_realloc(&s[%u], %s, %s); ", op.slot, size_text(count).c_str(), bytes.c_str());
        break;
      }
      case aligned_alloc_op:
      case memalign_op: {
        replace(op);
        const std::string alignment = size_text(decode_alignment(op.detail));
        append(steps_, "op_aligned(&s[%u], %s(%s, %s), %s, %s); ", op.slot, op_name(op.code), alignment.c_str(),
               bytes.c_str(), alignment.c_str(), bytes.c_str());
        break;
      }
      case free_op:
      case free_remote:
        append(steps_, "drop(&s[%u]); ", op.slot);
        break;
      case usable_size:
        append(steps_, "if (malloc_usable_size(s[%u].p) != s[%u].n) wrong(\"usable size\", s[%u].p); ", op.slot,
               op.slot, op.slot);
        break;
      case fill:
        append(steps_, "op_fill(&s[%u]); ", op.slot);
        break;
      case check:
        steps_ += "op_check(); ";
        break;
      case exit_thread:
        steps_ += "/* the thread ends */ ";
        break;
      case fork_child:
        if (threaded_) {
          append(steps_, "op_fork(%u, %u); ", acting, count_ - 1);
        } else {
          steps_ += "{ const pid_t child = fork(); if (child) leave(child); } ";
        }
        break;
      case trim:
        steps_ += "malloc_trim(0); ";
        break;
      case fail_next:
      case interleave:  // where a thread is interrupted is for the scheduler to say
        steps_ += "/* " + to_text(op, sizes_) + " */ ";
        break;
      case pile_up: {
        unsigned& piled = piled_[pile_number(op)];
        const unsigned count = std::min(pile_count(op), kPileCapacity - piled);
        piled += count;
        append(steps_, "for (unsigned i = 0; i < %u; i++) op_pile_up(%u, %s); ", count, pile_number(op),
               size_text(pile_size(op, sizes_)).c_str());
        break;
      }
      case pile_free: {
        unsigned& piled = piled_[pile_number(op)];
        const unsigned count = std::min(pile_count(op), piled);
        append(steps_, "{ static const unsigned short take[] = {");
        for (unsigned i = 0; i < count; ++i) append(steps_, "%s%u", i == 0 ? "" : ", ", pile_pick(op, piled - i, i));
        append(steps_, "%s}; for (unsigned i = 0; i < %u; i++) op_unpile(%u, take[i]); } ", count == 0 ? "0" : "",
               count, pile_number(op));
        piled -= count;
        break;
      }
      default:
        break;
    }
    end();
  }

  /// Contents are not looked at any more: whose they were depends on where the heap laid what.
  void add_attack(const Op& op, unsigned owner, unsigned other) {
    const unsigned slot = op.slot;
    const Written written = decode_write(op);
    const bool acts_elsewhere = op.code >= free_stale && op.code <= free_other_alignment;
    begin(acts_elsewhere ? other : owner, false);
    append(steps_, "spoil(); if (s[%u].%s) { ", slot,
           (op.code >= write_freed && op.code <= usable_size_stale) || op.code == touch_freed ? "stale" : "p");
    switch (op.code) {
      case overflow_write:
      case overflow_nul:
      case write_beyond:
        append(steps_, "memset(s[%u].p + s[%u].n + %zu, %u, %u); ", slot, slot, written.gap, written.value,
               written.count);
        break;
      case underflow_write:
        append(steps_, "memset(s[%u].p - %u, %u, %u); ", slot, written.count, written.value, written.count);
        break;
      case write_freed:
        append(steps_, "if (s[%u].stale_n) memset(s[%u].stale + %uu %% s[%u].stale_n, %u, %u); ", slot, slot,
               op.argument >> 8U, slot, written.value, written.count);
        break;
      case touch_guard:
        append(steps_, "__asm__ volatile(\"\" : : \"r\"(s[%u].p[s[%u].n + 4096])); ", slot, slot);
        break;
      case touch_freed:
        append(steps_, "__asm__ volatile(\"\" : : \"r\"(*s[%u].stale)); ", slot);
        break;
      case free_stale:
        append(steps_, "free(s[%u].stale); ", slot);
        break;
      case realloc_stale:
        append(steps_, "s[%u].stale = realloc(s[%u].stale, 100); ", slot, slot);
        break;
      case usable_size_stale:
        append(steps_, "s[%u].stale_n = malloc_usable_size(s[%u].stale); ", slot, slot);
        break;
      case forge_chunk:
        append(steps_,
               "static _Alignas(65536) char forged[65536]; const uintptr_t a = (uintptr_t)s[%u].p; "
               "memcpy(forged, (void*)(a & -65536), 4096); free(forged + a %% 65536); ",
               slot);
        break;
      default:
        // What names a size or an alignment is a function of C++; bits of headers and records have no function at all.
        steps_ += "/* " + to_text(op, sizes_) + " */ ";
        break;
    }
    steps_ += "} ";
    end();
  }

  void add_misuse(const Op& op, std::size_t size, unsigned owner, unsigned other) {
    const unsigned slot = op.slot;
    const std::string expects = std::string(" /* must die: ") + expected_fault(op.code) + " */ ";
    if (op.code == foreign_free) {
      begin(op.thread, false);
      steps_ += "{ static long foreign[64]; free(&foreign[8]); }" + expects;
      end();
      return;
    }
    const bool interior = op.code == interior_free || op.code == misaligned_free;
    begin(owner, false);
    if (interior) append(steps_, "if (s[%u].n < %zu) drop(&s[%u]); ", slot, kInteriorMinimum, slot);
    misuse_setup(op, interior ? kInteriorMinimum : std::min<std::size_t>(size, 65536));
    end();
    if (interior) {
      begin(owner, false);
      if (op.code == interior_free) {
        append(steps_, "free(s[%u].p + 16 * (1 + %uu %% (s[%u].n / 16 - 1)));%s", slot, op.argument, slot,
               expects.c_str());
      } else {
        append(steps_, "free(s[%u].p + %zu);%s", slot, misaligned_offset(op), expects.c_str());
      }
      end();
      return;
    }
    const bool first_remote =
        op.code == double_free_remote_local || op.code == double_free_remote_remote || op.code == double_free_racing;
    const bool second_remote = op.code == double_free_local_remote || op.code == double_free_remote_remote;
    begin(first_remote ? other : owner, false);
    append(steps_, "free(s[%u].p); ", slot);
    end();
    begin(second_remote ? other : owner, false);
    if (op.code == realloc_freed) {
      append(steps_, "s[%u].p = realloc(s[%u].p, 100);%s", slot, slot, expects.c_str());
    } else if (op.code == usable_size_freed) {
      append(steps_, "s[%u].n = malloc_usable_size(s[%u].p);%s", slot, slot, expects.c_str());
    } else {
      append(steps_, "free(s[%u].p);%s", slot, expects.c_str());
    }
    end();
  }

  const Program& program_;
  const SizeTable& sizes_;
  bool threaded_ = false;
  unsigned count_ = 0;
  std::string who_;
  std::string ends_;
  std::string steps_;
  std::array<std::uint8_t, kSlots> owner_{};
  std::array<unsigned, kPiles> piled_{};
};

}  // namespace

std::string to_c(const Program& program, const SizeTable& sizes) { return CPrinter(program, sizes).print(); }

}  // namespace stave::props
