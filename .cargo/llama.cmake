# After llama.cpp's targets are known: what it has for its own programs is compiled without optimisation, as next to
# nothing of it runs here and it takes a third of the time.
if(PROJECT_NAME STREQUAL "llama.cpp")
    cmake_language(DEFER CALL target_compile_options llama-common PRIVATE -O0)
    cmake_language(DEFER CALL target_compile_options cpp-httplib PRIVATE -O0)
endif()
