// Stability of a linearised circuit: who takes part in a mode, and the criteria of its loops.
#pragma once

#include <string>
#include <utility>

#include "analysis/linearisation.hpp"

namespace settle::analysis {

/// Share of each dynamic node (in the order of OdeSystem::dynamic_nodes()) in mode k,
/// p = Σ_{i in node} |w_i v_i| / Σ_i |w_i v_i| with w and v its left and right eigenvectors.
/// Source: Pérez-Arriaga, Verghese & Schweppe, IEEE Trans. Power App. Syst. PAS-101 (1982).
VectorXd participation(const Linearisation& linearisation, const core::EigenSystem& modes, Index k);

/// "control.integral 60 %, hidden 40 %": the two nodes that take most part in the rightmost mode; ""
/// of a circuit too large for left eigenvectors.
std::string nodes_of_pole(const Linearisation& linearisation);
/// "pole -0.05 ± 0.58i (control.integral 60 %, hidden 40 %)" of the rightmost pole.
std::string pole_text(const Linearisation& linearisation);

/// The paper's criterion of a controller's loop, max Re λ(k_i W B − α I), with W B = −C J⁻¹ B the
/// static response of its error to its control, all else linearised; NaN and why. It is below zero
/// for a stable loop; the reverse holds for real eigenvalues or fast neurons.
/// Source: Podlaski & Machens 2020; science.md section 5.
std::pair<double, std::string> paper_criterion(const Linearisation& linearisation,
                                               const system::Controller& controller);

/// Real part of the rightmost pole of the states that are in one feedback loop with the controller's
/// error; NaN and why.
std::pair<double, std::string> loop_pole(const Linearisation& linearisation,
                                         const system::Controller& controller);

}  // namespace settle::analysis
