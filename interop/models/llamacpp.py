"""llama.cpp's own server (PyPI `xllamacpp`), which keeps the prompts that it has read.

    python3 llamacpp.py MODEL PORT

It prints `ready`. `GET /metrics` counts the tokens of prompts that it read, and those that it had read before.
"""

import sys
import time

import xllamacpp

model, port = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.model_alias = {"smollm2"}
params.hostnames = ["127.0.0.1"]
params.port = int(port)
# More threads wait for each other where other programs run.
params.cpuparams.n_threads = 1
params.n_ctx = 4096
params.n_parallel = 1
params.endpoint_metrics = True
server = xllamacpp.Server(params)
print("ready", server.listening_address, flush=True)
while True:
    time.sleep(3600)
