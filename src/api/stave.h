/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * Stave's own interface, beside malloc and its family. For C and C++. Every function may be called from any thread
 * unless it says otherwise.
 */
#ifndef STAVE_H
#define STAVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STAVE_VERSION_MAJOR 0
#define STAVE_VERSION_MINOR 1
#define STAVE_VERSION_PATCH 0

/* --- the process's allocator ------------------------------------------------------------------------------------- */

/** Bounds of the allocation that contains an address. */
struct stave_bounds {
  void* start; /**< what malloc or its kin returned */
  size_t size; /**< bytes from there that may be used, as malloc_usable_size says */
};

/**
 * Finds the live allocation of this process that contains `address`, which may point anywhere into it.
 *
 * \param address  any value; nothing is read through it.
 * \param bounds   receives the bounds; untouched if there are none.
 * \return 1 if the address lies in a live allocation, 0 if not (foreign, freed, or between allocations).
 */
int stave_bounds_of(const void* address, struct stave_bounds* bounds);

/**
 * Runs every invariant of the process's allocator.
 *
 * The caller must see to it that no other thread allocates or frees meanwhile; otherwise what is reported may be a
 * moment between two steps. Takes time proportional to the number of chunks.
 *
 * \return NULL if all hold, else the number and the sentence of the first one that does not (a static string).
 */
const char* stave_verify(void);

/** Counts of an allocator at one moment. Exact while no other thread is inside it. Sizes are in bytes. */
struct stave_statistics {
  uint64_t live_allocations; /**< held by the program */
  uint64_t live_bytes;       /**< their usable sizes added up */
  uint64_t held_slots;       /**< freed and not yet available again */
  uint64_t chunks;           /**< of 64 KiB or a few times that, in use */
  uint64_t vacant_chunks;    /**< whose memory was given back */
  uint64_t large_blocks;     /**< live ones */
  uint64_t heaps;            /**< thread heaps ever made */
  uint64_t mapped_bytes;     /**< address space */
  uint64_t guards_installed; /**< guard pages that lie now */
  uint64_t guards_skipped;   /**< that the kernel or the budget refused since the start */
  uint64_t calls_served;     /**< calls that were given memory since the start; a realloc in place is one */
};

/** Fills in `*statistics` for the process's allocator. */
void stave_get_statistics(struct stave_statistics* statistics);

/* --- heaps of one's own --------------------------------------------------------------------------------------------
 */

/** An allocator instance with its own pages, secrets and randomness. Nothing of it is shared with malloc. */
typedef struct stave_heap stave_heap;

/** What stave_heap_create takes. Zero every field that is not set. */
struct stave_heap_options {
  size_t region_bytes; /**< address space for the heap, rounded up to 64 KiB; 0: 256 MiB. All it ever uses. */
  uint64_t seed;       /**< the same seed and the same calls give the same layout; 0: from the kernel */
  const char* profile; /**< "light", "default", "strict" or "fuzz"; NULL: "default" */
};

/**
 * Makes a heap.
 *
 * \param options  NULL for all defaults.
 * \return the heap; NULL with errno ENOMEM if its region cannot be had, EINVAL for an unknown profile.
 */
stave_heap* stave_heap_create(const struct stave_heap_options* options);

/** Gives back the heap and every allocation in it. NULL is allowed. */
void stave_heap_destroy(stave_heap* heap);

/**
 * Like malloc, calloc, aligned_alloc, realloc, free and malloc_usable_size, from and to one heap.
 *
 * A heap serves one thread at a time: the caller sees to that. A pointer of another heap, or of malloc, is foreign to
 * it and ends the process with a report.
 *
 * Errors: NULL with errno ENOMEM (no memory, or a size that overflows) or EINVAL (alignment not a power of two).
 */
void* stave_heap_malloc(stave_heap* heap, size_t size);
void* stave_heap_calloc(stave_heap* heap, size_t count, size_t size);
void* stave_heap_aligned_alloc(stave_heap* heap, size_t alignment, size_t size);
void* stave_heap_realloc(stave_heap* heap, void* pointer, size_t size);
void stave_heap_free(stave_heap* heap, void* pointer);
size_t stave_heap_usable_size(stave_heap* heap, const void* pointer);

/** As stave_verify and stave_get_statistics, for one heap. */
const char* stave_heap_verify(const stave_heap* heap);
void stave_heap_get_statistics(const stave_heap* heap, struct stave_statistics* statistics);

/* --- with sanitizers: in libstave-sanitizers.a alone ---------------------------------------------------------------
 */

/**
 * Says on descriptor 2 what the heap that `address` lies in knows of it; nothing if there is none.
 *
 * AddressSanitizer's reports are followed by it. A program that sets an error report callback of its own may call it
 * there, with __asan_get_report_address().
 */
void stave_explain_address(const void* address);

/* --- after a fault -------------------------------------------------------------------------------------------------
 */

/** The text of the report that ended the process, terminated by a zero byte; empty before. For debuggers and core
 * dumps. */
extern char stave_last_report[2048];

#ifdef __cplusplus
}
#endif
#endif
