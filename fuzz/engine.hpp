// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the engine and standalone_main ask of a target whose inputs are programs, and what they give it.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed);
std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* first, std::size_t first_size, const std::uint8_t* second,
                                      std::size_t second_size, std::uint8_t* out, std::size_t max_size, unsigned seed);
/// The engine's; absent from replaying builds.
[[gnu::weak]] std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);
/// For standalone_main's --print and its summary.
void stave_fuzzer_print(const std::uint8_t* data, std::size_t size, int as_c);
std::uint64_t stave_fuzzer_operations();
int LLVMFuzzerInitialize(int* argc, char*** argv);
}
