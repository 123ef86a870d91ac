"""settle analyze and settle tune, against the run itself and against an independent search."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from scipy.linalg import expm

SETTLE = os.environ["SETTLE"]

LOOP = """title = "A loop"
seed = 3
[model]
kind = "dynamic_inversion"
layers = [6, 4]
transfer = "tanh"
forward = { init = "uniform", low = -0.8, high = 0.8 }
feedback = { init = "negative_transpose" }
setpoint = { init = "normal", std = 0.3 }
[model.controller]
leak = 0.05
[solver]
rtol = 1e-8
duration = 300.0
settled = {}
[record]
variables = ["*"]
interval = "steps"
"""

# One unit and one controller, sigma = 1: a second-order loop.
SCALAR = """[model]
kind = "dynamic_inversion"
layers = [1, 1]
transfer = "identity"
forward = 1.0
feedback = -1.0
setpoint = 1.0
[model.controller]
leak = 0.01
gains = { p = 0.0, i = 0.3, d = 0.0 }
[solver]
rtol = 1e-8
atol = 1e-11
duration = 400.0
settled = {}
[tune]
leak = 0.01
p = 0.0
d = 0.0
i = [0.01, 20.0]
"""


class AnalyzeAndTune(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="settle_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def settle(self, *words, code=0):
        done = subprocess.run(
            [SETTLE, *map(str, words)], cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def numbers(self, name):
        """Every numeric dataset of the root that is no trajectory."""
        with h5py.File(self.folder / name) as file:
            return {
                key: item[()]
                for key, item in file.items()
                if isinstance(item, h5py.Dataset)
                and item.dtype.kind in "fi"
                and (item.ndim == 0 or "time" not in item.dims[0].keys())
            }


class Analyze(AnalyzeAndTune):
    def test_a_result_is_analysed_as_its_run_would_have_been(self):
        config = self.write("loop.toml", LOOP)
        self.settle("run", config, "-o", "plain.h5", "-q")
        self.settle("run", config, "-o", "all.h5", "-q", "--set", 'analysis.measures=["*"]')
        self.settle("analyze", "plain.h5", "-q")
        self.settle("analyze", config, "-o", "fresh.h5", "-q")
        during = self.numbers("all.h5")
        for name in ("plain_analysis.h5", "fresh.h5"):
            after = self.numbers(name)
            compared = 0
            for key, values in after.items():
                if key not in during or "equilibria_" in key:
                    continue
                # Residuals and differences of rounding's size are no numbers to compare.
                if key in ("equilibrium_residual", "equilibrium_step"):
                    continue
                np.testing.assert_allclose(
                    values, during[key], rtol=2e-5, atol=1e-9, err_msg=f"{name}: {key}"
                )
                compared += 1
            self.assertGreater(compared, 40)

    def test_the_file_says_what_it_is_and_xarray_opens_it(self):
        import xarray

        self.settle("run", self.write("loop.toml", LOOP), "-q")
        text = self.settle("analyze", "loop.h5").stdout
        for word in ("Equilibria", "Slowest poles", "control.gains.i", "Kreiss", "angle to NDI"):
            self.assertIn(word, text)
        with h5py.File(self.folder / "loop_analysis.h5") as file:
            self.assertEqual(file.attrs["kind"], "analysis")
            self.assertEqual(file.attrs["about"], "loop.h5")
        with xarray.open_dataset(self.folder / "loop_analysis.h5") as data:
            self.assertEqual(data.pole_real.dims, ("trial", "pole"))

    def test_measures_may_be_chosen(self):
        self.settle("run", self.write("loop.toml", LOOP), "-q")
        out = json.loads(self.settle("analyze", "loop.h5", "--measures", "poles", "--json").stdout)
        self.assertIn("pole_real", out["measures"])
        self.assertNotIn("kreiss_constant", out["measures"])
        error = self.settle("analyze", "loop.h5", "--measures", "polse", code=2).stderr
        self.assertIn("did you mean", error)

    def test_what_is_no_run_is_refused(self):
        self.settle("run", self.write("loop.toml", LOOP), "-q")
        self.settle("analyze", "loop.h5", "-q")
        sweep = LOOP + '[sweep]\naxes = [{ parameter = "seed", values = [1, 2] }]\n'
        self.settle("run", self.write("sweep.toml", sweep), "-q")
        for file, word in (
            ("loop_analysis.h5", "analysis"),
            ("sweep.h5", "sweep"),
            ("sweep.toml", "sweep"),
            ("nothing.h5", "nothing.h5"),
        ):
            self.assertIn(word, self.settle("analyze", file, code=2).stderr)
        error = self.settle("analyze", "loop.h5", "--set", "solver.rtol=1e-3", code=2).stderr
        self.assertIn("analysis.", error)
        # One that is wrong does not cost the others.
        self.settle("analyze", "nothing.h5", "loop.h5", "--overwrite", code=2)

    def test_other_weights_than_the_runs_are_noticed(self):
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["W"] = np.eye(4, 6)
        config = LOOP.replace(
            '{ init = "uniform", low = -0.8, high = 0.8 }', '{ file = "w.h5", dataset = "/W" }'
        )
        self.settle("run", self.write("loop.toml", config), "-q")
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["W"] = 2 * np.eye(4, 6)
        self.assertIn("other weights", self.settle("analyze", "loop.h5", code=2).stderr)


def settling_time(k, leak, band):
    """Of the scalar loop's error to a band of its way to rest, from the matrix exponential."""
    m = np.array([[-1.0, -k], [1.0, -leak]])  # rate and integral, u = k xi
    rest = np.linalg.solve(m, np.array([0.0, 1.0]))  # m x = (0, y)
    t = np.linspace(0, 100, 20001)
    step = expm(m * (t[1] - t[0]))
    x = np.empty((len(t), 2))
    x[0] = -rest
    for i in range(1, len(t)):
        x[i] = step @ x[i - 1]
    error = np.abs(x[:, 0])  # e - e*: the measured rate's distance from rest
    outside = np.nonzero(error > band * error[0])[0]
    return t[outside[-1] + 1] if outside[-1] + 1 < len(t) else np.inf


class Tune(AnalyzeAndTune):
    def test_the_scalar_loop_is_tuned_as_a_search_over_its_exact_solution_tunes_it(self):
        out = json.loads(self.settle("tune", self.write("scalar.toml", SCALAR), "--json").stdout)
        gains = np.geomspace(0.01, 20.0, 800)
        allowed = [k for k in gains if 0.01 / (0.01 + k) <= 0.05]
        best = min(settling_time(k, 0.01, 0.02) for k in allowed)
        # Grid of 1 % in the gain, and of 0.005 in time.
        self.assertLess(abs(out["after"]["settling_time"] - best), 0.02 * best + 0.01)
        self.assertTrue(out["feasible"])
        self.assertLess(out["after"]["settling_time"], 0.8 * out["before"]["settling_time"])
        k = out["after"]["i"]
        self.assertAlmostEqual(out["after"]["inversion_error"], 0.01 / (0.01 + k), places=9)

    def test_what_is_told_is_what_a_run_gives(self):
        config = self.write("loop.toml", LOOP + "[tune]\nfront = 4\nlargest_error = 0.02\n")
        out = json.loads(self.settle("tune", config, "--json").stdout)
        self.assertLessEqual(out["after"]["inversion_error"], 0.02)
        sets = [word for setting in out["settings"] for word in ("--set", setting)]
        self.settle("run", config, "-o", "tuned.h5", "-q", *sets)
        with h5py.File(self.folder / "tuned.h5") as file:
            signals = list(file["signal"].asstr()[()])
            bands = list(file["band"].asstr()[()])
            time = file["settling_time"][0, signals.index("control.error"), bands.index("2 %")]
            self.assertAlmostEqual(time, out["after"]["settling_time"], delta=1e-3 * time)
            # At the end of the run, which is at rest to the tolerance.
            self.assertAlmostEqual(
                file["inversion_error"][0], out["after"]["inversion_error"], delta=1e-4
            )
        # The same again: the search is deterministic.
        self.assertEqual(out["after"], json.loads(self.settle("tune", config, "--json", "--threads", 1).stdout)["after"])
        leaks = [point["leak"] for point in out["front"]]
        self.assertEqual(leaks, sorted(leaks))
        front = [p for p in out["front"] if not p["dominated"]]
        for a in front:
            for b in front:
                better = a["settling_time"] < b["settling_time"]
                self.assertFalse(better and a["inversion_error"] < b["inversion_error"])
        with h5py.File(self.folder / "loop_tuning.h5") as file:
            self.assertEqual(file.attrs["kind"], "tuning")
            self.assertEqual(file["front_settling_time"].shape, (1, 4))

    def test_the_margin_is_kept(self):
        single = LOOP.replace("layers = [6, 4]", 'scheme = "single_loop"\nlayers = [6, 5, 4]').replace(
            '"tanh"', '"identity"'
        )
        config = self.write("single.toml", single + "[tune]\nfront = 2\np = 0.0\nd = 0.0\nlargest_error = 0.9\nmargin = 3.0\n")
        out = json.loads(self.settle("tune", config, "--json").stdout)
        self.assertTrue(out["feasible"])
        self.assertGreaterEqual(out["smallest_ratio_after"], 3.0 * (1 - 1e-6))

    def test_bounds_that_cannot_be_kept_are_said(self):
        config = self.write("scalar.toml", SCALAR.replace("i = [0.01, 20.0]", "i = [0.01, 0.1]"))
        out = self.settle("tune", config, "--json", code=1)
        answer = json.loads(out.stdout)
        self.assertFalse(answer["feasible"])
        # 1/(1 + G) with the largest gain, G = 10.
        self.assertIn("0.09091", answer["reason"])
        self.assertIn("not tuned", self.settle("tune", config, "--overwrite", code=1).stdout)

    def test_mistakes_say_where_they_are(self):
        for line, word in (
            ("i = [2.0, 1.0]", "tune.i"),
            ("i = [1.0, 2.0, 3.0]", "tune.i"),
            ("i = [-1.0, 2.0]", "tune.i"),
            ('controllers = ["contrl"]', "did you mean"),
            ("larget_error = 0.1", "largest_error"),
        ):
            config = self.write("wrong.toml", SCALAR.replace("i = [0.01, 20.0]", line))
            error = self.settle("tune", config, code=2).stderr
            self.assertIn("wrong.toml:", error)
            self.assertIn(word, error)
        lone = '[[population]]\nname = "x"\nsize = 1\n'
        self.assertIn("controllers", self.settle("tune", self.write("lone.toml", lone), code=2).stderr)


if __name__ == "__main__":
    unittest.main()
