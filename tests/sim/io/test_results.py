"""Results of `settle run` in the tools that people use: h5py, xarray with both engines, h5dump."""

import hashlib
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import h5py
import numpy as np
import xarray

SETTLE = os.environ.get("SETTLE", "settle")
ENGINES = ("netcdf4", "h5netcdf")

CONFIG = """\
title = "One layer, α = .01"
seed = 3
time_unit = "{time_unit}"

[model]
kind = "dynamic_inversion"
scheme = "sequential"
layers = [6, 4]
transfer = "tanh"
forward = {{ init = "uniform", low = -0.5, high = 0.5 }}
feedback = {{ init = "negative_transpose" }}
setpoint = {{ init = "normal", std = 0.1 }}
trials = 3

[model.controller]
leak = 0.01

[solver]
duration = {duration}
{settled}

[record]
variables = ["*", "*.rate"]
interval = 0.5
"""
SETTLED = "settled = { tolerance = 1e-5, dwell = 5.0 }"


def settle(*arguments):
    return subprocess.run([SETTLE, *map(str, arguments)], capture_output=True, text=True)


class Results(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.result = cls.run_config("run", time_unit="ms", duration=2000.0, settled=SETTLED)

    @classmethod
    def write_config(cls, name, text):
        path = Path(cls.folder.name) / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    @classmethod
    def run_config(cls, name, **values):
        cls.config = cls.write_config(name, CONFIG.format(**values))
        result = cls.config.with_suffix(".h5")
        done = settle("run", cls.config, "-o", result, "--quiet")
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return result

    def datasets(self, file):
        found = []
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        return found

    def check_self_describing(self, path):
        with h5py.File(path) as file:
            for dataset in self.datasets(file):
                with self.subTest(dataset=dataset.name):
                    self.assertTrue(dataset.attrs["units"])
                    self.assertTrue(dataset.attrs["long_name"])
                    self.assertNotIn("seconds", dataset.attrs["units"])
                    text = h5py.check_string_dtype(dataset.dtype)
                    self.assertTrue(text or dataset.dtype.kind in "if", dataset.dtype)
                    if text:
                        self.assertEqual(text.encoding, "utf-8")
                    if dataset.dtype.kind == "f":
                        self.assertTrue(np.isnan(dataset.attrs["_FillValue"]))
                    if h5py.h5ds.is_scale(dataset.id):
                        continue
                    names = []
                    for axis in dataset.dims:
                        self.assertGreaterEqual(len(axis), 1)
                        self.assertEqual(axis[0].parent, dataset.parent)
                        self.assertEqual(axis[0].shape, (dataset.shape[len(names)],))
                        names.append(axis[0].name)
                    self.assertEqual(len(set(names)), len(names), "a dimension stands twice")

    def test_every_dataset_has_scales_units_and_a_long_name(self):
        self.check_self_describing(self.result)

    def test_root_says_where_the_result_came_from(self):
        with h5py.File(self.result) as file:
            attributes = file.attrs
            self.assertEqual(attributes["title"], "One layer, α = .01")
            self.assertEqual(attributes["status"], "done")
            self.assertEqual(attributes["outcome"], "settled")
            self.assertEqual(attributes["seed"], 3)
            self.assertEqual(attributes["solver"], "auto")
            self.assertEqual(attributes["solver_used"], "dopri5")
            self.assertIn("is not the identity", attributes["solver_how"])
            self.assertTrue(attributes["source"].startswith("settle "))
            self.assertIn("run", attributes["history"])
            for name in ("Conventions", "host", "compiler", "libraries"):
                self.assertTrue(attributes[name], name)
            for name in ("rtol", "atol", "steps", "evaluations", "wall_time", "schema_version"):
                self.assertGreater(attributes[name], 0, name)
            config = file["config"].asstr()[()]
            self.assertEqual(config, self.config_text())
            for name in ("config", "config_expanded"):
                text = file[name].asstr()[()].encode()
                self.assertEqual(file[name].attrs["sha256"], hashlib.sha256(text).hexdigest())

    def config_text(self):
        return (self.result.with_suffix(".toml")).read_text(encoding="utf-8")

    def test_stored_weights_and_setpoint_reproduce_the_error(self):
        with h5py.File(self.result) as file:
            weights = file["circuit/weights_hidden_to_control"]
            error = file["control_error"][:]
            self.assertEqual(weights.attrs["gain"], 1.0)
            recomputed = (
                np.tanh(file["hidden"][:]) @ weights[:].T - file["circuit/setpoint_control"][:]
            )
            # Rounding of a sum of seven terms below 1, summed in another order.
            np.testing.assert_allclose(recomputed, error, rtol=0, atol=1e-14)
            # tanh by the library and by numpy differ in the last bits.
            np.testing.assert_allclose(file["hidden_rate"][:], np.tanh(file["hidden"][:]), rtol=1e-14)

    def test_final_state_is_the_last_sample(self):
        with h5py.File(self.result) as file:
            self.assertEqual(file["time"][-1], file.attrs["t_end"])
            self.assertEqual(file["time"][0], 0.0)
            for name in ("hidden", "control_integral"):
                np.testing.assert_array_equal(file["final"][name][:], file[name][-1])

    def test_outcome_is_there_per_trial_and_phase(self):
        with h5py.File(self.result) as file:
            meanings = file["outcome"].attrs["flag_meanings"].split()
            self.assertEqual([meanings[flag] for flag in file["outcome"]], ["settled"] * 3)
            self.assertEqual(file["phase_outcome"].shape, (file["phase"].shape[0], 3))
            self.assertTrue((file["settled_at"][:] < file["phase_end"][-1]).all())
            self.assertTrue((file["final_residual"][:] < 1e-5).all())
            self.assertEqual(len(file["outcome_reason"]), 3)

    def test_xarray_opens_it_with_both_engines(self):
        for engine in ENGINES:
            with self.subTest(engine=engine), h5py.File(self.result) as file:
                with xarray.open_dataset(self.result, engine=engine) as data:
                    self.assertEqual(data["hidden"].dims, ("time", "trial", "hidden_unit"))
                    self.assertEqual(data["control_error"].dims, ("time", "trial", "control_unit"))
                    self.assertEqual(data["time"].dtype, np.float64)
                    self.assertEqual(data["time"].attrs["units"], "ms")
                    for name, variable in data.variables.items():
                        self.assertNotIn(variable.dtype.kind, "mM", name)
                        if variable.dtype.kind in "if":
                            np.testing.assert_array_equal(variable.values, file[name][()])
                    name = str(data["phase"].values[0])
                    self.assertEqual(data.sel(phase=name)["phase_outcome"].shape, (3,))
                    self.assertEqual(data.sel(time=1.0)["hidden"].shape, (3, 6))
                for group in ("circuit", "final"):
                    with xarray.open_dataset(self.result, engine=engine, group=group) as data:
                        data.load()
                        self.assertGreater(len(data), 0)
        with xarray.open_dataset(self.result) as data:
            self.assertEqual(data["hidden"].attrs["units"], "1")

    def test_units_of_time_stay_numbers_in_xarray(self):
        for unit in ("1", "s", "seconds", "milliseconds", "minutes", "hours", "days"):
            path = self.run_config("unit", time_unit=unit, duration=5.0, settled="")
            for engine in ENGINES:
                with self.subTest(unit=unit, engine=engine):
                    with xarray.open_dataset(path, engine=engine) as data:
                        for name, variable in data.variables.items():
                            self.assertNotIn(variable.dtype.kind, "mM", name)

    def test_h5dump_reads_it(self):
        done = subprocess.run(["h5dump", "-H", str(self.result)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        for name in ("hidden", "control_error", "weights_hidden_to_control", "config_expanded"):
            self.assertIn(f'DATASET "{name}"', done.stdout)
# The one compound is how HDF5 itself links a scale to its datasets.
        self.assertEqual(done.stdout.count("H5T_COMPOUND"), done.stdout.count("REFERENCE_LIST"))

    def test_several_loops_are_as_well_described(self):
        text = CONFIG.format(time_unit="1", duration=50.0, settled=SETTLED)
        text = text.replace("layers = [6, 4]", "layers = [6, 4, 3]")
        config = self.write_config("loops", text)
        result = config.with_suffix(".h5")
        done = settle("run", config, "-o", result, "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_self_describing(result)
        with h5py.File(result) as file:
            for name in ("hidden_1", "hidden_2", "control_1_error", "control_2_error"):
                self.assertIn(name, file)
            self.assertEqual(len(file["phase"]), 2)
            self.assertEqual(len(set(file["phase"].asstr()[:])), 2)
        for engine in ENGINES:
            with xarray.open_dataset(result, engine=engine) as data:
                self.assertEqual(data["phase_start"].dims, ("phase",))

    def test_a_killed_run_opens_and_is_not_overwritten(self):
        # A billion time units take far longer than the test waits.
        config = self.write_config("killed", CONFIG.format(time_unit="1", duration=1e9, settled=""))
        result = config.with_suffix(".h5")
        child = subprocess.Popen([SETTLE, "run", config, "-o", result, "--quiet"])
        time.sleep(3.5)  # three times the interval between flushes
        self.assertIsNone(child.poll())
        child.send_signal(signal.SIGKILL)
        child.wait()
        with h5py.File(result) as file:
            self.assertEqual(file.attrs["status"], "running")
            times = file["time"][:]
            rows = int(np.isfinite(times).sum())
            self.assertGreater(rows, 0)
            self.assertTrue(np.isnan(times[rows:]).all())
            for name in ("hidden", "control_error"):
                self.assertTrue(np.isfinite(file[name][:rows]).all())
        for engine in ENGINES:
            with xarray.open_dataset(result, engine=engine) as data:
                self.assertEqual(int(data["time"].notnull().sum()), rows)
        before = result.stat().st_mtime_ns
        done = settle("run", config, "-o", result, "--quiet")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--overwrite", done.stderr)
        self.assertEqual(result.stat().st_mtime_ns, before)
        done = settle("run", config, "-o", result, "--quiet", "--overwrite", "--set", "solver.duration=1.0")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
