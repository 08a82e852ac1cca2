// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Traces: what is encoded is decoded, and a damaged file is a clear error.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <unordered_map>
#include <vector>

#include "props/trace.hpp"

namespace stave::props {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// The recorder's view of a random program that reuses addresses, resizes, and frees what it never allocated.
std::vector<RawEvent> any_raw() {
  std::vector<RawEvent> raw;
  std::vector<std::uint64_t> live;
  const auto count = *rc::gen::inRange(0, 60);
  for (int i = 0; i < count; ++i) {
    RawEvent event{};
    event.kind = *rc::gen::inRange<std::uint64_t>(0, 4);
    event.size = *rc::gen::weightedOneOf<std::uint64_t>(
        {{8, rc::gen::inRange<std::uint64_t>(0, 5000)}, {1, rc::gen::inRange<std::uint64_t>(0, 1ULL << 35U)}});
    event.new_address = 16 * *rc::gen::inRange<std::uint64_t>(1, 40);
    event.old_address = 16 * *rc::gen::inRange<std::uint64_t>(0, 40);
    if (event.kind == 3) event.new_address = 0;
    raw.push_back(event);
  }
  return raw;
}

RC_GTEST_PROP(Traces, survive_encoding, ()) {
  const Trace trace = trace_from_raw(any_raw(), 1000);
  Bytes bytes;
  encode_trace(trace, bytes);
  Trace decoded;
  TraceError error;
  RC_ASSERT(decode_trace(bytes, decoded, error));
  RC_ASSERT(decoded.allocations == trace.allocations);
  RC_ASSERT(decoded.events.size() == trace.events.size());
  for (std::size_t i = 0; i < trace.events.size(); ++i) {
    RC_ASSERT((decoded.events[i].kind == trace.events[i].kind));
    RC_ASSERT(decoded.events[i].size == trace.events[i].size);
    RC_ASSERT(decoded.events[i].subject == trace.events[i].subject);
  }
}

RC_GTEST_PROP(Traces, that_are_cut_off_or_longer_are_errors, ()) {
  Bytes bytes;
  encode_trace(trace_from_raw(any_raw(), 1000), bytes);
  Trace decoded;
  TraceError error;
  const Bytes cut(bytes.begin(),
                  bytes.begin() + *rc::gen::inRange<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(bytes.size())));
  RC_ASSERT_FALSE(decode_trace(cut, decoded, error));
  RC_ASSERT_FALSE(to_text(error).empty());
  bytes.push_back(*rc::gen::arbitrary<std::uint8_t>());
  RC_ASSERT_FALSE(decode_trace(bytes, decoded, error));
}

RC_GTEST_PROP(Traces, of_any_bytes_are_an_error_or_free_only_what_is_live, (Bytes tail)) {
  Bytes bytes = {'S', 'T', 'A', 'V', 'E', 'T', 'R', '1', static_cast<std::uint8_t>(tail.size() & 0x7FU)};
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  Trace trace;
  TraceError error;
  if (!decode_trace(bytes, trace, error)) {
    RC_ASSERT_FALSE(to_text(error).empty());
    return;
  }
  std::vector<bool> live;
  for (const TraceEvent& event : trace.events) {
    if (event.kind == TraceKind::free_event || event.kind == TraceKind::realloc_event) {
      RC_ASSERT(event.subject < live.size());
      RC_ASSERT(static_cast<bool>(live[event.subject]));
      live[event.subject] = false;
    }
    if (event.kind != TraceKind::free_event) live.push_back(true);
  }
}

TEST(Traces, that_are_something_else_say_so) {
  Trace trace;
  TraceError error;
  EXPECT_FALSE(decode_trace({}, trace, error));
  EXPECT_NE(to_text(error).find("STAVETR1"), std::string::npos);
  EXPECT_FALSE(decode_trace(Bytes(100, 'x'), trace, error));
  Bytes bytes = {'S', 'T', 'A', 'V', 'E', 'T', 'R', '1', 2, 64, 3};
  EXPECT_FALSE(decode_trace(bytes, trace, error));
  EXPECT_EQ(to_text(error), "event 1 at byte 10 frees or resizes what is not live");
}

}  // namespace
}  // namespace stave::props
