// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A report as one line of JSON, for programs that read logs. Its schema is in README.md; what is not known is left out.
#include "os/report.hpp"

namespace stave {
namespace {

/// The members of an object, one after the other.
class Members {
 public:
  explicit Members(TextBuffer& out) : out_(out) { out_.text("{"); }

  Members& word(const char* name, const char* value) {
    if (value == nullptr || value[0] == '\0') return *this;
    start(name);
    string(value);
    return *this;
  }
  Members& number(const char* name, std::uint64_t value, bool known = true) {
    if (!known) return *this;
    start(name);
    out_.decimal(value);
    return *this;
  }
  /// As a string: readers lose digits of numbers that are so large.
  Members& address(const char* name, std::uintptr_t value, bool known = true) {
    if (!known) return *this;
    start(name);
    out_.text("\"").hexadecimal(value).text("\"");
    return *this;
  }
  Members& calls(const char* name, const CallStack* stack) {
    if (stack == nullptr || stack->count == 0) return *this;
    start(name);
    out_.text("{\"thread\":\"").hexadecimal(stack->thread).text("\",\"frames\":[");
    for (std::size_t i = 0; i != stack->shown(); ++i) {
      out_.text(i == 0 ? "\"" : ",\"").hexadecimal(stack->frames[i]).text("\"");
    }
    out_.text("]}");
    return *this;
  }
  /// Numbers, and null for each byte that is not told.
  Members& bytes(const char* name, const Written& written) {
    if (written.count == 0) return *this;
    start(name);
    for (std::size_t i = 0; i != written.count; ++i) {
      out_.text(i == 0 ? "[" : ",");
      if ((written.told >> i & 1) != 0) {
        out_.decimal(written.bytes[i]);
      } else {
        out_.text("null");
      }
    }
    out_.text("]");
    return *this;
  }
  void end() { out_.text("}\n"); }

 private:
  void start(const char* name) {
    out_.text(any_ ? ",\"" : "\"").text(name).text("\":");
    any_ = true;
  }
  /// Bytes beyond ASCII, of whatever encoding, become the characters of the same number.
  void string(const char* value) {
    constexpr char kDigits[] = "0123456789abcdef";
    out_.text("\"");
    for (; *value != '\0'; ++value) {
      const auto byte = static_cast<unsigned char>(*value);
      if (byte == '"' || byte == '\\') {
        const char escaped[] = {'\\', *value};
        out_.text({escaped, sizeof escaped});
      } else if (byte < ' ' || byte > '~') {
        const char escaped[] = {'\\', 'u', '0', '0', kDigits[byte / 16], kDigits[byte % 16]};
        out_.text({escaped, sizeof escaped});
      } else {
        out_.text({value, 1});
      }
    }
    out_.text("\"");
  }

  TextBuffer& out_;
  bool any_ = false;
};

std::uintptr_t number_of(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

}  // namespace

void format_json(const FaultRecord& record, std::uint64_t pid, const char* program, TextBuffer& out) {
  const bool slot = record.slot_size != 0 && !record.large && record.sample == 0;
  const char* const kind = record.sample != 0 ? "sample" : record.large ? "large block" : slot ? "slot" : "unknown";
  const std::uint64_t changed = number_of(record.changed) - number_of(record.address);
  Members(out)
      .word("stave", "report 1")
      .word("fault", fault_id(record.fault))
      .word("rule", record.rule)
      .address("address", number_of(record.address))
      .word("kind", kind)
      .address("chunk", number_of(record.chunk), record.chunk != nullptr)
      .number("bytes_of_place", record.slot_size, record.slot_size != 0)
      .number("slot", record.slot, slot)
      .word("state", record.state)
      .number("requested", record.requested, record.family != nullptr)
      .word("family", record.family)
      .number("changed_offset", changed, record.changed != nullptr)
      .bytes("written", record.written)
      .word("function", record.function)
      .word("access", record.access)
      .number("access_bytes", record.bytes, record.function != nullptr)
      .address("allocation", number_of(record.allocation), record.allocation != nullptr)
      .number("allocation_bytes", record.allocation_bytes, record.allocation_bytes != 0)
      .number("sample", record.sample, record.sample != 0)
      .number("sample_seed", record.sample_seed, record.sample != 0)
      .calls("touched", record.touched)
      .calls("allocated", record.allocated)
      .calls("freed", record.freed)
      .word("option", fault_option(record.fault))
      .word("cause", fault_cause(record.fault))
      .number("pid", pid)
      .word("program", program)
      .end();
}

}  // namespace stave
