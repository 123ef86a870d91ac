#!/usr/bin/env python3
"""SciPy's solve_ivp beside the others. Reads one request a line (JSON) from standard input: a file with
the matrices and the method; integrates column after column, times that, writes the states at T to a
file, and answers with one line. Says {"version": …} first."""

import json
import sys
import time

import numpy as np
import scipy
from scipy.integrate import solve_ivp


class TooSlow(Exception):
    pass


def run(request):
    n, m, columns = request["inputs"], request["outputs"], request["columns"]
    numbers = np.fromfile(request["file"])
    sizes = [m * n, n * m, m * columns, columns, columns]
    w, b, y, leaks, gains = np.split(numbers, np.cumsum(sizes)[:-1])
    w = w.reshape(m, n, order="F")
    b = b.reshape(n, m, order="F")
    y = y.reshape(m, columns, order="F")
    phi = np.tanh if request["tanh"] else lambda x: x
    states = np.empty((n + m, columns), order="F")
    evaluations = 0
    failure = ""
    clock = time.process_time if request["processor_time"] else time.perf_counter
    start = clock()
    try:
        for c in range(columns):
            target, leak, gain = y[:, c], leaks[c], gains[c]

            def rates(t, x):
                if clock() - start > request["time_limit"]:
                    raise TooSlow
                r, xi = x[:n], x[n:]
                return np.concatenate((b @ (gain * xi) - r, w @ phi(r) - leak * xi - target))

            solution = solve_ivp(rates, (0.0, request["duration"]), np.zeros(n + m), t_eval=[request["duration"]],
                                 method=request["method"], rtol=request["rtol"], atol=request["atol"])
            evaluations += solution.nfev / columns
            if not solution.success:
                failure = solution.message
                break
            states[:, c] = solution.y[:, -1]
    except TooSlow:
        failure = "too slow"
    seconds = clock() - start
    states.T.tofile(request["file"])
    return {"seconds": seconds, "evaluations": evaluations, "failure": failure}


print(json.dumps({"version": scipy.__version__}), flush=True)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
