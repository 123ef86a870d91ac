"""The file of a training run in h5py and, where they are installed, in xarray's engines."""

import importlib.util
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np

TEST_IO = os.environ.get("SETTLE_TEST_IO", "test_io")
ENGINES = [engine for engine, module in (("netcdf4", "netCDF4"), ("h5netcdf", "h5netcdf"))
           if importlib.util.find_spec("xarray") and importlib.util.find_spec(module)]
AXES = ("rule", "seed", "step", "layer")


@unittest.skipUnless(Path(TEST_IO).exists(), "the program that writes the file is not built")
class TrainingFile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.path = Path(folder.name) / "training.h5"
        subprocess.run([TEST_IO, "[example_file]"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "SETTLE_EXAMPLE_FILE": str(cls.path)})

    def test_every_dataset_describes_itself(self):
        with h5py.File(self.path) as file:
            found = []
            file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
            for dataset in found:
                with self.subTest(dataset=dataset.name):
                    self.assertTrue(dataset.attrs["units"])
                    self.assertTrue(dataset.attrs["long_name"])
                    scale = h5py.h5ds.is_scale(dataset.id)
                    if dataset.dtype.kind == "f" and not scale:
                        self.assertTrue(np.isnan(dataset.attrs["_FillValue"]))
                    if not scale:
                        for axis, length in zip(dataset.dims, dataset.shape):
                            self.assertEqual(axis[0].parent, dataset.parent)
                            self.assertEqual(axis[0].shape, (length,))

    def test_h5py_finds_courses_by_rule_and_seed(self):
        with h5py.File(self.path) as file:
            self.assertEqual(file.attrs["status"], "done")
            self.assertEqual(list(file["rule"].asstr()), ["DI, α = .01", "bp"])
            self.assertEqual(tuple(axis[0].name[1:] for axis in file["angle"].dims), AXES)
            np.testing.assert_array_equal(file["train_error"][1, 2], [1200, 1210, 1220, 1230])
            self.assertTrue(np.isnan(file["train_error"][0, 1]).all())
            np.testing.assert_array_equal(file["outcome"][()], [[0, -1, -1], [-1, -1, 1]])
            self.assertEqual(file["outcome"].attrs["flag_meanings"].split()[1], "diverged")
            self.assertEqual(file["reason"].asstr()[1, 2], "‖W‖ is not finite")
            course = file["weights/rule_1/seed_9"]
            self.assertEqual(course.attrs["rule"], "bp")
            np.testing.assert_array_equal(course["W_1"][()], [[1, 2, 3], [4, 5, 6]])

    @unittest.skipUnless(ENGINES, "xarray is not installed")
    def test_xarray_selects_by_names(self):
        import xarray

        for engine in ENGINES:
            with self.subTest(engine=engine):
                with xarray.open_dataset(self.path, engine=engine) as data:
                    self.assertEqual(data["angle"].dims, AXES)
                    course = data.sel(rule="bp", seed=9)
                    np.testing.assert_array_equal(course["train_error"], [1200, 1210, 1220, 1230])
                    self.assertEqual(float(course["angle"].sel(step=100, layer=2)), 1222)
                    self.assertEqual(str(course["reason"].values), "‖W‖ is not finite")
                    for name, variable in data.variables.items():
                        self.assertNotIn(variable.dtype.kind, "mM", name)
                with xarray.open_dataset(self.path, engine=engine, group="weights/rule_1/seed_9") as data:
                    self.assertEqual(data["W_1"].dims, ("unit_1", "unit_0"))
                    self.assertEqual(data["W_2"].dims, ("unit_2", "unit_1"))
                    self.assertEqual((data["W_2"] @ data["W_1"]).shape, (4, 3))
                    self.assertEqual(data["b_1"].dims, ("unit_1",))


if __name__ == "__main__":
    unittest.main()
