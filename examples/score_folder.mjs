// Score pictures with an artefact in Node.js: onnxruntime-node, and sharp to decode.
//
//     npm install            # what package.json beside this file names
//     node score_folder.mjs oe.onnx pictures/*.jpg
//
// One line of JSON for each picture. The file itself resizes frames of any size, so no rule of
// preprocessing is needed here but three: upright, RGB, transparent parts on white. JavaScript does
// not see the metadata of a model: `edge-ood inspect oe.onnx` has the names of the classes.

import ort from "onnxruntime-node";
import sharp from "sharp";

async function pixelsOf(path) {
  const { data, info } = await sharp(path)
    .rotate() // as the camera was held
    .flatten({ background: "white" })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  if (info.channels === 3) return { data, ...info };
  const grey = data; // one channel, which is repeated
  const rgb = Buffer.alloc(3 * grey.length);
  grey.forEach((value, index) => rgb.fill(value, 3 * index, 3 * index + 3));
  return { data: rgb, ...info };
}

const [artefact, ...pictures] = process.argv.slice(2);
const session = await ort.InferenceSession.create(artefact);
for (const path of pictures) {
  const { data, width, height } = await pixelsOf(path);
  const images = new ort.Tensor("uint8", data, [1, height, width, 3]);
  const { label, is_ood, pvalue } = await session.run({ images }, ["label", "is_ood", "pvalue"]);
  const row = {
    path,
    label_index: Number(label.data[0]),
    is_ood: Boolean(is_ood.data[0]),
    pvalue: pvalue.data[0],
  };
  console.log(JSON.stringify(row));
}
