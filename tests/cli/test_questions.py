"""The reviewers' questions, small: every configuration runs, is drawn, and has in it what its comment says."""

import os
import unittest

import h5py
import numpy as np

from test_commands import CONFIGS, CommandTest

QUESTIONS = CONFIGS / "questions"
SMALL = ["seeds=[1]", "learning.examples=200", "learning.evaluate_every=100"]


def write_idx(folder, stem, count):
    """Noise in the shape of MNIST's files."""
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    header = np.array([0x803, count, 28, 28], dtype=">u4").tobytes()
    (folder / f"{stem}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    labels = (np.arange(count) % 10).astype(np.uint8)
    header = np.array([0x801, count], dtype=">u4").tobytes()
    (folder / f"{stem}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


class Questions(CommandTest):
    def run_question(self, number, *changes, small=True):
        (config,) = QUESTIONS.glob(f"question_{number:02}_*.toml")
        sets = [*(SMALL if small else []), *changes]
        arguments = [part for change in sets for part in ("--set", change)]
        self.settle("run", config, *arguments, "--overwrite")
        result = self.folder / f"{config.stem}.h5"
        file = h5py.File(result)
        self.addCleanup(file.close)
        self.assertEqual(file.attrs["status"], "done")
        return file

    def draw(self, file, figure):
        self.settle("plot", file.filename, "--figure", figure, "-o", "figure.svg")
        self.assertIn("<svg", (self.folder / "figure.svg").read_text())

    def rules(self, file):
        return [name.decode() for name in file["rule"][()]]

    def last(self, file, variable):
        """By rule and, where there are any, layer: at the last evaluation of the first seed."""
        return file[variable][:, 0, -1]

    def test_every_question_has_a_configuration_that_says_how_to_read_it(self):
        found = {path.name[:11] for path in QUESTIONS.glob("*.toml")}
        self.assertEqual(found, {f"question_{k:02}" for k in range(1, 12)})
        for path in QUESTIONS.glob("*.toml"):
            text = path.read_text()
            self.assertRegex(text, r"\A# .*\?", path.name)
            self.assertIn("How to read it: settle plot", text, path.name)

    def test_01_the_leak_turns_updates_from_pseudoinverse_to_backpropagation(self):
        file = self.run_question(1)
        to_bp = dict(zip(self.rules(file), self.last(file, "angle_to_bp")[:, 0]))
        to_pbp = dict(zip(self.rules(file), self.last(file, "angle_to_pbp")[:, 0]))
        # σ² of the loop lies between 0.005 and 1: 1e-4 and 10 are a factor of 10 at least away from it, so that
        # a mode's gain is within a tenth of either limit, and the angle, of what is not common, below 0.1 rad.
        self.assertLess(to_pbp["DI, −Wᵀ, leak = 0.0001"], 6)
        self.assertLess(to_bp["DI, −Wᵀ, leak = 10"], 6)
        self.assertGreater(to_bp["DI, −Wᵀ, leak = 0.0001"], 10)
        self.draw(file, "against")

    def test_02_feedback_is_turned_by_the_angle_that_is_said(self):
        # Compared before the first batch moves anything.
        file = self.run_question(2, "learning.evaluate_every=1", "learning.examples=1")
        for name, angle in zip(self.rules(file), self.last(file, "feedback_angle")[:, 1]):
            if "=" in name and "corrections" not in name and not name.startswith(("DI", "NDI")):
                self.assertAlmostEqual(angle, float(name.split("=")[1]), delta=1e-5, msg=name)
        self.draw(file, "against")

    def test_03_matched_updates_are_as_long_as_backpropagations(self):
        # Of the first batch, before which all networks are alike.
        file = self.run_question(3, "learning.evaluate_every=1", "learning.examples=1")
        names, norms = self.rules(file), self.last(file, "update_norm")
        for name, norm in zip(names, norms):
            # FA from W(0)ᵀ begins as backpropagation does.
            if "length" in name or name in ("BP", "FA, W(0)ᵀ"):
                np.testing.assert_allclose(norm, norms[0], rtol=1e-9, err_msg=name)
            else:
                self.assertNotAlmostEqual(norm[0] / norms[0][0], 1, places=3, msg=name)
        self.draw(file, "errors")

    def test_04_07_10_of_mnist_run_on_any_images_of_its_size(self):
        for stem in "train", "t10k":
            write_idx(self.folder, stem, 60)
        os.environ["SETTLE_DATA"] = str(self.folder)
        self.addCleanup(os.environ.pop, "SETTLE_DATA")
        for number, *changes in (4, "network.layers=[784, 30, 10]"), \
                (7, "network.layers=[784, 20, 20, 10]", "learning.batch=20"), \
                (10, "data.examples=60"):
            with self.subTest(number):
                file = self.run_question(number, "seeds=[1]", "learning.epochs=1",
                                         "learning.evaluate_every=30", *changes, small=False)
                self.draw(file, "cost")
                self.assertTrue(np.all(self.last(file, "multiplications") > 0))

    def test_05_small_loops_settle_at_the_pace_of_their_pole(self):
        file = self.run_question(5, "learning.evaluate_every=20")
        time, pole = file["settling_time"][:, 0, 1:], file["slowest_pole"][:, 0, 1:]
        for k, name in enumerate(self.rules(file)):
            if name == "SDI":
                continue
            slowest = -np.nanmax(pole[k], axis=-1)
            # To a residual of 1e-6 takes 14 time constants of the slowest mode; two loops, one after another,
            # the weights moving between the evaluations.
            self.assertTrue(np.all(time[k] < 2 * 14 / slowest * 1.5), name)
            self.assertTrue(np.all(time[k] > 2), name)
        self.draw(file, "settling")

    def test_06_departures_have_the_predicted_slopes(self):
        file = self.run_question(6, "seeds=[1]", small=False)
        names = self.rules(file)
        departure = self.last(file, "departure_from_ndi")[:, 0]
        scale = np.array([float(name.split("=")[1]) for name in names])
        for loop, slope in (("tanh, from rest,", 2), ("tanh, operating point,", 1),
                            ("tanh, operating point, ±β,", 2)):
            # Where the next order is below a tenth; settled states are exact to 1e-11 and departures above 1e-7.
            own = [k for k, name in enumerate(names)
                   if name.rsplit(" error_scale", 1)[0] == loop and 2e-4 < scale[k] < 5e-3]
            found = np.polyfit(np.log(scale[own]), np.log(departure[own]), 1)[0]
            self.assertAlmostEqual(found, slope, delta=0.1, msg=loop)
        linear = [k for k, name in enumerate(names) if name.startswith("linear")]
        self.assertLess(departure[linear].max(), 1e-6)
        self.draw(file, "against")

    def test_08_symmetric_feedback_keeps_within_its_bound(self):
        file = self.run_question(8)
        names, error = self.rules(file), self.last(file, "test_error_with_feedback")
        ratio = self.last(file, "displacement_to_bound")[:, :-1]
        for name, one, with_feedback, own in zip(names, ratio, error, self.last(file, "test_error")):
            if name.endswith("gate = 0"):
                self.assertEqual(with_feedback, own, name)
            elif name.startswith("DI, ε"):
                self.assertTrue(np.all((one > 0) & (one < 1)), name)
        self.assertGreater(np.max(ratio[names.index("DI, pseudoinverse, ε = .3, forward_feedback.gate = 0.03")]), 1)
        self.draw(file, "against")

    def test_09_learned_feedback_decays_towards_the_weights(self):
        file = self.run_question(9, "learning.examples=6000", "learning.evaluate_every=2000")
        angles = dict(zip(self.rules(file), file["feedback_angle"][:, 0, 1:, 1]))
        for name in "Kolen-Pollack", "DI, B learned":
            # B ± Wᵀ decays by (1 − 5e-4)^2000 = 0.37 between evaluations, W by itself grows or falls a little.
            ratios = angles[name][1:] / angles[name][:-1]
            self.assertTrue(np.all(ratios < 0.6), (name, ratios))
        self.assertGreater(angles["FA"][-1], 20)
        self.draw(file, "stability")

    def test_11_one_arm_is_gauss_newton_to_rounding(self):
        file = self.run_question(11)
        angles = dict(zip(self.rules(file), self.last(file, "angle_to_gauss_newton")))
        # Rounding of a cosine near 1: √(2 · 2e-16) is 1.2e-6 degrees.
        np.testing.assert_allclose(angles["DI, 1/G of the identity"], 0, atol=1e-5)
        self.assertGreater(np.max(angles["BP"]), 1)


if __name__ == "__main__":
    unittest.main()
