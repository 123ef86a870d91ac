"""`settle report`: pages that are whole, stand alone and say what the files hold."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

import h5py

SETTLE = os.environ["SETTLE"]

MODEL = """
[model]
kind = "dynamic_inversion"
layers = [6, 4]
transfer = "tanh"
forward = { init = "uniform", low = -0.5, high = 0.5 }
setpoint = { init = "normal", std = 0.1 }
TRIALS
[model.controller]
leak = 0.05
[solver]
duration = 400.0
settled = {}
"""

TITLE = 'Small <loop> & \\"quotes\\" of α'

PHASES = """[[phase]]
name = "before"
duration = 5.0
off = ["control"]
[[phase]]
name = "feedback"
until = "settled"
"""

DIVERGING = """title = "Diverging"
[[population]]
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

SWEEP = """[sweep]
axes = [{ parameter = "model.controller.leak", log = [1e-2, 1.0], points = 3 },
        { parameter = "model.controller.gains.i", values = [0.5, 2.0] }]
"""

DATA = """title = "Data"
[model]
kind = "dynamic_inversion"
layers = [2, 2]
forward = { file = "w.h5", dataset = "/W" }
setpoint = { init = "normal", std = 0.1 }
[solver]
duration = 50.0
"""

TUNE = """[tune]
evaluations = 20
runs = 6
front = 2
"""

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags balance, and collects what stands in the page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.references, self.tags, self.words = [], [], [], [], []
        self.codes = set()
        self.attributes = []
        self.feed(text)
        self.close()
        assert not self.open, f"still open at the end: {self.open}"
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>: {attributes}"
        for name, value in attributes:
            self.attributes.append((tag, name, value))
            if name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> ends {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words.append(data)
        if self.open and self.open[-1] == "code":
            self.codes.add(data.strip())


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="settle_report_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def settle(self, *arguments, code=0, **options):
        done = subprocess.run(
            [SETTLE, *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=100,
            **options,
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def run_file(self, name, text, code=0):
        (self.folder / f"{name}.toml").write_text(text)
        self.settle("run", f"{name}.toml", "-q", code=code)

    def model(self, trials=1, more=""):
        return f'title = "{TITLE}"\n' + MODEL.replace("TRIALS", f"trials = {trials}") + more

    def page(self, name):
        done = self.settle("report", f"{name}.h5")
        self.assertEqual(done.stdout, f"{name}.html\n")
        if shutil.which("gnuplot") and shutil.which("dot"):
            self.assertEqual(done.stderr, "")
        text = (self.folder / f"{name}.html").read_text(encoding="utf-8")
        page = Page(text)
        self.check_alone(page, text)
        return page

    def check_alone(self, page, text):
        """Nothing is fetched, ids are unique and every reference has its target."""
        self.assertEqual(len(page.ids), len(set(page.ids)))
        self.assertNotIn("script", page.tags)
        for tag, name, value in page.attributes:
            if name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
                self.assertTrue(value.startswith(("#", "data:")), (tag, name, value))
                if value.startswith("#"):
                    self.assertIn(value[1:], page.ids)
            self.assertFalse(name.startswith("on"), (tag, name))
            for reference in re.findall(r"url\(([^)]*)\)", value or ""):
                self.assertTrue(reference.startswith("#"), reference)
                self.assertIn(reference[1:], page.ids)
        style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
        self.assertNotIn("url(", style)
        self.assertNotIn("@import", style)

    def check_measures(self, page, name, skipped=()):
        """Every measure of the file is named."""
        with h5py.File(self.folder / f"{name}.h5") as file:
            for dataset, item in file.items():
                if not isinstance(item, h5py.Dataset) or item.ndim == 0:
                    continue
                first = [scale.name for scale in item.dims[0].values()]
                if first != ["/trial"] or dataset.endswith("_reason") or dataset in skipped:
                    continue
                self.assertIn(dataset, page.codes)

    def test_a_run(self):
        self.run_file("run", self.model())
        page = self.page("run")
        self.assertIn('Small <loop> & "quotes" of α', page.text)
        self.assertIn("Settled at t =", page.text)
        self.assertIn("Inversion error", page.text)
        self.check_measures(page, "run")
        # The configuration, to the letter.
        self.assertIn('forward = { init = "uniform", low = -0.5, high = 0.5 }', page.text)
        if shutil.which("gnuplot") and shutil.which("dot"):
            self.assertGreaterEqual(page.tags.count("svg"), 2)
            self.assertNotIn("Left out", page.text)
        labels = [value for tag, name, value in page.attributes
                  if tag == "svg" and name == "aria-label"]
        self.assertEqual(len(labels), page.tags.count("svg"))
        self.assertTrue(all(labels))

    def test_the_same_file_gives_the_same_page(self):
        self.run_file("run", self.model())
        self.settle("report", "run.h5", "-q", "-o", "a.html")
        self.settle("report", "run.h5", "-q", "-o", "b.html")
        self.assertEqual((self.folder / "a.html").read_bytes(), (self.folder / "b.html").read_bytes())

    def test_many_trials_and_phases(self):
        self.run_file("run", self.model(12, PHASES))
        page = self.page("run")
        self.assertIn("All 12 trials: settled", page.text)
        self.assertIn("12 of 12", page.text)
        self.assertIn("before", page.text)
        self.check_measures(page, "run")
        done = self.settle("report", "run.h5", "--trial", "12", code=2)
        self.assertIn("a trial from 0 to 11", done.stderr)

    def test_a_diverged_run(self):
        self.run_file("run", DIVERGING, code=1)
        page = self.page("run")
        self.assertIn("Diverged", page.text)
        self.assertIn("x[0] passed the divergence limit", page.text)
        self.assertIn("missing: the outcome is diverged", page.text)
        self.check_measures(page, "run")

    def test_a_sweep(self):
        self.run_file("map", self.model(2, SWEEP))
        page = self.page("map")
        self.assertIn("12 settled", page.text)
        self.assertIn("6 points and 2 trials", page.text)
        self.assertIn("model.controller.leak", page.text)
        self.assertIn("Stability is as predicted everywhere", page.text)
        with h5py.File(self.folder / "map.h5") as file:
            for dataset, item in file.items():
                scales = [s.name for s in item.dims[0].values()] if getattr(item, "ndim", 0) else []
                if scales == ["/leak"] and not dataset.endswith("_reason") \
                        and dataset not in ("leak", "point_status"):
                    self.assertIn(dataset, page.codes)

    def test_a_sweep_with_points_that_cannot_be_run(self):
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["W"] = [[0.5, 0.1], [0.2, 0.4]]
        self.run_file("map", DATA + '[sweep]\naxes = [{ parameter = "model.forward.dataset", '
                                    'values = ["/W", "/V"] }]\n')
        page = self.page("map")
        self.assertIn("1 point could not be run", page.text)
        self.assertIn('no dataset "/V"', page.text)

    def test_an_analysis_and_a_tuning(self):
        self.run_file("run", self.model())
        self.settle("analyze", "run.h5", "-q")
        page = self.page("run_analysis")
        self.assertIn("Analysis", page.text)
        self.check_measures(page, "run_analysis")
        (self.folder / "tune.toml").write_text(self.model(1, TUNE))
        self.settle("tune", "tune.toml", "-q")
        page = self.page("tune_tuning")
        self.assertIn("Before and after", page.text)
        self.check_measures(page, "tune_tuning")

    def test_what_no_gains_keep_is_told(self):
        (self.folder / "tune.toml").write_text(
            self.model(1, TUNE + "largest_error = 1e-9\nleak = [0.1, 0.2]\np = [0.0, 0.0]\n"
                                 "i = [0.5, 1.0]\nd = [0.0, 0.0]\n"))
        self.settle("tune", "tune.toml", "-q", code=1)
        page = self.page("tune_tuning")
        self.assertIn("no gains keep the bounds", page.text)
        self.assertIn("the least found is", page.text)

    def test_a_circuit_whose_data_are_gone(self):
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["W"] = [[0.5, 0.1], [0.2, 0.4]]
        self.run_file("run", DATA)
        (self.folder / "w.h5").unlink()
        self.settle("report", "run.h5")
        page = Page((self.folder / "run.html").read_text())
        self.assertIn("the circuit cannot be built again", page.text)
        self.assertIn("w.h5", page.text)

    def test_a_page_without_gnuplot_says_so(self):
        self.run_file("run", self.model())
        done = self.settle("report", "run.h5", env={"PATH": str(self.folder)})
        self.assertIn("gnuplot", done.stderr)
        page = Page((self.folder / "run.html").read_text())
        self.assertEqual(page.tags.count("svg"), 0)
        self.assertIn("Left out: ", page.text)
        self.assertIn("apt install graphviz", page.text)

    def test_what_cannot_be_reported(self):
        done = self.settle("report", "none.h5", code=2)
        self.assertIn("none.h5", done.stderr)
        (self.folder / "text.h5").write_text("text")
        self.settle("report", "text.h5", code=2)
        with h5py.File(self.folder / "other.h5", "w") as file:
            file["x"] = 1
        self.settle("report", "other.h5", code=2)
        self.assertEqual(list(self.folder.glob("*.html")), [])

    def test_only_pages_of_ours_are_replaced(self):
        self.run_file("run", DIVERGING, code=1)
        self.settle("report", "run.h5", "-q")
        self.settle("report", "run.h5", "-q")  # its own page
        (self.folder / "mine.html").write_text("<!DOCTYPE html>\n<title>Mine</title>")
        done = self.settle("report", "run.h5", "-o", "mine.html", code=2)
        self.assertIn("did not write", done.stderr)
        self.assertIn("Mine", (self.folder / "mine.html").read_text())
        done = self.settle("report", "run.h5", "-o", "run.pdf", code=2)
        self.assertIn(".html", done.stderr)
        self.settle("report", "run.h5", "-o", "no/such/folder.html", code=1)
        self.settle("report", "run.h5", "run.h5", "-o", "both.html", code=2)
        done = self.settle("report", "run.h5", "none.h5", code=2)
        self.assertIn("run.html", done.stdout)

    @unittest.skipUnless(shutil.which("chromium"), "no browser is installed")
    def test_a_browser_complains_of_nothing(self):
        self.run_file("run", self.model())
        self.settle("report", "run.h5", "-q")
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", "--disable-component-update",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0",
             f"--user-data-dir={self.folder}/browser", "--window-size=420,900",
             "--virtual-time-budget=2000", "--dump-dom", (self.folder / "run.html").as_uri()],
            capture_output=True, text=True, timeout=100)
        self.assertIn("Settled at t =", done.stdout)
        self.assertNotIn("CONSOLE", done.stderr)


if __name__ == "__main__":
    unittest.main()
