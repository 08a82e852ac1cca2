// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Mutations of operation programs that respect records. They help a fuzzer; programs need none of it to be legal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stave::fuzz {

/// Changes the program in `data`, in place, to one of at most `max_size` bytes; returns its size. The same input and
/// seed give the same program. `byte_mutate`, if any, may change bytes as it likes, as LLVMFuzzerMutate does.
[[nodiscard]] std::size_t mutate_program(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed,
                                         std::size_t (*byte_mutate)(std::uint8_t*, std::size_t, std::size_t));

/// Writes a program of at most `max_size` bytes to `out` that has whole records of both; returns its size.
[[nodiscard]] std::size_t cross_over_programs(const std::uint8_t* first, std::size_t first_size,
                                              const std::uint8_t* second, std::size_t second_size, std::uint8_t* out,
                                              std::size_t max_size, unsigned seed);

}  // namespace stave::fuzz
