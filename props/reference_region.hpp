// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the reference allocators have in common: memory of their own, and the harness's seams. Nothing of src/ is in
// here, so that a mistake there cannot be repeated here.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "props/heap_concept.hpp"

namespace stave::props {

class ReferenceRegion {
 public:
  explicit ReferenceRegion(std::size_t bytes) : bytes_(bytes) {
    void* const mapping =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) std::abort();
    base_ = static_cast<char*>(mapping);
  }
  ~ReferenceRegion() { munmap(base_, bytes_); }
  ReferenceRegion(const ReferenceRegion&) = delete;
  ReferenceRegion& operator=(const ReferenceRegion&) = delete;

  [[nodiscard]] char* region() const { return base_; }
  [[nodiscard]] std::size_t region_bytes() const { return bytes_; }
  [[nodiscard]] Escape& escape() { return escape_; }
  [[nodiscard]] Failures& failures() { return failures_; }

 protected:
  /// Gives the memory of [from, to) back to the kernel; it reads as zero afterwards.
  void discard(std::size_t from, std::size_t to) {
    constexpr std::size_t kPage = 4096;
    from = (from + kPage - 1) / kPage * kPage;
    to = to / kPage * kPage;
    if (from < to) madvise(base_ + from, to - from, MADV_DONTNEED);
  }

 private:
  char* base_ = nullptr;
  std::size_t bytes_;
  Escape escape_;
  Failures failures_;
};

}  // namespace stave::props
