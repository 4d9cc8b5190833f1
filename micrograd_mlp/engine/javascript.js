// Functions of Python that JavaScript lacks or has with another meaning. `translate` writes a definition in
// front of the functions that need it; an empty line separates definitions.

// Like Python, and unlike Math.pow: 1 to any power is 1, and so is -1 to an infinite one.
function power(x, y) {
  return x === 1 || (x === -1 && is_infinite(y)) ? 1 : Math.pow(x, y);
}

// The remainder that has the sign of y, as Python's % has it.
function mod(x, y) {
  const rest = x % y;
  if (rest === 0) return copysign(0, y);
  return (rest < 0) === (y < 0) ? rest : rest + y;
}

// x / y rounded down, from the exact remainder: 1 // 0.1 is 9.
function floordiv(x, y) {
  const rest = mod(x, y);
  const quotient = (x - rest) / y;
  if (quotient === 0) return copysign(0, x / y);
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

// x - n y for the integer n nearest to x / y, exactly; of two such n the even one.
function remainder(x, y) {
  const size = Math.abs(y);
  if (Number.isFinite(x) && is_infinite(y)) return x;
  const rest = Math.abs(x) % size;
  const other = size - rest;
  const half = 0.5 * (Math.abs(x) - rest);
  const nearest = rest < other ? rest : rest > other ? -other : rest - 2 * (half % size);
  return copysign(1, x) * nearest;
}

// The nearest integer; of two the even one.
function round(x) {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

function copysign(x, sign) {
  const negative = sign < 0 || Object.is(sign, -0);
  return negative ? -Math.abs(x) : Math.abs(x);
}

function is_infinite(x) {
  return x === Infinity || x === -Infinity;
}

// Whether a function gave nan although its arguments are numbers: Python raises a ValueError then.
function is_undefined(result, ...inputs) {
  return Number.isNaN(result) && !inputs.some(Number.isNaN);
}

// Whether a function became infinite on finite arguments: Python raises an OverflowError then.
function is_overflow(result, ...inputs) {
  return is_infinite(result) && inputs.every(Number.isFinite);
}

// The sum with the rounding errors of its steps added at the end (Neumaier), as Python has it from 3.12.
function sum(start, ...values) {
  let result = start;
  let lost = 0;
  for (const x of values) {
    const next = result + x;
    lost += Math.abs(result) >= Math.abs(x) ? (result - next) + x : (x - next) + result;
    result = next;
  }
  return lost !== 0 && Number.isFinite(lost) ? result + lost : result;
}

// The exact sum, rounded once (Shewchuk): `parts` have no bits in common and together are the exact sum.
function fsum(...values) {
  const parts = [];
  let special = 0;
  for (let x of values) {
    if (!Number.isFinite(x)) {
      special += x;
      continue;
    }
    let count = 0;
    for (let y of parts) {
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low !== 0) parts[count++] = low;
      x = high;
    }
    parts.length = count;
    parts.push(x);
  }
  if (special !== 0) return special;
  let result = 0;
  while (parts.length > 0) {
    const x = result;
    const y = parts.pop();
    result = x + y;
    const low = y - (result - x);
    if (low !== 0) {
      // The rest of the parts decides where the last rounding was a tie.
      const rest = parts.length > 0 ? parts[parts.length - 1] : 0;
      const doubled = result + 2 * low;
      return Math.sign(low) === Math.sign(rest) && 2 * low === doubled - result ? doubled : result;
    }
  }
  return result;
}

function prod(...values) {
  return values.reduce((product, x) => product * x, 1);
}

// The first of the largest, as Python's max: nan is larger than nothing.
function largest(...values) {
  return values.reduce((best, x) => (x > best ? x : best));
}

// The first of the smallest, as Python's min: nan is smaller than nothing.
function smallest(...values) {
  return values.reduce((best, x) => (x < best ? x : best));
}

// The error function: its series near 0, else 1 - erfc(x).
function erf(x) {
  if (Math.abs(x) >= 0.5) return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
  if (Number.isNaN(x)) return x;
  const square = x * x;
  let term = 1;
  let sum = 0;
  for (let k = 1; k < 16; k++) {
    term *= -square / k;
    sum += term / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * (x + x * sum);
}

// 1 - erf(x) without cancellation. From x = 0.5 it is exp(-x^2) / (x + 2) times a Chebyshev series in
// t, which runs from -1 at x = 0.5 to 1 at infinity. The coefficients were computed with 60 digits.
const ERFC = [
  0.9739949793186762, -0.48202889723521325, 0.07834316039603868, -0.005640402632517939,
  -0.000638005176028597, 0.00015524916589267537, 7.809517806133497e-06, -4.21300201076712e-06,
  -2.3438312290585963e-07, 1.2917225955374607e-07, 1.3095856237953062e-08, -4.035294124615645e-09,
  -7.964802351746034e-10, 9.952287242058099e-11, 4.427889678319774e-11, 3.4717247056227854e-13,
  -2.052419575258776e-12, -2.8897982368264737e-13, 6.317960107286004e-14, 2.4857919943788025e-14,
  6.059166186014999e-16, -1.2844428695819705e-15, -2.6588485349271105e-16, 2.5593811585654563e-17,
  2.1064577520422095e-17,
];
function erfc(x) {
  if (x < 0.5) return x > -0.5 ? 1 - erf(x) : 2 - erfc(-x);
  if (!(x < 28)) return Number.isNaN(x) ? x : 0;
  const t = 1 - 5 / (x + 2);  // from -1 to 1
  let next = 0;
  let previous = 0;
  for (let k = ERFC.length - 1; k > 0; k--) [next, previous] = [ERFC[k] + 2 * t * next - previous, next];
  const series = ERFC[0] + t * next - previous;
  const high = Math.fround(x);  // high * high is exact, so that rounding x * x does not show in exp
  const low = (high - x) * (high + x);
  return (series / (x + 2)) * Math.exp(low) * Math.exp(-high * high);
}
