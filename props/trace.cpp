// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "props/trace.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace stave::props {
namespace {

constexpr char kMagic[8] = {'S', 'T', 'A', 'V', 'E', 'T', 'R', '1'};
// Larger requests fail in any program; a trace with one is a damaged file.
constexpr std::uint64_t kLargestRequest = std::uint64_t{1} << 40U;

void put_varint(std::uint64_t value, std::vector<std::uint8_t>& bytes) {
  while (value >= 0x80) {
    bytes.push_back(static_cast<std::uint8_t>(value | 0x80U));
    value >>= 7U;
  }
  bytes.push_back(static_cast<std::uint8_t>(value));
}

class Reader {
 public:
  Reader(const std::vector<std::uint8_t>& bytes, std::size_t at) : bytes_(bytes), at_(at) {}

  [[nodiscard]] bool varint(std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      if (at_ == bytes_.size()) return false;
      const std::uint8_t byte = bytes_[at_++];
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }
  [[nodiscard]] std::size_t at() const { return at_; }

 private:
  const std::vector<std::uint8_t>& bytes_;
  std::size_t at_;
};

bool allocates(TraceKind kind) { return kind != TraceKind::free_event; }
bool has_subject(TraceKind kind) { return kind == TraceKind::free_event || kind == TraceKind::realloc_event; }

}  // namespace

void encode_trace(const Trace& trace, std::vector<std::uint8_t>& bytes) {
  bytes.insert(bytes.end(), std::begin(kMagic), std::end(kMagic));
  put_varint(trace.events.size(), bytes);
  std::uint64_t next = 0;
  for (const TraceEvent& event : trace.events) {
    const std::uint64_t value = has_subject(event.kind) ? next - event.subject : event.size;
    put_varint(static_cast<std::uint64_t>(event.kind) + 4 * value, bytes);
    if (event.kind == TraceKind::realloc_event) put_varint(event.size, bytes);
    if (allocates(event.kind)) ++next;
  }
}

std::string to_text(const TraceError& error) {
  if (error.what == nullptr) return "";
  if (!error.of_event) return error.what;
  return "event " + std::to_string(error.event) + " at byte " + std::to_string(error.byte) + " " + error.what;
}

bool decode_trace(const std::vector<std::uint8_t>& bytes, Trace& trace, TraceError& error) {
  error = TraceError();
  trace.events.clear();
  trace.allocations = 0;
  if (bytes.size() < sizeof kMagic || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    error.what = "is not a trace (it does not begin with STAVETR1)";
    return false;
  }
  Reader reader(bytes, sizeof kMagic);
  std::uint64_t count = 0;
  if (!reader.varint(count) || count > reader.left()) {
    error.what = "is cut off: it has fewer bytes than events";
    return false;
  }
  std::vector<bool> live;
  trace.events.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    error = {.of_event = true, .event = i, .byte = reader.at()};
    std::uint64_t word = 0;
    TraceEvent event;
    if (!reader.varint(word)) {
      error.what = "is cut off";
      return false;
    }
    event.kind = static_cast<TraceKind>(word & 3U);
    const std::uint64_t value = word >> 2U;
    event.size = value;
    if (has_subject(event.kind)) {
      event.size = 0;
      if (value == 0 || value > live.size() || !live[live.size() - value]) {
        error.what = "frees or resizes what is not live";
        return false;
      }
      event.subject = static_cast<std::uint32_t>(live.size() - value);
      live[event.subject] = false;
      if (event.kind == TraceKind::realloc_event && !reader.varint(event.size)) {
        error.what = "is cut off";
        return false;
      }
    }
    if (event.size > kLargestRequest) {
      error.what = "asks for an impossible size";
      return false;
    }
    if (allocates(event.kind)) live.push_back(true);
    trace.events.push_back(event);
  }
  error = TraceError();
  if (reader.left() != 0) {
    error.what = "has more bytes behind its last event";
    return false;
  }
  trace.allocations = static_cast<std::uint32_t>(live.size());
  return true;
}

Trace trace_from_raw(const std::vector<RawEvent>& raw, std::size_t limit) {
  Trace trace;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers;
  for (const RawEvent& in : raw) {
    if (trace.events.size() == limit) break;
    TraceEvent event;
    event.kind = static_cast<TraceKind>(in.kind & 3U);
    event.size = in.size;
    if (has_subject(event.kind)) {
      const auto found = numbers.find(in.old_address);
      if (found != numbers.end()) {
        event.subject = found->second;
        numbers.erase(found);
        if (event.kind == TraceKind::realloc_event && in.new_address == 0) event.kind = TraceKind::free_event;
      } else if (event.kind == TraceKind::free_event) {
        continue;
      } else {
        event.kind = TraceKind::malloc_event;
      }
    }
    if (allocates(event.kind)) {
      if (in.new_address == 0) continue;
      numbers[in.new_address] = trace.allocations++;
    } else {
      event.size = 0;
    }
    trace.events.push_back(event);
  }
  return trace;
}

}  // namespace stave::props
