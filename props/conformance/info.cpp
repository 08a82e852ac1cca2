// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// info <shape>: brings the heap into a shape, and prints malloc_info to standard output, malloc_stats to standard
// error. What is told must be what the program has, and what the kernel counts. Not even glibc promises that: `told`
// alone prints; `core` has 50 MiB, says how much is resident, and aborts.
#include <sys/mman.h>

#include <thread>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr size_t kMost = 1 << 20;
void** g_blocks;  // not from malloc, and shared, so that the kernel gives it a name
size_t g_count = 0;
size_t g_used = 0;  // by the program: usable sizes

void* add(size_t size) {
  void* const block = opaque(malloc(size));
  REQUIRE(block != nullptr);
  REQUIRE(g_count != kMost);
  g_blocks[g_count++] = block;
  g_used += malloc_usable_size(block);
  return block;
}

void add_full(size_t size) { memset(add(size), 1, size); }

void drop(size_t i) {
  g_used -= malloc_usable_size(g_blocks[i]);
  free(g_blocks[i]);
  g_blocks[i] = nullptr;
}

size_t some_size(size_t i) { return i % 100 == 0 ? 100000 + i % 60000 : 1 + i * 7919 % (i % 10 == 0 ? 9000 : 600); }

void mixed(size_t bytes) {
  size_t sum = 0;
  for (size_t i = 0; sum < bytes; ++i) add_full(some_size(i)), sum += some_size(i);
}

// What the kernel counts of mappings that may be a malloc's: without a name. 0: it does not say.
size_t anonymous_resident_bytes() {
  FILE* const maps = fopen("/proc/self/smaps", "r");
  if (maps == nullptr) return 0;
  char line[512];
  bool anonymous = false;
  size_t kib = 0;
  while (fgets(line, sizeof line, maps) != nullptr) {
    char flags[5];
    unsigned long inode = 0;
    int end = 0;
    size_t rss = 0;
    if (sscanf(line, "%*x-%*x %4s %*x %*s %lu %n", flags, &inode, &end) == 2) {
      anonymous = inode == 0 && line[end] == '\0';
    } else if (anonymous && sscanf(line, "Rss: %zu", &rss) == 1) {
      kib += rss;
    }
  }
  fclose(maps);
  return kib << 10;
}

void require_near(const char* what, size_t told, size_t counted) {
  const size_t difference = told > counted ? told - counted : counted - told;
  fprintf(stderr, "%s: %zu, and is %zu (%.1f %%)\n", what, told, counted,
          100.0 * static_cast<double>(difference) / static_cast<double>(counted));
  if (difference > counted / 20) exit(1);
}

size_t system_bytes_of_malloc_info() {
  char text[4096] = "";
  FILE* const memory = fmemopen(text, sizeof text, "w");
  REQUIRE(memory != nullptr && malloc_info(0, memory) == 0);
  fclose(memory);
  const char* const element = strstr(text, "<system type=\"current\" size=\"");
  size_t bytes = 0;
  REQUIRE(element != nullptr && sscanf(element, "<system type=\"current\" size=\"%zu", &bytes) == 1);
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  conformance::begin();
  const char* const shape = argc > 1 ? argv[1] : "";
  const auto is = [shape](const char* name) { return strcmp(shape, name) == 0; };
  void* const table =
      mmap(nullptr, kMost * sizeof(void*), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(table != MAP_FAILED && madvise(table, kMost * sizeof(void*), MADV_DONTDUMP) == 0);
  g_blocks = static_cast<void**>(table);
  bool untouched = false;
  if (is("told")) {
    mixed(1 << 20);
  } else if (is("core")) {
    mixed(50 << 20);
    printf("%zu\n", conformance::resident_bytes());
    fflush(stdout);
    abort();
  } else if (is("small")) {
    for (size_t i = 0; i != 600000; ++i) add_full(48);
  } else if (is("mixed")) {
    mixed(60 << 20);
  } else if (is("large")) {
    for (size_t i = 0; i != 30; ++i) add_full((i + 1) * 100000);
  } else if (is("untouched")) {
    for (size_t i = 0; i != 30; ++i) memset(add(20 << 20), 1, 1 << 20);
    untouched = true;
  } else if (is("fragments")) {
    mixed(90 << 20);
    for (size_t i = 0; i != g_count; ++i) {
      if (i % 3 != 0) drop(i);
    }
  } else if (is("trimmed")) {
    mixed(90 << 20);
    for (size_t i = 0; i != g_count; ++i) {
      if (i % 8 != 0) drop(i);
    }
    REQUIRE(malloc_trim(0) == 1);
  } else if (is("threads")) {
    for (int i = 0; i != 8; ++i) std::thread([] { mixed(8 << 20); }).join();
  } else {
    fputs("usage: info <shape>\n", stderr);
    return 2;
  }
  REQUIRE(malloc_info(1, stdout) != 0);  // options must be 0
  REQUIRE(malloc_info(0, stdout) == 0);
  fflush(stdout);
  malloc_stats();
  if (!is("told")) {
    const struct mallinfo2 info = mallinfo2();
    const size_t system = system_bytes_of_malloc_info();
    const size_t counted = anonymous_resident_bytes();
    require_near("in use", info.uordblks + info.hblkhd, g_used);
    require_near("system bytes", system, counted);
    if (!untouched) require_near("arena and mapped blocks", info.arena + info.hblkhd, counted);
    REQUIRE(info.fordblks <= info.arena);
  }
  return 0;
}
