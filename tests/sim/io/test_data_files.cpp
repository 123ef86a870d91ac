#include <zlib.h>

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "sim/io/data_files.hpp"
#include "sim/io/hdf5.hpp"
#include "sim/io/toml.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::io {
namespace {

namespace fs = std::filesystem;
using Values = std::vector<double>;
using Shape = std::vector<Index>;

// A folder of small files.
struct Folder : test::TemporaryFolder {
  void write_packed(const std::string& name, const std::string& bytes) const {
    const gzFile file = gzopen((path() / name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
  }
  // Reads what `toml` says: `file = "w.csv"`.
  DataArray read(const std::string& toml) const {
    const core::Value value = parse_toml("data = { " + toml + " }", "f.toml");
    const core::Value& at = *value.find("data");
    return read_data(core::read<DataFile>(at, "data"), path(), at, "data");
  }
  std::string error(const std::string& toml) const {
    try {
      read(toml);
    } catch (const core::InputError& error) {
      return error.what();
    }
    return "";
  }
};

// The low `n` bytes of a number, the last first if `big_endian`.
std::string bytes(std::uint64_t number, int n, bool big_endian = false) {
  std::string out;
  for (int i = 0; i < n; ++i)
    out += static_cast<char>(number >> 8 * (big_endian ? n - 1 - i : i) & 0xFF);
  return out;
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data,
                bool fortran = false, int version = 1) {
  const std::string header = "{'descr': '" + descr +
                             "', 'fortran_order': " + (fortran ? "True" : "False") +
                             ", 'shape': " + shape + ", }\n";
  return "\x93NUMPY" + bytes(static_cast<unsigned>(version), 1) + bytes(0, 1) +
         bytes(header.size(), version == 1 ? 2 : 4) + header + data;
}

std::string floats(const Values& values, bool big_endian = false) {
  std::string out;
  for (const double value : values)
    out += bytes(std::bit_cast<std::uint64_t>(value), 8, big_endian);
  return out;
}

// Three images of 2 × 2 pixels.
const std::string images = std::string("\0\0\x08\x03", 4) + bytes(3, 4, true) + bytes(2, 4, true) +
                           bytes(2, 4, true) + std::string("\0\1\2\3\4\5\6\7\x08\x09\x0A\xFF", 12);

}  // namespace

TEST_CASE("a text of numbers is rows by columns, whatever parts them", "[io][data]") {
  const Folder folder;
  folder.write("a.csv", "\xEF\xBB\xBFx, y # names\r\n1, -2.5e-1\r\n\r\n# more\r\n+3,4 # four\r\n");
  folder.write("b.txt", "1 2\t3\n 4 5 6");
  folder.write("c.csv", "1;2\n");
  folder.write_packed("d.csv.gz", "1\n2\n3\n");
  CHECK(folder.read("file = 'a.csv'").shape == Shape{2, 2});
  CHECK(folder.read("file = 'a.csv'").values == Values{1, -0.25, 3, 4});
  CHECK(folder.read("file = 'a.csv', range = [1, 2]").values == Values{3, 4});
  CHECK(folder.read("file = 'b.txt'").shape == Shape{2, 3});
  CHECK(folder.read("file = 'c.csv'").values == Values{1, 2});
  CHECK(folder.read("file = 'd.csv.gz'").shape == Shape{3, 1});
}

TEST_CASE("a bad cell is an error with its line and column", "[io][data]") {
  const Folder folder;
  const std::string file = (folder.path() / "a.csv").string();
  const auto error = [&](const std::string& text) {
    folder.write("a.csv", text);
    return folder.error("file = 'a.csv'");
  };
  CHECK_THAT(error("1,2\n3,x4\n"), Catch::StartsWith("f.toml:1:17: data: ") &&
                                       Catch::Contains(file + ":2:3: \"x4\" is no number"));
  CHECK_THAT(error("1,2\n3\n"), Catch::Contains(file + ":2:1: a row of 1 cells"));
  CHECK_THAT(error("1,2\n3,4,5\n"), Catch::Contains("a row of 3 cells; expected 2"));
  CHECK_THAT(error("1,2\n3,\n"), Catch::Contains(file + ":2:3: an empty cell"));
  CHECK_THAT(error("1,nan\n"), Catch::Contains(file + ":1:3: the number nan"));
  CHECK_THAT(error("1,1e999\n"), Catch::Contains(":1:3"));
  CHECK_THAT(error("x,2\n"), Catch::Contains(":1:1: \"x\" is no number"));
  CHECK_THAT(error("x,y\n"), Catch::Contains("no row of numbers"));
  CHECK_THAT(error(""), Catch::Contains("no row of numbers"));
  CHECK_THAT(error(std::string("1,2\0\n", 5)), Catch::Contains("a format that is not known"));
}

TEST_CASE("NumPy's types, byte orders and versions read as the same numbers", "[io][data]") {
  const Folder folder;
  const auto read = [&](const std::string& content) {
    folder.write("a.npy", content);
    const DataArray array = folder.read("file = 'a.npy'");
    CHECK(array.shape == Shape{2});
    return array.values;
  };
  const Values expected = {1, -2};
  CHECK(read(npy("<f8", "(2,)", floats(expected))) == expected);
  CHECK(read(npy(">f8", "(2,)", floats(expected, true))) == expected);
  CHECK(read(npy("<f8", "(2L,)", floats(expected), false, 2)) == expected);
  CHECK(read(npy("<f8", "(2,)", floats(expected), true)) == expected);
  CHECK(read(npy("<f4", "(2,)", bytes(0x3F800000, 4) + bytes(0xC0000000, 4))) == expected);
  for (const int n : {2, 4, 8}) {
    const std::string size = std::to_string(n);
    const auto minus_two = static_cast<std::uint64_t>(-2);
    CHECK(read(npy("<i" + size, "(2,)", bytes(1, n) + bytes(minus_two, n))) == expected);
    CHECK(read(npy(">i" + size, "(2,)", bytes(1, n, true) + bytes(minus_two, n, true))) ==
          expected);
    CHECK(read(npy(">u" + size, "(2,)", bytes(1, n, true) + bytes(513, n, true))) ==
          Values{1, 513});
  }
  CHECK(read(npy("|i1", "(2,)", "\x01\xFE")) == expected);
  CHECK(read(npy("|u1", "(2,)", "\x01\xFE")) == Values{1, 254});
  CHECK(read(npy("|b1", "(2,)", std::string("\1\0", 2))) == Values{1, 0});
}

TEST_CASE("a column-major array is read in the order of its indices", "[io][data]") {
  const Folder folder;
  folder.write("c.npy", npy("<f8", "(2, 3)", floats({0, 1, 2, 3, 4, 5})));
  folder.write("f.npy", npy("<f8", "(2, 3)", floats({0, 3, 1, 4, 2, 5}), true));
  CHECK(folder.read("file = 'f.npy'").values == folder.read("file = 'c.npy'").values);
  CHECK(folder.read("file = 'f.npy', range = [1, 2]").values == Values{3, 4, 5});
  CHECK(folder.read("file = 'c.npy', range = [1, 2]").values == Values{3, 4, 5});
  CHECK(folder.read("file = 'c.npy', range = [1, 2]").shape == Shape{1, 3});
}

TEST_CASE("a header that promises more than the file has is an error", "[io][data]") {
  const Folder folder;
  const auto error = [&](const std::string& content, const std::string& more = "") {
    folder.write("a.npy", content);
    return folder.error("file = 'a.npy'" + more);
  };
  CHECK_THAT(error(npy("<f8", "(3,)", floats({1, 2}))), Catch::Contains("cut short"));
  CHECK_THAT(error(npy("<f8", "(4000000000,)", "")), Catch::Contains("more than 2^31"));
  CHECK_THAT(error(npy("<f8", "(99999999999, 99999999999, 9999999999)", "")),
             Catch::Contains("more than 2^31"));
  CHECK_THAT(error(npy("<f8", "(1000000000, 1000000000)", ""), ", range = [5, 6]"),
             Catch::Contains("cut short"));
  CHECK_THAT(error(npy("<f8", "(999999999999999999999,)", "")), Catch::Contains("shape"));
  CHECK_THAT(error(npy("<f8", "(0, 3)", "")), Catch::Contains("no entries"));
  CHECK_THAT(error(npy("<f8", "(3, 0)", "")), Catch::Contains("no entries"));
  CHECK_THAT(error(npy("<c16", "(1,)", "")), Catch::Contains("\"<c16\""));
  CHECK_THAT(error(npy("<f2", "(1,)", "")), Catch::Contains("\"<f2\""));
  CHECK_THAT(error("\x93NUMPY"), Catch::Contains("cut short"));
  CHECK_THAT(error("\x93NUMPY\x01" + std::string(1, '\0') + bytes(60000, 2)),
             Catch::Contains("cut short"));
  CHECK_THAT(error("\x93NUMPY\x02" + std::string(1, '\0') + bytes(~0U, 4)),
             Catch::Contains("header of 4294967295 bytes"));
  CHECK_THAT(error("\x93NUMPY\x01" + std::string(1, '\0') + bytes(2, 2) + "{}"),
             Catch::Contains("without \"descr\""));
  CHECK_THAT(error("PK\x03\x04"), Catch::Contains("does not begin as a .npy"));

  folder.write("a.idx", std::string("\0\0\x08\xFF", 4));
  CHECK_THAT(folder.error("file = 'a.idx'"), Catch::Contains("cut short"));
  folder.write("long.idx", images + "x");
  CHECK_THAT(folder.error("file = 'long.idx'"), Catch::Contains("goes on after its last number"));
  CHECK(folder.read("file = 'long.idx', range = [0, 2]").rows_in_file == 3);
  folder.write("b.idx", images.substr(0, images.size() - 1));
  CHECK_THAT(folder.error("file = 'b.idx'"), Catch::Contains("cut short"));
  std::string huge = std::string("\0\0\x0E\x04", 4);
  for (int i = 0; i < 4; ++i) huge += bytes(~0U, 4, true);
  folder.write("c.idx", huge);
  CHECK_THAT(folder.error("file = 'c.idx'"), Catch::Contains("more than 2^31"));
  folder.write_packed("d.gz", images);
  fs::resize_file(folder.path() / "d.gz", fs::file_size(folder.path() / "d.gz") - 12);
  CHECK_THAT(folder.error("file = 'd.gz'"), Catch::Contains("cut short"));
}

TEST_CASE("IDX images are rows of pixels, plain or gzipped", "[io][data]") {
  const Folder folder;
  folder.write("images", images);
  folder.write_packed("images.gz", images);
  folder.write("labels", std::string("\0\0\x08\x01", 4) + bytes(2, 4, true) + "\x07\x09");
  folder.write("shorts", std::string("\0\0\x0B\x01", 4) + bytes(1, 4, true) + "\xFF\xFE");
  CHECK(folder.read("file = 'images'").shape == Shape{3, 4});
  CHECK(folder.read("file = 'images.gz'").values == folder.read("file = 'images'").values);
  const DataArray second = folder.read("file = 'images.gz', range = [1, 2]");
  CHECK(second.shape == Shape{1, 4});
  CHECK(second.values == Values{4, 5, 6, 7});
  CHECK(second.rows_in_file == 3);
  CHECK(folder.read("file = 'labels'").shape == Shape{2});
  CHECK(folder.read("file = 'labels'").values == Values{7, 9});
  CHECK(folder.read("file = 'shorts'").values == Values{-2});
  for (const char* range : {"[3, 4]", "[0, 4]"})
    CHECK_THAT(folder.error(std::string("file = 'images', range = ") + range),
               Catch::Contains("of 3 rows"));
  for (const char* range : {"[2, 2]", "[2, 1]", "[-1, 2]", "[1]", "[0.0, 1.0]", "3"})
    CHECK_THAT(folder.error(std::string("file = 'images', range = ") + range),
               Catch::Contains("data.range"));
}

TEST_CASE("standardised numbers have the mean and spread asked for", "[io][data]") {
  const Folder folder;
  folder.write("images", images);
  folder.write("a.csv", "1,2\n3,6\n");
  folder.write("same.csv", "1,1\n");
  CHECK(folder.read("file = 'images', standardise = 'unit'").values.back() == 1.0);
  CHECK(folder.read("file = 'images', standardise = 'unit'").values[5] == 5 / 255.0);
  CHECK(folder.read("file = 'images', standardise = 'mnist'").values[0] == -33.318 / 78.567);
  const Values z = folder.read("file = 'a.csv', standardise = 'zscore'").values;
  // Mean 3, standard deviation √3.5; to rounding.
  CHECK(z[0] == Approx(-2 / std::sqrt(3.5)).epsilon(1e-14));
  CHECK(z[3] == Approx(3 / std::sqrt(3.5)).epsilon(1e-14));
  CHECK(folder.read("file = 'a.csv', scale = 2, offset = -1").values == Values{1, 3, 5, 11});
  CHECK_THAT(folder.error("file = 'same.csv', standardise = 'zscore'"),
             Catch::Contains("all equal"));
  CHECK_THAT(folder.error("file = 'a.csv', standardise = 'unit'"), Catch::Contains("no integers"));
  CHECK_THAT(folder.error("file = 'a.csv', standardise = 'zscor'"),
             Catch::Contains("did you mean \"zscore\""));
}

TEST_CASE("an HDF5 file gives the dataset that is named, or its only one", "[io][data]") {
  const Folder folder;
  {
    h5::File file = h5::File::create(folder.path() / "one.h5");
    file.write_dataset("y", {3, 2}, Values{0, 1, 2, 3, 4, 5});
    file.write_dataset("title", std::string("text"));
    h5::Dataset trial = file.write_dataset("trial", {3}, std::vector<std::int64_t>{0, 1, 2});
    trial.make_scale("trial");
    h5::File two = h5::File::create(folder.path() / "two.h5");
    two.write_dataset("target", {1}, Values{1});
    two.create_group("g").write_dataset("bytes", {2}, std::vector<std::int64_t>{1, 2});
    two.write_dataset("number", {}, Values{7});
    two.write_dataset("bad", {2, 2}, Values{0, 0, std::nan(""), 0});
  }
  CHECK(folder.read("file = 'one.h5'").shape == Shape{3, 2});
  CHECK(folder.read("file = 'one.h5', range = [1, 3]").values == Values{2, 3, 4, 5});
  CHECK(folder.read("file = 'two.h5', dataset = '/g/bytes'").values == Values{1, 2});
  CHECK(folder.read("file = 'two.h5', dataset = 'number'").shape.empty());
  CHECK_THAT(folder.error("file = 'two.h5'"),
             Catch::Contains("/target, /g/bytes, /number or /bad"));
  CHECK_THAT(folder.error("file = 'two.h5', dataset = '/targte'"),
             Catch::Contains("did you mean \"/target\""));
  CHECK_THAT(folder.error("file = 'two.h5', dataset = '/bad'"),
             Catch::Contains("the entry [1, 0] is nan"));
  CHECK_THAT(folder.error("file = 'two.h5', dataset = '/bad', range = [1, 2]"),
             Catch::Contains("the entry [1, 0] is nan"));
  CHECK_THAT(folder.error("file = 'two.h5', dataset = 'number', range = [0, 1]"),
             Catch::Contains("a single number"));
  CHECK_THAT(folder.error("file = 'one.h5', dataset = 'title'"), Catch::Contains("holds texts"));
  CHECK_THAT(folder.error("file = 'one.h5', dataset = '/y', range = [2, 4]"),
             Catch::Contains("of 3 rows"));
  fs::resize_file(folder.path() / "one.h5", 900);
  CHECK_THAT(folder.error("file = 'one.h5'"), Catch::StartsWith("f.toml:1:17: data: "));
}

TEST_CASE("a path may name an environment variable, which has to be set", "[io][data]") {
  const Folder folder;
  folder.write("a.csv", "1\n");
  ::setenv("SETTLE_TEST_DATA", folder.path().c_str(), 1);
  CHECK(folder.read("file = '${SETTLE_TEST_DATA}/a.csv'").values == Values{1});
  ::unsetenv("SETTLE_TEST_DATA");
  CHECK_THAT(folder.error("file = '${SETTLE_TEST_DATA}/a.csv'"),
             Catch::Contains("variable SETTLE_TEST_DATA is not set") &&
                 Catch::Contains("the folder that holds a.csv"));
  CHECK_THAT(folder.error("file = '${SETTLE'"), Catch::Contains("without \"}\""));
}

TEST_CASE("a file that is not there is an error with the nearest name", "[io][data]") {
  const Folder folder;
  folder.write("weights.csv", "1\n");
  CHECK_THAT(folder.error("file = 'wieghts.csv'"),
             Catch::Contains("no such file") && Catch::Contains("\"weights.csv\""));
  CHECK_THAT(folder.error("file = '.'"), Catch::Contains("a folder"));
  CHECK_THAT(folder.error("file = 'weights.csv', dataset = '/x'"), Catch::Contains("no HDF5 file"));
  CHECK_THAT(folder.error("fil = 'weights.csv'"), Catch::Contains("\"file\" is missing"));
}

TEST_CASE("a data file's parameters are written as they were read", "[io][data]") {
  const core::Value value =
      parse_toml("file = 'a.h5'\nrange = [2, 5]\nstandardise = 'unit'\n", "f.toml");
  const DataFile data = core::read<DataFile>(value, "data");
  CHECK(core::without_defaults(core::write(data), core::write(DataFile{})) == value);
  CHECK(core::write(DataFile{}).find("range") == nullptr);
}

}  // namespace settle::io
