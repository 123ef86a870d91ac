#include <catch2/catch.hpp>

#include "sim/core/error.hpp"
#include "sim/io/checksum.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::io {

TEST_CASE("a checksum is FIPS 180's, and a file's is that of its bytes", "[io][checksum]") {
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const test::TemporaryFolder folder;
  const std::string bytes(3'000'001, 'a');  // more than one piece
  CHECK(sha256_of_file(folder.write("long", bytes)) == sha256(bytes));
  CHECK(sha256_of_file(folder.write("empty", "")) == sha256(""));
  CHECK_THROWS_AS(sha256_of_file(folder / "none"), core::InputError);
}

}  // namespace settle::io
