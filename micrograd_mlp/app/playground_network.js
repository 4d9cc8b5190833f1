// The network, its loss and its training, as the paper's scalar equations say (§2-§5, §7, §9-§11). There is no page
// in this file. ACTIVATIONS and OPTIMIZERS are written by Python from the package's own functions.

// A generator of random numbers that gives the same ones for the same seed (mulberry32).
class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  uniform(low = 0, high = 1) {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return low + (high - low) * (((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296);
  }

  gauss(deviation) {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return deviation * radius * Math.cos(2 * Math.PI * this.uniform());
  }

  shuffle(list) {
    for (let i = list.length - 1; i > 0; i--) {
      const j = Math.floor(this.uniform() * (i + 1));
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }
}

// A weight of a layer with n inputs and m outputs (§9); biases start at 0.
const uniform = (variance) => (n, m, random) => {
  const bound = Math.sqrt(3 * variance(n, m));
  return random.uniform(-bound, bound);
};
const normal = (variance) => (n, m, random) => random.gauss(Math.sqrt(variance(n, m)));
const INITIALIZERS = {
  xavier_uniform: uniform((n, m) => 2 / (n + m)),
  xavier_normal: normal((n, m) => 2 / (n + m)),
  he_uniform: uniform((n) => 2 / n),
  he_normal: normal((n) => 2 / n),
  lecun_uniform: uniform((n) => 1 / n),
  lecun_normal: normal((n) => 1 / n),
};

// For each kind of target: the loss ℓ of the outputs z, and δ = ∂ℓ/∂z (§4). The last layer is linear, so that δ is the
// prediction minus the target in all three.
const LOSSES = {
  squared_error: {
    loss: (z, y) => 0.5 * (z[0] - y) ** 2,
    delta: (z, y, delta) => {
      delta[0] = z[0] - y;
    },
  },
  binary_cross_entropy_with_logits: {
    loss: (z, y) => ACTIVATIONS.softplus.value(z[0]) - y * z[0],
    delta: (z, y, delta) => {
      delta[0] = ACTIVATIONS.sigmoid.value(z[0]) - y;
    },
  },
  cross_entropy: {
    loss: (z, y) => logSumExp(z) - z[y],
    delta: (z, y, delta) => {
      const total = logSumExp(z);
      for (let k = 0; k < z.length; k++) delta[k] = Math.exp(z[k] - total) - (k === y ? 1 : 0);
    },
  },
};

function logSumExp(z) {
  const largest = Math.max(...z);
  let sum = 0;
  for (const z_k of z) sum += Math.exp(z_k - largest);
  return largest + Math.log(sum);
}

// The parameters of all layers stand in one array θ, neuron by neuron: its weights, then its bias. This is the order of
// model.parameters().
class Network {
  constructor(sizes, activation, loss) {
    this.sizes = sizes;
    this.activation = activation;
    this.loss = LOSSES[loss];
    this.layers = [];
    let start = 0;
    for (let l = 1; l < sizes.length; l++) {
      const [n, m] = [sizes[l - 1], sizes[l]];
      const sigma = ACTIVATIONS[l < sizes.length - 1 ? activation : "linear"];
      const [z, a, delta] = [0, 0, 0].map(() => new Float64Array(m));
      this.layers.push({ n, m, start, sigma, z, a, delta });
      start += m * (n + 1);
    }
    this.theta = new Float64Array(start);
  }

  initialize(initializer, random) {
    const draw = INITIALIZERS[initializer === "auto" ? ACTIVATIONS[this.activation].initializer : initializer];
    const drawOutput = INITIALIZERS[initializer === "auto" ? ACTIVATIONS.linear.initializer : initializer];
    this.layers.forEach(({ n, m, start }, l) => {
      for (let j = 0; j < m; j++) {
        const first = start + j * (n + 1);
        for (let k = 0; k < n; k++) {
          this.theta[first + k] = (l < this.layers.length - 1 ? draw : drawOutput)(n, m, random);
        }
        this.theta[first + n] = 0;
      }
    });
  }

  // z_j = Σ W_jk a_k + b_j and a_j = σ(z_j), layer after layer; the outputs.
  forward(x) {
    const theta = this.theta;
    let input = x;
    for (const { n, m, start, sigma, z, a } of this.layers) {
      let i = start;
      for (let j = 0; j < m; j++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += theta[i++] * input[k];
        z[j] = sum + theta[i++];
        a[j] = sigma.value(z[j]);
      }
      input = a;
    }
    return input;
  }

  // After forward(x): every δ of the example's loss, and its gradient added to `gradient` (§6, §7).
  backward(x, y, gradient) {
    const [theta, layers] = [this.theta, this.layers];
    const last = layers[layers.length - 1];
    this.loss.delta(last.z, y, last.delta);
    for (let l = layers.length - 1; l >= 0; l--) {
      const { n, m, start, delta } = layers[l];
      const below = l > 0 ? layers[l - 1] : null;
      const input = below ? below.a : x;
      if (below) below.delta.fill(0);
      let i = start;
      for (let j = 0; j < m; j++) {
        const delta_j = delta[j];
        for (let k = 0; k < n; k++, i++) {
          gradient[i] += delta_j * input[k];
          if (below) below.delta[k] += theta[i] * delta_j;
        }
        gradient[i++] += delta_j;
      }
      if (below) {
        const slope = below.sigma.slope;
        for (let k = 0; k < n; k++) below.delta[k] *= slope(below.a[k], below.z[k]);
      }
    }
  }

  meanLoss(X, y, examples) {
    let sum = 0;
    for (const e of examples) sum += this.loss.loss(this.forward(X[e]), y[e]);
    return sum / examples.length;
  }

  // The gradient of the mean loss over some examples plus λ Σ θ², and for each layer ‖∂L/∂z‖, taken over these examples.
  gradient(X, y, examples, l2, gradient) {
    gradient.fill(0);
    const squares = this.layers.map(() => 0);
    for (const e of examples) {
      this.forward(X[e]);
      this.backward(X[e], y[e], gradient);
      for (let l = 0; l < squares.length; l++) {
        for (const delta_j of this.layers[l].delta) squares[l] += delta_j * delta_j;
      }
    }
    const size = examples.length;
    for (let i = 0; i < gradient.length; i++) gradient[i] = gradient[i] / size + 2 * l2 * this.theta[i];
    return squares.map((square) => Math.sqrt(square) / size);
  }

  // By the names that the package gives: W1[2,1], b1[2].
  namedParameters() {
    const named = {};
    this.layers.forEach(({ n, m, start }, l) => {
      for (let j = 0; j < m; j++) {
        for (let k = 0; k < n; k++) named[`W${l + 1}[${j + 1},${k + 1}]`] = start + j * (n + 1) + k;
        named[`b${l + 1}[${j + 1}]`] = start + j * (n + 1) + n;
      }
    });
    return named;
  }
}

// Gradient descent with one of the rules of §10 on minibatches (§5).
class Trainer {
  constructor(network, data, options, random) {
    Object.assign(this, { network, data, random });
    this.gradient = new Float64Array(network.theta.length);
    this.batches = [];
    this.order = [];
    this.epoch = 0;
    this.steps = 0;
    this.configure(options);
  }

  // Take other settings; another optimizer starts with a state of zeros.
  configure({ optimizer, hyperparameters, batchSize, l2 }) {
    if (optimizer !== this.optimizer) {
      this.optimizer = optimizer;
      this.t = 0;
      this.state = OPTIMIZERS[optimizer].state.map(() => new Float64Array(this.gradient.length));
    }
    this.settings = OPTIMIZERS[optimizer].hyperparameters.map((name) => hyperparameters[name]);
    Object.assign(this, { batchSize, l2 });
  }

  // The next examples of the training set. An epoch visits each once, in a random order.
  nextBatch() {
    const { train } = this.data;
    if (!this.batchSize || this.batchSize >= train.length) {
      this.epoch++;
      return train;
    }
    if (this.order.length === 0) this.order = this.random.shuffle([...train]);
    const batch = this.order.splice(0, this.batchSize);
    if (this.order.length === 0) this.epoch++;
    return batch;
  }

  step() {
    const { network, gradient, state, settings, t } = this;
    const theta = network.theta;
    const batch = this.nextBatch();
    network.gradient(this.data.X, this.data.y, batch, this.l2, gradient);
    if (!gradient.every(Number.isFinite)) {
      throw new RangeError(`The gradient is not finite at step ${this.steps + 1}: lower the learning rate and start again.`);
    }
    const rule = OPTIMIZERS[this.optimizer].rule;
    for (let i = 0; i < theta.length; i++) {
      const before = state.map((numbers) => numbers[i]);
      const after = rule(theta[i], gradient[i], t, ...before, ...settings);
      theta[i] = after[0];
      for (let s = 0; s < state.length; s++) state[s][i] = after[s + 1];
    }
    this.batches.push(batch);
    this.t++;
    this.steps++;
  }
}

// The largest eigenvalue λ of the Hessian of the training loss (§11), refined a few products at a time while the network
// learns. It is conjugate-gradient ascent on xᵀHx / xᵀx, as in the package's largest_hessian_eigenvalue.
class Curvature {
  constructor(trainer) {
    this.trainer = trainer;
    const size = trainer.network.theta.length;
    const random = new Random(1);
    this.x = unit(Float64Array.from({ length: size }, () => random.gauss(1)));
    this.lambda = NaN;
    this.residual = NaN;
  }

  // H v, as the difference of two gradients. Its error is a millionth where the loss is smooth.
  times(v) {
    const { network, data, l2 } = this.trainer;
    const theta = network.theta.slice();
    const width = 1e-5 * Math.max(1, norm(theta));
    const [above, below] = [1, -1].map((sign) => {
      for (let i = 0; i < theta.length; i++) network.theta[i] = theta[i] + sign * width * v[i];
      const gradient = new Float64Array(theta.length);
      network.gradient(data.X, data.y, data.train, l2, gradient);
      return gradient;
    });
    network.theta.set(theta);
    return above.map((g, i) => (g - below[i]) / (2 * width));
  }

  // Come closer to λ with that many products, or until the residual ‖Hx - λx‖ is 1e-6 of ‖Hx‖.
  refine(products) {
    let x = this.x;
    let hx = this.times(x);
    let [direction, lastSlope] = [null, null];
    for (let product = 1; ; product++) {
      this.lambda = dot(x, hx);
      const slope = hx.map((h, i) => h - this.lambda * x[i]);
      this.residual = norm(slope);
      if (product >= products || !(this.residual > 1e-6 * norm(hx))) break;
      let momentum = 0;
      if (lastSlope) {
        const change = slope.map((s, i) => s - lastSlope[i]);
        momentum = Math.max(0, dot(slope, change) / dot(lastSlope, lastSlope));
      }
      direction = slope.map((s, i) => s + (direction ? momentum * direction[i] : 0));
      const along = dot(direction, x);
      direction = direction.map((d, i) => d - along * x[i]);
      const p = unit(direction);
      const hp = this.times(p);
      const angle = 0.5 * Math.atan2(2 * dot(x, hp), this.lambda - dot(p, hp));
      const turn = (u, v) => u.map((u_i, i) => Math.cos(angle) * u_i + Math.sin(angle) * v[i]);
      [x, hx] = [turn(x, p), turn(hx, hp)];
      lastSlope = slope;
    }
    this.x = unit(x);
    return this;
  }

  // 2/λ; no curvature limits the step where λ is 0 or less.
  get stableRate() {
    return this.lambda > 0 ? 2 / this.lambda : Infinity;
  }
}

function dot(u, v) {
  let sum = 0;
  for (let i = 0; i < u.length; i++) sum += u[i] * v[i];
  return sum;
}

function norm(v) {
  return Math.sqrt(dot(v, v));
}

function unit(v) {
  const length = norm(v) || 1;
  return v.map((v_i) => v_i / length);
}
