// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is written when a program dies, and what else reads bytes that are not ours to choose. The first byte says
// which:
//
//   '0'  a fault, any of whose fields is known or not and as hostile as may be, as text and as JSON
//          R1  a report is lines of printable characters, the first in the documented order
//          R2  the JSON is one line of JSON of members that README.md names, and says what the record says
//          R3  what has no room is cut off, and nothing is written beside it
//   '1'  a list of mappings as the kernel writes it, with hostile paths: an address's file is found in it
//   '2'  the same, of any bytes: what is found is printable
//   '3'  registers and a stack: its frames are followed as far as they can be, and nothing is touched that has no
//   access '4'  a recorded trace: it is whole, and frees what is live, or there is a clear error
#include <sys/mman.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string_view>
#include <vector>

#include "fuzz/bytes.hpp"
#include "fuzz/expect.hpp"
#include "fuzz/fenced.hpp"
#include "fuzz/json_line.hpp"
#include "fuzz/memory_file.hpp"
#include "os/call_stack.hpp"
#include "os/lock.hpp"
#include "os/modules.hpp"
#include "os/report.hpp"
#include "props/trace.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace stave::fuzz {
namespace {

bool is_printable(char byte) { return byte >= ' ' && byte <= '~'; }

const void* pointer_to(std::uint64_t address) { return reinterpret_cast<const void*>(address); }
std::uint64_t number_of(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

/// What `write` writes with ample room, after it wrote the same as far as there was room of `capacity` bytes (R3). The
/// fences are those of the storage.
template <class Write>
std::string_view written_by(Write&& write, std::size_t capacity) {
  static Fenced ample;
  static Fenced scarce;
  TextBuffer whole(ample.high(Fenced::kRoom), Fenced::kRoom);
  write(whole);
  expect(whole.size() + 1 < Fenced::kRoom, "R3 a report is not endless");
  TextBuffer part(scarce.high(capacity), capacity);
  write(part);
  expect(part.view() == whole.view().substr(0, capacity - 1), "R3 what has no room is cut off");
  expect(part.data()[part.size()] == '\0' && whole.data()[whole.size()] == '\0', "R3 a text ends with NUL");
  return whole.view();
}

// --- faults -----------------------------------------------------------------------------------------------------

/// A record, and what it points to.
struct AnyFault {
  static constexpr unsigned kWords = 6;

  FaultRecord record;
  std::uint64_t pid = 0;
  const char* program = "";
  std::size_t capacity = 1;

  explicit AnyFault(Bytes& bytes) {
    record.fault = static_cast<Fault>(bytes.byte() % kFaultCount);
    record.rule = word(bytes);
    record.address = pointer_to(bytes.number());
    record.chunk = pointer_to(bytes.number());
    record.slot_size = bytes.number();
    record.slot = bytes.number();
    record.large = (bytes.byte() & 1U) != 0;
    record.state = word(bytes);
    record.changed = pointer_to(bytes.number());
    record.written.count = bytes.byte() % (Written::kMost + 1);
    record.written.told = static_cast<std::uint32_t>(bytes.number());
    for (unsigned char& byte : record.written.bytes) byte = bytes.byte();
    record.requested = bytes.number();
    record.family = word(bytes);
    record.function = word(bytes);
    record.access = word(bytes);
    record.bytes = bytes.number();
    record.allocation = pointer_to(bytes.number());
    record.allocation_bytes = bytes.number();
    record.touched = calls(bytes, 0);
    record.sample = bytes.number();
    record.sample_seed = bytes.number();
    record.allocated = calls(bytes, 1);
    record.freed = calls(bytes, 2);
    pid = bytes.number();
    capacity = 1 + static_cast<std::size_t>(bytes.number() % 4096);
    if (const char* const name = word(bytes); name != nullptr) program = name;
  }

  /// The phrases of a record are ours, and static: in a report they are as they are. A program's name is not.
  void make_words_printable() {
    for (unsigned i = 0; i != used_; ++i) {
      if (words_[i] == program) continue;
      for (char* byte = words_[i]; *byte != '\0'; ++byte) *byte = static_cast<char>(' ' + (*byte & 0x7F) % 95);
    }
  }

 private:
  const char* word(Bytes& bytes) {
    const std::string_view text = bytes.text();
    if (text.empty()) return nullptr;
    char* const to = words_[used_++];
    std::memcpy(to, text.data(), text.size());
    to[text.size()] = '\0';
    return to;
  }

  /// The count may be any: a sample's record lies in memory that was perhaps overwritten.
  const CallStack* calls(Bytes& bytes, unsigned which) {
    if ((bytes.byte() & 1U) == 0) return nullptr;
    CallStack& stack = calls_[which];
    stack.thread = bytes.number();
    stack.count = bytes.number();
    for (std::size_t i = 0; i != CallStack::kMost; ++i) stack.frames[i] = i < stack.count ? bytes.number() : 0;
    return &stack;
  }

  char words_[kWords][256];
  unsigned used_ = 0;
  CallStack calls_[3];
};

/// Appends to `used` bytes. \return how many there are then.
template <std::size_t kRoom>
[[gnu::format(printf, 3, 4)]] std::size_t print(char (&storage)[kRoom], std::size_t used, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(storage + used, kRoom - used, format, arguments);
  va_end(arguments);
  expect(length >= 0 && used + static_cast<std::size_t>(length) < kRoom, "the harness has room");
  return used + static_cast<std::size_t>(length);
}

/// The first line of a report, another way.
std::string_view first_line(const AnyFault& fault) {
  static char line[4096];
  const FaultRecord& record = fault.record;
  const char* const id = fault_id(record.fault);
  std::size_t used = print(line, 0, "stave: %s: 0x%lx (", id, number_of(record.address));
  if (record.sample != 0) {
    used = print(line, used, "sample %lu, %lu bytes", record.sample, record.slot_size);
  } else if (record.slot_size == 0) {
    used = print(line, used, "not in a chunk or large block");
  } else {
    used = print(line, used, "%s 0x%lx, ", record.large ? "large block" : "chunk", number_of(record.chunk));
    used = record.large ? print(line, used, "%lu bytes", record.slot_size)
                        : print(line, used, "size class %lu, slot %lu", record.slot_size, record.slot);
  }
  if (record.state != nullptr) used = print(line, used, ", state %s", record.state);
  used = print(line, used, ") pid %lu ", fault.pid);
  for (const char* byte = fault.program; *byte != '\0'; ++byte) line[used++] = is_printable(*byte) ? *byte : '?';
  used = print(line, used, " see SECURITY.md#%s\n", id);
  return {line, used};
}

void check_text(const AnyFault& fault) {
  const FaultRecord& record = fault.record;
  std::string_view text =
      written_by([&](TextBuffer& out) { format_report(record, fault.pid, fault.program, out); }, fault.capacity);
  const auto has = [&](const char* before, const char* word) {
    if (word == nullptr) return true;
    const std::size_t found = text.find(before);
    return found != std::string_view::npos && text.substr(found + std::strlen(before)).starts_with(word);
  };
  expect(text.starts_with(first_line(fault)), "R1 the first line has the documented order");
  expect(has("\nstave:   check: ", record.rule), "R1 the check is told");
  expect(has("\nstave:   likely cause: ", fault_cause(record.fault)), "R1 the cause is told");
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    expect(line.starts_with("stave: ") && line.size() != text.size(), "R1 each line begins with Stave's name");
    expect(std::all_of(line.begin(), line.end(), is_printable), "R1 a report is printable");
    text.remove_prefix(line.size() + 1);
  }
}

/// The members that README.md lists.
constexpr std::string_view kMembers[] = {
    "stave",          "fault",  "rule",       "cause",  "address",   "kind",           "chunk",
    "bytes_of_place", "slot",   "state",      "family", "requested", "changed_offset", "written",
    "function",       "access", "allocation", "sample", "touched",   "access_bytes",   "allocation_bytes",
    "sample_seed",    "freed",  "allocated",  "option", "pid",       "program"};

class JsonCheck {
 public:
  explicit JsonCheck(const JsonLine& json) : json_(json) {}

  void number(const char* name, std::uint64_t number, bool known) const {
    char text[32];
    std::snprintf(text, sizeof text, "%lu", number);
    equal(name, known ? text : "");
  }
  void address(const char* name, std::uint64_t number, bool known) const {
    char text[32];
    std::snprintf(text, sizeof text, "\"0x%lx\"", number);
    equal(name, known ? text : "");
  }
  void word(const char* name, const char* word) const {
    const std::string_view found = json_.value(name);
    const bool known = word != nullptr && word[0] != '\0';
    if (known ? !JsonLine::means(found, word) : !found.empty()) broken("R2 member %s is not as it was given", name);
  }
  void calls(const char* name, const CallStack* stack) const {
    static char text[1024];
    std::size_t used = 0;
    if (stack != nullptr && stack->count != 0) {
      used = print(text, 0, "{\"thread\":\"0x%lx\",\"frames\":[", stack->thread);
      for (std::size_t i = 0; i != std::min(stack->count, CallStack::kMost); ++i) {
        used = print(text, used, "%s\"0x%lx\"", i == 0 ? "" : ",", stack->frames[i]);
      }
      used = print(text, used, "]}");
    }
    equal(name, {text, used});
  }
  void bytes(const char* name, const Written& written) const {
    static char text[256];
    std::size_t used = 0;
    for (std::size_t i = 0; i != written.count; ++i) {
      used = print(text, used, "%c", i == 0 ? '[' : ',');
      used = (written.told & 1U << i) != 0 ? print(text, used, "%u", written.bytes[i]) : print(text, used, "null");
    }
    if (used != 0) used = print(text, used, "]");
    equal(name, {text, used});
  }

 private:
  void equal(const char* name, std::string_view wanted) const {
    const std::string_view found = json_.value(name);
    if (found != wanted) {
      broken("R2 member %s is %.*s, not %.*s", name, static_cast<int>(found.size()), found.data(),
             static_cast<int>(wanted.size()), wanted.data());
    }
  }

  const JsonLine& json_;
};

void check_json(const AnyFault& fault) {
  const FaultRecord& record = fault.record;
  const std::string_view line =
      written_by([&](TextBuffer& out) { format_json(record, fault.pid, fault.program, out); }, fault.capacity);
  const JsonLine json(line);
  expect(json.good(), "R2 a report is one line of JSON");
  for (std::size_t i = 0; i != json.count(); ++i) {
    expect(std::find(std::begin(kMembers), std::end(kMembers), json[i].name) != std::end(kMembers),
           "R2 README.md names each member");
  }
  const bool slot = record.slot_size != 0 && !record.large && record.sample == 0;
  const JsonCheck check(json);
  check.word("stave", "report 1");
  check.word("fault", fault_id(record.fault));
  check.word("rule", record.rule);
  check.word("cause", fault_cause(record.fault));
  check.address("address", number_of(record.address), true);
  check.word("kind", record.sample != 0 ? "sample" : record.large ? "large block" : slot ? "slot" : "unknown");
  check.address("chunk", number_of(record.chunk), record.chunk != nullptr);
  check.number("bytes_of_place", record.slot_size, record.slot_size != 0);
  check.number("slot", record.slot, slot);
  check.word("state", record.state);
  check.number("requested", record.requested, record.family != nullptr);
  check.word("family", record.family);
  check.number("changed_offset", number_of(record.changed) - number_of(record.address), record.changed != nullptr);
  check.bytes("written", record.written);
  check.word("function", record.function);
  check.word("access", record.access);
  check.number("access_bytes", record.bytes, record.function != nullptr);
  check.address("allocation", number_of(record.allocation), record.allocation != nullptr);
  check.number("allocation_bytes", record.allocation_bytes, record.allocation_bytes != 0);
  check.number("sample", record.sample, record.sample != 0);
  check.number("sample_seed", record.sample_seed, record.sample != 0);
  check.calls("touched", record.touched);
  check.calls("allocated", record.allocated);
  check.calls("freed", record.freed);
  check.word("option", fault_option(record.fault));
  check.number("pid", fault.pid, true);
  check.word("program", fault.program);
}

void check_fault(Bytes bytes) {
  AnyFault fault(bytes);
  check_json(fault);
  fault.make_words_printable();
  check_text(fault);
}

// --- mappings ---------------------------------------------------------------------------------------------------

/// A line of the list, as long as the reader has room for; `path` is what is to be printed of it.
struct Mapping {
  std::uint64_t first;
  std::uint64_t end;
  std::uint64_t base;
  std::size_t path;
  std::size_t path_bytes;
};

constexpr std::size_t kMostMappings = 16;
constexpr std::size_t kMostOfLine = 2048;

std::string_view module_of(std::uint64_t address, const MemoryFile& file, std::size_t capacity) {
  return written_by([&](TextBuffer& out) { append_module(address, out, file.path()); }, capacity);
}

/// Writes a list, and asks for addresses at the borders of one of its mappings.
void check_mappings(Bytes bytes) {
  static const MemoryFile file;
  static char text[kMostMappings * (3 * 1024)];
  static Mapping mappings[kMostMappings];
  std::size_t used = 0;
  std::size_t count = 0;
  std::uint64_t base = 0;
  const std::size_t capacity = 1 + static_cast<std::size_t>(bytes.number() % 512);
  const std::size_t chosen = bytes.byte();
  while (!bytes.empty() && count != kMostMappings) {
    Mapping& mapping = mappings[count++];
    mapping.first = bytes.number();
    const std::uint64_t size = bytes.number();
    mapping.end = mapping.first + std::min(size, UINT64_MAX - mapping.first);
    const std::uint64_t offset = bytes.number();
    if (offset == 0) base = mapping.first;
    mapping.base = base;
    const std::size_t start = used;
    used += static_cast<std::size_t>(
        std::snprintf(text + used, 128, "%08lx-%08lx r-xp %08lx 08:01 1234      ", mapping.first, mapping.end, offset));
    mapping.path = used;
    // A path is as its owner likes, but for the end of the line, which the kernel writes as \012; most are short.
    const std::uint64_t padding = bytes.number();
    const std::string_view path = bytes.text();
    const bool none = path.empty();
    if (!none) text[used++] = (padding & 1U) != 0 ? '[' : '/';
    for (const char byte : path) text[used++] = byte == '\n' ? '?' : byte;
    for (std::uint64_t i = 0; i != padding % 2400 && !none; ++i) text[used++] = 'x';
    mapping.path_bytes = std::min(used - start, kMostOfLine) - (mapping.path - start);
    text[used++] = '\n';
  }
  file.hold({text, used});
  if (count == 0) return;
  const Mapping& asked = mappings[chosen % count];
  for (const std::uint64_t address : {asked.first - 1, asked.first, asked.end - 1, asked.end}) {
    const auto* const around = std::find_if(mappings, mappings + count, [&](const Mapping& mapping) {
      return address >= mapping.first && address < mapping.end;
    });
    const std::string_view found = module_of(address, file, capacity);
    if (around == mappings + count || around->path_bytes == 0) {
      expect(found.empty(), "an address that no file has is none's");
      continue;
    }
    char offset[24];
    std::snprintf(offset, sizeof offset, "+0x%lx", address - around->base);
    const std::string_view path = found.substr(0, around->path_bytes);
    expect(found.size() > path.size() && found.substr(path.size()) == offset, "an address is one of its file's");
    for (std::size_t at = 0; at != path.size(); ++at) {
      const char byte = text[around->path + at];
      expect(path[at] == (is_printable(byte) ? byte : '?'), "a file's name is as it stands there, printable");
    }
  }
}

void check_any_mappings(Bytes bytes) {
  static const MemoryFile file;
  const std::uint64_t address = bytes.number();
  file.hold(bytes.rest());
  const std::string_view found = module_of(address, file, 100);
  expect(std::all_of(found.begin(), found.end(), is_printable), "what is found is printable");
  expect(found.empty() || found.find("+0x") != std::string_view::npos, "what is found has an offset");
}

// --- stacks -----------------------------------------------------------------------------------------------------

/// Three pages, of which the middle one has no access, in the middle of more without.
class Stack {
 public:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;

  Stack() : page_(static_cast<std::size_t>(getpagesize())) {
    void* const all = mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) broken("no memory for a stack");
    base_ = static_cast<char*>(all) + kBytes / 2;
    for (const std::size_t page : {0U, 2U}) {
      if (mprotect(base_ + page * page_, page_, PROT_READ | PROT_WRITE) != 0) broken("a stack has no access");
    }
  }

  void clear() {
    std::memset(base_, 0, page_);
    std::memset(base_ + 2 * page_, 0, page_);
  }
  void set(std::uint64_t place, std::uint64_t value) {
    const std::size_t word = place % (2 * page_ / 8);
    std::memcpy(base_ + word * 8 + (word * 8 >= page_ ? page_ : 0), &value, 8);
  }
  /// An odd number stands for an address that nobody has. Others are distances from the first page, to both sides, as
  /// far as the mapping reaches.
  [[nodiscard]] std::uint64_t value(std::uint64_t number) const {
    if ((number & 1U) != 0) return number < 4096 ? number / 2 : number / 2 | std::uint64_t{1} << 63U;
    const std::uint64_t distance = number / 2 % kBytes;
    return number_of(base_) + distance - (distance < kBytes / 2 ? 0 : kBytes);
  }

 private:
  std::size_t page_;
  char* base_;
};

/// Two words at an address, by a way on which nothing can fault.
bool peek(std::uint64_t address, std::uint64_t (&words)[2]) {
  const iovec to{.iov_base = words, .iov_len = sizeof words};
  const iovec from{.iov_base = const_cast<void*>(pointer_to(address)), .iov_len = sizeof words};
  return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof words;
}

void check_stack(Bytes bytes) {
  static Stack stack;
  stack.clear();
  const std::uint64_t pc = bytes.number();
  const std::uint64_t frame = stack.value(bytes.number());
  // Three numbers each: where, the caller's frame, the return address.
  for (unsigned frames = 0; !bytes.empty() && frames != 64; ++frames) {
    const std::uint64_t place = bytes.number();
    stack.set(place, stack.value(bytes.number()));
    stack.set(place + 1, bytes.number());
  }

  CallStack wanted{.thread = this_thread(), .count = 1, .frames = {pc}};
  std::uint64_t words[2];
  for (std::uint64_t at = frame; at % 8 == 0 && wanted.count != CallStack::kMost && peek(at, words);) {
    if (words[1] < 4096) break;
    wanted.frames[wanted.count++] = words[1];
    if (words[0] % 8 != 0 || words[0] <= at || words[0] - at > std::uint64_t{256} << 10) break;
    at = words[0];
  }

  static ucontext_t context;
#if defined(__x86_64__)
  context.uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(pc);
  context.uc_mcontext.gregs[REG_RBP] = static_cast<greg_t>(frame);
#else
  context.uc_mcontext.pc = pc;
  context.uc_mcontext.regs[29] = frame;
#endif
  CallStack found;
  take_interrupted_calls(&context, found);
  expect(found.thread == wanted.thread && found.count == wanted.count, "frames are followed as far as they can be");
  expect(std::equal(found.frames, found.frames + found.count, wanted.frames), "calls are those of the frames");
  if (frame % 8 != 0) return;
  take_calls(pointer_to(frame), found);
  // Without the interrupted one there is room for one more.
  expect(std::min(found.count + 1, CallStack::kMost) == wanted.count, "frames are followed as far as they can be");
  expect(std::equal(wanted.frames + 1, wanted.frames + wanted.count, found.frames), "calls are those of the frames");
}

// --- traces -----------------------------------------------------------------------------------------------------

void check_trace(Bytes bytes) {
  using props::TraceKind;
  static props::Trace trace;
  static props::Trace again;
  props::TraceError error;
  const std::string_view rest = bytes.rest();
  const std::vector<std::uint8_t> input(rest.begin(), rest.end());
  if (!decode_trace(input, trace, error)) {
    expect(error.what != nullptr && error.what[0] != '\0', "an error says what is wrong");
    expect(error.byte <= input.size() && (!error.of_event || error.event == trace.events.size()),
           "an error names the event that is wrong");
    return;
  }
  std::vector<bool> live;
  for (const props::TraceEvent& event : trace.events) {
    if (event.kind == TraceKind::free_event || event.kind == TraceKind::realloc_event) {
      expect(event.subject < live.size() && live[event.subject], "what is freed or resized is live");
      live[event.subject] = false;
    }
    if (event.kind != TraceKind::free_event) live.push_back(true);
    expect(event.size <= std::uint64_t{1} << 40U, "sizes are possible ones");
  }
  expect(trace.allocations == live.size(), "allocations are counted");

  std::vector<std::uint8_t> encoded;
  encode_trace(trace, encoded);
  expect(encoded.size() <= input.size(), "no encoding is shorter");
  expect(decode_trace(encoded, again, error) && again.events.size() == trace.events.size(),
         "what is encoded is decoded");
  for (std::size_t i = 0; i != trace.events.size(); ++i) {
    const props::TraceEvent& a = trace.events[i];
    const props::TraceEvent& b = again.events[i];
    expect(a.kind == b.kind && a.size == b.size && a.subject == b.subject, "what is decoded is what was encoded");
  }
  encoded.push_back(0);
  expect(!decode_trace(encoded, again, error), "a trace with more behind it is none");
  encoded.resize(encoded.size() - 2);
  expect(!decode_trace(encoded, again, error), "a trace that is cut off is none");
}

}  // namespace
}  // namespace stave::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stave::fuzz;
  Bytes bytes(data, size);
  switch (static_cast<std::uint8_t>(bytes.byte() - '0') % 5) {
    case 0:
      check_fault(bytes);
      break;
    case 1:
      check_mappings(bytes);
      break;
    case 2:
      check_any_mappings(bytes);
      break;
    case 3:
      check_stack(bytes);
      break;
    default:
      check_trace(bytes);
      break;
  }
  return 0;
}
