"""The measures of a run, recomputed by NumPy and SciPy from the weights that its file holds."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from scipy import linalg, optimize, signal

SETTLE = os.environ["SETTLE"]

SOLVER = """[solver]
duration = {duration}
rtol = 1e-9
atol = 1e-12
"""

# Stable and far from normal: W B has eigenvalues -0.18, -0.60 and -2.71, and large parts beside
# them.
LINEAR = """seed = 12
[analysis]
measures = ["*"]
grid = 13
frequencies = 40
epsilon = 0.02
[model]
kind = "dynamic_inversion"
layers = [4, 3]
transfer = "identity"
tau = 0.7
forward = {{ values = [
    [1.43, -1.79, 0.29, -0.4], [-0.32, -0.15, -1.41, -0.16], [-0.61, 2.33, 0.16, -0.25]] }}
feedback = {{ values = [
    [-0.35, -2.38, 0.01], [-0.06, -0.58, -0.92], [0.05, 1.05, 2.8], [0.3, 2.32, 1.19]] }}
setpoint = {{ init = "normal", std = 0.5 }}
[model.controller]
leak = 0.1
tau = 1.4
derivative_tau = 0.3
gains = {gains}
""" + SOLVER

PI = "{ p = 0.0, i = 0.8 }"
PID = "{ p = 0.3, i = 0.8, d = 0.2 }"


class Result:
    """A file of results, and the matrices of its one layer."""

    def __init__(self, path):
        self.file = h5py.File(path)
        self.names = set(self.file)

    def __getitem__(self, name):
        return self.file[name][()]

    def number(self, name, *cell):
        return float(self.file[name][(0, *cell)])

    def label(self, axis, text):
        labels = [label.decode() for label in self.file[axis][()]]
        return labels.index(text)

    def reason(self, name, *cell):
        return self.file[name + "_reason"][(0, *cell)].decode()

    def gains(self):
        attributes = self.file["circuit"].attrs
        return {
            key: float(attributes["control_" + key])
            for key in ("leak", "gain_p", "gain_i", "gain_d", "tau", "derivative_tau")
        }

    def layer(self):
        circuit = self.file["circuit"]
        w = circuit["weights_hidden_to_control"][:]
        b = circuit["weights_control_to_hidden"][:]
        y = circuit["setpoint_control"][0]
        return w, b, y, circuit["tau_hidden"][:]

    def system(self, slope=None):
        """M, the input of the setpoint, and the rows of u and e of (r, ξ, f): all by hand."""
        w, b, y, tau = self.layer()
        g = self.gains()
        if slope is not None:
            w = w * slope
        n, m = len(tau), len(y)
        has_d = g["gain_d"] != 0
        size = n + m * (2 if has_d else 1)
        fast = g["gain_p"] + (g["gain_d"] / g["derivative_tau"] if has_d else 0)
        error = np.zeros((m, size))
        error[:, :n] = w
        control = np.zeros((m, size))
        control[:, :n] = fast * w
        control[:, n : n + m] = g["gain_i"] * np.eye(m)
        if has_d:
            control[:, n + m :] = -g["gain_d"] / g["derivative_tau"] * np.eye(m)
        matrix = np.zeros((size, size))
        matrix[:n] = b @ control
        matrix[:n, :n] -= np.eye(n)
        matrix[:n] /= tau[:, None]
        matrix[n : n + m] = error / g["tau"]
        matrix[n : n + m, n : n + m] -= g["leak"] * np.eye(m) / g["tau"]
        drive = np.zeros((size, m))  # of −y, which e adds
        drive[:n] = fast * b / tau[:, None]
        drive[n : n + m] = np.eye(m) / g["tau"]
        if has_d:
            d = g["derivative_tau"]
            matrix[n + m :] = error / d
            matrix[n + m :, n + m :] -= np.eye(m) / d
            drive[n + m :] = np.eye(m) / d
        return matrix, drive, control, error, fast


def sigma(matrix, z):
    return linalg.svdvals(z * np.eye(len(matrix)) - matrix)[-1]


class MeasureTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="settle_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.runs = 0

    def run_text(self, text, code=0):
        self.runs += 1
        name = f"run_{self.runs}"
        (self.folder / f"{name}.toml").write_text(text)
        done = subprocess.run(
            [SETTLE, "run", f"{name}.toml"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.output = done.stdout + done.stderr
        result = Result(self.folder / f"{name}.h5")
        self.addCleanup(result.file.close)
        return result

    def linear(self, gains, duration=60.0):
        return self.run_text(LINEAR.format(gains=gains, duration=duration))

    def close(self, found, expected, relative=1e-9, absolute=0.0):
        np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute)


class Spectra(MeasureTest):
    def test_poles_are_the_eigenvalues(self):
        for gains in (PI, PID):
            with self.subTest(gains=gains):
                result = self.linear(gains)
                matrix, *_ = result.system()
                expected = linalg.eigvals(matrix)
                poles = result["pole_real"][0] + 1j * result["pole_angular_frequency"][0]
                self.assertEqual(len(poles), len(expected))
                for pole in poles:
                    self.assertLess(np.abs(expected - pole).min(), 1e-10)
                for pole in expected:
                    self.assertLess(np.abs(poles - pole).min(), 1e-10)
                self.assertTrue(np.all(np.diff(poles.real) <= 1e-12))  # rightmost first
                self.close(result["pole_damping_ratio"][0], -poles.real / np.abs(poles))
                self.close(result["pole_participation"][0].sum(axis=1), 1)
                self.close(result.number("slowest_pole"), expected.real.max())
                self.close(result.number("loop_pole", 0), expected.real.max())

    def test_participation_is_that_of_scipys_eigenvectors(self):
        result = self.linear(PI)
        matrix, *_ = result.system()
        values, left, right = linalg.eig(matrix, left=True)
        poles = result["pole_real"][0] + 1j * result["pole_angular_frequency"][0]
        hidden = result.label("node", "hidden")
        n = len(result.layer()[3])
        for k, pole in enumerate(poles):
            i = np.abs(values - pole).argmin()
            parts = np.abs(left[:, i].conj() * right[:, i])
            self.close(
                result.number("pole_participation", k, hidden), parts[:n].sum() / parts.sum(), 1e-7
            )

    def test_the_papers_criterion_is_that_of_k_w_b(self):
        for gains in (PI, PID):
            result = self.linear(gains)
            w, b, *_ = result.layer()
            g = result.gains()
            expected = linalg.eigvals(g["gain_i"] * w @ b - g["leak"] * np.eye(len(w))).real.max()
            self.close(result.number("paper_criterion", 0), expected)

    def test_a_tanh_loop_rests_where_scipy_finds_it_with_those_poles(self):
        text = LINEAR.format(gains=PID, duration=400.0).replace('"identity"', '"tanh"')
        result = self.run_text(text)
        w, b, y, tau = result.layer()
        g = result.gains()
        total = g["gain_i"] / g["leak"] + g["gain_p"]
        rest, info, found, _ = optimize.fsolve(
            lambda r: r - total * b @ (w @ np.tanh(r) - y),
            result["hidden"][-1, 0],
            full_output=True,
            xtol=1e-13,
        )
        self.assertEqual(found, 1)
        self.close(result["hidden"][-1, 0], rest, 1e-6, 1e-6)
        expected = linalg.eigvals(result.system(1 - np.tanh(rest) ** 2)[0])
        poles = result["pole_real"][0] + 1j * result["pole_angular_frequency"][0]
        for pole in expected:
            self.assertLess(np.abs(poles - pole).min(), 1e-8)
        self.assertEqual(result.number("equilibria_found"), 1)
        self.close(result["equilibria_hidden"][0, 0], rest, 1e-9, 1e-10)


class NonNormality(MeasureTest):
    def test_growth_is_the_norm_of_the_exponential(self):
        for gains in (PI, PID):
            with self.subTest(gains=gains):
                result = self.linear(gains)
                matrix, *_ = result.system()
                symmetric = (matrix + matrix.T) / 2
                self.close(
                    result.number("numerical_abscissa"), linalg.eigvalsh(symmetric).max()
                )
                growth = result.number("largest_growth")
                when = result.number("largest_growth_time")
                self.close(growth, linalg.norm(linalg.expm(when * matrix), 2), 1e-9)
                step, power, norms = linalg.expm(0.01 * matrix), np.eye(len(matrix)), []
                for _ in range(4000):
                    norms.append(linalg.norm(power, 2))
                    power = power @ step
                self.assertLess(max(norms), growth * (1 + 1e-9))
                self.assertGreater(max(norms), growth * (1 - 1e-3))
                self.assertGreater(growth, 1.5)  # far from normal, or the test says nothing
                # Kreiss: no point of a grid exceeds it, and it bounds the growth from below.
                kreiss = result.number("kreiss_constant")
                ratios = [
                    x / sigma(matrix, x + 1j * y)
                    for x in np.geomspace(1e-2, 10, 40)
                    for y in np.linspace(0, 4, 41)
                ]
                self.assertLess(max(ratios), kreiss * (1 + 1.1e-3))
                self.assertGreater(max(ratios), 0.97 * kreiss)
                self.assertLess(kreiss, growth * (1 + 1e-9))

    def test_distance_to_instability_is_the_smallest_sigma_on_the_axis(self):
        result = self.linear(PI)
        matrix, *_ = result.system()
        grid = np.linspace(0, 10, 2001)
        start = grid[np.argmin([sigma(matrix, 1j * w) for w in grid])]
        best = optimize.minimize_scalar(
            lambda w: sigma(matrix, 1j * w), bracket=(start - 0.01, start, start + 0.01), tol=1e-12
        )
        self.close(result.number("distance_to_instability"), best.fun, 1e-6)
        self.close(result.number("distance_to_instability_frequency"), abs(best.x), 1e-3, 1e-4)

    def test_the_pseudospectrum_is_sigma_min_on_its_grid(self):
        result = self.linear(PI)
        matrix, *_ = result.system()
        re, im = result["pseudospectrum_re"], result["pseudospectrum_im"]
        expected = [[sigma(matrix, x + 1j * y) for x in re] for y in im]
        self.close(result["pseudospectrum"][0], expected, 1e-6)
        # The abscissa is the line on which the smallest sigma is epsilon, and rises beyond.
        abscissa = result.number("pseudospectral_abscissa")

        def least(x):
            grid = np.linspace(0, 6, 1201)
            return min(sigma(matrix, x + 1j * y) for y in grid)

        self.close(least(abscissa), 0.02, 1e-4)
        self.assertGreater(least(abscissa + 0.01), 0.02)


class Frequency(MeasureTest):
    def expected_loop(self, result, edge):
        """A, B, C of the loop broken at that edge, by hand."""
        w, b, y, tau = result.layer()
        g = result.gains()
        matrix, drive, control, error, fast = result.system()
        n = len(tau)
        if edge == "hidden->control":  # v takes the place of W r
            opened = matrix - drive @ error
            return opened, drive, error
        opened = matrix.copy()  # v takes the place of u
        into = np.zeros((len(matrix), len(y)))
        into[:n] = b / tau[:, None]
        return opened - into @ control, into, control

    def test_loci_and_singular_values_are_those_of_the_open_loop(self):
        for gains in (PI, PID):
            result = self.linear(gains)
            for edge in ("hidden->control", "control->hidden"):
                at = result.label("projection", edge)
                a, b, c = self.expected_loop(result, edge)
                frequencies = result["response_frequency"][0, at]
                self.assertTrue(np.all(np.diff(frequencies) > 0))
                for j, w in enumerate(frequencies):
                    ratio = -c @ linalg.solve(1j * w * np.eye(len(a)) - a, b)
                    expected = linalg.eigvals(ratio)
                    found = (
                        result["return_ratio_real"][0, at, j]
                        + 1j * result["return_ratio_imag"][0, at, j]
                    )
                    for value in expected:
                        self.assertLess(
                            np.abs(found - value).min(), 1e-8 * np.abs(expected).max()
                        )
                    if edge == "hidden->control":
                        s = linalg.svdvals(ratio)
                        self.close(result.number("return_ratio_largest", at, j), s[0], 1e-8)
                        self.close(result.number("return_ratio_smallest", at, j), s[-1], 1e-7)

    def test_margins_are_where_a_pole_reaches_the_axis(self):
        result = self.linear(PI)
        for edge in ("hidden->control", "control->hidden"):
            at = result.label("projection", edge)
            a, b, c = self.expected_loop(result, edge)
            gain = result.number("gain_margin", at)
            if np.isfinite(gain):
                poles = linalg.eigvals(a + gain * b @ c)
                self.close(poles.real.max(), 0, absolute=1e-8)
                self.close(
                    result.number("gain_margin_frequency", at),
                    abs(poles[poles.real.argmax()].imag),
                    1e-6,
                    1e-7,
                )
                for share in np.linspace(1, gain * (1 - 1e-6), 50):
                    self.assertLess(linalg.eigvals(a + share * b @ c).real.max(), 0)
            for name, turn in (("phase_margin", None), ("delay_margin", 1.0)):
                margin = result.number(name, at)
                w = result.number(name + "_frequency", at)
                self.assertTrue(np.isfinite(margin))
                ratio = -c @ linalg.solve(1j * w * np.eye(len(a)) - a, b)
                angle = np.radians(margin) if turn is None else w * margin
                eigenvalues = linalg.eigvals(ratio)
                nearest = min(
                    np.abs(eigenvalues * np.exp(-1j * angle) + 1).min(),
                    np.abs(eigenvalues * np.exp(1j * angle) + 1).min() if turn is None else 9,
                )
                self.assertLess(nearest, 1e-6)

    def test_one_unit_has_scipys_bode_and_margins(self):
        result = self.run_text(
            """[analysis]
measures = ["*"]
frequencies = 200
[model]
kind = "dynamic_inversion"
layers = [1, 1]
transfer = "identity"
forward = 1.7
setpoint = 1.0
tau = 0.4
[model.controller]
leak = 0.05
tau = 2.0
gains = { i = 1.5 }
"""
            + SOLVER.format(duration=30.0)
        )
        # L = k s^2/((0.4 s + 1)(2 s + 0.05))
        loop = signal.TransferFunction([1.5 * 1.7**2], np.polymul([0.4, 1], [2, 0.05]))
        at = result.label("projection", "hidden->control")
        frequencies = result["response_frequency"][0, at]
        _, magnitude, phase = signal.bode(loop, frequencies)
        real, imag = (result["return_ratio_" + part][0, at, :, 0] for part in ("real", "imag"))
        found = real + 1j * imag
        self.close(20 * np.log10(np.abs(found)), magnitude, 1e-9, 1e-9)
        self.close(np.degrees(np.unwrap(np.angle(found))), phase, 1e-9, 1e-9)
        self.close(result["return_ratio_largest"][0, at], np.abs(found))
        crossover = optimize.brentq(
            lambda w: signal.bode(loop, [w])[1][0], frequencies[0], frequencies[-1], xtol=1e-13
        )
        margin = 180 + signal.bode(loop, [crossover])[2][0]
        self.close(result.number("phase_margin", at), margin, 1e-8)
        self.close(result.number("phase_margin_frequency", at), crossover, 1e-8)
        self.close(result.number("delay_margin", at), np.radians(margin) / crossover, 1e-8)


class Convergence(MeasureTest):
    def test_times_of_a_linear_loop_are_those_of_the_exponential(self):
        """Every signal on a fine grid from e^{Mt}, by SciPy's lsim, and by the definitions."""
        for gains in (PI, PID):
            with self.subTest(gains=gains):
                result = self.linear(gains)
                w, b, y, tau = result.layer()
                matrix, drive, control, error, fast = result.system()
                t = np.linspace(0, 60, 60001)
                # Setpoint y as input −y; outputs: all states, u and e.
                plant = signal.StateSpace(
                    matrix,
                    drive @ -y[:, None],
                    np.vstack([np.eye(len(matrix)), control, error]),
                    np.concatenate([np.zeros(len(matrix)), -fast * y, -y])[:, None],
                )
                _, out, _ = signal.lsim(plant, np.ones_like(t), t)
                rest = linalg.solve(matrix, drive @ y)
                n, size, m = len(tau), len(matrix), len(y)
                everything = np.concatenate(
                    [rest, control @ rest - fast * y, error @ rest - y]
                )
                rows = {
                    "state": slice(0, size),
                    "hidden": slice(0, n),
                    "control": slice(size, size + m),
                    "control.error": slice(size + m, size + 2 * m),
                }
                for name, part in rows.items():
                    self.check_signal(result, name, t, out[:, part], everything[part])

    def check_signal(self, result, name, t, x, rest):
        at = result.label("signal", name)
        way = rest - x[0]
        length = linalg.norm(way)
        distance = linalg.norm(x - rest, axis=1) / length
        progress = (x - x[0]) @ way / length**2
        where = f"signal {name}"

        def settled(band):
            last = np.flatnonzero(distance > band).max()
            a, b = distance[last], distance[last + 1]
            return t[last] + (t[last + 1] - t[last]) * (a - band) / (a - b)

        def reached(level):
            first = np.flatnonzero(progress >= level).min()
            a, b = progress[first - 1], progress[first]
            return t[first - 1] + (t[first] - t[first - 1]) * (level - a) / (b - a)

        # The grid is fine; the solver's 1e-9 and the cubic between its steps set the error.
        near = dict(rtol=1e-4, atol=1e-4, err_msg=where)
        for label, band in (("5 %", 0.05), ("2 %", 0.02), ("1 %", 0.01)):
            np.testing.assert_allclose(
                result.number("settling_time", at, result.label("band", label)),
                settled(band),
                **near,
            )
        np.testing.assert_allclose(
            result.number("rise_time", at), reached(0.9) - reached(0.1), **near
        )
        np.testing.assert_allclose(
            result.number("overshoot", at), max(0, progress.max() - 1), **near
        )
        np.testing.assert_allclose(
            result.number("largest_excursion", at), distance.max(), **near
        )

    def test_decay_is_that_of_the_slowest_pole(self):
        result = self.linear(PI, duration=400.0)
        expected = linalg.eigvals(result.system()[0]).real.max()
        self.close(result.number("decay_rate"), -expected, 0.1)  # an envelope of binned maxima
        self.close(result.number("predicted_pole"), expected)
        band = result.label("band", "1 %")
        self.close(result.number("predicted_settling_time", band), np.log(0.01) / expected)


class Accuracy(MeasureTest):
    def test_errors_and_credit_are_those_of_numpy(self):
        result = self.linear(PI, duration=600.0)
        w, b, y, tau = result.layer()
        g = result.gains()
        inverse_gain = g["leak"] / g["gain_i"]
        r = result["hidden"][-1, 0]
        self.close(
            result.number("inversion_error"), linalg.norm(w @ r - y) / linalg.norm(y), 1e-12
        )
        ndi = b @ linalg.solve(w @ b - inverse_gain * np.eye(len(y)), y)
        self.close(r, ndi, 1e-7)
        u, s, _ = linalg.svd(w, full_matrices=False)
        self.close(result["singular_value"][0], s)
        self.close(
            result["direction_error"][0], np.abs(u.T @ (w @ r - y)) / np.abs(u.T @ y), 1e-9
        )
        self.close(result["direction_error_linear"][0], 1 / (1 + s**2 / inverse_gain))
        for rule, delta in (("pbp", linalg.pinv(w) @ y), ("bp", w.T @ y)):
            cosine = r @ delta / linalg.norm(r) / linalg.norm(delta)
            self.close(result.number("angle_to_" + rule, 0), np.degrees(np.arccos(cosine)), 1e-7)
            self.close(
                result.number("length_over_" + rule, 0), linalg.norm(r) / linalg.norm(delta), 1e-9
            )
        self.assertLess(result.number("angle_to_ndi", 0), 1e-5)
        self.close(result.number("length_over_ndi", 0), 1, 1e-7)
        integral = result["control_integral"][-1, 0]
        self.close(result.number("integral_norm", 0), linalg.norm(integral), 1e-12)
        self.close(result.number("leaked_norm", 0), g["leak"] * linalg.norm(integral), 1e-12)

    def test_the_least_error_is_that_of_bounded_least_squares(self):
        for seed in range(1, 6):
            result = self.run_text(
                f"""seed = {seed}
[analysis]
measures = ["feasibility"]
[model]
kind = "dynamic_inversion"
layers = [6, 4]
transfer = "tanh"
forward = {{ init = "normal", std = 0.6 }}
setpoint = {{ init = "normal", std = 3.0 }}
"""
                + SOLVER.format(duration=1.0)
            )
            w, b, y, tau = result.layer()
            best = optimize.lsq_linear(w, y, (-1, 1), tol=1e-14)
            expected = linalg.norm(w @ best.x - y) / linalg.norm(y)
            self.close(result.number("infeasible_error", 0), expected, 1e-5, 1e-6)


class Warnings(MeasureTest):
    LOOP = """[model]
kind = "dynamic_inversion"
layers = [2, 2]
transfer = "{transfer}"
forward = {{ init = "identity" }}
feedback = {{ values = [[-0.5, {minus}], [{b}, -0.5]] }}
setpoint = [0.3, -0.1]
[model.controller]
leak = 0.1
[solver]
duration = 60.0
"""

    def test_a_loop_that_the_paper_calls_stable_and_that_is_not_is_told(self):
        # (1 + alpha)^2 (alpha - a) > b^2 is wanted: b = 0.852 is the limit.
        for transfer, code in (("tanh", 0), ("identity", 1)):
            result = self.run_text(self.LOOP.format(transfer=transfer, b=1.5, minus=-1.5), code)
            self.assertIn("warning", self.output)
            self.assertIn("is stable by the paper's criterion", self.output)
            self.assertIn("and unstable by its exact poles", self.output)
            self.assertEqual(result["criteria_disagree"][0, 0], 1)
        result = self.run_text(self.LOOP.format(transfer="tanh", b=0.4, minus=-0.4))
        self.assertNotIn("warning", self.output)
        self.assertEqual(result["criteria_disagree"][0, 0], 0)


if __name__ == "__main__":
    unittest.main()
