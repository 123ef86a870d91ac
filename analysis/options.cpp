#include "analysis/options.hpp"

#include "analysis/measure.hpp"

namespace settle::analysis {

void AnalysisOptions::fields(core::Fields& f) {
  std::vector<std::string> names = analysis::measures().names();
  names.emplace_back("*");
  f.texts({"measures", "", "which are taken, \"*\" being all; the standard ones unless given"},
          measures, names);
  f.text({"phase", "",
          "that they speak of; unless given, the last in which not every controller is off"},
         phase);
  f.numbers({"bands", "1", "of the settling times: shares of the distance at the start"}, bands,
            {.low = 0, .high = 1, .low_open = true, .high_open = true}, false);
  f.integer({"dense_limit", "1", "up to so many moving states all poles are found"}, dense_limit, 1,
            5000);
  f.integer({"poles", "1", "of a larger circuit: the rightmost, by Arnoldi iteration"}, poles, 1,
            1000);
  f.integer({"starts", "1", "random ones from which equilibria are looked for"}, starts, 0,
            100'000);
  f.integer({"equilibria", "1", "looked for at most"}, equilibria, 1, 10'000);
  f.integer({"frequencies", "1", "of a frequency response"}, frequencies, 10, 100'000);
  f.texts({"break_at", "", "projections at which loops are broken; all of every loop unless given"},
          break_at);
  f.number({"epsilon", "1/time",
            "of the pseudospectral abscissa; 0.01 over the largest tau unless given"},
           epsilon, core::positive());
  f.integer({"grid", "1", "points an axis of the pseudospectrum"}, grid, 5, 1000);
}

}  // namespace settle::analysis
