"use strict";
// What a person does with the page: give pictures, look at answers, keep a list of them.

(() => {
  const about = JSON.parse(document.getElementById("about").textContent);
  const byId = (name) => document.getElementById(name);
  const THUMBNAIL_PX = 160;
  const CAMERA_MS = 400;
  const MOST_ROWS = 500;
  const MOST_OPEN = 6; // scores that are shown without being asked for
  const FORMULA = /^[=+\-@\t\r]/;
  const rows = [];
  let classifier = null;
  let chosen = null;
  let bySuspicion = true;
  let stream = null;
  let queue = Promise.resolve();

  const shown = (number) => (Number.isFinite(number) ? Number(number.toPrecision(4)) : number);
  const verdict = (flagged) => (flagged ? "not what it was trained for" : "known");

  function made(tag, text = "", attributes = {}) {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function say(text) {
    byId("status").textContent = text;
  }

  async function thumbnail(blob) {
    const bitmap = await createImageBitmap(blob);
    const scale = Math.min(1, THUMBNAIL_PX / Math.max(bitmap.width, bitmap.height));
    const canvas = made("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return canvas.toDataURL("image/jpeg", 0.8);
  }

  async function add(blob, name) {
    const row = { name, time: Date.now(), status: "ok", error: "", picture: "" };
    try {
      Object.assign(row, await classifier.score(blob));
      row.picture = await thumbnail(blob);
    } catch (error) {
      row.status = "unreadable";
      row.error = `this browser cannot decode it: ${error.message}`;
    }
    rows.push(row);
    if (rows.length > MOST_ROWS) rows.shift();
    return row;
  }

  function take(files) {
    const given = [...files];
    queue = queue.then(async () => {
      for (const [index, file] of given.entries()) {
        say(`Scoring ${index + 1} of ${given.length}`);
        chosen = await add(file, file.name || "pasted");
        show();
      }
      tell(given.length);
    });
    return queue;
  }

  function tell(count) {
    const flagged = rows.filter((row) => row.is_ood).length;
    const last = chosen && chosen.status === "ok" ? `${chosen.name}: ${chosen.label}, ` : "";
    const decision = chosen && chosen.status === "ok" ? `${verdict(chosen.is_ood)}. ` : "";
    say(count ? `${last}${decision}${flagged} of ${rows.length} flagged.` : "Ready.");
  }

  function show() {
    showChosen();
    const order = [...rows].reverse();
    if (bySuspicion) order.sort((a, b) => (a.pvalue ?? 2) - (b.pvalue ?? 2));
    byId("rows").replaceChildren(...order.map(line));
    byId("history").hidden = !rows.length;
    byId("empty").hidden = rows.length > 0;
  }

  function line(row) {
    const item = made("tr");
    const picture = made("td");
    if (row.picture) picture.append(made("img", "", { src: row.picture, alt: "" }));
    const name = made("td");
    const button = made("button", row.name, { type: "button", class: "link" });
    button.addEventListener("click", () => {
      chosen = row;
      showChosen();
      byId("answer").focus();
    });
    name.append(button);
    item.append(picture, name);
    if (row.status !== "ok") {
      item.append(made("td", row.error, { colspan: 3 }));
      return item;
    }
    const decision = made("td");
    decision.append(badge(row.is_ood));
    item.append(made("td", row.label), made("td", Number(row.pvalue.toPrecision(2)), { class: "number" }), decision);
    return item;
  }

  function badge(flagged) {
    return made("span", flagged ? "flagged" : "known", { class: flagged ? "ood" : "id" });
  }

  function showChosen() {
    const answer = byId("answer");
    answer.hidden = !chosen;
    if (!chosen) return;
    byId("picture").src = chosen.picture || "data:,";
    byId("picture").hidden = !chosen.picture;
    byId("name").textContent = chosen.name;
    const ok = chosen.status === "ok";
    const label = chosen.is_ood ? `most like ${chosen.label}` : chosen.label;
    byId("label").textContent = ok ? label : chosen.error;
    byId("decision").replaceChildren(...(ok ? [badge(chosen.is_ood)] : []));
    byId("why").textContent = ok
      ? `p-value ${shown(chosen.pvalue)}; ${about.alpha} or less is flagged. ` +
        `${Math.round(chosen.milliseconds)} ms.`
      : "";
    byId("heads").replaceChildren(...(ok ? about.heads.map(headLine) : []));
    byId("scores").hidden = !ok;
  }

  function headLine(head) {
    const item = made("tr");
    const decision = made("td");
    decision.append(badge(chosen[`${head}_is_ood`]));
    item.append(
      made("th", head === about.primary ? `${head} (decides)` : head, { scope: "row" }),
      made("td", shown(chosen[head]), { class: "number" }),
      made("td", shown(chosen[`${head}_pvalue`]), { class: "number" }),
      decision,
    );
    return item;
  }

  const COLUMNS = ["path", "status", "error", "label", "label_index", "is_ood", "pvalue"];
  for (const head of about.heads) COLUMNS.push(head, `${head}_pvalue`, `${head}_is_ood`);

  /** The shortest text that is the same number of 32 bits, as score tables have it. */
  function shortest(number) {
    for (let digits = 1; digits < 9; digits++) {
      const text = Number(number.toPrecision(digits));
      if (Math.fround(text) === Math.fround(number)) return String(text);
    }
    return String(Number(number.toPrecision(9)));
  }

  function cell(row, column) {
    const value = column === "path" ? `./${row.name}` : row[column];
    if (value === undefined || value === null) return "";
    let text = typeof value === "number" ? shortest(value) : String(value);
    if (["label", "error"].includes(column) && FORMULA.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function table() {
    const lines = rows.map((row) => COLUMNS.map((column) => cell(row, column)).join(","));
    return [COLUMNS.join(","), ...lines, ""].join("\n");
  }

  function save() {
    const link = made("a", "", { download: "scores.csv" });
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async function camera() {
    if (stream) {
      stream.getTracks().forEach((track) => track.stop());
      stream = null;
      byId("camera").textContent = "Camera";
      byId("live").hidden = true;
      return;
    }
    const video = byId("video");
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      say(`No camera: ${error.message}`);
      return;
    }
    video.srcObject = stream;
    await video.play();
    byId("live").hidden = false;
    byId("camera").textContent = "Stop the camera";
    look(video);
  }

  async function frame(video) {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  async function look(video) {
    while (stream) {
      const row = await classifier.score(await frame(video));
      byId("seen").replaceChildren(badge(row.is_ood), ` ${row.label}, p-value ${shown(row.pvalue)}`);
      await new Promise((resolve) => setTimeout(resolve, CAMERA_MS));
    }
  }

  async function capture() {
    const name = `camera ${new Date().toISOString()}.png`;
    await take([new File([await frame(byId("video"))], name, { type: "image/png" })]);
  }

  function listen() {
    byId("choose").addEventListener("click", () => byId("files").click());
    byId("files").addEventListener("change", (event) => take(event.target.files));
    byId("camera").addEventListener("click", camera);
    byId("capture").addEventListener("click", capture);
    byId("save").addEventListener("click", save);
    byId("clear").addEventListener("click", () => {
      rows.length = 0;
      chosen = null;
      show();
      tell(0);
    });
    byId("order").addEventListener("change", (event) => {
      bySuspicion = event.target.value === "suspicion";
      show();
    });
    byId("scores").open = about.heads.length <= MOST_OPEN;
    document.addEventListener("paste", (event) => take(event.clipboardData.files));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("over");
    });
    document.addEventListener("dragleave", () => document.body.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("over");
      take(event.dataTransfer.files);
    });
    for (const name of ["choose", "camera"]) byId(name).disabled = false;
  }

  async function start() {
    try {
      classifier = await Classifier.open(about, say);
      byId("device").textContent = classifier.device.name;
      listen();
      tell(0);
    } catch (error) {
      say(`It cannot start here: ${error.message}`);
      document.body.classList.add("failed");
    }
  }

  self.edgeOod = { ready: start(), take, table, rows };
})();
