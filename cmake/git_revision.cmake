# Writes HEADER from the git revision of SOURCE_DIR, and leaves it alone where nothing has changed.
set(revision unknown)
set(dirty 0)
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE_DIR}/.git)
  set(git ${GIT} --no-optional-locks -C ${SOURCE_DIR})
  execute_process(COMMAND ${git} rev-parse --short HEAD OUTPUT_VARIABLE found RESULT_VARIABLE failed
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT failed)
    set(revision ${found})
    # Only what the program is built from: an edited configuration is in the result file anyway.
    execute_process(COMMAND ${git} status --porcelain -- sim models analysis learning cli cmake CMakeLists.txt
      OUTPUT_VARIABLE changes ERROR_QUIET)
    if(changes)
      set(dirty 1)
    endif()
  endif()
endif()
configure_file(${SOURCE_DIR}/cmake/settle_revision.hpp.in ${HEADER} @ONLY)
