#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "analysis/diagram.hpp"
#include "analysis/figures.hpp"
#include "analysis/inline_svg.hpp"
#include "analysis/report_parts.hpp"
#include "models/build.hpp"
#include "sim/io/toml.hpp"

namespace settle::analysis {
namespace {

// A folder that is gone at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "settle_report_XXXXXX").string();
    if (!mkdtemp(name.data()))
      throw core::OutputError("cannot make a temporary folder in " +
                              std::filesystem::temp_directory_path().string());
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// What a reader is told of a figure.
struct Words {
  std::string title, caption;
};

const Words& words_about(const std::string& figure) {
  static const std::map<std::string, Words> words = {
      {"trajectories", {"What happened over time", ""}},
      {"poles",
       {"Poles",
        "Eigenvalues of the circuit's Jacobian at rest. Left of the imaginary axis a mode decays, "
        "right of it it grows; the nearer to the axis, the slower. Off the real axis it rings."}},
      {"directions",
       {"Error by singular direction",
        "What is left of the setpoint in each singular direction of the weights, beside the closed "
        "form 1/(1 + Gσ²) of a linear loop whose feedback is the negative transpose."}},
      {"bode",
       {"Bode diagram",
        "The loop broken at a projection, against frequency: its gain (of several channels the "
        "largest and the smallest) and, of a single channel, its phase. The margins say how far it "
        "is from a gain of one at a phase of −180°, where stability is lost."}},
      {"nyquist",
       {"Nyquist diagram",
        "The same loop in the complex plane. The nearer a curve comes to −1, the less change of "
        "gain, phase or delay the circuit bears."}},
      {"pseudospectrum",
       {"Pseudospectrum",
        "How far eigenvalues may move when the Jacobian is perturbed by ε. Contours that reach far "
        "to the right of the axis mean that a perturbation first grows before it decays."}},
      {"poles_along",
       {"Poles along the way",
        "The rightmost pole of the circuit linearised about the state at each time of the run."}},
      {"map",
       {"The map",
        "One cell a point of the sweep, coloured by its settling time and error; marks say where "
        "it "
        "did not settle, and the line is the exact boundary of stability."}},
      {"lines",
       {"Along an axis",
        "What was measured against a swept parameter. Dashed is what the slowest pole predicts; "
        "dotted "
        "lines mark the exact boundary of stability."}},
      {"dots", {"Point by point", "What was measured at each point of the sweep."}},
      {"tuning",
       {"Settling time against error",
        "The soonest settled circuit at each leak α: a smaller leak inverts more exactly. The "
        "dashed "
        "line is the largest error that was allowed."}}};
  static const Words none;
  const auto found = words.find(figure);
  return found == words.end() ? none : found->second;
}

// Of trajectories: what the figure shows of this run.
std::string trajectories_caption(const io::ResultFile& run) {
  std::string out = "Each line is one unit.";
  const auto& variables = run.trajectories();
  if (std::any_of(variables.begin(), variables.end(),
                  [](const auto& variable) { return variable.name.ends_with("_error"); }))
    out +=
        " At the bottom, on a logarithmic axis, how far the output stays from the setpoint; a "
        "straight fall there is exponential decay.";
  if (run.phases().size() > 1) out += " Shades tell the phases apart.";
  const auto& outcomes = run.outcomes();
  if (std::find(outcomes.begin(), outcomes.end(), "settled") != outcomes.end())
    out += " A dotted vertical line marks when the circuit had settled.";
  return out;
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Calls `draw` for a file, and takes in what it drew.
template <typename Draw>
void draw_into(PageFigure& figure, const std::string& name, const Draw& draw) {
  try {
    const ScratchFolder folder;
    const std::filesystem::path out = folder / (name + ".svg");
    draw(out);
    figure.svg = inline_svg(read_bytes(out), name + "-", figure.label);
  } catch (const core::InputError& error) {
    figure.why_missing = error.what();
  } catch (const core::OutputError& error) {
    figure.why_missing = error.what();
  }
}

}  // namespace

std::vector<PageBlock> report_figures(const std::filesystem::path& path,
                                      const ReportOptions& options) {
  std::vector<PageBlock> out;
  std::vector<std::string> names;
  try {
    names = figure_names(path);
  } catch (const core::InputError&) {
    return out;  // nothing in it can be drawn
  }
  for (const std::string& name : names) {
    const Words& words = words_about(name);
    PageFigure figure;
    figure.title = words.title.empty() ? capitalised(name) : words.title;
    figure.caption =
        name == "trajectories" ? trajectories_caption(io::ResultFile(path)) : words.caption;
    figure.label = figure.title + ". " + figure.caption;
    PlotOptions plot;
    plot.trial = options.trial;
    draw_into(figure, name,
              [&](const std::filesystem::path& to) { draw_figure(path, plot, name, to); });
    out.emplace_back(std::move(figure));
  }
  return out;
}

PageSection circuit_section(const io::h5::File& file, const std::string& remark) {
  PageFigure figure;
  figure.caption =
      "Boxes are populations of rate neurons and feedback controllers, with their equations; "
      "arrows "
      "are weights, with their shape." +
      (remark.empty() ? "" : " " + remark);
  try {
    const core::Value value =
        io::parse_toml(file.dataset("config_expanded").read_text(), "config_expanded");
    // Paths in an expanded configuration are absolute.
    const system::Circuit circuit = models::build_circuit(models::read_config(value, "/"));
    std::string label = "Diagram of the circuit:";
    for (const auto& node : circuit.nodes)
      label += (label.back() == ':' ? " " : ", ") + node.name + " of " +
               counted(static_cast<std::size_t>(node.size), "unit");
    figure.label = label;
    draw_into(figure, "circuit",
              [&](const std::filesystem::path& to) { draw_circuit(circuit, "", to); });
  } catch (const core::InputError& error) {
    figure.why_missing = std::string("the circuit cannot be built again: ") + error.what();
  }
  if (figure.svg.empty()) figure.caption.clear();
  return {"The circuit", {std::move(figure)}};
}

}  // namespace settle::analysis
