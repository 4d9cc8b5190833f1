"""Run translated functions under Node.js, with floats passed bit by bit."""

import json
import math
import struct
import subprocess

HARNESS = """
const number = (hex) => Buffer.from(hex, "hex").readDoubleBE(0);
const hex = (x) => {
  if (Array.isArray(x)) return x.map(hex);
  if (typeof x !== "number") throw new Error(`${x} is no number`);
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleBE(x);
  return buffer.toString("hex");
};
const calls = JSON.parse(require("fs").readFileSync(0));
console.log(JSON.stringify(calls.map(([name, inputs]) => hex(FUNCTIONS[name](...inputs.map(number))))));
"""


def call(source, calls):
    """What JavaScript functions return: `calls` are (name, inputs)."""
    names = ", ".join({name for name, _ in calls})
    data = json.dumps([(name, [struct.pack(">d", x).hex() for x in inputs]) for name, inputs in calls])
    program = f'"use strict";\n{source}\nconst FUNCTIONS = {{ {names} }};{HARNESS}'
    run = subprocess.run(["node", "-e", program], input=data, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return [read(result) for result in json.loads(run.stdout)]


def read(result):
    if isinstance(result, list):
        return [read(item) for item in result]
    return struct.unpack(">d", bytes.fromhex(result))[0]


def differs(expected, got, tolerance):
    """Whether two floats differ by more than a relative tolerance, in the sign of zero, or in being nan."""
    expected = float(expected)
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) != math.isnan(got)
    if expected == got:
        return math.copysign(1.0, expected) != math.copysign(1.0, got)
    return not abs(expected - got) <= tolerance * abs(expected) < math.inf
