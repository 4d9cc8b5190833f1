// The suite in Pyodide under Node.js: node run.mjs PYODIDE GRAPHVIZ WHEELS CHECKOUT [pytest's arguments]
// PYODIDE and GRAPHVIZ are folders of npm packages, WHEELS is a folder of wheels of pure Python.
import { readFileSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [pyodide, graphviz, wheels, checkout, ...pytestArguments] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${pyodide}/pyodide.mjs`));
const { Graphviz } = await import(pathToFileURL(`${graphviz}/dist/index.js`));

// Node.js cannot suspend WebAssembly, so Graphviz is here before the first drawing asks for it.
globalThis.micrograd_mlp_graphviz = await Graphviz.load();

const python = await loadPyodide({
    env: { ...process.env, HOME: "/home/pyodide", PYTHONDONTWRITEBYTECODE: "1" },
});
const extractDir = python.runPython("import site; site.getsitepackages()[0]");
for (const name of readdirSync(wheels)) {
    python.unpackArchive(new Uint8Array(readFileSync(`${wheels}/${name}`)), "wheel", { extractDir });
}
python.mountNodeFS("/checkout", checkout);
python.globals.set("pytest_arguments", python.toPy(pytestArguments));
process.exitCode = python.runPython(`
import importlib, os, sys
importlib.invalidate_caches()
os.chdir("/checkout")
sys.path.insert(0, "/checkout")
import pytest
int(pytest.main(pytest_arguments))
`);
