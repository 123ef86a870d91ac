"""The shipped studies: what their comments promise comes out, and the commands speak of sweeps."""

import json
import unittest

import h5py
import numpy as np

from test_commands import CONFIGS, SMALL, CommandTest

# Two axes, one of them given by the sweep alone.
SWEEP = SMALL.replace("layers = [6, 4]\n", "") + """
[[sweep.axes]]
parameter = "model.layers"
values = [[6, 4], [8, 6, 4]]
[[sweep.axes]]
parameter = "model.controller.leak"
log = [0.01, 1.0]
points = 3
"""


def slowest_rate(leak, sigma, gain=1.0):
    """Of one loop with B = -W' and tau = tau_u = 1: science.md section 5."""
    root = np.sqrt(((1 - leak) ** 2 - 4 * gain * sigma**2).astype(complex)).real
    return (1 + leak - root) / 2


class Shipped(CommandTest):
    def run_config(self, name, *arguments):
        self.said = self.settle("run", CONFIGS / f"{name}.toml", *arguments).stdout
        file = h5py.File(self.folder / f"{name}.h5")
        self.addCleanup(file.close)
        return file

    def test_alpha_tradeoff_has_the_closed_forms(self):
        file = self.run_config("alpha_tradeoff")
        leak, sigma = file["leak"][:], file["singular_value"][0, 0]
        linear = leak[:, None] / (leak[:, None] + sigma**2)
        # It settles to 1e-8 of the state's rate, over rates of 1e-3 and errors of 1e-4.
        np.testing.assert_allclose(file["direction_error"][:, 0], linear, rtol=1e-3)
        np.testing.assert_allclose(-file["slowest_pole"][:, 0],
                                   np.minimum(slowest_rate(leak, sigma.min()), 1), rtol=1e-9)
        times = file["settling_time"][:, 0, 0, 2]
        self.assertTrue(np.all(np.diff(times) < 0))
        self.assertTrue(np.all(np.diff(file["inversion_error"][:, 0]) > 0))
        self.assertIn(0.01, leak)

    def test_alpha_gain_map_bends_its_boundary_as_two_populations_do(self):
        file = self.run_config("alpha_gain_map", "--quick")
        leak, gain = file["boundary_leak"][:], file["boundary_gains_i"][:]
        self.assertGreater(len(leak), 20)
        scaled = gain / (1 + leak) ** 2  # 2/σ_max² of A, in the mean 0.76
        np.testing.assert_allclose(scaled, scaled[0], rtol=1e-6)
        self.assertAlmostEqual(scaled[0], 0.761, delta=0.001)

    def test_complex_feedback_warns_that_the_criteria_disagree(self):
        file = self.run_config("complex_feedback")
        self.assertIn("limit cycle", self.said)
        self.assertIn("stable by the paper's criterion (max Re λ(kWB − αI) = -0.245", self.said)
        self.assertIn("it would be stable", self.said)
        self.assertLess(file["paper_criterion"][0, 0], 0)
        self.assertGreater(file["loop_pole"][0, 0], 0)

    def test_sdi_gain_limits_are_the_closed_ones(self):
        file = self.run_config("sdi_gain_limit")
        n = np.array([2, 3, 4])
        np.testing.assert_allclose(file["boundary_gains_i"][:],
                                   np.tan(np.pi / 2 / n) / np.cos(np.pi / 2 / n) ** n, rtol=1e-6)
        self.assertIn("gains_i = 0.8889 at layers = [4, 4, 4, 4]", self.said)

    def test_alpha_compensation_finds_u_growing_in_null_directions_alone(self):
        file = self.run_config("alpha_compensation")
        leak = file["leak"][:]
        leaked, integral = file["leaked_norm"][:, :, 0, 0], file["integral_norm"][:, :, 0, 0]
        small = leak < 1.1e-3
        np.testing.assert_allclose(leaked[0, small] / leak[small], integral[0, 0], rtol=0.05)
        np.testing.assert_allclose(leaked[1, small], leaked[1, 0], rtol=0.01)
        sigma = file["singular_value"][:, 0, 0]
        linear = leak[:, None] / (leak[:, None] + sigma[:, None, :] ** 2)
        np.testing.assert_allclose(file["direction_error"][:, :, 0], linear, rtol=1e-3)
        self.assertLess(file["angle_to_pbp"][:, 0].max(), 0.05)
        self.assertLess(file["angle_to_bp"][:, -1].max(), 0.5)

    def test_transient_growth_is_a_hundredfold(self):
        file = self.run_config("transient_growth")
        error = np.linalg.norm(file["control_error"][:, 0], axis=1)
        self.assertAlmostEqual(error.max() / error[0], 102, delta=1)
        self.assertLess(file["slowest_pole"][0], 0)
        self.assertIn("excursion         102.3 times", self.said)

    def test_infeasible_setpoint_winds_up_to_the_error_over_the_leak(self):
        file = self.run_config("infeasible_setpoint")
        self.assertIn("out of reach", self.said)
        error, integral = file["control_error"][-1, 0], file["control_integral"][-1, 0]
        # Settled: 1e-5 of the state in a mode that decays at 0.02.
        np.testing.assert_allclose(0.02 * integral, error, rtol=1e-3, atol=1e-3)

    def test_scaling_studies_have_the_predicted_rates(self):
        file = self.run_config("scaling_with_width")
        sigma = np.nanmin(file["singular_value"][:, :, 0], axis=-1)
        np.testing.assert_allclose(-file["slowest_pole"][:, :, 0], slowest_rate(0.001, sigma),
                                   rtol=1e-9)
        file = self.run_config("scaling_with_depth")
        sequential, simultaneous = file["settled_at"][:, -1, :, 0]
        self.assertTrue(np.all(sequential > 2 * simultaneous))


class Sweeps(CommandTest):
    def test_check_tells_of_the_points(self):
        self.write("sweep.toml", SWEEP)
        said = self.settle("check", "sweep.toml").stdout
        self.assertIn("6 points, layers (2: [6, 4], [8, 6, 4]) × leak (3: 0.01 to 1)", said)
        self.assertIn("layers = [6, 4], leak = 0.01", said)
        self.assertEqual(self.files(), ["sweep.toml"])
        self.assertEqual(json.loads(self.settle("check", "sweep.toml", "--json").stdout)
                         ["sweep"]["points"], 6)

    def test_check_binds_every_value(self):
        self.write("wrong.toml", SWEEP.replace("log = [0.01, 1.0]\npoints = 3",
                                               "values = [0.01, -1.0]"))
        self.assertIn("model.controller.leak", self.settle("check", "wrong.toml", code=2).stderr)

    def test_a_key_that_is_varied_cannot_be_set(self):
        self.write("sweep.toml", SWEEP)
        said = self.settle("run", "sweep.toml", "--set", "model.controller.leak=0.5", code=2).stderr
        self.assertIn("a key that the sweep varies", said)
        self.settle("check", "sweep.toml", "--set", "model.controller.gains.i=0.5")

    def test_what_show_prints_of_a_sweep_runs_as_its_first_point(self):
        self.write("sweep.toml", SWEEP)
        self.settle("run", "sweep.toml", "-q")
        shown = self.settle("show", "sweep.toml").stdout
        self.assertTrue(shown.startswith("# The first of 6 points of a sweep: layers = [6, 4]"))
        self.write("first.toml", shown)
        self.settle("run", "first.toml", "-q")
        with h5py.File(self.folder / "sweep.h5") as all, h5py.File(self.folder / "first.h5") as one:
            # A point is integrated in lanes, a run alone in vectors: the same but for rounding.
            np.testing.assert_allclose(
                all["inversion_error"][0, 0, 0], one["inversion_error"][0], rtol=1e-9
            )

    def test_run_prints_a_table(self):
        self.write("sweep.toml", SWEEP)
        said = self.settle("run", "sweep.toml").stdout
        head = next(line for line in said.splitlines() if line.split()[:2] == ["layers", "leak"])
        self.assertIn("settling to 1 %", head)
        rows = [line for line in said.splitlines() if line.lstrip().startswith(("[6, 4] ", "[8, 6, 4] "))]
        self.assertEqual(len(rows), 6)

    def test_list_documents_the_tables(self):
        said = self.settle("list", "sweep", "axis", "analysis").stdout
        for word in ("axes", "keep", "parameter", "log", "points", "measures", "dense_limit"):
            self.assertIn(word, said)


if __name__ == "__main__":
    unittest.main()
