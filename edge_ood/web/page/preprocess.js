"use strict";
// From the pixels of a decoded image to what the classifier takes, to the bit as Pillow resizes
// (its resampling in fixed point of 22 bits, which widens the filter as an image shrinks) and by the
// rules of `edge_ood.images.preprocess`.

const Preprocess = (() => {
  const PRECISION_BITS = 22;
  const LONGEST_SIDE = 16; // of which a long side beyond so many short ones only the middle is taken
  const ROUNDED_PX = 0.01; // what a share that was rounded to six digits may take from its side
  const DRAFT_TIMES = 4; // a JPEG so many times as large is decoded smaller

  const FILTERS = {
    bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
    bicubic: {
      support: 2,
      at: (signed) => {
        const x = Math.abs(signed);
        if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
        return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
      },
    },
  };

  /** Of each output pixel, the first input pixel that counts and the weights from it on. */
  function weights(length, start, end, size, filter) {
    const scale = Math.fround(end - start) / size;
    const stretched = Math.max(scale, 1);
    const support = filter.support * stretched;
    return Array.from({ length: size }, (_, index) => {
      const centre = start + (index + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - support + 0.5));
      const last = Math.min(length, Math.trunc(centre + support + 0.5));
      const found = [];
      for (let x = first; x < last; x++) found.push(filter.at((x - centre + 0.5) / stretched));
      const total = found.reduce((sum, weight) => sum + weight, 0);
      const rounded = found.map((weight) => {
        const fixed = (weight / (total || 1)) * (1 << PRECISION_BITS);
        return Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5));
      });
      return { first, rounded };
    });
  }

  /** Resize the part of an image between `start` and `end` along one side to `size` pixels. */
  function resizedAlong(image, across, start, end, size, filter) {
    const { width, height, data } = image;
    const made = across ? { width: size, height } : { width, height: size };
    made.data = new Uint8ClampedArray(made.width * made.height * 3);
    const step = across ? 3 : 3 * width;
    const table = weights(across ? width : height, start, end, size, filter);
    for (let y = 0; y < made.height; y++) {
      for (let x = 0; x < made.width; x++) {
        const { first, rounded } = table[across ? x : y];
        const origin = across ? 3 * (y * width + first) : 3 * (first * width + x);
        for (let channel = 0; channel < 3; channel++) {
          let sum = 1 << (PRECISION_BITS - 1);
          for (let k = 0; k < rounded.length; k++) {
            sum += data[origin + k * step + channel] * rounded[k];
          }
          made.data[3 * (y * made.width + x) + channel] = Math.max(0, sum >> PRECISION_BITS);
        }
      }
    }
    return made;
  }

  function cropped(image, left, top, width, height) {
    if (!left && !top && width === image.width && height === image.height) return image;
    const data = new Uint8ClampedArray(width * height * 3);
    for (let y = 0; y < height; y++) {
      const row = 3 * ((top + y) * image.width + left);
      data.set(image.data.subarray(row, row + 3 * width), 3 * y * width);
    }
    return { width, height, data };
  }

  function middle(image, longest) {
    const limit = longest * Math.min(image.width, image.height);
    const width = Math.min(image.width, limit);
    const height = Math.min(image.height, limit);
    const left = Math.floor((image.width - width) / 2);
    return cropped(image, left, Math.floor((image.height - height) / 2), width, height);
  }

  function roundHalfEven(value) {
    const below = Math.floor(value);
    if (value - below !== 0.5) return Math.round(value);
    return below % 2 ? below + 1 : below;
  }

  const resizedPx = (rules) => Math.floor(rules.size_px / rules.crop + ROUNDED_PX);

  /** Where along a side of the image the pixels that are kept start and end, in its own pixels. */
  function extent(rules, length, short) {
    const side = resizedPx(rules);
    const resized = Math.floor((side * length) / short);
    const centre = (whole) => roundHalfEven((whole - rules.size_px) / 2);
    const start = centre(resized) - centre(side);
    const ends = [start, start + side].map((pixel) => (pixel * length) / resized);
    return ends.map(Math.fround); // as Pillow has them
  }

  /** A colour as a JPEG holds it, in whole numbers of brightness and two of hue, and back. */
  function roundedAsJpeg([red, green, blue]) {
    const bright = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    const blueness = Math.round(-0.168735892 * red - 0.331264108 * green + 0.5 * blue);
    const redness = Math.round(0.5 * red - 0.418687589 * green - 0.081312411 * blue);
    return [
      bright + Math.round(1.402 * redness),
      bright + Math.round(-0.344136286 * blueness - 0.714136286 * redness),
      bright + Math.round(1.772 * blueness),
    ];
  }

  /**
   * Means of squares, as large as libjpeg would leave it, whose reduced transform has them: see rule
   * 3 of the decoding rules. A level or so apart from libjpeg's own, as rounding comes earlier there.
   */
  function drafted(image, rules) {
    const short = Math.min(image.width, image.height);
    const side = resizedPx(rules);
    if (!rules.draft || short < DRAFT_TIMES * side) return image;
    let factor = 8;
    while (factor > 1 && short < 2 * factor * side) factor /= 2;
    if (factor === 1) return image;
    const width = Math.ceil(image.width / factor);
    const height = Math.ceil(image.height / factor);
    const data = new Uint8ClampedArray(width * height * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const right = Math.min(image.width, (x + 1) * factor);
        const bottom = Math.min(image.height, (y + 1) * factor);
        const count = (right - x * factor) * (bottom - y * factor);
        const means = [0, 1, 2].map((channel) => {
          let sum = 0;
          for (let row = y * factor; row < bottom; row++) {
            for (let column = x * factor; column < right; column++) {
              sum += image.data[3 * (row * image.width + column) + channel];
            }
          }
          return sum / count;
        });
        data.set(roundedAsJpeg(means), 3 * (y * width + x));
      }
    }
    return { width, height, data };
  }

  /**
   * @param {{width, height, data}} image RGB, three bytes a pixel, upright.
   * @param {object} rules As the artefact's metadata have them.
   * @param {boolean} isJpeg Whether it comes from a JPEG.
   * @returns {{width, height, data}} R x R pixels.
   */
  function fit(image, rules, isJpeg = false) {
    const side = resizedPx(rules);
    const filter = FILTERS[rules.interpolation];
    let fitted = isJpeg ? drafted(image, rules) : image;
    const cutsLast = rules.resize === "center-crop" && rules.crop < 1;
    if (rules.resize === "center-crop") fitted = middle(fitted, cutsLast ? LONGEST_SIDE : 1);
    const { width, height } = fitted;
    if (cutsLast) {
      const short = Math.min(width, height);
      const [left, right] = extent(rules, width, short);
      const [top, bottom] = extent(rules, height, short);
      if (left || right !== width || width !== side) {
        fitted = resizedAlong(fitted, true, left, right, side, filter);
      }
      if (top || bottom !== height || height !== side) {
        fitted = resizedAlong(fitted, false, top, bottom, side, filter);
      }
      return fitted;
    }
    const passes = [
      { across: true, length: width },
      { across: false, length: height },
    ];
    // Pillow's own choice, found by trying: much taller images lose their height first.
    if (height > side && height - side > 2 * (width - side)) passes.reverse();
    for (const { across, length } of passes) {
      if (length !== side) fitted = resizedAlong(fitted, across, 0, length, side, filter);
    }
    return fitted;
  }

  return { fit, resizedPx };
})();

if (typeof module !== "undefined") module.exports = Preprocess;
