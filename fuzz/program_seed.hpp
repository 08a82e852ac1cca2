// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs of heap operations, written down: for the named seeds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "props/ops.hpp"

namespace stave::fuzz {

class ProgramSeed {
 public:
  explicit ProgramSeed(unsigned threads = 1, unsigned profile = 1) {
    program_.header.threads = static_cast<std::uint8_t>(threads);
    program_.header.profile = static_cast<std::uint8_t>(profile);
    program_.header.seed = 1;
    program_.header.version = 1;  // which has all that is legal and not interrupted
  }
  ProgramSeed& header(auto&& change) {
    change(program_.header);
    return *this;
  }
  /// It may have misuse that does not end it.
  ProgramSeed& attacked(unsigned version = 2) {
    program_.header.version = static_cast<std::uint8_t>(version);
    program_.header.misuse_allowed = true;
    return *this;
  }
  /// Its operations may interrupt one another.
  ProgramSeed& interleaved() {
    program_.header.version = 3;
    return *this;
  }
  /// The next operation is interrupted at a point (props::yield_point_name) that it has passed so often, by so many of
  /// those that follow.
  ProgramSeed& interrupt(unsigned point, unsigned count, unsigned passes = 0) {
    return op(props::OpCode::interleave, 0, count - 1, passes, point);
  }
  ProgramSeed& op(props::OpCode code, unsigned thread, unsigned slot, std::uint32_t argument = 0, unsigned detail = 0) {
    program_.ops.push_back(props::Op{code, static_cast<std::uint8_t>(thread), static_cast<std::uint8_t>(slot),
                                     static_cast<std::uint8_t>(detail), argument});
    return *this;
  }
  ProgramSeed& op(const props::Op& op) {
    program_.ops.push_back(op);
    return *this;
  }
  [[nodiscard]] const props::Program& program() const { return program_; }

 private:
  props::Program program_;
};

[[nodiscard]] inline std::uint32_t bytes(std::size_t size) { return props::literal_size(size); }

}  // namespace stave::fuzz
