"""Run translated functions under Node.js, with floats passed bit by bit.

One process answers all calls, since Node.js takes longer to start than to answer: a line of JSON for each.
"""

import atexit
import functools
import json
import math
import struct
import subprocess

SERVER = """
const number = (hex) => Buffer.from(hex, "hex").readDoubleBE(0);
const hex = (x) => {
  if (Array.isArray(x)) return x.map(hex);
  if (typeof x !== "number") throw new Error(`${x} is no number`);
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleBE(x);
  return buffer.toString("hex");
};
const answer = ({ program, calls }) => {
  const functions = new Function(program)();
  return calls.map(([name, inputs]) => hex(functions[name](...inputs.map(number))));
};
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  let reply;
  try {
    reply = { results: answer(JSON.parse(line)) };
  } catch (error) {
    reply = { error: error.stack };
  }
  console.log(JSON.stringify(reply));
});
"""


@functools.cache
def server():
    """The process. It ends with the input, so when Python does, however that happens."""
    process = subprocess.Popen(
        ["node", "-e", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    atexit.register(process.communicate)  # closes the input and waits
    return process


def call(source, calls):
    """What JavaScript functions return: `calls` are (name, inputs)."""
    names = ", ".join({name for name, _ in calls})
    program = f'"use strict";\n{source}\nreturn {{ {names} }};'
    data = [(name, [struct.pack(">d", x).hex() for x in inputs]) for name, inputs in calls]
    process = server()
    print(json.dumps({"program": program, "calls": data}), file=process.stdin, flush=True)
    reply = json.loads(process.stdout.readline() or '{"error": "Node.js has ended"}')
    assert "error" not in reply, reply["error"]
    return [read(result) for result in reply["results"]]


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
