// The loops that take most of the time, in WebAssembly: products of matrices, 3×3 layers, gates.
//
// The instructions are written here by functions, so that no file has to be built from another. Numbers are single
// precision; four of them, side by side, are a vector. Arguments are places in the memory, in bytes, and counts.

const I32 = 0x7f, V128 = 0x7b, NOTHING = 0x40;
/** Outputs that lie side by side in the weights of a dense layer, and positions that it takes at once. */
export const BLOCK = 8, POSITIONS = 4;

/** An unsigned number as WebAssembly stores it: seven bits a byte. */
const leb = n => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
const section = (id, ...bytes) => [id, ...leb(bytes.length), ...bytes];
const simd = code => [0xfd, ...leb(code)];

const get = n => [0x20, ...leb(n)], set = n => [0x21, ...leb(n)], tee = n => [0x22, ...leb(n)];
const number = n => [0x41, ...signed(n)];
const signed = n => (n >= -64 && n < 64 ? [n & 127] : [(n & 127) | 128, ...signed(n >> 7)]);
const plus = [0x6a], minus = [0x6b], times = [0x6c];
const load = offset => [...simd(0x00), 4, ...leb(offset)], store = offset => [...simd(0x0b), 4, ...leb(offset)];
/** One number, four times. */
const spread = offset => [...simd(0x09), 2, ...leb(offset)];
const multiply = simd(0xe6), divide = simd(0xe7), add = simd(0xe4), subtract = simd(0xe5), negate = simd(0xe1);
const floor = simd(0x68), nearest = simd(0x6a), least = simd(0xe8), most = simd(0xe9);
const integer = simd(0xf8), addIntegers = simd(0xae), shiftLeft = simd(0xab);
const vector = bytes => [...simd(0x0c), ...bytes, ...bytes, ...bytes, ...bytes];
const constant = value => vector(new Uint8Array(Float32Array.of(value).buffer));
const zero = constant(0), one = constant(1);

/** Repeat `body` until the counter, a local, has come down to zero; it is at least one. */
const repeat = (counter, ...body) =>
  [0x03, NOTHING, ...body.flat(), ...get(counter), ...number(1), ...minus, ...tee(counter), 0x0d, 0, 0x0b];
const advance = (local, ...by) => [...get(local), ...by.flat(), ...plus, ...set(local)];

/** a · b + c; `fused` in one instruction, which may round once or twice. Sums of integers below 2^24 are exact either way. */
const product = (fused, a, b, c) => (fused ? [...a, ...b, ...c, ...simd(0x105)] : [...a, ...b, ...multiply, ...c, ...add]);

/** σ(v) = 1 / (1 + e^−v) of a vector; uses two locals. e^x is 2^n · 2^f with |f| ≤ ½, the latter a series. */
function sigmoid(fused, v, t, n) {
  const terms = [...Array(7).keys()].map(k => Math.LN2 ** k / [1, 1, 2, 6, 24, 120, 720][k]).reverse();
  const series = terms.slice(1).reduce((sum, term) => product(fused, sum, get(t), constant(term)), constant(terms[0]));
  return [
    ...one,
    ...v, ...constant(-Math.LOG2E), ...multiply, ...constant(126), ...least, ...constant(-126), ...most, ...set(t),
    ...get(t), ...nearest, ...set(n), ...get(t), ...get(n), ...subtract, ...set(t),
    ...series,
    ...get(n), ...integer, ...vector([127, 0, 0, 0]), ...addIntegers, ...number(23), ...shiftLeft, ...multiply,
    ...one, ...add, ...divide,
  ];
}

/** What becomes of a sum; each takes code that gives the sum, and code that gives a vector of the layer's own numbers. */
const FINISH = {
  /** A layer with integers: bias, scale, rounding down, lowest and highest value. */
  exact: (fused, sum, own) => [...sum, ...own(1), ...multiply, ...floor, ...own(2), ...most, ...own(3), ...least],
  plain: (fused, sum) => sum,
  /** a · σ(a) */
  silu: (fused, sum, own, a, t, n) => [...sum, ...set(a), ...get(a), ...sigmoid(fused, get(a), t, n), ...multiply],
};

/**
 * `dense(x, stored, out, fours, inputs, blocks)`: `fours` times four positions of `inputs` numbers each, to `out` eight
 * times `blocks` numbers for each. `stored` has, block after block of eight outputs, their weights input after input,
 * then biases, and in exact layers scales, lowest and highest values. Four positions and eight outputs are summed up at a
 * time, which is what registers hold. An `added` one adds to what is there.
 */
function dense(fused, finish, {added = false, own = 1} = {}) {
  const [x, stored, out, fours, inputs, blocks] = [0, 1, 2, 3, 4, 5];
  const [left, weight, steps, to, line, ...rows] = [6, 7, 8, 9, 10, 11, 12, 13, 14]; // integers
  const sums = [15, 16, 17, 18, 19, 20, 21, 22], [first, second, value] = [23, 24, 25]; // vectors
  const wide = [...get(blocks), ...number(4 * BLOCK), ...times]; // bytes of a position's outputs
  const step = [
    ...get(weight), ...load(0), ...set(first),
    ...get(weight), ...load(16), ...set(second),
    ...rows.flatMap((row, r) => [
      ...get(row), ...spread(0), ...set(value),
      ...product(fused, get(value), get(first), get(sums[2 * r])), ...set(sums[2 * r]),
      ...product(fused, get(value), get(second), get(sums[2 * r + 1])), ...set(sums[2 * r + 1]),
    ]),
  ];
  const settle = sums.flatMap((sum, n) => {
    const half = 16 * (n & 1), numbers = kind => [...get(weight), ...load(32 * kind + half)];
    const all = [...get(sum), ...numbers(0), ...add, ...(added ? [...get(to), ...load(half), ...add] : [])];
    return [...get(to), ...finish(fused, all, numbers, first, second, value), ...store(half), ...(n & 1 ? advance(to, wide) : [])];
  });
  // Column after column of the result, a block wide; `line` counts them.
  return [[...leb(2), ...leb(9), I32, ...leb(11), V128], [
    ...get(blocks), ...set(line),
    ...repeat(line,
      get(fours), set(left), get(x), set(rows[0]), get(out), set(to),
      repeat(left,
        rows.slice(1).flatMap((row, r) => [...get(rows[r]), ...get(inputs), ...number(4), ...times, ...plus, ...set(row)]),
        sums.flatMap(sum => [...zero, ...set(sum)]),
        get(stored), set(weight), get(inputs), set(steps),
        repeat(steps, step, advance(weight, number(4 * BLOCK)), rows.flatMap(row => advance(row, number(4)))),
        settle,
        get(rows[3]), set(rows[0]), // the last of four has come to where the next four begin
      ),
      get(weight), number(4 * BLOCK * own), plus, set(stored), // behind the block
      advance(out, number(4 * BLOCK)),
    ),
  ]];
}

/**
 * `spatial(x, stored, out, columns, vectors, stride)`: a 3×3 layer, each channel by itself, over positions side by side. `x`
 * is the neighbour above and left of the first, `stride` the bytes from row to row, `vectors` a quarter of the channels.
 * `stored` has, for each four channels, nine taps, biases, and in exact layers scales, lowest and highest values.
 */
function spatial(fused, finish, {own = 1} = {}) {
  const [x, stored, out, columns, vectors, stride] = [0, 1, 2, 3, 4, 5];
  const [left, line, wide, to, ...rows] = [6, 7, 8, 9, 10, 11, 12]; // integers
  const taps = [13, 14, 15, 16, 17, 18, 19, 20, 21], sum = 22; // vectors
  const numbers = kind => [...get(stored), ...load(16 * (9 + kind))];
  const ahead = [[], [...get(wide), ...plus], [...get(wide), ...plus, ...get(wide), ...plus]];
  return [[...leb(2), ...leb(7), I32, ...leb(10), V128], [
    ...get(vectors), ...set(line), ...get(vectors), ...number(16), ...times, ...set(wide),
    ...repeat(line,
      taps.flatMap((tap, n) => [...get(stored), ...load(16 * n), ...set(tap)]),
      get(x), set(rows[0]), [0, 1].flatMap(n => [...get(rows[n]), ...get(stride), ...plus, ...set(rows[n + 1])]),
      get(out), set(to), get(columns), set(left),
      repeat(left,
        numbers(0), set(sum),
        taps.flatMap((tap, n) => [
          ...product(fused, [...get(rows[Math.floor(n / 3)]), ...ahead[n % 3], ...load(0)], get(tap), get(sum)), ...set(sum),
        ]),
        get(to), finish(fused, get(sum), numbers), store(0),
        [to, ...rows].flatMap(local => advance(local, get(wide))),
      ),
      advance(x, number(16)), advance(out, number(16)), advance(stored, number(16 * (9 + own))),
    ),
  ]];
}

/**
 * `gate(x, h, state, positions, vectors)`: the new state of a gated recurrent unit, in place of the old one; `x` and `h` have
 * three parts at each position, what comes of the input and of the state.
 */
function gate(fused) {
  const [x, h, state, positions, vectors] = [0, 1, 2, 3, 4], [left, wide] = [5, 6]; // integers
  const [update, reset, t, n] = [7, 8, 9, 10]; // vectors
  const part = (base, which) => [...get(base), ...Array(which).fill([...get(wide), ...plus]).flat(), ...load(0)];
  const both = which => [...part(x, which), ...part(h, which), ...add];
  const candidate = product(fused, get(reset), part(h, 2), part(x, 2));
  return [[...leb(2), ...leb(2), I32, ...leb(4), V128], [
    ...get(vectors), ...number(16), ...times, ...set(wide),
    ...repeat(positions,
      get(vectors), set(left),
      repeat(left,
        both(0), set(update), sigmoid(fused, get(update), t, n), set(update),
        both(1), set(reset), sigmoid(fused, get(reset), t, n), set(reset),
        // tanh(v) = 2 · σ(2 · v) − 1
        candidate, set(reset), get(reset), get(reset), add, set(reset),
        sigmoid(fused, get(reset), t, n), set(reset), get(reset), get(reset), add, one, subtract, set(reset),
        get(state),
        product(fused, get(update), [...get(reset), ...get(state), ...load(0), ...subtract], [...get(state), ...load(0)]),
        store(0),
        [x, h, state].flatMap(local => advance(local, number(16))),
      ),
      [x, h].flatMap(local => advance(local, get(wide), plus, get(wide))),
    ),
  ]];
}

function module(fused) {
  const {exact, plain, silu} = FINISH, own = 4; // of exact layers
  const functions = {
    denseExact: dense(fused, exact, {own}), dense: dense(fused, plain), denseAdded: dense(fused, plain, {added: true}),
    denseSilu: dense(fused, silu), spatialExact: spatial(fused, exact, {own}), spatial: spatial(fused, plain), gate: gate(fused),
  };
  const names = Object.keys(functions), bodies = Object.values(functions).map(([locals, code]) => [...locals, ...code, 0x0b]);
  const text = name => [...leb(name.length), ...new TextEncoder().encode(name)];
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, 2, 0x60, 6, ...Array(6).fill(I32), 0, 0x60, 5, ...Array(5).fill(I32), 0), // types
    ...section(2, 1, 0, 0, 2, 0, 1), // imports: a memory, whose names are empty
    ...section(3, names.length, ...names.map(name => (name === "gate" ? 1 : 0))), // functions and their types
    ...section(7, names.length, ...names.flatMap((name, n) => [...text(name), 0, ...leb(n)])), // exports
    ...section(10, bodies.length, ...bodies.flatMap(body => [...leb(body.length), ...body])),
  ]);
}

const PAGE = 2 ** 16, LINE = 64;
const held = new WebAssembly.Memory({initial: 1});
let taken = LINE;
const rooms = new Map();

/** The memory of the kernels. */
export const memory = {
  /** Make room for so many numbers; return its place, in bytes. */
  take(count) {
    const place = taken;
    taken += LINE * Math.ceil((4 * count) / LINE);
    const pages = Math.ceil(taken / PAGE) - held.buffer.byteLength / PAGE;
    if (pages > 0) held.grow(pages);
    return place;
  },

  /** The place of a room of at least so many numbers, the same for one name until more is asked for. */
  room(name, count) {
    let room = rooms.get(name);
    if (!room || room.count < count) {
      const most = 2 ** Math.ceil(Math.log2(count)); // so that what smaller ones had is not much
      rooms.set(name, (room = {count: most, place: this.take(most)}));
    }
    return room.place;
  },

  /** All of it, until more is taken. */
  floats() {
    return new Float32Array(held.buffer);
  },
};

const fusing = module(true);
const code = WebAssembly.validate(fusing) ? fusing : module(false); // not every browser has it
export const kernels = new WebAssembly.Instance(new WebAssembly.Module(code), {"": {"": held}}).exports;
