"use strict";
const decoder = JSON.parse(document.getElementById("decoder").textContent);
const canvas = document.getElementById("picture");
// Numbers go in and, for who wants to keep the picture, come out: nothing that a GPU would be faster at.
const context = canvas.getContext("2d", {willReadFrequently: true});
const sliders = [...document.querySelectorAll("input[data-latent]")];

/** Numbers of base64 of little-endian float16. */
function halves(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({length: bytes.length / 2}, (_, place) => {
    const bits = view.getUint16(2 * place, true);
    const exponent = bits >> 10 & 31, fraction = bits & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    return bits >> 15 ? -size : size;
  });
}

for (const layer of decoder.layers) {
  if (layer.weight) Object.assign(layer, {weight: halves(layer.weight), bias: halves(layer.bias)});
}

/** Of rows of `inputs` numbers, the products with a matrix, and the bias. */
function linear(values, {inputs, weight, bias}) {
  const outputs = bias.length, rows = values.length / inputs, out = new Float32Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    for (let output = 0; output < outputs; output++) {
      let sum = bias[output];
      for (let input = 0; input < inputs; input++) sum += weight[output * inputs + input] * values[row * inputs + input];
      out[row * outputs + output] = sum;
    }
  }
  return out;
}

/** A square of cells, each of which holds a patch, as a square of the patches' own cells. */
function unpatch(values, side, patch) {
  const depth = values.length / (side * patch) ** 2, out = new Float32Array(values.length);
  let from = 0;
  for (let row = 0; row < side; row++) for (let column = 0; column < side; column++) {
    for (let y = 0; y < patch; y++) for (let x = 0; x < patch; x++) {
      const to = ((row * patch + y) * side * patch + column * patch + x) * depth;
      for (let feature = 0; feature < depth; feature++) out[to + feature] = values[from++];
    }
  }
  return out;
}

/** Of three rows of numbers, planes: by row, by column, and in the middle; their values in each cell of a square. */
function planes(values, side) {
  const depth = values.length / 3, out = new Float32Array(side * side * depth), place = number => 2 * number / (side - 1) - 1;
  for (let cell = 0; cell < side * side; cell++) {
    const row = place(Math.floor(cell / side)), column = place(cell % side);
    for (let feature = 0; feature < depth; feature++) {
      out[cell * depth + feature] = row * values[feature] + column * values[depth + feature] + values[2 * depth + feature];
    }
  }
  return out;
}

/** The picture of latents: rows of pixels, each with its channels, from 0 to 1. */
function decode(latents) {
  let values = Float32Array.from(latents), side = 1;
  for (const layer of decoder.layers) {
    if (layer.weight) values = linear(values, layer);
    else if (layer.relu) values = values.map(value => Math.max(value, 0));
    else if (layer.planes) values = planes(values, side = layer.planes);
    else values = unpatch(values, side, layer.split);
  }
  return values.map(value => 1 / (1 + Math.exp(-value)));
}

function draw() {
  const latents = new Float32Array(decoder.latents);
  for (const slider of sliders) {
    latents[slider.dataset.latent] = slider.value;
    slider.nextElementSibling.value = Number(slider.value).toFixed(2);
  }
  const pixels = decode(latents), image = new ImageData(64, 64), channels = decoder.channels;
  for (let place = 0; place < 64 * 64; place++) {
    for (let colour = 0; colour < 3; colour++) {
      image.data[4 * place + colour] = Math.round(255 * pixels[channels * place + colour % channels]);
    }
    image.data[4 * place + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function set(value) {
  for (const slider of sliders) slider.value = value();
  draw();
}

/** A number from N(0, 1), by Box and Muller. */
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

for (const slider of sliders) slider.addEventListener("input", draw);
document.getElementById("sample").addEventListener("click", () => set(normal));
document.getElementById("zero").addEventListener("click", () => set(() => 0));
draw();
