#include "learning/inversion_circuit.hpp"

#include "analysis/stability.hpp"
#include "learning/network.hpp"
#include "models/circuit_parts.hpp"
#include "models/pid.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

system::SharedWeights dense(MatrixXd m) {
  return std::make_shared<const system::Weights>(std::move(m));
}

}  // namespace

MatrixXd heard(const LoopStage& stage, MatrixXd r) {
  if (stage.slope) r.array() *= stage.slope->array();
  if (stage.gain.size() > 0) r = stage.gain.asDiagonal() * r;
  if (!stage.transfer) return r;
  MatrixXd out, resting;
  if (stage.about.size() > 0) r += stage.about;
  transfer_value(*stage.transfer, r, out);
  if (stage.about.size() == 0) return out;
  transfer_value(*stage.transfer, stage.about, resting);
  return out - resting;
}

InversionCircuit::InversionCircuit(const models::LoopParameters& parameters, Index trials)
    : parameters_(parameters) {
  circuit_.trials = trials;
  circuit_.phases.emplace_back();
  circuit_.phases.back().name = "settle";
  circuit_.phases.back().until_settled = true;
}

std::size_t InversionCircuit::add(const std::string& name, const LoopPath& loop,
                                  const MatrixXd& setpoint) {
  return add(name, loop, &setpoint, 0, nullptr);
}

std::size_t InversionCircuit::add(const std::string& name, const LoopPath& loop, std::size_t above,
                                  const MatrixXd* slope) {
  return add(name, loop, nullptr, above, slope);
}

MatrixXd InversionCircuit::product(const MatrixXd& a, const MatrixXd& b) {
  built_ +=
      static_cast<double>(a.rows()) * static_cast<double>(a.cols()) * static_cast<double>(b.cols());
  MatrixXd out(a.rows(), b.cols());
  out.noalias() = a * b;
  return out;
}

MatrixXd InversionCircuit::for_trials(const MatrixXd& m) const {
  return m.cols() == circuit_.trials ? m : m.replicate(1, circuit_.trials / m.cols());
}

Index InversionCircuit::rows_before(int node) const {
  Index rows = 0;
  for (int i = 0; i < node; ++i)
    if (!circuit_.nodes[at(i)].instantaneous()) rows += circuit_.nodes[at(i)].size;
  return rows;
}

std::size_t InversionCircuit::add(const std::string& name, const LoopPath& loop,
                                  const MatrixXd* setpoint, std::size_t above,
                                  const MatrixXd* slope) {
  const MatrixXd& b = *loop.feedback;
  const bool folds = b.rows() < b.cols();  // the controller's space is the wider one
  const Index controlled = std::min(b.rows(), b.cols());

  models::ControllerSpec spec;
  spec.name = "control" + name;
  spec.size = controlled;
  spec.leak = parameters_.leak;
  spec.p = parameters_.p;
  spec.i = parameters_.i;
  spec.d = parameters_.d;
  spec.tau = parameters_.controller_tau;
  spec.derivative_tau = parameters_.derivative_tau;
  MatrixXd y = MatrixXd::Zero(controlled, 1);
  if (setpoint) y = folds ? product(b, *setpoint) : *setpoint;
  models::add_controller(circuit_, spec, y, MatrixXd::Zero(controlled, 1));
  const system::Controller controller = circuit_.controllers.back();
  for (const int state : {controller.integral, controller.derivative})
    if (state >= 0) circuit_.update_order.push_back(state);

  Built& built = loops_.emplace_back();
  int heard = controller.control;  // what the next population hears
  system::SharedWeights weights = models::identity_weights(controlled);  // … through
  const MatrixXd* gate = nullptr;
  MatrixXd before;  // what it would hear of an operating point by itself
  for (std::size_t k = 0; k < loop.path.size(); ++k) {
    const LoopStage& stage = loop.path[k];
    const std::string number = name + (loop.path.size() > 1 ? "_" + std::to_string(k + 1) : "");
    // B v in place of r_1.
    const MatrixXd* lift = k == 0 && !folds && !stage.transfer ? &b : nullptr;
    const Index size = lift ? controlled : stage.weights->cols();
    if (k == 0 && !folds && !lift) weights = dense(b);
    const bool is_moved = stage.gain.size() > 0 || stage.about.size() > 0;
    const core::Transfer& sent =
        stage.transfer && !is_moved ? stage.transfer : models::identity_transfer();
    int node = models::add_node(circuit_, "hidden" + number, size, parameters_.tau, 1, sent);
    circuit_.update_order.push_back(node);
    system::Edge& edge = models::connect(circuit_, heard, node, 1, weights);
    if (gate) edge.gate = for_trials(*gate);
    if (before.size() > 0) circuit_.nodes[at(node)].constant = -for_trials(before);
    before.resize(0, 0);
    built.places.push_back({rows_before(node), size, lift});
    if (k == 0) built.first = node;
    if (lift) read_ += static_cast<double>(lift->size());

    // What is sent on.
    MatrixXd out;
    if (folds && k + 1 == loop.path.size())
      out = loop.product ? *loop.product : product(b, *stage.weights);
    const MatrixXd& w = out.size() > 0 ? out : *stage.weights;
    gate = stage.slope;
    if (lift && (!gate || gate->cols() == 1)) {
      if (gate)
        out = product(w * gate->col(0).asDiagonal(), b);
      else
        out = loop.product ? *loop.product : product(w, b);
      gate = nullptr;
    } else {
      if (lift) {
        const int rate = models::add_node(circuit_, "rate" + number, b.rows(), 0, 1);
        models::connect(circuit_, node, rate, 1, dense(b));
        node = rate;
      } else if (is_moved) {
        const int argument =
            models::add_node(circuit_, "argument" + number, size, 0, 1, stage.transfer);
        models::connect(circuit_, node, argument, 1,
                        stage.gain.size() > 0 ? std::make_shared<const system::Weights>(
                                                    system::Weights::Diagonal{stage.gain})
                                              : models::identity_weights(size));
        if (stage.about.size() > 0) {
          circuit_.nodes[at(argument)].constant = for_trials(stage.about);
          MatrixXd resting;
          transfer_value(*stage.transfer, stage.about, resting);
          before = product(w, resting);
        }
        node = argument;
      }
      if (out.size() == 0) out = *stage.weights;
    }
    weights = dense(std::move(out));
    heard = node;
  }
  system::Controller& own = circuit_.controllers.back();
  own.measured_edges.push_back(static_cast<int>(circuit_.edges.size()));
  system::Edge& measured = models::connect(circuit_, heard, controller.error, 1, weights);
  if (gate) measured.gate = for_trials(*gate);
  if (before.size() > 0) {
    own.setpoint = for_trials(own.setpoint) + for_trials(before);
    circuit_.nodes[at(own.error)].constant = -own.setpoint;
  }

  if (setpoint) return loops_.size() - 1;
  // D ⊙ r of the loop above.
  const Built& other = loops_[above];
  const MatrixXd* const lift = other.places.front().lift;
  const int wanted = models::add_node(circuit_, "setpoint" + name, b.cols(), 0, 1);
  system::Edge& moving = models::connect(circuit_, other.first, wanted, 1,
                                         lift ? dense(*lift) : models::identity_weights(b.cols()));
  moving.transfer = models::identity_transfer();
  if (slope) moving.receiver_gate = for_trials(*slope);
  own.setpoint_edges.push_back(static_cast<int>(circuit_.edges.size()));
  models::connect(circuit_, wanted, controller.error, -1,
                  folds ? dense(b) : models::identity_weights(b.cols()));
  return loops_.size() - 1;
}

MatrixXd InversionCircuit::rate(std::size_t loop, Index k, const MatrixXd& state) const {
  const Place& place = loops_[loop].places[at(k - 1)];
  const auto x = state.middleRows(place.row, place.size);
  if (!place.lift) return x;
  MatrixXd r(place.lift->rows(), x.cols());
  r.noalias() = *place.lift * x;
  return r;
}

LoopStability stability_of(const LoopPath& loop, const models::LoopParameters& parameters) {
  InversionCircuit built(parameters, 1);
  built.add("", loop, MatrixXd::Zero(loop.feedback->cols(), 1));
  return stability_of(system::compile(std::move(built.circuit())));
}

LoopStability stability_of(const system::OdeSystem& system) {
  const analysis::Linearisation linearisation({system, {}}, system.initial_state().col(0));
  if (!linearisation.jacobian().allFinite()) return {.unstable = true, .unstable_paper = true};
  const system::Controller& controller = system.circuit().controllers.front();
  const auto [paper, why_no_paper] = analysis::paper_criterion(linearisation, controller);
  const auto [pole, why_no_pole] = analysis::loop_pole(linearisation, controller);
  const double zero = linearisation.rounding();
  LoopStability out;
  if (why_no_pole.empty()) out.pole = pole;
  if (why_no_paper.empty()) out.paper = paper;
  out.unstable = why_no_pole.empty() && !(pole < -zero);
  // Without an integrator the paper has no condition.
  out.unstable_paper = why_no_paper.empty() && !(paper < 0);
  return out;
}

}  // namespace settle::learning
