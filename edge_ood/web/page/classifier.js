"use strict";
// The artefact in onnxruntime-web: from a picture of any size to what `edge-ood score` says of it.

const Classifier = (() => {
  const IMAGES = "images";
  const OF_SCORE = 1e-3; // of a score, that a device may differ before another is tried
  const JPEG = [0xff, 0xd8, 0xff];
  const assets = {};

  /** Called by each file of `assets/`: gzip in base64, so that pages opened as files can read it. */
  function take(name, text) {
    assets[name] = text;
  }

  function load(name) {
    if (assets[name]) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `assets/${name}.js`;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`assets/${name}.js is missing`));
      document.head.append(script);
    });
  }

  async function bytesOf(name) {
    await load(name);
    const packed = Uint8Array.from(atob(assets[name]), (letter) => letter.charCodeAt(0));
    delete assets[name];
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(unpacked).arrayBuffer());
  }

  /** What a device may have, the fastest first. */
  async function devices() {
    const found = [];
    const adapter = navigator.gpu ? await navigator.gpu.requestAdapter().catch(() => null) : null;
    if (adapter) found.push({ name: "WebGPU", build: "webgpu", provider: "webgpu", threads: 1 });
    const threads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;
    const name = threads > 1 ? `WebAssembly, ${threads} threads` : "WebAssembly";
    found.push({ name, build: "wasm", provider: "wasm", threads });
    return found;
  }

  async function opened(device, model) {
    await load(`ort-${device.build}`);
    const loader = new Blob([await bytesOf(`loader-${device.build}`)], { type: "text/javascript" });
    ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(loader) };
    ort.env.wasm.wasmBinary = (await bytesOf(`binary-${device.build}`)).buffer;
    ort.env.wasm.numThreads = device.threads;
    ort.env.logLevel = "error";
    return ort.InferenceSession.create(model, { executionProviders: [device.provider] });
  }

  /** A result of N images as one object for each: label, decision, p-value and all heads. */
  async function scored(session, about, pixels, count, side) {
    const images = new ort.Tensor("uint8", pixels, [count, side, side, 3]);
    const found = await session.run({ [IMAGES]: images });
    const columns = ["label", "is_ood", "pvalue"];
    for (const head of about.heads) columns.push(head, `${head}_pvalue`, `${head}_is_ood`);
    return Array.from({ length: count }, (_, row) => {
      const value = (name) => {
        const at = found[name].data[row];
        return found[name].type === "bool" ? Boolean(at) : Number(at);
      };
      const values = Object.fromEntries(columns.map((name) => [name, value(name)]));
      return { ...values, label_index: values.label, label: about.classes[values.label] };
    });
  }

  /** Whether a device says of the probe's images what was said where the page was made. */
  async function reproduces(session, about) {
    const { pixels, expected } = about.probe;
    const side = Preprocess.resizedPx(about.preprocess);
    const data = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
    const rows = await scored(session, about, data, expected.length, side);
    return rows.every((row, index) =>
      about.heads.every((head) => {
        const [found, wanted] = [row[head], expected[index][head]];
        return Math.abs(found - wanted) <= OF_SCORE * Math.max(1, Math.abs(wanted));
      }),
    );
  }

  /** The pixels of a file, upright, colours as they stand in it, transparent parts on white. */
  async function pixelsOf(blob) {
    const options = { colorSpaceConversion: "none", imageOrientation: "from-image" };
    const bitmap = await createImageBitmap(blob, options);
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "white";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    const { data } = context.getImageData(0, 0, width, height);
    const rgb = new Uint8ClampedArray(3 * width * height);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      rgb[to++] = data[from];
      rgb[to++] = data[from + 1];
      rgb[to++] = data[from + 2];
    }
    return { width, height, data: rgb };
  }

  class Opened {
    constructor(session, about, device) {
      Object.assign(this, { session, about, device });
    }

    /** Score one picture; throws where it cannot be decoded. */
    async score(blob) {
      const head = new Uint8Array(await blob.slice(0, JPEG.length).arrayBuffer());
      const isJpeg = JPEG.every((byte, index) => head[index] === byte);
      const image = await pixelsOf(blob);
      const fitted = Preprocess.fit(image, this.about.preprocess, isJpeg);
      const started = performance.now();
      const pixels = new Uint8Array(fitted.data.buffer);
      const [row] = await scored(this.session, this.about, pixels, 1, fitted.width);
      return { ...row, milliseconds: performance.now() - started };
    }
  }

  /** Open the artefact on the fastest device that reproduces its probe. */
  async function open(about, onStep) {
    onStep("Reading the classifier");
    const model = await bytesOf("classifier");
    const failed = [];
    for (const device of await devices()) {
      onStep(`Starting ${device.name}`);
      try {
        const session = await opened(device, model);
        if (await reproduces(session, about)) return new Opened(session, about, device);
        failed.push(`${device.name} computes other scores`);
      } catch (error) {
        failed.push(`${device.name}: ${error.message}`);
      }
    }
    throw new Error(failed.join("; "));
  }

  return { open, take };
})();
