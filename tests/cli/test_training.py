"""Training as its users meet it: the table, the file, interruptions to the same bits, mistakes."""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

try:
    import xarray
except ImportError:
    xarray = None

from test_commands import SETTLE, CommandTest

TEACHER = """title = "A small regression"
seeds = [1, 2]
[network]
layers = [8, 6, 4]
transfer = "tanh"
weights = { init = "uniform", low = -0.3, high = 0.3 }
[data]
kind = "linear_teacher"
examples = 300
held_out = 100
[learning]
learning_rate = 0.02
epochs = 2
evaluate_every = 100
[[rule]]
name = "BP"
kind = "bp"
[[rule]]
name = "DI, α = .01"
kind = "di"
"""

DIGITS = """[network]
layers = [64, 20, 10]
transfer = "tanh"
output = "softmax"
precision = "float32"
[data]
kind = "digits"
side = 8
examples = 300
held_out = 100
[learning]
learning_rate = 0.5
epochs = 5
batch = 10
evaluate_every = 500
[[rule]]
kind = "bp"
[[rule]]
kind = "fa"
"""

# A second or more; the loops of `di` sometimes do not settle in their time, and all that a rule keeps is there.
LONG = """seeds = [3, 4]
[network]
layers = [10, 8, 6, 4]
transfer = "tanh"
weights = { init = "uniform", low = -0.3, high = 0.3 }
[data]
kind = "linear_teacher"
examples = 1500
held_out = 100
[learning]
learning_rate = 0.003
optimiser = "adam"
epochs = 2
evaluate_every = 700
checkpoint_every = 0.2
[[rule]]
kind = "bp"
[[rule]]
kind = "di"
duration = 24.0
stability = "monitor"
warm_start = true
[[rule]]
kind = "weight_mirror"
[[rule]]
kind = "target_propagation"
"""

# What the clock says.
TIMES = {"seconds_per_example"}
# What may be written another way.
CONFIGURATION = {"config", "resume_config"}


class TrainingTest(CommandTest):
    def same(self, a, b, but=frozenset()):
        super().same(a, b, TIMES | but)

    def status(self, name):
        with h5py.File(self.folder / name) as file:
            return file.attrs["status"]

    def outcomes(self, name):
        with h5py.File(self.folder / name) as file:
            names = file["outcome"].attrs["flag_meanings"].split()
            return [[names[flag] for flag in row] for row in file["outcome"][()]]


class Table(TrainingTest):
    def test_what_is_told_of_a_regression(self):
        self.write("teacher.toml", TEACHER)
        done = self.settle("run", "teacher.toml")
        self.assertEqual(done.stderr, "")
        self.assertRegex(done.stdout, r"^A small regression\n")
        self.assertIn("linear_teacher: 300 training and 100 held-out examples", done.stdout)
        self.assertIn("8-6-4, tanh, linear output, 82 weights and biases, float64", done.stdout)
        self.assertRegex(done.stdout, r"trained +2 rules with 2 seeds, 600 examples each, in \d")
        self.assertRegex(done.stdout, r"error +mean square on held-out examples; the median of 2")
        number, duration = r"\d+\.?\d*", r"\d+\.?\d* [µm]s"
        self.assertRegex(done.stdout, rf"\n    BP +{number} +{number} +{number} +{duration} +2 trained")
        self.assertRegex(done.stdout,
                         rf"\n    DI, α = \.01 +{number} +{number} +{number} +{duration} +0  2 trained\n$")
        self.assertNotRegex(done.stdout, r"\d\.?\d*e[-+]?\d")
        self.assertEqual(self.files(), ["teacher.h5", "teacher.toml"])

    def test_what_is_told_of_a_classification(self):
        self.write("digits.toml", DIGITS)
        done = self.settle("run", "digits.toml")
        self.assertRegex(done.stdout, r"^digits\n")
        self.assertIn("share of wrong classes on held-out examples\n", done.stdout)
        self.assertRegex(done.stdout, r"rule +error +at the start +time an example +outcome\n")
        self.assertRegex(done.stdout, r"\n    bp +\d+ % +\d+ % ")
        self.assertIn("1510 weights and biases, float32", done.stdout)

    def test_json_and_quiet(self):
        self.write("teacher.toml", TEACHER)
        done = self.settle("run", "teacher.toml", "-q")
        self.assertEqual(done.stdout + done.stderr, "")
        done = self.settle("run", "teacher.toml", "--json")
        self.assertEqual(done.stderr, "")
        said = json.loads(done.stdout)
        self.assertEqual((said["status"], said["seeds"], said["error"]),
                         ("done", [1, 2], "test_error"))
        self.assertEqual([rule["name"] for rule in said["rules"]], ["BP", "DI, α = .01"])
        with h5py.File(self.folder / "teacher.h5") as file:
            for r, rule in enumerate(said["rules"]):
                self.assertEqual(rule["error"], list(file["test_error"][r, :, -1]))
                self.assertEqual(rule["outcome"], ["trained"] * 2)

    def test_a_rehearsal_sees_200_examples(self):
        self.write("teacher.toml", TEACHER)
        said = self.settle("run", "teacher.toml", "--quick").stdout
        self.assertIn(" 200 examples each", said)
        with h5py.File(self.folder / "teacher.h5") as file:
            self.assertEqual(file["step"][-1], 200)
            self.assertEqual(file.attrs["status"], "done")

    def test_check_says_what_would_be_trained(self):
        self.write("teacher.toml", TEACHER)
        said = self.settle("check", "teacher.toml").stdout
        self.assertIn("BP; DI, α = .01\n", said)
        self.assertIn("600 examples a rule and seed, 2 seeds, 7 evaluations", said)
        said = json.loads(self.settle("check", "teacher.toml", "--json").stdout)
        self.assertEqual((said["examples"], said["evaluations"]), (600, 7))
        self.assertEqual(self.files(), ["teacher.toml"])

    def test_the_cost_of_an_error_is_shown(self):
        self.write("teacher.toml", TEACHER)
        self.settle("run", "teacher.toml", "-q")
        with h5py.File(self.folder / "teacher.h5") as file:
            errors = file["test_error"][()]
            # To which both rules come with both seeds.
            error = float(errors[:, :, -1].max())
            seen = np.median([file["step"][np.argmax(row <= error)] for row in errors[0]])
            cost = np.nanmax(file["multiplications"][0])
        said = self.settle("show", "teacher.h5", "--to-error", repr(error)).stdout
        self.assertRegex(said, r"rule +examples +time +multiplications\n")
        # 8-6-4: forward pass, update, and credit through the upper layer.
        self.assertEqual(cost, 3 * (8 * 6 + 6 * 4) - 8 * 6)
        self.assertRegex(said, rf"\n    BP +{seen:.0f} +\d+\.?\d* [µm]?s +\d")
        said = self.settle("show", "teacher.h5", "--to-error", "1e-9").stdout
        self.assertRegex(said, r"\n    BP +- +- +-\n")
        self.assertIn("HDF5", self.settle("show", "teacher.toml", "--to-error", "1", code=2).stderr)

    def test_what_is_shown_runs_to_the_same_bits(self):
        for name, text in (("teacher", TEACHER), ("digits", DIGITS)):
            self.write(name + ".toml", text)
            self.settle("show", name + ".toml", "-q", "-o", name + "_shown.toml")
            self.settle("run", name + ".toml", "-q")
            self.settle("run", name + "_shown.toml", "-q")
            self.same(name + ".h5", name + "_shown.h5", CONFIGURATION)

    def test_every_rule_is_shown_as_it_can_be_read(self):
        listed = json.loads(self.settle("list", "rules", "--json").stdout)
        names = [entry["name"] for entry in listed[0]["entries"]]
        self.assertGreater(len(names), 10)
        head = TEACHER[:TEACHER.index("[[rule]]")]
        self.write("all.toml", head + "".join(f'[[rule]]\nkind = "{name}"\n' for name in names))
        self.settle("show", "all.toml", "-q", "-o", "shown.toml")
        first, second = (json.loads(self.settle("check", name, "--json").stdout)
                         for name in ("all.toml", "shown.toml"))
        self.assertEqual(first, second)


class Result(TrainingTest):
    def test_dimensions_units_and_values(self):
        self.write("teacher.toml", TEACHER)
        self.settle("run", "teacher.toml", "-q", "--set", "seeds=[5, 2]")
        with h5py.File(self.folder / "teacher.h5") as file:
            self.assertEqual(list(file["rule"].asstr()), ["BP", "DI, α = .01"])
            self.assertEqual(list(file["seed"]), [5, 2])
            self.assertEqual(list(file["step"]), [0, 100, 200, 300, 400, 500, 600])
            self.assertEqual(list(file["layer"]), [1, 2])
            for name in ("train_error", "test_error", "train_loss", "test_loss", "unsettled",
                         "seconds_per_example"):
                self.assertEqual([dim[0].name for dim in file[name].dims],
                                 ["/rule", "/seed", "/step"], name)
            for name in ("angle_to_bp", "angle_to_ndi", "angle_to_pbp", "angle_to_gauss_newton",
                         "update_norm", "feedback_angle", "slowest_pole"):
                self.assertEqual([dim[0].name for dim in file[name].dims],
                                 ["/rule", "/seed", "/step", "/layer"], name)
            for name, item in file.items():
                if isinstance(item, h5py.Dataset):
                    self.assertTrue(item.attrs["units"], name)
                    self.assertTrue(item.attrs["long_name"], name)
                    self.assertNotIn(item.attrs["units"], ("seconds", "milliseconds"))
            self.assertEqual(file["angle_to_bp"].attrs["units"], "degree")
            self.assertEqual(file.attrs["status"], "done")
            errors = file["test_error"][()]
            self.assertTrue(np.isfinite(errors).all())
            self.assertTrue((errors[:, :, -1] < errors[:, :, 0] / 3).all())
            # All rules start from the same weights; BP's own update is BP's.
            self.assertEqual(errors[0, :, 0].tobytes(), errors[1, :, 0].tobytes())
            np.testing.assert_allclose(file["angle_to_bp"][0, :, 1:], 0, atol=1e-5)
            # A loop at rest to the relative residual 1e-6 lies on its closed form, but for clipping.
            np.testing.assert_allclose(file["angle_to_ndi"][1, :, 1:], 0, atol=1e-2)
            self.assertTrue(np.isnan(file["slowest_pole"][0]).all())
            self.assertTrue((file["slowest_pole"][1, :, 1:, 1] < 0).all())
            self.assertEqual(self.outcomes("teacher.h5"), [["trained"] * 2] * 2)

    def test_rules_of_a_series_have_their_parameter_as_a_coordinate(self):
        self.write("vary.toml", TEACHER + 'vary = { leak = [0.01, 0.1] }\n')
        self.settle("run", "vary.toml", "-q", "--quick")
        with h5py.File(self.folder / "vary.h5") as file:
            self.assertEqual(list(file["rule"].asstr()),
                             ["BP", "DI, α = .01, leak = 0.01", "DI, α = .01, leak = 0.1"])
            self.assertEqual(list(file["series"].asstr()), ["BP"] + 2 * ["DI, α = .01"])
            self.assertEqual(list(file["parameter"].asstr()), ["", "leak", "leak"])
            np.testing.assert_array_equal(file["parameter_value"], [np.nan, 0.01, 0.1])
        if xarray:
            with xarray.open_dataset(self.folder / "vary.h5") as data:
                self.assertLessEqual({"series", "parameter", "parameter_value"}, set(data.coords))
                own = data.test_error[{"rule": data.series == "DI, α = .01", "step": -1}]
                self.assertEqual(own.parameter_value.values.tolist(), [0.01, 0.1])

    def test_the_weights_give_the_error_that_was_recorded(self):
        """Examples in a file, so that NumPy sees the same."""
        rng = np.random.default_rng(1)
        inputs = rng.normal(size=(260, 5))
        targets = np.tanh(inputs @ rng.normal(size=(5, 3)))
        np.savetxt(self.folder / "all.csv", np.hstack([inputs, targets])[:200], delimiter=",",
                   fmt="%.17g")
        np.savetxt(self.folder / "more.csv", np.hstack([inputs, targets])[200:], delimiter=",",
                   fmt="%.17g")
        data = 'kind = "csv"\nfile = "all.csv"\nheld_out_file = "more.csv"\ntargets = [5, 6, 7]\n'
        self.write("csv.toml", TEACHER.replace("[8, 6, 4]", "[5, 6, 3]").replace(
            'kind = "linear_teacher"\nexamples = 300\nheld_out = 100\n', data))
        self.settle("run", "csv.toml", "-q")
        with h5py.File(self.folder / "csv.h5") as file:
            for r in range(2):
                for s, seed in enumerate(file["seed"]):
                    net = file[f"weights/rule_{r}/seed_{seed}"]
                    self.assertEqual(net.attrs["rule"], file["rule"].asstr()[r])
                    self.assertEqual(net.attrs["seed"], seed)
                    self.assertEqual(net["W_1"].dims[1][0].name, net.name + "/W_1_column")
                    outputs = inputs[200:]
                    for layer in (1, 2):
                        outputs = outputs @ net[f"W_{layer}"][()].T + net[f"b_{layer}"][()]
                        if layer == 1:
                            outputs = np.tanh(outputs)
                    error = ((outputs - targets[200:]) ** 2).mean()
                    # rounding of sums in another order
                    np.testing.assert_allclose(file["test_error"][r, s, -1], error, rtol=1e-12)

    @unittest.skipIf(xarray is None, "xarray is not installed")
    def test_xarray_opens_it(self):
        self.write("digits.toml", DIGITS)
        self.settle("run", "digits.toml", "-q")
        for engine in ("netcdf4", "h5netcdf"):
            with xarray.open_dataset(self.folder / "digits.h5", engine=engine) as data:
                data.load()
                self.assertEqual(data["test_error"].dims, ("rule", "seed", "step"))
                self.assertEqual(data["angle_to_bp"].dims, ("rule", "seed", "step", "layer"))
                last = data["test_error"].sel(rule="bp", seed=1, step=1500)
                self.assertLess(float(last), 1)
            with xarray.open_dataset(self.folder / "digits.h5", engine=engine,
                                     group="weights/rule_1/seed_1") as data:
                self.assertEqual(data["W_1"].shape, (20, 64))

    def test_neighbours_and_threads_change_nothing(self):
        self.write("teacher.toml", TEACHER)
        self.settle("run", "teacher.toml", "-q", "--threads", "2", "-o", "2.h5")
        self.settle("run", "teacher.toml", "-q", "--threads", "1", "-o", "1.h5")
        self.same("1.h5", "2.h5")
        self.settle("run", "teacher.toml", "-q", "--set", 'rule=[{name="DI, α = .01",kind="di"}]',
                    "--set", "seeds=[2]", "-o", "alone.h5")
        with h5py.File(self.folder / "1.h5") as all, h5py.File(self.folder / "alone.h5") as alone:
            for name, item in alone.items():
                if isinstance(item, h5py.Dataset) and name not in TIMES and "step" in [
                        dim.keys()[0] for dim in item.dims if dim.keys()] and item.ndim > 1:
                    self.assertEqual(item[0, 0].tobytes(), all[name][1, 1].tobytes(), name)
            for name, item in alone["weights/rule_0/seed_2"].items():
                self.assertEqual(item[()].tobytes(),
                                 all["weights/rule_1/seed_2"][name][()].tobytes(), name)

    def test_a_rate_that_is_too_large_diverges_with_its_reason(self):
        text = TEACHER[:TEACHER.rindex("[[rule]]")]
        self.write("bp.toml", text.replace("learning_rate = 0.02", "learning_rate = 1e6"))
        done = self.settle("run", "bp.toml", code=1)
        self.assertRegex(done.stdout, r"BP +— +— .*2 diverged\n")
        self.assertRegex(done.stdout, r"BP, seed 2: diverged, the network's output was infinite "
                         r"or NaN after \d+ examples\n")
        self.assertIn("2 of 2 courses diverged; a smaller learning_rate", done.stderr)
        self.assertEqual(self.outcomes("bp.h5"), [["diverged"] * 2])
        self.assertEqual(self.status("bp.h5"), "failed")
        with h5py.File(self.folder / "bp.h5") as file:
            self.assertIn("infinite", file["reason"].asstr()[0, 1])
        self.assertEqual(self.files(), ["bp.h5", "bp.toml"])
        said = json.loads(self.settle("run", "bp.toml", "--json", code=1).stdout)
        self.assertEqual(said["rules"][0]["error"], [None, None])
        # One that diverges is a finding as long as there are others.
        self.write("two.toml", text + '[[rule]]\nkind = "bp"\nlearning_rate = 1e6\n')
        self.assertIn("2 of 4 courses diverged", self.settle("run", "two.toml").stderr)
        self.assertEqual(self.outcomes("two.h5"), [["trained"] * 2, ["diverged"] * 2])

    def test_targets_of_a_cross_entropy_are_probabilities(self):
        for output, found in (("softmax", "that sum to"), ("logistic", "targets from -")):
            self.write("ce.toml", TEACHER.replace("[network]", f'[network]\noutput = "{output}"'))
            errors = self.settle("check", "ce.toml", code=2).stderr
            self.assertIn("loss: cross-entropy of targets from", errors)
            self.assertIn(found, errors)
            self.assertIn('or loss = "squared_error"', errors)
            self.settle("check", "ce.toml", "--set", 'learning.loss="squared_error"')

    def test_circuits_that_do_not_settle_are_counted_with_a_reason(self):
        self.write("di.toml", TEACHER + "duration = 5.0\n")
        said = self.settle("run", "di.toml").stdout
        self.assertRegex(said, r"not settled +outcome\n")
        self.assertRegex(said, r"DI, α = \.01, seed 1: \d+ circuits? did not settle: ")
        with h5py.File(self.folder / "di.h5") as file:
            self.assertGreater(np.nansum(file["unsettled"][1, 0]), 0)
            self.assertIn("did not settle", file["reason"].asstr()[1, 0])


class Interruptions(TrainingTest):
    def start(self, result, *arguments, config=LONG):
        """Once the first checkpoint that holds a course stands beside the file, and before the end."""
        self.write("long.toml", config)
        process = subprocess.Popen([SETTLE, "run", "long.toml", "-o", result, *arguments],
                                   cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + 60
        while not self.kept(result.replace(".h5", ".checkpoint.h5")):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(process.poll(), "it ended too soon")
            time.sleep(0.01)
        return process

    def kept(self, checkpoint):
        """Whether a course of `di` has come beyond its first evaluation in a checkpoint."""
        try:
            with h5py.File(self.folder / checkpoint, locking=False) as file:
                return any(seed["batches"][()] > 700 for seed in file["rule_1"].values())
        except (OSError, KeyError, RuntimeError):
            return False

    def interrupt(self, result, **config):
        process = self.start(result, "--threads", "2", **config)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=30)[1]
        self.assertEqual(process.returncode, 130, errors)
        return errors

    def test_ctrl_c_and_resume_come_to_the_same_bits(self):
        self.write("long.toml", LONG)
        self.settle("run", "long.toml", "-q", "-o", "whole.h5")
        with h5py.File(self.folder / "whole.h5") as file:
            # What is counted must come through an interruption, so there must be something.
            self.assertGreater(file["unsettled"][1].sum(), 0)
        errors = self.interrupt("long.h5")
        self.assertIn("settle resume long.h5 goes on with it", errors)
        self.assertEqual(self.status("long.h5"), "interrupted")
        self.assertIn("interrupted", sum(self.outcomes("long.h5"), []))
        self.assertEqual(self.files(),
                         ["long.checkpoint.h5", "long.h5", "long.toml", "whole.h5"])
        before = (self.folder / "long.h5").read_bytes()
        done = self.settle("run", "long.toml", code=2)
        self.assertIn("settle resume", done.stderr)
        self.assertIn("--overwrite", done.stderr)
        self.assertEqual((self.folder / "long.h5").read_bytes(), before)
        said = self.settle("resume", "long.h5").stdout
        self.assertIn("since it was resumed", said)
        self.same("whole.h5", "long.h5")
        self.assertEqual(self.files(), ["long.h5", "long.toml", "whole.h5"])
        # Once more, to no effect.
        before = (self.folder / "long.h5").read_bytes()
        self.assertEqual(self.settle("resume", "long.h5").stdout, "long.h5 is complete\n")
        said = json.loads(self.settle("resume", "long.h5", "--json").stdout)
        self.assertEqual(said, {"result": "long.h5", "status": "done"})
        self.assertEqual((self.folder / "long.h5").read_bytes(), before)

        # Killed; moved; and killed once more.
        process = self.start("killed.h5", "--threads", "2")
        process.kill()
        process.communicate(timeout=30)
        self.assertEqual(self.status("killed.h5"), "running")
        (self.folder / "elsewhere").mkdir()
        for name in ("killed.h5", "killed.checkpoint.h5"):
            shutil.move(self.folder / name, self.folder / "elsewhere" / name)
        process = subprocess.Popen([SETTLE, "resume", "elsewhere/killed.h5", "-q"], cwd=self.folder)
        time.sleep(0.3)
        process.kill()
        process.wait(timeout=30)
        self.settle("resume", "elsewhere/killed.h5", "-q")
        self.same("whole.h5", "elsewhere/killed.h5")

    def test_one_killed_before_its_first_checkpoint_begins_anew(self):
        self.write("long.toml", LONG)
        process = subprocess.Popen([SETTLE, "run", "long.toml", "-q"], cwd=self.folder)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        while not (self.folder / "long.h5").exists():
            time.sleep(0.001)
        process.kill()
        process.wait(timeout=30)
        self.settle("resume", "long.h5", "-q")
        self.assertEqual(self.status("long.h5"), "done")

    def test_a_checkpoint_that_is_missing_or_of_another_configuration(self):
        self.interrupt("long.h5")
        checkpoint = self.folder / "long.checkpoint.h5"
        shutil.move(checkpoint, self.folder / "kept.h5")
        before = (self.folder / "long.h5").read_bytes()
        done = self.settle("resume", "long.h5", code=2)
        self.assertIn("long.checkpoint.h5: no such file; expected the checkpoint", done.stderr)
        self.assertIn("--overwrite", done.stderr)
        checkpoint.write_bytes(b"something else")
        self.assertIn("long.checkpoint.h5", self.settle("resume", "long.h5", code=2).stderr)
        shutil.copy(self.folder / "kept.h5", checkpoint)
        with h5py.File(checkpoint, "r+") as file:
            del file["run_sha256"]
            file["run_sha256"] = "0" * 64
        done = self.settle("resume", "long.h5", code=2)
        self.assertIn("long.checkpoint.h5: a checkpoint of another configuration", done.stderr)
        self.assertEqual((self.folder / "long.h5").read_bytes(), before)
        self.assertIn("a checkpoint of training",
                      self.settle("resume", "kept.h5", code=2).stderr)
        # A new run takes the place of both.
        self.settle("run", "long.toml", "--overwrite", "-q", "--set", "learning.epochs=0.1")
        self.assertFalse(checkpoint.exists())
        self.assertEqual(self.status("long.h5"), "done")

    def test_a_checkpoint_of_other_data(self):
        numbers = np.random.default_rng(1).normal(size=(1500, 14))
        np.savetxt(self.folder / "data.csv", numbers, delimiter=",", fmt="%.17g")
        self.interrupt("long.h5", config=LONG.replace(
            'kind = "linear_teacher"\nexamples = 1500\nheld_out = 100\n',
            'kind = "csv"\nfile = "data.csv"\n'))
        kept = (self.folder / "data.csv").read_bytes()
        for changed in (numbers + 1e-3, numbers[:1400]):
            np.savetxt(self.folder / "data.csv", changed, delimiter=",", fmt="%.17g")
            self.assertIn("long.checkpoint.h5: a checkpoint of another configuration, or of other data",
                          self.settle("resume", "long.h5", code=2).stderr)
        (self.folder / "data.csv").write_bytes(kept)
        self.settle("resume", "long.h5", "-q")
        self.assertEqual(self.status("long.h5"), "done")

    def test_one_that_is_still_running_is_left_alone(self):
        process = self.start("long.h5")
        for command in (["resume", "long.h5"], ["run", "long.toml", "--overwrite"]):
            done = subprocess.run([SETTLE, *command], cwd=self.folder, capture_output=True,
                                  text=True, timeout=100)
            self.assertIn(done.returncode, (1, 2), done.stdout + done.stderr)
            self.assertRegex(done.stderr, "long.h5: another program is writing")
        process.kill()
        process.communicate(timeout=30)


class Mistakes(TrainingTest):
    def mistake(self, old, new, *words, base=TEACHER):
        self.assertIn(old, base)
        self.write("x.toml", base.replace(old, new, 1))
        for command in ("check", "run"):
            said = self.settle(command, "x.toml", code=2).stderr
            for word in words:
                self.assertIn(word, said)
            self.assertEqual(said.count("\n"), 1)
        self.assertEqual(self.files(), ["x.toml"])

    def test_are_told_with_place_found_and_expected(self):
        data = 'kind = "linear_teacher"\nexamples = 300\nheld_out = 100\n'
        self.mistake("[data]\n" + data, "", "x.toml:1:1: ", '"data" is missing; expected data')
        self.mistake("[learning]", "[lerning]", "x.toml:", 'unknown key "lerning"',
                     'did you mean "learning"?')
        self.mistake('kind = "bp"', 'kind = "bpp"', 'x.toml:17:8: rule[0].kind: the text "bpp"',
                     "expected one of bp, fa", 'did you mean "bp"?')
        self.mistake('kind = "di"', 'kind = "di"\nleek = 0.1', "x.toml:21:1: rule[1].leek: ",
                     'unknown key "leek"', 'did you mean "leak"?')
        self.mistake("[8, 6, 4]", "[8]", "x.toml:4:10: network.layers: a list of 1", "at least two")
        self.mistake('"linear_teacher"', '"digits"', "x.toml:7:1: data: 144 inputs an example",
                     "expected 8, the size of the network's first layer")
        self.mistake("epochs = 2", "epochs = 2\nexamples = 7", "x.toml:", "examples beside epochs")
        self.mistake('"BP"', '"DI, α = .01"', "x.toml:", "a second time")
        self.mistake("[1, 2]", "[1, 1]", "x.toml:2:9: seeds: the seed 1 twice")
        self.mistake(data, 'kind = "csv"\nfile = "none.csv"\n', "x.toml:9:8: data.file: ",
                     "none.csv: no such file")
        self.mistake("", 'sweep = { axes = [] }\n', 'unknown key "sweep"')

    def test_the_folder_of_idx_files_that_nothing_names(self):
        self.write("x.toml", TEACHER.replace(
            'kind = "linear_teacher"\nexamples = 300\nheld_out = 100\n', 'kind = "idx"\n'))
        environment = {name: value for name, value in os.environ.items() if name != "SETTLE_DATA"}
        done = subprocess.run([SETTLE, "run", "x.toml"], cwd=self.folder, env=environment,
                              capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 2)
        self.assertIn("x.toml:7:1: data.path: the environment variable SETTLE_DATA is not set; "
                      "expected SETTLE_DATA to be the folder", done.stderr)

    def test_commands_for_circuits_say_what_they_were_given(self):
        self.write("teacher.toml", TEACHER)
        self.settle("run", "teacher.toml", "-q")
        for command in ("tune", "analyze"):
            said = self.settle(command, "teacher.toml", code=2).stderr
            self.assertIn("teacher.toml: a configuration of training; expected one of a circuit", said)
        for command in ("report", "analyze"):
            said = self.settle(command, "teacher.h5", code=2).stderr
            self.assertIn("teacher.h5: the result of training, which holds no trajectories", said)
        said = self.settle("show", "teacher.toml", "-o", "teacher.svg", code=2).stderr
        self.assertIn("a picture of a training run; expected a .toml file", said)
        self.assertEqual(self.files(), ["teacher.h5", "teacher.toml"])


if __name__ == "__main__":
    unittest.main()
