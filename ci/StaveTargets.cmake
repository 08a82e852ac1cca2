# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# How Stave and its tests are compiled, and the functions that declare tests:
#
#   stave_unit_test(SOURCE)                                   unit.<unit>          for src/**/<unit>_test.cpp (called by the top)
#   stave_property_test(NAME SOURCES file... [SLOW] ...)      props.<NAME>
#   stave_fuzzer(NAME SOURCES file... ...)                    fuzz.<NAME>.replay   replays corpus/fuzz_<NAME>
#   stave_core_variant(TARGET [SHARED] DEFINITIONS name=1..)  the core (or libstave.so) compiled again, for deliberate defects
#
# ctest names are <kind>.<subject>[.<variant>]; labels are unit, props, fuzz, misuse, sanitizers and slow.

# --- everything that is compiled ---------------------------------------------------------------------------------

# Always defined, as 0 or 1, so that -Wundef finds a slip of the pen.
add_compile_definitions(STAVE_YIELD_POINTS=$<BOOL:${STAVE_YIELD_POINTS}> STAVE_MUTANTS=$<BOOL:${STAVE_MUTANTS}>)

add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wundef -Wcast-align -Wcast-qual)
if(STAVE_WERROR)
  add_compile_options(-Werror)
endif()

if(STAVE_SANITIZE)
  if(STAVE_INSTRUMENT)
    add_compile_options("-fsanitize=${STAVE_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options("-fsanitize=${STAVE_SANITIZE}")
  endif()
  # The core is compiled without RTTI, so that UBSan's check of virtual calls cannot work.
  add_compile_options(-fno-sanitize=vptr)
  add_link_options(-fno-sanitize=vptr)
endif()
if(STAVE_FUZZ_ENGINE AND STAVE_INSTRUMENT)
  # Coverage is recorded everywhere; the engine itself, which brings a main, is linked to fuzzers alone.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

# Each linker driver adds what its own language needs and no more: CMake would put libstdc++ behind libstave.so, which
# is linked by the C driver because it must need libc alone.
set(CMAKE_C_IMPLICIT_LINK_LIBRARIES "")
set(CMAKE_CXX_IMPLICIT_LINK_LIBRARIES "")

# What counts the executed lines, for the core and what instantiates it (ci/coverage). Each program or library has one file in
# <build>/profiles (%m), in which its processes count while they run (%c, which needs the relocation): one that dies by a signal
# has counted, and so has one without an environment.
set(STAVE_COVERAGE_COMPILE "")
set(STAVE_COVERAGE_LINK "")
if(STAVE_COVERAGE)
  set(profile "-fprofile-instr-generate=${PROJECT_BINARY_DIR}/profiles/%m%c.profraw")
  set(STAVE_COVERAGE_LINK ${profile} -Wl,-u,stave_count_early)
  # atomic: the rest of a difference of counts would be taken for executed, or not, where threads lose some.
  set(STAVE_COVERAGE_COMPILE ${profile} -fcoverage-mapping -fprofile-update=atomic "SHELL:-mllvm -runtime-counter-relocation"
    "-fcoverage-prefix-map=${PROJECT_BINARY_DIR}=build" "-fcoverage-prefix-map=${PROJECT_SOURCE_DIR}=.")
endif()

# --- the core ----------------------------------------------------------------------------------------------------

# The compiler must not reason about the functions that we define: it would turn our calloc into a call of calloc.
set(STAVE_NO_BUILTIN "")
foreach(function malloc free calloc realloc reallocarray memalign posix_memalign aligned_alloc valloc pvalloc)
  list(APPEND STAVE_NO_BUILTIN "-fno-builtin-${function}")
endforeach()

# What users of the core, in whichever form, compile with.
function(stave_core_usage target)
  target_include_directories(${target} PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>")
  target_link_options(${target} PUBLIC "$<BUILD_INTERFACE:${STAVE_COVERAGE_LINK}>")
endfunction()

# How the sources of the core themselves are compiled.
function(stave_core_options target)
  stave_core_usage(${target})
  target_compile_options(${target} PRIVATE
    -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden -fvisibility-inlines-hidden
    -ftls-model=initial-exec -fno-plt -fstack-protector-strong ${STAVE_NO_BUILTIN} ${STAVE_COVERAGE_COMPILE})
  # The same source gives the same library, wherever it is built. (Tests find files by __FILE__.)
  target_compile_options(${target} PRIVATE
    "-ffile-prefix-map=${PROJECT_BINARY_DIR}=build" "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")
  # (The properties are those of the directory that calls.)
  # Where a program replaced some of these functions, the others call its own.
  set_source_files_properties("${PROJECT_SOURCE_DIR}/src/api/malloc.cpp" PROPERTIES
    COMPILE_OPTIONS "$<$<CXX_COMPILER_ID:GNU>:-fsemantic-interposition>")
  # And a new-handler may throw through operator new; what that takes of the C++ runtime it refers to weakly.
  set_source_files_properties("${PROJECT_SOURCE_DIR}/src/api/new.cpp" PROPERTIES
    COMPILE_OPTIONS "-fexceptions;$<$<CXX_COMPILER_ID:GNU>:-fsemantic-interposition>")
  # Its last step is a jump, whatever the optimization.
  set_source_files_properties("${PROJECT_SOURCE_DIR}/src/api/dlopen.cpp" PROPERTIES COMPILE_OPTIONS -foptimize-sibling-calls)
  if(STAVE_FUZZ_ENGINE)
    # What a comparison saw helps to guess text, which is read elsewhere; here it would be a fifth of the time.
    file(GLOB compares_no_text "${PROJECT_SOURCE_DIR}/src/heap/*.cpp" "${PROJECT_SOURCE_DIR}/src/chunk/*.cpp" "${PROJECT_SOURCE_DIR}/src/os/pages.cpp")
    set_source_files_properties(${compares_no_text} PROPERTIES COMPILE_OPTIONS -fno-sanitize-coverage=trace-cmp)
  endif()
  if(NOT STAVE_SANITIZE)
    # (clang goes by what is exported, and by STAVE_EXPORT.)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)
  endif()
  if(STAVE_SANITIZE MATCHES "address")
    # The core poisons headers and free slots for everybody but itself (src/os/sanitizer.hpp).
    target_compile_options(${target} PRIVATE -fno-sanitize=address)
    target_compile_definitions(${target} PRIVATE STAVE_SANITIZERS=1)
  endif()
endfunction()

# For programs that contain libstave.a. They are so alike that %m is the same for some; but each has a name.
function(stave_counted_program target)
  if(STAVE_COVERAGE)
    # Of the parts of a program the first one names the file.
    target_compile_options(${target} PRIVATE
      "-fprofile-instr-generate=${PROJECT_BINARY_DIR}/profiles/${target}-%m%c.profraw" "SHELL:-mllvm -runtime-counter-relocation")
  endif()
endfunction()

# How libstave.so is linked.
function(stave_shared_options target)
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
  # nodelete: a thread that ends after dlclose would run our destructor from memory that is gone.
  target_link_options(${target} PRIVATE
    -static-libgcc -Wl,--no-undefined -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,nodelete)
endfunction()

# Libraries with src/api/memory.cpp: what they themselves call of the functions that it defines is the C library's.
function(stave_memory_options target)
  target_link_options(${target} PRIVATE -Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset)
  # Loops stay loops, and jumps jumps.
  set_source_files_properties("${PROJECT_SOURCE_DIR}/src/api/memory.cpp" PROPERTIES
    COMPILE_OPTIONS "-U_FORTIFY_SOURCE;-fno-builtin;-foptimize-sibling-calls;$<$<CXX_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>")
endfunction()

# stave_core_variant(TARGET [SHARED] DEFINITIONS name=value...)
#
# Compiles the core again with more definitions. TARGET is a static library that stands where stave_core does; with
# SHARED it stands where libstave.so does and is called lib<TARGET>.so (only if STAVE_SHARED is on).
# It is built only when something that is built needs it.
function(stave_core_variant target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SHARED" "" "DEFINITIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "stave_core_variant(${target}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if(arg_SHARED)
    if(NOT STAVE_SHARED)
      message(FATAL_ERROR "stave_core_variant(${target} SHARED) in a build with STAVE_SHARED=OFF")
    endif()
    add_library(${target} SHARED EXCLUDE_FROM_ALL ${stave_sources} ${stave_interposers})
    stave_shared_options(${target})
  else()
    add_library(${target} STATIC EXCLUDE_FROM_ALL ${stave_sources})
  endif()
  stave_core_options(${target})
  # PUBLIC: headers have code too, and one program must not see two versions of it.
  target_compile_definitions(${target} PUBLIC ${arg_DEFINITIONS})
endfunction()

# What every test program compiles with.
function(stave_test_options target)
  # g++ does not count this to -Wconversion in C++, clang does: in tests, numbers are small.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion> ${STAVE_COVERAGE_COMPILE})
  if(CMAKE_CROSSCOMPILING_EMULATOR)
    target_compile_definitions(${target} PRIVATE STAVE_TEST_EMULATED=1)
  endif()
endfunction()

# stave_test_headers(TARGET GROUP header...): HEADERS, which are most of what a test has to compile, are compiled once for
# the targets of a GROUP, which are compiled alike. (-O1: what is shipped is what they are linked to. -g1: lines, and no variables,
# for which there is the preset dev.)
function(stave_test_headers target group)
  target_compile_options(${target} PRIVATE "$<$<CONFIG:RelWithDebInfo>:-O1;-g1>")
  get_property(first GLOBAL PROPERTY stave_test_headers_${group})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(GLOBAL PROPERTY stave_test_headers_${group} ${target})
  endif()
endfunction()

# --- tests -------------------------------------------------------------------------------------------------------

# stave_unit_test(SOURCE): src/**/<unit>_test.cpp, a GoogleTest program, as unit.<unit>.
#
# A unit is tested on the core. The tests of the interposers (api/malloc_test.cpp, api/new_test.cpp) are linked to libstave.so,
# so that the whole test program runs on it.
function(stave_unit_test source)
  cmake_path(GET source STEM stem)
  string(REGEX REPLACE "_test$" "" unit "${stem}")
  set(library stave_core)
  if("${source}" MATCHES "/src/api/(malloc|new)_test\\.cpp$")
    if(NOT STAVE_SHARED)
      return()
    endif()
    set(library stave)
  endif()
  add_executable(unit_${unit} "${source}")
  stave_test_options(unit_${unit})
  target_link_libraries(unit_${unit} PRIVATE ${library} GTest::gtest_main Threads::Threads)
  if(STAVE_SANITIZE MATCHES "address")
    # Units are templates: they are part of the core wherever they are instantiated.
    target_compile_options(unit_${unit} PRIVATE -fno-sanitize=address)
    target_compile_definitions(unit_${unit} PRIVATE STAVE_SANITIZERS=1)
  endif()
  if(library STREQUAL "stave")
    # Without these the compiler removes pairs of malloc and free.
    target_compile_options(unit_${unit} PRIVATE ${STAVE_NO_BUILTIN})
  else()
    stave_test_headers(unit_${unit} unit <gtest/gtest.h>)
  endif()
  if(NOT TARGET stave_unit_tests)
    add_custom_target(stave_unit_tests)
  endif()
  add_dependencies(stave_unit_tests unit_${unit})
  add_test(NAME unit.${unit} COMMAND unit_${unit} --gtest_brief=1)
  set(timeout 120)
  if(CMAKE_CROSSCOMPILING_EMULATOR OR STAVE_COVERAGE)
    set(timeout 600)
  endif()
  set_tests_properties(unit.${unit} PROPERTIES LABELS unit TIMEOUT ${timeout})
endfunction()

# stave_property_test(NAME SOURCES file... [SLOW] [TIMEOUT s] [CORE library] [LIBRARIES library...] [DEFINITIONS name=value...])
#
# A program of GoogleTest and RapidCheck (gtest_main is linked; a source may have a main of its own), as props.<NAME>.
# CORE names another build of the core, from stave_core_variant, or NONE. The include roots are src/ and the project's root.
function(stave_property_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SLOW" "TIMEOUT;CORE" "SOURCES;LIBRARIES;DEFINITIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "stave_property_test(${name}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if(NOT arg_CORE)
    set(arg_CORE stave_core)
  elseif(arg_CORE STREQUAL "NONE")
    set(arg_CORE "")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(props_${name} ${arg_SOURCES})
  stave_test_options(props_${name})
  target_include_directories(props_${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(props_${name} PRIVATE ${arg_DEFINITIONS})
  target_link_libraries(props_${name} PRIVATE
    ${arg_CORE} ${arg_LIBRARIES} rapidcheck rapidcheck_gtest GTest::gtest_main Threads::Threads)
  if(NOT arg_DEFINITIONS)
    stave_test_headers(props_${name} props <gtest/gtest.h> <rapidcheck.h> <rapidcheck/gtest.h>)
  endif()
  if(NOT TARGET stave_property_tests)
    add_custom_target(stave_property_tests)
  endif()
  add_dependencies(stave_property_tests props_${name})
  add_test(NAME props.${name} COMMAND props_${name} --gtest_brief=1)
  set(labels props)
  if(arg_SLOW)
    list(APPEND labels slow)
  endif()
  set_tests_properties(props.${name} PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT})
endfunction()

# stave_fuzzer(NAME SOURCES file... [TIMEOUT s] [CORE library] [LIBRARIES library...] [DEFINITIONS name=value...])
#
# fuzz_<NAME>, a program with LLVMFuzzerTestOneInput. It is linked to STAVE_FUZZ_ENGINE (preset fuzz), or else to
# fuzz/standalone_main.cpp, which runs the files and the directories of files that it is given. Either way
# fuzz.<NAME>.replay runs every file of corpus/fuzz_<NAME>, which must exist: an empty replay proves nothing.
#
# Target stave_fuzzer_packages, then `cmake --install BUILD --component fuzzers --prefix OUT` (ci/build-fuzzers) make a folder
# as OSS-Fuzz wants it: the fuzzers, their seeds as fuzz_<NAME>_seed_corpus.zip, and fuzz/fuzz_<NAME>.dict and .options where
# there are such.
function(stave_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT;CORE" "SOURCES;LIBRARIES;DEFINITIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "stave_fuzzer(${name}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if(NOT arg_CORE)
    set(arg_CORE stave_core)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set(corpus "${PROJECT_SOURCE_DIR}/corpus/fuzz_${name}")
  file(GLOB seeds "${corpus}/*")
  if(NOT seeds)
    message(FATAL_ERROR "stave_fuzzer(${name}): no seeds in corpus/fuzz_${name}")
  endif()
  add_executable(fuzz_${name} ${arg_SOURCES})
  stave_test_options(fuzz_${name})
  target_include_directories(fuzz_${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(fuzz_${name} PRIVATE ${arg_DEFINITIONS})
  target_link_libraries(fuzz_${name} PRIVATE ${arg_CORE} ${arg_LIBRARIES} Threads::Threads)
  if(STAVE_FUZZ_ENGINE)
    # A flag or an archive; archives serve what stands in front of them.
    separate_arguments(engine UNIX_COMMAND "${STAVE_FUZZ_ENGINE}")
    target_link_libraries(fuzz_${name} PRIVATE ${engine})
    stave_package_fuzzer(${name} "${seeds}")
    # -runs=0: each file of the corpus once, nothing new.
    add_test(NAME fuzz.${name}.replay COMMAND fuzz_${name} -runs=0 "${corpus}")
  else()
    target_link_libraries(fuzz_${name} PRIVATE stave_standalone_main)
    add_test(NAME fuzz.${name}.replay COMMAND fuzz_${name} "${corpus}")
  endif()
  set_tests_properties(fuzz.${name}.replay PROPERTIES LABELS fuzz TIMEOUT ${arg_TIMEOUT})
  if(NOT TARGET stave_fuzzers)
    add_custom_target(stave_fuzzers)
  endif()
  add_dependencies(stave_fuzzers fuzz_${name})
endfunction()

# These damage memory or commit misuse on purpose, and look for Stave's own reports. A sanitizer that looks at each access
# reports first what they do: its builds have no packages of them.
set(STAVE_DAMAGING_FUZZERS attack metadata)

# stave_package_fuzzer(NAME SEEDS): called by stave_fuzzer.
function(stave_package_fuzzer name seeds)
  if(NOT TARGET stave_fuzzer_packages)
    add_custom_target(stave_fuzzer_packages)
  endif()
  if(name IN_LIST STAVE_DAMAGING_FUZZERS AND STAVE_SANITIZE MATCHES "address|memory")
    return()
  endif()
  set(archive "${CMAKE_CURRENT_BINARY_DIR}/fuzz_${name}_seed_corpus.zip")
  list(TRANSFORM seeds REPLACE "^.*/" "" OUTPUT_VARIABLE names)
  add_custom_command(OUTPUT "${archive}"
    COMMAND "${CMAKE_COMMAND}" -E tar cf "${archive}" --format=zip --mtime=2000-01-01 -- ${names}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}/corpus/fuzz_${name}" DEPENDS ${seeds} VERBATIM)
  add_custom_target(fuzz_${name}_seeds DEPENDS "${archive}")
  add_dependencies(stave_fuzzer_packages fuzz_${name} fuzz_${name}_seeds)
  # (EXCLUDE_FROM_ALL: they are no part of what users install.)
  install(TARGETS fuzz_${name} DESTINATION . COMPONENT fuzzers EXCLUDE_FROM_ALL)
  install(FILES "${archive}" DESTINATION . COMPONENT fuzzers EXCLUDE_FROM_ALL)
  foreach(kind dict options)
    install(FILES "${PROJECT_SOURCE_DIR}/fuzz/fuzz_${name}.${kind}" DESTINATION . COMPONENT fuzzers EXCLUDE_FROM_ALL
      OPTIONAL)
  endforeach()
endfunction()
