// Numbers as people read them, digit for digit as Python writes them.

// `digits` significant digits, like Python's format(x, ".4g"); a whole number of up to seven digits in full.
const number = (x, digits = 4) => {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  if (Math.abs(x) < 1e7 && Number.isInteger(x)) return String(x + 0 || 0);
  const [mantissa, exponent] = rounded(x, digits).split("e");
  const power = Number(exponent);
  if (power < -4 || power >= digits) return `${trimmed(mantissa)}e${signedPower(power)}`;
  return trimmed(Number(`${mantissa}e${power}`).toFixed(digits - 1 - power));
};

// Scientific notation with halves rounded to even, as Python rounds; JavaScript alone rounds them up.
const rounded = (x, digits) => {
  const up = x.toExponential(digits - 1);
  if (!/5e/.test(x.toExponential(digits))) return up;
  const exact = x.toExponential(60);
  const isTie = /^-?\d\.?(\d*)e/.exec(exact)[1].slice(digits - 1).replace(/0+$/, "") === "5";
  const last = Number(up.split("e")[0].slice(-1));
  if (!isTie || last % 2 === 0) return up;
  const [mantissa, exponent] = exact.split("e");
  const cut = digits === 1 ? mantissa.split(".")[0] : mantissa.slice(0, mantissa.indexOf(".") + digits);
  return `${cut}e${exponent}`;
};

const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
const signedPower = (power) => (power < 0 ? "-" : "+") + String(Math.abs(power)).padStart(2, "0");

// The shortest digits that give exactly this float, like Python's repr.
const repr = (x) => {
  if (!Number.isFinite(x)) return number(x);
  if (Object.is(x, -0)) return "-0.0";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [mantissa, exponent] = x.toExponential().split("e");
    return `${mantissa}e${signedPower(Number(exponent))}`;
  }
  return Number.isInteger(x) ? x.toFixed(1) : String(x);
};

// A number as a person types it, or as an address carries it; undefined if it is none.
const parseNumber = (text) => {
  const plain = text.trim().replace(/^\+/, "").replace("−", "-").toLowerCase();
  const special = { inf: Infinity, "-inf": -Infinity, infinity: Infinity, "-infinity": -Infinity, nan: NaN };
  if (plain in special) return special[plain];
  return /^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(plain) ? Number(plain) : undefined;
};
