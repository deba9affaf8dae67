# Once llama.cpp's targets are known: what only its own programs use is compiled without optimisation, since next to
# nothing of it runs here and it took a third of llama.cpp's time to compile.
if(PROJECT_NAME STREQUAL "llama.cpp")
    cmake_language(DEFER CALL target_compile_options llama-common PRIVATE -O0)
    cmake_language(DEFER CALL target_compile_options cpp-httplib PRIVATE -O0)
    # What computes: its loops over the parts of a tile stay in registers only if they are unrolled.
    cmake_language(DEFER CALL target_compile_options ggml-cpu PRIVATE -O3)
endif()
