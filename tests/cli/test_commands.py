"""The program as its users meet it: exit codes, streams, files, signals."""

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import h5py
import numpy as np

SETTLE = os.environ["SETTLE"]
ROOT = Path(os.environ["SETTLE_ROOT"])
CONFIGS = ROOT / "configs"

SMALL = """title = "Small"
[model]
kind = "dynamic_inversion"
layers = [6, 4]
forward = { init = "uniform", low = -0.5, high = 0.5 }
setpoint = { init = "normal", std = 0.3 }
initial = { init = "normal", std = 0.3 }
[model.controller]
leak = 0.05
[solver]
duration = 40.0
[record]
interval = 0.5
"""

# Some minutes of work on any machine: it is always ended by a signal.
LONG = SMALL.replace("duration = 40.0", 'duration = 2e6\nmethod = "rk4"\nstep = 0.001').replace(
    "interval = 0.5", "interval = 0.1"
)

# One unit that doubles: x' = x, without a bound.
DIVERGING = """[[population]]
name = "x"
size = 1
leak = 0.0
initial = 1.0
[[projection]]
from = "x"
to = "x"
weights = 1.0
[solver]
duration = 200.0
"""


def trajectories(path):
    with h5py.File(path) as file:
        return {
            name: item[()]
            for name, item in file.items()
            if isinstance(item, h5py.Dataset)
            and "time" in (item.dims[0].keys() if item.ndim else [])
            or name == "time"
        }


def datasets(path):
    """Everything in a file but its attributes, which say when it was written."""
    out = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: out.__setitem__(name, np.asarray(item[()]))
                        if isinstance(item, h5py.Dataset) else None)
    return out


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="settle_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def environment(self):
        environment = dict(os.environ)
        digits = ROOT.parent / "shared" / "data" / "mnist"
        if digits.is_dir():
            environment.setdefault("SETTLE_DATA", str(digits))
        return environment

    def settle(self, *arguments, code=0, **options):
        done = subprocess.run(
            [SETTLE, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=100,
            **options,
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def same(self, a, b, but=frozenset()):
        """All datasets of two files, bit by bit, but for some."""
        first, second = datasets(self.folder / a), datasets(self.folder / b)
        self.assertEqual(sorted(first), sorted(second))
        for name, values in first.items():
            if name in but:
                continue
            same = (np.array_equal(values, second[name]) if values.dtype == object
                    else values.tobytes() == second[name].tobytes())
            self.assertTrue(same, name)

    def start(self, *arguments):
        """A long run, once its file holds some rows."""
        self.write("long.toml", LONG)
        process = subprocess.Popen(
            [SETTLE, "run", "long.toml", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + 30
        while not (self.folder / "long.h5").exists():
            self.assertLess(time.monotonic(), deadline, "no result file")
            time.sleep(0.02)
        time.sleep(2.5)  # rows reach the file about once a second
        self.assertIsNone(process.poll(), "the long run is over")
        return process


class ExitCodes(CommandTest):
    def test_a_shortcut_is_told_recorded_and_read_back(self):
        config = SMALL.replace("layers = [6, 4]", "layers = [6, 5, 4]\ntrials = 2").replace(
            "duration = 40.0", "duration = 4000.0\nshortcut = true"
        )
        self.write("run.toml", config)
        done = self.settle("run", "run.toml", "-o", "short.h5")
        self.assertIn("shortcut          loop_2: 2 of 2 put to rest", done.stdout)
        self.assertIn("simulated         no time", done.stdout)
        full = ("--set", "solver.shortcut=false", "--set", "solver.rtol=1e-9")
        self.settle("run", "run.toml", "-o", "full.h5", *full)
        with h5py.File(self.folder / "short.h5") as short, h5py.File(self.folder / "full.h5") as f:
            self.assertEqual(list(short["time"]), [0, 0, 0])
            self.assertEqual(short["phase_skipped"][()].tolist(), [[1, 1], [1, 1]])
            self.assertTrue(np.isnan(short["settled_at"]).all())
            self.assertNotIn("phase_skipped", f)
            for name in short["final"]:
                if name.startswith(("hidden", "control")) and "unit" not in name:
                    # rest to the relative residual that counts as settled, 1e-8
                    np.testing.assert_allclose(
                        short["final"][name], f["final"][name], rtol=1e-5, atol=1e-6
                    )
            measured = short["inversion_error_control_2"][()].tolist()
        # The file has what the measures of every phase need.
        again = self.settle("analyze", "short.h5", "--json")
        found = json.loads(again.stdout)
        self.assertEqual(found["measures"]["inversion_error_control_2"]["values"], measured)
        self.assertIn("without the way", found["measures"]["settling_time"]["reasons"][0])
        plot = self.settle("plot", "short.h5", code=2)
        self.assertIn("took no time", plot.stderr)

    def test_a_settled_run_is_done(self):
        self.write("small.toml", SMALL)
        done = self.settle("run", "small.toml", "--set", "solver.settled={}", "--set",
                           "solver.duration=1000")
        self.assertIn("settled at t =", done.stdout)
        self.assertIn("small.h5", done.stdout)

    def test_a_run_that_does_not_settle_is_done_and_says_so(self):
        self.write("small.toml", SMALL)
        done = self.settle("run", "small.toml", "--set", "solver.duration=3.0")
        self.assertIn("did not settle", done.stderr)

    def test_a_diverging_run_fails(self):
        self.write("x.toml", DIVERGING)
        done = self.settle("run", "x.toml", code=1)
        self.assertIn("diverged", done.stderr)
        self.assertRegex(done.stdout, "verdict +diverged: .*x")
        with h5py.File(self.folder / "x.h5") as file:
            self.assertEqual(file.attrs["outcome"], "diverged")

    def test_a_run_out_of_budget_fails(self):
        self.write("small.toml", SMALL)
        for budget in ("max_steps=5", "max_evaluations=20"):
            done = self.settle("run", "small.toml", "--set", "solver.method=dopri5",
                               "--set", "solver." + budget, code=1)
            self.assertIn("failed", done.stderr)
            self.assertIn("budget", done.stdout)

    def test_wrong_input_is_2(self):
        self.write("wrong.toml", "[modle]\n")
        self.write("small.toml", SMALL)
        for command in ("run", "check", "show"):
            done = self.settle(command, "wrong.toml", code=2)
            self.assertIn("wrong.toml:1:2: modle", done.stderr)
            self.assertEqual(done.stdout, "")
            done = self.settle(command, "smal.toml", code=2)
            self.assertIn('did you mean "small.toml"?', done.stderr)

    def test_a_wrong_command_line_is_2(self):
        self.write("small.toml", SMALL)
        for arguments, said in (
            ([], "subcommand is required"),
            (["rnu", "small.toml"], 'did you mean "run"?'),
            (["run"], "file is required"),
            (["run", "small.toml", "--thread", "2"], 'did you mean "--threads"?'),
            (["run", "small.toml", "--threads", "0"], "--threads"),
            (["run", "small.toml", "--threads", "many"], "--threads"),
            (["check", "small.toml", "-o", "x.h5"], "-o"),
            (["list", "tahn"], 'did you mean "tanh"?'),
            (["plot", "none.h5"], "no such file"),
            (["plot"], "no file"),
            (["plot", "a.h5", "b.h5", "-o", "a.svg"], "one name for 2 results"),
        ):
            done = self.settle(*arguments, code=2)
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stdout, "")
        self.assertEqual(self.files(), ["small.toml"])

    def test_every_help_has_an_example(self):
        for command in ([], ["run"], ["check"], ["show"], ["list"], ["plot"]):
            self.assertIn("Example: settle", self.settle(*command, "--help").stdout)
        self.assertIn("settle", self.settle("--version").stdout)


class Figures(CommandTest):
    def setUp(self):
        super().setUp()
        self.write("small.toml", SMALL)

    def test_a_run_is_one_figure_unless_measures_were_asked_for(self):
        self.settle("run", "small.toml", "-q")
        self.assertEqual(self.settle("plot", "small.h5").stdout, "small.svg\n")
        self.assertEqual(self.settle("plot", "small.h5", "-o", "a.png").stdout, "a.png\n")
        measures = 'analysis.measures=["poles", "return_ratio"]'
        self.settle("run", "small.toml", "-q", "--set", measures)
        names = ["", "_poles", "_bode", "_nyquist"]
        self.assertEqual(self.settle("plot", "small.h5").stdout.split(),
                         [f"small{name}.svg" for name in names])
        self.assertEqual(self.settle("plot", "small.h5", "-o", "b.pdf").stdout.split(),
                         [f"b{name}.pdf" for name in names])

    def test_figures_are_chosen_by_name(self):
        self.settle("run", "small.toml", "-q")
        plot = ["plot", "small.h5", "--figure"]
        self.assertEqual(self.settle(*plot, "poles").stdout, "small_poles.svg\n")
        self.assertEqual(self.settle(*plot, "poles", "-o", "p.svg").stdout, "p.svg\n")
        done = self.settle(*plot, "poles,trajectories", "--figure", "directions", "-o", "x.svg")
        self.assertEqual(done.stdout.split(), ["x_poles.svg", "x.svg", "x_directions.svg"])
        before = self.files()
        done = self.settle(*plot, "trajectories,pole", "-o", "new.svg", code=2)
        self.assertIn('no figure "pole"', done.stderr)
        self.assertIn('did you mean "poles"?', done.stderr)
        self.assertEqual(self.files(), before)  # nothing is drawn before the mistake is told

    def test_the_drawn_numbers_are_written_beside_the_figure(self):
        self.settle("run", "small.toml", "-q")
        done = self.settle("plot", "--data", "small.h5")
        self.assertEqual(done.stdout.split(), ["small.svg", "small.csv"])
        with open(self.folder / "small.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file)
                    if (row["panel"], row["series"]) == ("hidden", "unit 3")]
        with h5py.File(self.folder / "small.h5") as file:
            np.testing.assert_array_equal([float(row["x"]) for row in rows], file["time"])
            np.testing.assert_array_equal([float(row["y"]) for row in rows],
                                          file["hidden"][:, 0, 3])
        self.assertEqual(rows[0]["x_quantity"], "time")
        done = self.settle("plot", "small.h5", "--figure", "poles", "--data", "n.csv")
        self.assertEqual(done.stdout.split(), ["small_poles.svg", "n.csv"])
        done = self.settle("plot", "small.h5", "--data", "n.txt", code=2)
        self.assertIn(".csv", done.stderr)


class Interruption(CommandTest):
    def test_ctrl_c_and_sigterm_keep_what_was_recorded(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("--overwrite")
            process.send_signal(number)
            _, errors = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130, errors)
            self.assertIn("long.h5", errors)
            with h5py.File(self.folder / "long.h5") as file:
                self.assertEqual(file.attrs["status"], "interrupted")
                self.assertGreater(len(file["time"]), 10)
                self.assertTrue(np.isfinite(file["time"][()]).all())
                self.assertTrue(np.isfinite(file["hidden"][()]).all())

    def test_a_killed_run_leaves_a_file_that_opens(self):
        process = self.start()
        process.kill()
        process.communicate(timeout=30)
        with h5py.File(self.folder / "long.h5") as file:
            self.assertEqual(file.attrs["status"], "running")
            times = file["time"][()]
            kept = np.isfinite(times)
            self.assertGreater(kept.sum(), 10)
            self.assertFalse(kept[kept.sum():].any(), "NaN in time only after the last flush")
            self.assertTrue(np.isfinite(file["hidden"][: kept.sum()]).all())
        before = (self.folder / "long.h5").read_bytes()
        done = self.settle("run", "long.toml", code=2)
        self.assertIn('"running"', done.stderr)
        self.assertIn("--overwrite", done.stderr)
        self.assertEqual((self.folder / "long.h5").read_bytes(), before)
        self.settle("run", "long.toml", "--overwrite", "--set", "solver.duration=1.0", "-q")
        with h5py.File(self.folder / "long.h5") as file:
            self.assertEqual(file.attrs["status"], "done")


class Streams(CommandTest):
    def test_quiet_prints_nothing(self):
        self.write("small.toml", SMALL)
        for command in (["run", "small.toml", "--quiet"], ["run", "small.toml", "-q"],
                        ["check", "small.toml", "-q"], ["show", "small.toml", "-q", "-o", "s.toml"]):
            done = self.settle(*command)
            self.assertEqual(done.stdout + done.stderr, "")

    def test_json_is_one_object(self):
        self.write("small.toml", SMALL)
        done = self.settle("run", "small.toml", "--json")
        self.assertEqual(done.stderr, "")
        said = json.loads(done.stdout)
        for key in ("file", "result", "outcome", "steps", "evaluations", "wall_time", "trials",
                    "phases", "measures", "warnings"):
            self.assertIn(key, said)
        self.assertEqual(said["status"], "done")
        self.assertIn("inversion_error", said["measures"])
        said = json.loads(self.settle("check", "small.toml", "--json").stdout)
        self.assertTrue(said["valid"])
        self.assertEqual(said["states"], 10)
        json.loads(self.settle("list", "--json").stdout)
        self.write("wrong.toml", "[modle]\n")
        said = json.loads(self.settle("check", "wrong.toml", "--json", code=2).stdout)
        self.assertFalse(said["valid"])
        self.assertIn("wrong.toml:1:2", said["where"])

    def test_json_of_a_diverging_run_is_valid(self):
        self.write("x.toml", DIVERGING)

        def refuse(word):
            self.fail(word + " is no JSON")

        done = self.settle("run", "x.toml", "--json", code=1)
        said = json.loads(done.stdout, parse_constant=refuse)
        self.assertEqual(said["outcome"], "diverged")

    def test_a_pipe_gets_plain_lines(self):
        self.write("small.toml", SMALL)
        self.write("x.toml", DIVERGING)
        outputs = [self.settle("run", "small.toml"), self.settle("run", "x.toml", code=1),
                   self.settle("check", "small.toml"), self.settle("list", "tanh"),
                   self.settle("show", "small.toml"), self.settle("run", "none.toml", code=2)]
        for done in outputs:
            for text in (done.stdout, done.stderr):
                self.assertNotIn("\x1b", text)
                self.assertNotIn("\r", text)

    def test_list_shows_every_family(self):
        everything = self.settle("list").stdout
        for word in ("models", "dynamic_inversion", "transfer functions", "threshold_linear",
                     "initialisations", "negative_transpose", "ssa", "signals", "noise", "solver",
                     "dopri5", "semi_implicit_euler", "measures", "inversion_error", "data sets",
                     "linear_teacher", "idx", "projection"):
            self.assertIn(word, everything)
        for name in ("dynamic_inversion", "tanh", "ssa", "sine", "rosenbrock4", "record",
                     "transfer functions", "transfer"):
            self.assertIn(name, self.settle("list", name).stdout)
        self.assertIn("derivative_tau", self.settle("list", "controller").stdout)


class Files(CommandTest):
    def test_check_and_show_make_no_files(self):
        self.write("small.toml", SMALL)
        self.settle("check", "small.toml")
        self.settle("show", "small.toml")
        self.assertEqual(self.files(), ["small.toml"])

    def test_bad_input_leaves_no_file_and_keeps_the_old_result(self):
        self.write("small.toml", SMALL)
        wrong = ("solver.rtol=nan", "record.variables=[\"hiden\"]",
                 "solver.settled.nodes=[\"hiden\"]", "model.setpoint=[1, 2]",
                 "initial.from=\"none.h5\"", "model.layers=[100000000, 100000000]")
        for assignment in wrong:
            self.settle("run", "small.toml", "--set", assignment, code=2)
            self.assertEqual(self.files(), ["small.toml"], assignment)
            self.settle("check", "small.toml", "--set", assignment, code=2)
        self.settle("run", "small.toml", "-q")
        before = (self.folder / "small.h5").read_bytes()
        for assignment in wrong:
            self.settle("run", "small.toml", "--set", assignment, code=2)
            self.assertEqual((self.folder / "small.h5").read_bytes(), before, assignment)

    def test_a_result_in_place_of_a_configuration_is_told(self):
        self.write("small.toml", SMALL)
        self.settle("run", "small.toml")
        for command in "run", "check", "show":
            error = self.settle(command, "small.h5", code=2).stderr
            self.assertIn("an HDF5 file", error)
            self.assertIn("settle plot", error)

    def test_a_file_of_others_is_not_overwritten(self):
        self.write("small.toml", SMALL)
        self.write("small.h5", "my notes")
        done = self.settle("run", "small.toml", code=2)
        self.assertIn("no result of settle", done.stderr)
        self.assertEqual((self.folder / "small.h5").read_text(), "my notes")
        self.settle("run", "small.toml", "-q", "--overwrite")

    def test_output_into_a_missing_folder_is_an_error(self):
        self.write("small.toml", SMALL)
        done = self.settle("run", "small.toml", "-o", "none/x.h5", code=1)
        self.assertIn("none", done.stderr)
        done = self.settle("run", "small.toml", "-o", ".", code=1)
        self.assertIn("folder", done.stderr)
        self.assertEqual(self.files(), ["small.toml"])

    def test_the_configuration_is_never_overwritten(self):
        self.write("small.toml", SMALL)
        done = self.settle("run", "small.toml", "-o", "small.toml", "--overwrite", code=2)
        self.assertIn("the configuration itself", done.stderr)
        self.settle("show", "small.toml", "-o", "../" + self.folder.name + "/small.toml", code=2)
        self.assertEqual((self.folder / "small.toml").read_text(), SMALL)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_output_into_a_read_only_folder_is_an_error(self):
        self.write("small.toml", SMALL)
        (self.folder / "fixed").mkdir(mode=0o555)
        done = self.settle("run", "small.toml", "-o", "fixed/x.h5", code=1)
        self.assertIn("fixed", done.stderr)

    def test_a_full_disk_is_a_clear_error(self):
        self.write("small.toml", SMALL)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

        done = self.settle("run", "small.toml", "--set", "solver.duration=2000",
                           "--set", "record.interval=0.01", code=1, preexec_fn=limit)
        self.assertIn("error: ", done.stderr)
        self.assertIn("small.h5", done.stderr)
        self.assertRegex(done.stderr, "(?i)too large|no space|disk")
        # The solver's own steps are not allocated early: the disk fills up on the way.
        self.write("x.toml", DIVERGING)
        options = ['record.interval="steps"', "solver.method=rk4", "solver.step=0.001",
                   "solver.divergence_limit=inf"]
        done = self.settle("run", "x.toml", *(word for option in options
                                              for word in ("--set", option)),
                           code=1, preexec_fn=limit)
        self.assertIn("x.h5", done.stderr)
        with h5py.File(self.folder / "x.h5") as file:
            self.assertEqual(file.attrs["status"], "interrupted")

    def test_set_is_used_and_recorded(self):
        self.write("small.toml", SMALL)
        self.settle("run", "small.toml", "-q", "--set", "model.controller.leak=0.25", "--set",
                    "solver.method=rk4", "--set", "solver.step=0.1")
        with h5py.File(self.folder / "small.h5") as file:
            expanded = file["config_expanded"].asstr()[()]
            self.assertIn("leak = 0.25", expanded)
            self.assertIn('method = "rk4"', expanded)
            self.assertEqual(file["config"].asstr()[()], SMALL)
            self.assertIn("--set model.controller.leak=0.25", file.attrs["history"])
            self.assertEqual(file.attrs["solver"], "rk4")

    def test_several_files_take_no_output_name(self):
        self.write("a.toml", SMALL)
        self.write("b.toml", SMALL)
        done = self.settle("run", "a.toml", "b.toml", "-o", "x.h5", code=2)
        self.assertIn("-o", done.stderr)
        self.assertEqual(self.files(), ["a.toml", "b.toml"])

    def test_a_wrong_file_does_not_cost_the_others(self):
        self.write("a.toml", SMALL)
        self.write("b.toml", "[modle]\n")
        self.write("c.toml", SMALL)
        done = self.settle("run", "a.toml", "b.toml", "c.toml", code=2)
        self.assertIn("b.toml:1:2", done.stderr)
        self.assertEqual(self.files(), ["a.h5", "a.toml", "b.toml", "c.h5", "c.toml"])
        said = json.loads(self.settle("run", "a.toml", "c.toml", "--json").stdout)
        self.assertEqual([one["result"] for one in said], ["a.h5", "c.h5"])


class SameBits(CommandTest):
    def same(self, a, b):
        first, second = trajectories(self.folder / a), trajectories(self.folder / b)
        self.assertEqual(sorted(first), sorted(second))
        self.assertGreater(len(first), 1)
        for name, values in first.items():
            self.assertEqual(values.tobytes(), second[name].tobytes(), name)

    def test_what_show_prints_runs_to_the_same_bits(self):
        for config in sorted(CONFIGS.glob("*.toml")):
            # The digits' 16 trials of 1284 units take a while; the beginning of two says as much.
            short = (["--set", "solver.duration=10", "--set", "model.setpoint.range=[0, 2]"]
                     if "digit" in config.name else [])
            with self.subTest(config.name):
                checked = subprocess.run([SETTLE, "check", config], cwd=self.folder,
                                         env=self.environment(), capture_output=True, text=True)
                if "environment variable" in checked.stderr or "no such file" in checked.stderr:
                    self.skipTest("its data is not here")
                if "[[sweep.axes]]" in config.read_text() or "[sweep]" in config.read_text():
                    continue  # many runs, of which show prints the first: test_configs.py
                if "[network]" in config.read_text():
                    continue  # training, which may take hours: test_training.py
                self.settle("run", config, "-q", "--overwrite", "-o", "a.h5", *short)
                shown = self.settle("show", config, *short).stdout
                self.write("b.toml", shown)
                self.settle("run", "b.toml", "-q", "--overwrite", "-o", "b.h5")
                self.same("a.h5", "b.h5")
                self.assertEqual(self.settle("show", "b.toml").stdout, shown)

    def test_threads_change_nothing(self):
        self.write("small.toml", SMALL.replace("[6, 4]", "[120, 100]"))
        for threads in (1, 2):
            self.settle("run", "small.toml", "-q", "--threads", threads, "--set",
                        "model.trials=50", "--set", "solver.duration=5", "--set",
                        "record.interval=1.0", "-o", f"{threads}.h5")
        self.same("1.h5", "2.h5")

    def test_a_run_repeats(self):
        self.write("small.toml", SMALL)
        for name in ("1.h5", "2.h5"):
            self.settle("run", "small.toml", "-q", "-o", name)
        self.same("1.h5", "2.h5")


class Continuation(CommandTest):
    def test_a_split_run_equals_the_whole_one(self):
        self.write("small.toml", SMALL)
        self.settle("run", "small.toml", "-q", "-o", "whole.h5", "--set", "solver.rtol=1e-9")
        self.settle("run", "small.toml", "-q", "-o", "first.h5", "--set", "solver.rtol=1e-9",
                    "--set", "solver.duration=20")
        self.write("rest.toml", 'initial = { from = "first.h5" }\n' + SMALL)
        self.settle("run", "rest.toml", "-q", "--set", "solver.rtol=1e-9", "--set",
                    "solver.duration=20")
        whole, rest = trajectories(self.folder / "whole.h5"), trajectories(self.folder / "rest.h5")
        for name in ("hidden", "control", "control_integral"):
            # rtol 1e-9 a step, some hundred steps, and the steps differ after the split.
            np.testing.assert_allclose(rest[name][-1], whole[name][-1], rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(rest[name][0], whole[name][40], rtol=1e-6, atol=1e-8)

    def test_another_circuit_cannot_be_continued(self):
        self.write("small.toml", SMALL)
        self.settle("run", "small.toml", "-q")
        self.write("other.toml", 'initial = { from = "small.h5" }\n' + SMALL)
        done = self.settle("run", "other.toml", "--set", "model.layers=[7, 4]", code=2)
        self.assertIn("other.toml:1:", done.stderr)
        self.assertIn("with 6 units", done.stderr)
        done = self.settle("run", "other.toml", "--set", "model.layers=[6, 5, 4]", code=2)
        self.assertIn("no final state of", done.stderr)


if __name__ == "__main__":
    unittest.main()
