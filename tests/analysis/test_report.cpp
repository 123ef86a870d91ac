// Pieces of a report: text that is escaped, drawings that are taken in, quantities as tables.
#include <catch2/catch.hpp>
#include <limits>

#include "analysis/inline_svg.hpp"
#include "analysis/measure_tables.hpp"
#include "analysis/report_page.hpp"
#include "analysis/text.hpp"
#include "analysis/verdict.hpp"
#include "sim/core/error.hpp"
#include "sim/solve/solve.hpp"

using namespace settle;
using namespace settle::analysis;
using Catch::Contains;

namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

core::Quantity quantity(const std::string& name, const Eigen::MatrixXd& values,
                        std::vector<core::QuantityAxis> axes = {}) {
  core::Quantity out;
  out.name = name;
  out.units = "1";
  out.long_name = "what " + name + " is";
  out.axes = std::move(axes);
  out.values = values;
  out.reasons.assign(static_cast<std::size_t>(values.cols()), "");
  return out;
}

core::QuantityAxis axis(const std::string& name, Eigen::Index size,
                        std::vector<std::string> labels = {}) {
  core::QuantityAxis out;
  out.name = name;
  out.size = size;
  out.labels = std::move(labels);
  return out;
}

std::vector<PageTable> tables_of(const std::vector<core::Quantity>& quantities) {
  std::vector<PageTable> out;
  for (const PageBlock& block : measure_tables(quantities))
    out.push_back(std::get<PageTable>(block));
  return out;
}

}  // namespace

TEST_CASE("text is escaped, and what is no UTF-8 is replaced") {
  CHECK(escaped_html("α < β & \"γ\" > 'δ'") == "α &lt; β &amp; &quot;γ&quot; &gt; &#39;δ&#39;");
  CHECK(escaped_html("a\xFF"
                     "b") ==
        "a\uFFFD"
        "b");
  CHECK(escaped_html("\xC3") == "\uFFFD");                      // cut short
  CHECK(escaped_html("\xC0\xAF") == "\uFFFD\uFFFD");            // overlong
  CHECK(escaped_html("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(escaped_html(std::string("a\0b\x1B"
                                 "c",
                                 5)) == "abc");
  CHECK(escaped_html("𝜎\n\t") == "𝜎\n\t");
}

TEST_CASE("a drawing is taken in with ids of its own and nothing from outside") {
  const std::string file =
      "<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<!-- > made by -->\n"
      "<svg width=\"712pt\" height='65.5pt' viewBox=\"0 0 712 65.5\" "
      "xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">"
      "<title>Gnuplot</title><desc>made > by</desc>"
      "<defs><path id='p' d='M0,0 L1,1'/><clipPath id=\"c\"><rect width=\"1\"/></clipPath></defs>"
      "<g class=\"node\" clip-path=\"url(#c)\" onclick='f()'><use xlink:href='#p' x=\"1\"/></g>"
      "<image xlink:href=\"http://a.b/c.png\"/><image xlink:href=\"data:image/png;base64,AA==\"/>"
      "<text font-family='\"DejaVu Sans\"'>a &lt; b</text><script>f()</script></svg>\n";
  const std::string svg = inline_svg(file, "x-", "A \"drawing\"");
  CHECK_THAT(svg, Catch::StartsWith("<svg role=\"img\" aria-label=\"A &quot;drawing&quot;\""));
  CHECK_THAT(svg, Contains("width=\"712\"") && Contains("height=\"65.5\"") &&
                      Contains("viewBox=\"0 0 712 65.5\""));
  CHECK_THAT(svg, Contains("id=\"x-p\"") && Contains("href=\"#x-p\"") &&
                      Contains("clip-path=\"url(#x-c)\"") && Contains("id=\"x-c\""));
  CHECK_THAT(svg, Contains("font-family=\"&quot;DejaVu Sans&quot;\"") && Contains("a &lt; b"));
  CHECK_THAT(svg, Contains("data:image/png;base64,AA=="));
  for (const char* gone : {"http", "title", "desc", "script", "onclick", "class", "xlink", "<!"})
    CHECK_THAT(svg, !Contains(gone));
  CHECK_THAT(svg, Catch::EndsWith("</svg>"));
  CHECK_THROWS_AS(inline_svg("no drawing", "x-", ""), core::InputError);
}

TEST_CASE("every verdict and outcome has a tone") {
  for (const std::string& name : verdict_names()) {
    INFO(name);
    CHECK(tone_of(name) != Tone::plain);
  }
  for (const std::string& name : solve::outcome_names()) {
    INFO(name);
    CHECK(tone_of(name) != Tone::plain);
  }
  CHECK(tone_of("settled") == Tone::good);
  CHECK(tone_of("diverged") == Tone::bad);
  CHECK(tone_of("whatever") == Tone::plain);
}

TEST_CASE("words") {
  CHECK(capitalised("settled at t = 3") == "Settled at t = 3");
  CHECK(capitalised("x[0] passed the limit") == "x[0] passed the limit");
  CHECK(capitalised("α is small") == "α is small");
  CHECK(capitalised("") == "");
  CHECK(without_numbers("0.025 % of the way at 1e-05") == " % of the way at ");
  CHECK(without_numbers("0.025 % of it") == without_numbers("3e+12 % of it"));
  CHECK(without_numbers("no end") == "no end");
  CHECK(number_text(none) == "–");
  CHECK(number_text(std::numeric_limits<double>::infinity()) == "∞");
}

TEST_CASE("every quantity stands in a table, by its theme") {
  Eigen::MatrixXd scalar(1, 1), pair(2, 1), matrix(4, 1), cube(24, 1);
  scalar << 0.25;
  pair << 1, none;
  matrix << 1, 2, 3, 4;
  cube.col(0).setLinSpaced(0, 23);
  std::vector<core::Quantity> all = {
      quantity("inversion_error", scalar),
      quantity("rise_time", pair, {axis("signal", 2, {"state", "hidden"})}),
      quantity("settling_time", matrix, {axis("signal", 2, {"state", "hidden"}), axis("band", 2)}),
      quantity("novelty", scalar, {axis("controller", 1, {"control"})}),
      quantity("return_ratio_real", cube, {axis("a", 2), axis("b", 3), axis("c", 4)})};
  all[1].reasons = {"", "it never rises"};
  const std::vector<PageTable> tables = tables_of(all);
  REQUIRE(tables.size() == 5);

  CHECK(tables[0].title == "Accuracy");
  CHECK(tables[0].rows[0][0].code == "inversion_error");
  CHECK(tables[0].rows[0][1].text == "0.25");

  CHECK(tables[1].title == "Convergence by signal");
  CHECK(tables[1].heading == std::vector<std::string>{"by signal", "state", "hidden"});
  CHECK(tables[1].rows[0][0].note == "missing at hidden: it never rises");
  CHECK(tables[1].rows[0][2].text == "–");

  CHECK(tables[2].code == "settling_time");
  CHECK(tables[2].rows[1][0].text == "hidden");
  CHECK(tables[2].rows[1][1].text == "3");

  CHECK(tables[3].rows[0][2].text == "0, 1, 2, 3, 4, …");
  CHECK(tables[3].rows[0][4].text == "23");

  CHECK(tables[4].title == themes().back());
  CHECK(tables[4].rows[0][0].text == "what novelty is, control");
}

TEST_CASE("infinity is a number, and its reason explains it") {
  Eigen::MatrixXd values(1, 11);
  values.setConstant(std::numeric_limits<double>::infinity());
  values(0, 3) = 2;
  core::Quantity margin = quantity("gain_margin", values);
  for (Eigen::Index k = 0; k < 11; ++k)
    if (k != 3) margin.reasons[static_cast<std::size_t>(k)] = "no pole reaches the axis";
  const auto row = tables_of({margin}).front().rows[0];
  CHECK(row[0].note == "∞ at 10 of 11: no pole reaches the axis");
  CHECK(row[1].text == "∞");
  CHECK(row[2].text == "2");
  CHECK(row[4].text == "11 of 11");
}

TEST_CASE("few trials have a column each, many a median and a range") {
  Eigen::MatrixXd few(1, 3), many(1, 11);
  few << 1, none, 3;
  many.row(0).setLinSpaced(0, 10);
  core::Quantity some = quantity("decay_rate", few);
  some.reasons = {"", "it does not decay", ""};
  const PageTable by_trial = tables_of({some}).front();
  CHECK(by_trial.heading == std::vector<std::string>{"measure", "trial 0", "trial 1", "trial 2"});
  CHECK(by_trial.rows[0][0].note == "missing at trial 1: it does not decay");

  core::Quantity fates = quantity("verdict", Eigen::MatrixXd::Zero(1, 11));
  fates.meanings = {"settled", "slow"};
  fates.values(0, 4) = 1;
  const std::vector<PageTable> tables = tables_of({fates, quantity("decay_rate", many)});
  REQUIRE(tables.size() == 2);
  CHECK(tables[0].rows[0][1].text == "10 settled, 1 slow");
  const auto& row = tables[1].rows[0];
  CHECK(row[1].text == "5");
  CHECK(row[2].text == "0");
  CHECK(row[3].text == "10");
  CHECK(row[4].text == "11 of 11");
}

TEST_CASE("a page knows its own kind, and says what is left out") {
  Page page;
  page.title = "<b>";
  page.generator = "settle 9.9";
  page.verdicts = {{Tone::bad, "Diverged", "why & how"}};
  PageFigure figure;
  figure.why_missing = "gnuplot is not there";
  page.sections = {{"The figure", {figure}}, {"Nothing", {}}};
  const std::string text = html(page);
  CHECK(is_our_page(text));
  CHECK_FALSE(is_our_page("<!DOCTYPE html>\n<html></html>"));
  CHECK_THAT(text, Contains("<h1>&lt;b&gt;</h1>") && Contains("why &amp; how") &&
                       Contains("class=\"verdict bad\"") && Contains("Left out: gnuplot"));
  CHECK_THAT(text, !Contains("Nothing"));
  CHECK(missing_figures(page) ==
        std::vector<std::string>{"The figure is left out: gnuplot is not there"});
}
