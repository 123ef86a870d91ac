"""Sweeps as their users meet them: the same bits as single runs, interruptions, failing points, files."""

import json
import resource
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np
import xarray

from test_commands import SETTLE, SMALL, CommandTest, trajectories

LEAK = """
[[sweep.axes]]
parameter = "model.controller.leak"
log = [0.01, 1.0]
points = {}
"""
GAIN = """
[[sweep.axes]]
parameter = "model.controller.gains.i"
values = [0.5, 2]
"""
KEEP = '[sweep]\nkeep = "trajectories"\n'

# Circuits of several sizes, so that axes of the file grow.
SIZES = """
[[sweep.axes]]
parameter = "model.layers"
values = [[6, 4], [7, 5, 4], [6, 3], [8, 7, 5, 4]]
"""
# A fifth of a second a point, or less.
SLOW = SMALL.replace("duration = 40.0", 'duration = 20.0\nmethod = "rk4"\nstep = 0.0005')
SETTLING = SMALL.replace("duration = 40.0", "duration = 400.0\nsettled = {}")


class SweepTest(CommandTest):
    def status(self, name):
        with h5py.File(self.folder / name) as file:
            return file.attrs["status"], file["point_status"][()]

    def check_opens(self, name):
        """xarray opens it with both engines, dimensions and all."""
        for engine in ("netcdf4", "h5netcdf"):
            with xarray.open_dataset(self.folder / name, engine=engine) as data:
                data.load()
                self.assertEqual(data["outcome"].dims[-1], "trial")


class Points(SweepTest):
    def compare(self, sweep, place, *settings):
        """A point of the sweep and the run with these settings: the same but for rounding, since a point
        is integrated in lanes, and a run alone in vectors. What is read off residuals that have come
        down by ten decades has six digits left of sixteen; the residual itself is rounding in the end."""
        rounding = {"rtol": 1e-6, "atol": 1e-13}
        self.settle("run", "small.toml", "-q", "-o", "one.h5",
                    *(word for one in settings for word in ("--set", one)))
        with h5py.File(self.folder / "one.h5") as one, h5py.File(self.folder / sweep) as all:
            for name in ("outcome", "settled_at", "final_residual", "inversion_error",
                         "slowest_pole", "decay_rate", "verdict"):
                np.testing.assert_allclose(all[name][place], one[name][()], err_msg=name, **rounding)
            for name in ("settling_time", "largest_excursion"):
                labels = list(one["signal"].asstr()[()])
                known = list(all["signal"].asstr()[()])
                places = [known.index(label) for label in labels]
                np.testing.assert_allclose(all[name][place][:, places], one[name][()],
                                           err_msg=name, **rounding)
            self.assertEqual(all["verdict_text"][place][0], one["verdict_text"][0])
            self.assertAlmostEqual(all["steps"][place], one.attrs["steps"], delta=2)

    def test_a_point_is_the_run_with_its_values_set(self):
        self.write("small.toml", SMALL)
        self.write("sweep.toml", SMALL + KEEP + LEAK.format(3) + GAIN)
        self.settle("run", "sweep.toml", "-q")
        self.check_opens("sweep.h5")
        with h5py.File(self.folder / "sweep.h5") as file:
            leaks, gains = file["leak"][()], file["gains_i"][()]
            points = {name: {key: item[()] for key, item in group.items()}
                      for name, group in file["points"].items()}
            self.assertEqual(file["points/00003/hidden"].dims[0][0].name, "/points/00003/time")
            self.assertEqual(file["outcome"].dims[0].keys(), ["leak"])
        self.assertEqual(sorted(points), [f"{k:05}" for k in range(6)])
        for i, j in ((0, 0), (1, 1), (2, 0)):
            self.compare("sweep.h5", (i, j), f"model.controller.leak={float(leaks[i])!r}",
                         f"model.controller.gains.i={float(gains[j])!r}")
            for name, values in trajectories(self.folder / "one.h5").items():
                # Rounding, of numbers of about 1.
                np.testing.assert_allclose(points[f"{2 * i + j:05}"][name], values, rtol=1e-9,
                                           atol=1e-12, err_msg=name)
        with xarray.open_dataset(self.folder / "sweep.h5", group="points/00004") as data:
            self.assertEqual(data["hidden"].dims, ("time", "trial", "hidden_unit"))

    def test_names_lists_and_seeds_are_axes_too(self):
        self.write("small.toml", SMALL)
        self.write("sweep.toml", SMALL + """
[[sweep.axes]]
parameter = "model.scheme"
values = ["sequential", "simultaneous"]
[[sweep.axes]]
parameter = "model.layers"
values = [[6, 4], [6, 5, 4]]
[[sweep.axes]]
parameter = "seed"
values = [1, 7]
""")
        self.settle("run", "sweep.toml", "-q")
        self.check_opens("sweep.h5")
        with h5py.File(self.folder / "sweep.h5") as file:
            self.assertEqual(list(file["layers"].asstr()), ["[6, 4]", "[6, 5, 4]"])
            self.assertEqual(list(file["seed"]), [1, 7])
        self.compare("sweep.h5", (1, 0, 1), 'model.scheme="simultaneous"', "model.layers=[6, 4]",
                     "seed=7")
        with h5py.File(self.folder / "sweep.h5") as file:
            deep = file["inversion_error_control_2"][0, 1, 0]
            self.assertTrue(np.isnan(file["inversion_error"][0, 1]).all())
        self.settle("run", "small.toml", "-q", "--set", "model.layers=[6, 5, 4]")
        with h5py.File(self.folder / "small.h5") as file:
            # A point is integrated in lanes, a run alone in vectors: the same but for rounding.
            np.testing.assert_allclose(deep, file["inversion_error_control_2"][()], rtol=1e-5)

    def test_several_parameters_move_together(self):
        self.write("small.toml", SMALL)
        self.write("sweep.toml", SMALL + """
[[sweep.axes]]
parameters = ["model.tau", "model.controller.tau"]
name = "slowness"
values = [1.0, 2.0]
[[sweep.axes]]
parameter = "solver.method"
values = ["dopri5", "cash_karp54"]
""")
        self.settle("run", "sweep.toml", "-q")
        with h5py.File(self.folder / "sweep.h5") as file:
            self.assertEqual(file["slowness"].attrs["long_name"],
                             "model.tau, model.controller.tau")
        # cash_karp54 has no dense output and steps onto the record's times.
        for j, method in enumerate(("dopri5", "cash_karp54")):
            self.compare("sweep.h5", (1, j), "model.tau=2.0", "model.controller.tau=2.0",
                         f'solver.method="{method}"')

    def test_threads_change_nothing(self):
        self.write("sweep.toml", SMALL + KEEP + SIZES + LEAK.format(5))
        for threads in (1, 2, 4):
            self.settle("run", "sweep.toml", "-q", "--threads", threads, "-o", f"{threads}.h5")
        self.same("1.h5", "2.h5")
        self.same("1.h5", "4.h5")
        self.check_opens("1.h5")

    def test_a_circuit_without_controllers(self):
        self.write("x.toml", """
[[population]]
name = "x"
size = 2
initial = 1.0
[solver]
duration = 20.0
[[sweep.axes]]
parameter = "population.x.leak"
values = [0.5, 1.0, 2.0]
""")
        self.settle("run", "x.toml", "-q")
        self.check_opens("x.h5")
        with h5py.File(self.folder / "x.h5") as file:
            np.testing.assert_allclose(file["slowest_pole"][:, 0], [-0.5, -1, -2], rtol=1e-9)


class Failures(SweepTest):
    def test_a_point_that_cannot_be_run_is_an_entry_with_its_reason(self):
        self.write("w.csv", "\n".join([",".join(["0.3"] * 6)] * 4))
        self.write("sweep.toml", SMALL.replace('{ init = "uniform", low = -0.5, high = 0.5 }',
                                               '{ file = "w.csv" }') + LEAK.format(2) + """
[[sweep.axes]]
parameter = "model.layers"
values = [[6, 4], [8, 4], [6, 5, 4]]
""")
        said = self.settle("run", "sweep.toml").stdout
        self.assertIn("4 could not be run", said)
        self.assertIn("leak = 0.01, layers = [8, 4]: ", said)
        self.assertIn("4 × 6", said)
        self.check_opens("sweep.h5")
        status, points = self.status("sweep.h5")
        self.assertEqual(status, "done")
        np.testing.assert_array_equal(points, [[1, 2, 2]] * 2)
        with h5py.File(self.folder / "sweep.h5") as file:
            reasons = file["point_reason"].asstr()[()]
            self.assertIn("model.forward: 4 × 6 numbers; expected a 4 × 8 matrix", reasons[0, 1])
            self.assertEqual(reasons[0, 0], "")
            self.assertTrue(np.isfinite(file["inversion_error"][:, 0]).all())
            self.assertTrue(np.isnan(file["inversion_error"][:, 1:]).all())
        said = json.loads(self.settle("run", "sweep.toml", "--json").stdout)
        self.assertEqual(said["failed"], 4)
        self.assertEqual(said["failures"][0]["point"], "leak = 0.01, layers = [8, 4]")

    def test_a_sweep_of_which_no_point_can_be_run_fails(self):
        self.write("w.csv", "1,2\n3,4\n")
        self.write("sweep.toml", SMALL.replace("layers = [6, 4]", "layers = [2, 2]").replace(
            '{ init = "uniform", low = -0.5, high = 0.5 }', '{ file = "w.csv" }')
            + LEAK.format(2))
        self.settle("run", "sweep.toml", "-q")
        self.write("sweep.toml", (self.folder / "sweep.toml").read_text()
                   .replace("duration = 40.0", "duration = 40.0\nmax_steps = 3"))
        self.settle("run", "sweep.toml", "-q", code=1)
        # The first point cannot be made: that is a mistake, told before anything is written.
        self.write("w.csv", "1,2\n")
        before = (self.folder / "sweep.h5").read_bytes()
        self.assertIn("1 × 2 numbers", self.settle("run", "sweep.toml", code=2).stderr)
        self.assertEqual((self.folder / "sweep.h5").read_bytes(), before)

    def test_a_budget_that_runs_out_is_an_outcome(self):
        self.write("sweep.toml", SETTLING + """
[[sweep.axes]]
parameter = "solver.max_steps"
values = [5, 100000]
""")
        said = self.settle("run", "sweep.toml").stdout
        self.assertIn("1 failed", said)
        with h5py.File(self.folder / "sweep.h5") as file:
            names = file["outcome"].attrs["flag_meanings"].split()
            self.assertEqual([names[k] for k in file["outcome"][:, 0]], ["failed", "settled"])
            self.assertIn("budget", file["outcome_reason"].asstr()[0, 0])

    def test_a_step_too_long_diverges_where_it_does(self):
        self.write("sweep.toml", SMALL.replace("duration = 40.0", 'duration = 400.0\nmethod = "euler"')
                   .replace("leak = 0.05", "leak = 0.05\n[model.controller.gains]\ni = 4.0")
                   .replace('layers', 'transfer = "identity"\nlayers') + """
[[sweep.axes]]
parameter = "solver.step"
values = [0.01, 2.5]
""")
        said = self.settle("run", "sweep.toml").stdout
        with h5py.File(self.folder / "sweep.h5") as file:
            names = file["outcome"].attrs["flag_meanings"].split()
            self.assertEqual([names[k] for k in file["outcome"][:, 0]], ["settled", "diverged"])
            self.assertEqual(file.attrs["stability_compared"], 2)
            self.assertEqual(file.attrs["stability_differing"], 1)
        self.assertIn("all but 1 of 2", said)
        self.assertIn("step = 2.5", said)

    def test_points_of_other_trials_are_told(self):
        self.write("sweep.toml", SMALL + """
[[sweep.axes]]
parameter = "model.trials"
values = [1, 2]
""")
        said = self.settle("run", "sweep.toml").stdout
        self.assertIn("trials = 2: 2 trials, where the other points have 1", said)


class Interruptions(SweepTest):
    def start(self, name, result="sweep.h5"):
        """On one thread, once the first points stand in the file, and before the last do."""
        process = subprocess.Popen([SETTLE, "run", name, "--threads", "1", "-o", result],
                                   cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + 60
        while not self.points(result):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(process.poll(), "it ended too soon")
            time.sleep(0.01)
        return process

    def points(self, result):
        """How many are done, in a file that is being written."""
        try:
            with h5py.File(self.folder / result, locking=False) as file:
                return (file["point_status"][()] == 1).sum()
        except (OSError, KeyError, RuntimeError):
            return 0

    def test_ctrl_c_and_resume_come_to_the_same_bits(self):
        self.write("sweep.toml", SLOW + KEEP + SIZES + LEAK.format(4))
        self.settle("run", "sweep.toml", "-q", "-o", "whole.h5")
        process = self.start("sweep.toml")
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1]
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("settle resume sweep.h5", errors)
        status, points = self.status("sweep.h5")
        self.assertEqual(status, "interrupted")
        self.assertGreater((points == 1).sum(), 0)
        self.assertGreater((points == 0).sum(), 0)
        self.check_opens("sweep.h5")
        before = (self.folder / "sweep.h5").read_bytes()
        done = self.settle("run", "sweep.toml", code=2)
        self.assertIn("settle resume", done.stderr)
        self.assertIn("--overwrite", done.stderr)
        self.assertEqual((self.folder / "sweep.h5").read_bytes(), before)
        said = self.settle("resume", "sweep.h5").stdout
        self.assertRegex(said, rf"points +16, {(points == 0).sum()} of them in ")
        self.same("whole.h5", "sweep.h5")
        # Once more, to no effect.
        before = (self.folder / "sweep.h5").read_bytes()
        self.assertIn("is complete", self.settle("resume", "sweep.h5").stdout)
        said = json.loads(self.settle("resume", "sweep.h5", "--json").stdout)
        self.assertEqual(said, {"result": "sweep.h5", "status": "done"})
        self.assertEqual((self.folder / "sweep.h5").read_bytes(), before)
        self.settle("run", "sweep.toml", "-q", "--set", "sweep.axes=[{parameter='seed',values=[1]}]")

    def test_a_killed_sweep_opens_and_resumes_to_the_same_bits(self):
        self.write("w.csv", "\n".join([",".join(["0.3"] * 6)] * 4))
        self.write("sweep.toml", SLOW.replace("forward = {", "forward = { file = 'w.csv' } #")
                   + LEAK.format(20))
        (self.folder / "elsewhere").mkdir()
        self.settle("run", "sweep.toml", "-q", "-o", "whole.h5")
        process = self.start("sweep.toml", "elsewhere/sweep.h5")
        process.kill()
        process.communicate(timeout=30)
        status, points = self.status("elsewhere/sweep.h5")
        self.assertEqual(status, "running")
        self.assertGreater((points == 0).sum(), 0)
        shutil.move(self.folder / "elsewhere" / "sweep.h5", self.folder / "elsewhere" / "moved.h5")
        done = subprocess.run([SETTLE, "resume", "moved.h5", "-q"], cwd=self.folder / "elsewhere",
                              capture_output=True, text=True, timeout=100)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.same("whole.h5", "elsewhere/moved.h5")

    def test_a_sweep_that_is_still_running_is_left_alone(self):
        self.write("sweep.toml", SLOW + LEAK.format(100))
        process = self.start("sweep.toml")
        for command in (["resume", "sweep.h5"], ["run", "sweep.toml", "--overwrite"]):
            done = subprocess.run([SETTLE, *command], cwd=self.folder, capture_output=True,
                                  text=True, timeout=100)
            self.assertIn(done.returncode, (1, 2))
            self.assertRegex(done.stderr, "sweep.h5: another program is writing")
        self.assertIsNone(process.poll(), "it ended too soon")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(self.status("sweep.h5")[0], "interrupted")

    def test_a_full_disk_loses_nothing_that_was_written(self):
        self.write("sweep.toml", SMALL.replace("interval = 0.5", "interval = 0.002") + KEEP
                   + LEAK.format(12))
        self.settle("run", "sweep.toml", "-q", "-o", "whole.h5")

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (12_000_000, 12_000_000))

        done = self.settle("run", "sweep.toml", "--threads", "1", code=1, preexec_fn=limit)
        self.assertRegex(done.stderr, "(?i)error: sweep.h5: no room for .* more: file too large\n$")
        self.assertEqual(done.stderr.count("\n"), 1)
        status, points = self.status("sweep.h5")
        self.assertEqual(status, "interrupted")
        self.assertGreater((points == 0).sum(), 0)
        self.assertGreater((points == 1).sum(), 0)
        self.settle("resume", "sweep.h5", "-q")
        self.same("whole.h5", "sweep.h5")

    def test_only_sweeps_are_resumed(self):
        self.write("small.toml", SMALL)
        self.settle("run", "small.toml", "-q")
        done = self.settle("resume", "small.h5", code=2)
        self.assertIn("the result of a run, which cannot be resumed", done.stderr)
        self.assertIn('initial = { from = "small.h5" }', done.stderr)
        self.assertIn("no such file", self.settle("resume", "none.h5", code=2).stderr)
        self.assertIn("small.toml", self.settle("resume", "small.toml", code=2).stderr)
        self.write("sweep.toml", SMALL + LEAK.format(2))
        self.settle("run", "sweep.toml", "-q")
        # One that is wrong does not cost the others.
        done = self.settle("resume", "none.h5", "sweep.h5", code=2)
        self.assertIn("sweep.h5 is complete", done.stdout)


class Output(SweepTest):
    def test_quick_runs_two_points_an_axis(self):
        self.write("sweep.toml", SMALL + LEAK.format(9) + GAIN)
        said = self.settle("run", "sweep.toml", "--quick").stdout
        self.assertRegex(said, "points +4 in ")
        with h5py.File(self.folder / "sweep.h5") as file:
            np.testing.assert_array_equal(file["leak"][()], [0.01, 1])
        self.write("sweep.toml", SLOW.replace("step = 0.0005", "step = 0.0000005") + LEAK.format(2))
        done = self.settle("run", "sweep.toml", "--quick")
        self.assertIn("settle resume sweep.h5", done.stderr)
        self.assertEqual(self.status("sweep.h5")[0], "interrupted")

    def test_quiet_and_json(self):
        self.write("sweep.toml", SETTLING + LEAK.format(3) + GAIN)
        done = self.settle("run", "sweep.toml", "-q")
        self.assertEqual(done.stdout + done.stderr, "")
        done = self.settle("run", "sweep.toml", "--json")
        self.assertEqual(done.stderr, "")
        said = json.loads(done.stdout)
        self.assertEqual((said["status"], said["points"], said["pending"], said["failed"]),
                         ("done", 6, 0, 0))
        self.assertEqual([axis["name"] for axis in said["axes"]], ["leak", "gains_i"])
        self.assertEqual(said["verdicts"], {"settled": 6})
        self.assertEqual(said["stability"], {"compared": 6, "differing": 0, "undecided": 0})
        self.assertEqual(said["settling_time"]["compared"], 6)
        with h5py.File(self.folder / "sweep.h5") as file:
            self.assertEqual(file.attrs["stability_compared"], 6)
            self.assertEqual(file.attrs["stability_differing"], 0)
            ratios = (file["settling_time"][..., list(file["signal"].asstr()).index("state"), 2]
                      / file["predicted_settling_time"][..., 2])
        self.assertAlmostEqual(said["settling_time"]["median_ratio"], np.sort(ratios.ravel())[3])

    def test_the_configuration_and_its_place_stand_in_the_file(self):
        text = SMALL + LEAK.format(2)
        self.write("sweep.toml", text)
        self.settle("run", "sweep.toml", "-q", "--set", "solver.duration=30.0")
        with h5py.File(self.folder / "sweep.h5") as file:
            self.assertEqual(file["config"].asstr()[()], text)
            self.assertIn("duration = 30", file["resume_config"].asstr()[()])
            self.assertEqual(file.attrs["base_folder"], str(self.folder))
            for name, item in file.items():
                self.assertTrue(item.attrs["units"], name)
                self.assertTrue(item.attrs["long_name"], name)

    def test_an_axis_called_as_a_measure_is_a_mistake(self):
        self.write("sweep.toml", SMALL + LEAK.format(2).replace("log", 'name = "rise_time"\nlog'))
        said = self.settle("run", "sweep.toml", code=2).stderr
        self.assertIn('an axis of the sweep called "rise_time"', said)


if __name__ == "__main__":
    unittest.main()
