// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Recorded request traces of real programs: what they asked of malloc, without addresses and contents.
//
// A trace file is
//
//   "STAVETR1"                                 8 bytes
//   number of events                           varint
//   for each event: a varint that holds kind + 4 * value, then for some kinds one more varint
//
//     kind 0  malloc   value: size                      1  calloc   value: size (count * size)
//     kind 2  realloc  value: age; then the new size    3  free     value: age
//
// A varint has seven bits a byte, lowest first, the eighth says that more follow. Each event that allocates, realloc
// included, gets the next number, from 0; an age is the difference between the number that comes next and the number of
// what is freed or resized, so that young memory, which is what programs free, takes one byte. memalign counts as
// malloc. realloc and free of what was not recorded (allocated before the recorder was there) are left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stave::props {

enum class TraceKind : std::uint8_t { malloc_event, calloc_event, realloc_event, free_event };

struct TraceEvent {
  TraceKind kind = TraceKind::malloc_event;
  std::uint64_t size = 0;     ///< of what is allocated
  std::uint32_t subject = 0;  ///< number of what is freed or resized
};

struct Trace {
  std::string name;
  std::vector<TraceEvent> events;
  std::uint32_t allocations = 0;  ///< numbers that events handed out
};

/// Appends the encoded form.
void encode_trace(const Trace& trace, std::vector<std::uint8_t>& bytes);
/// Why bytes are no trace.
struct TraceError {
  const char* what = nullptr;
  bool of_event = false;    ///< or of the whole
  std::uint64_t event = 0;  ///< its number
  std::size_t byte = 0;     ///< where it begins
};
/// "event 7 at byte 31 is cut off": what follows the name of a file.
[[nodiscard]] std::string to_text(const TraceError& error);
/// Any bytes may come in. Returns false with an error unless they are a whole trace in which each thing that is freed
/// or resized is live.
[[nodiscard]] bool decode_trace(const std::vector<std::uint8_t>& bytes, Trace& trace, TraceError& error);

/// One raw event, as the recorder writes them.
struct RawEvent {
  std::uint64_t kind;  ///< TraceKind
  std::uint64_t size;
  std::uint64_t old_address;  ///< realloc, free
  std::uint64_t new_address;  ///< malloc, calloc, realloc
};
static_assert(sizeof(RawEvent) == 32);

/// Turns the recorder's output into a trace of at most `limit` events.
[[nodiscard]] Trace trace_from_raw(const std::vector<RawEvent>& raw, std::size_t limit);

}  // namespace stave::props
