// The one loop that takes most of the time of the exact part, in WebAssembly: a product of matrices, rounded down.
//
// The instructions are written here by functions, so that no file has to be built from another.

const I32 = 0x7f, V128 = 0x7b, NOTHING = 0x40;

/** An unsigned number as WebAssembly stores it: seven bits a byte. */
const leb = n => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >>> 7)]);
const section = (id, ...bytes) => [id, ...leb(bytes.length), ...bytes];
const simd = code => [0xfd, ...leb(code)];

const get = n => [0x20, ...leb(n)], set = n => [0x21, ...leb(n)];
const number = n => [0x41, ...signed(n)];
const signed = n => (n >= -64 && n < 64 ? [n & 127] : [(n & 127) | 128, ...signed(n >> 7)]);
const plus = [0x6a], minus = [0x6b], times = [0x6c];
/** Of four numbers each. */
const load = offset => [...simd(0x00), 4, ...leb(offset)], store = offset => [...simd(0x0b), 4, ...leb(offset)];
/** One number, four times. */
const spread = offset => [...simd(0x09), 2, ...leb(offset)];
const multiply = simd(0xe6), add = simd(0xe4), floor = simd(0x68), least = simd(0xe8), most = simd(0xe9);
const zero = [...simd(0x0c), ...Array(16).fill(0)];

/** Repeat `body` until the counter, a local, has come down to zero; it is at least one. */
const repeat = (counter, ...body) =>
  [0x03, NOTHING, ...body.flat(), ...get(counter), ...number(1), ...minus, 0x22, ...leb(counter), 0x0d, 0, 0x0b];
const advance = (local, ...by) => [...get(local), ...by.flat(), ...plus, ...set(local)];

/**
 * `dense(x, stored, out, fours, inputs, blocks)`, all but the last three being places in memory: `fours` times four
 * positions of `inputs` numbers each, a multiple of four; `stored` as in `Dense`; to `out` go eight times `blocks`
 * numbers for each position. Four positions and eight outputs are summed up at a time.
 */
function code() {
  const [x, stored, out, fours, inputs, blocks] = [0, 1, 2, 3, 4, 5];
  const [left, weight, steps, to, line, ...rows] = [6, 7, 8, 9, 10, 11, 12, 13, 14]; // 32-bit integers
  const sums = [15, 16, 17, 18, 19, 20, 21, 22], [one, two, value] = [23, 24, 25]; // of four numbers each
  const wide = [...get(blocks), ...number(32), ...times]; // bytes of a position's outputs
  const step = [0, 1, 2, 3].flatMap(n => [
    ...get(weight), ...load(32 * n), ...set(one),
    ...get(weight), ...load(32 * n + 16), ...set(two),
    ...rows.flatMap((row, r) => [
      ...get(row), ...spread(4 * n), ...set(value),
      ...get(value), ...get(one), ...multiply, ...get(sums[2 * r]), ...add, ...set(sums[2 * r]),
      ...get(value), ...get(two), ...multiply, ...get(sums[2 * r + 1]), ...add, ...set(sums[2 * r + 1]),
    ]),
  ]);
  const settle = sums.flatMap((sum, n) => {
    const half = 16 * (n & 1), of = kind => [...get(weight), ...load(32 * kind + half)];
    return [
      ...get(to), ...get(sum), ...of(0), ...add, ...of(1), ...multiply, ...floor, ...of(2), ...most, ...of(3), ...least,
      ...store(half), ...(n & 1 ? advance(to, wide) : []),
    ];
  });
  // Column after column of the result, a block wide; `line` is where the column begins.
  return [
    ...get(blocks), ...set(line),
    ...repeat(line,
      get(fours), set(left), get(x), set(rows[0]), get(out), set(to),
      repeat(left,
        rows.slice(1).flatMap((row, r) => [...get(rows[r]), ...get(inputs), ...number(4), ...times, ...plus, ...set(row)]),
        sums.flatMap(sum => [...zero, ...set(sum)]),
        get(stored), set(weight), get(inputs), number(2), [0x76], set(steps), // a shift: four inputs a step
        repeat(steps, step, advance(weight, number(128)), rows.flatMap(row => advance(row, number(16)))),
        settle,
        get(rows[3]), set(rows[0]), // the last of four has come to where the next four begin
      ),
      get(weight), number(128), plus, set(stored), // behind the block
      advance(out, number(32)),
    ),
  ];
}

function module() {
  const body = [...leb(2), ...leb(9), I32, ...leb(11), V128, ...code(), 0x0b];
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, 1, 0x60, 6, I32, I32, I32, I32, I32, I32, 0), // types
    ...section(2, 1, 0, 0, 2, 0, 1), // imports: a memory, whose names are empty
    ...section(3, 1, 0), // functions
    ...section(7, 1, 5, ...new TextEncoder().encode("dense"), 0, 0), // exports
    ...section(10, 1, ...leb(body.length), ...body),
  ]);
}

const PAGE = 2 ** 16, LINE = 64;
const held = new WebAssembly.Memory({initial: 1});
let taken = LINE;

/** The memory of the kernel. */
export const memory = {
  /** Make room for so many numbers; return its place, in bytes. */
  take(count) {
    const place = taken;
    taken += LINE * Math.ceil((4 * count) / LINE);
    const pages = Math.ceil(taken / PAGE) - held.buffer.byteLength / PAGE;
    if (pages > 0) held.grow(pages);
    return place;
  },

  /** All of it, until more is taken. */
  floats() {
    return new Float32Array(held.buffer);
  },
};

export const {dense} = new WebAssembly.Instance(new WebAssembly.Module(module()), {"": {"": held}}).exports;
