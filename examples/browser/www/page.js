// The page: takes frames out of a video with the browser's own decoder, hands them to the worker, and shows what comes back.

/** Seconds between frames, as LongVU samples them, and the most frames: a longer video is sampled more sparsely. */
const INTERVAL = 1;
const MOST_FRAMES = 600;
/** Longer sides are drawn smaller, so that all frames fit into memory. */
const LONGEST_SIDE = 640;

const FATES = {
  full: "all of its detail",
  low: "in less detail",
  temporal_dropped: "left out: like its neighbours",
  query_dropped: "left out: others fit the question better",
  spatial_dropped: "left out: nothing new in it",
};
const STEPS = { look: "Looking at frames", aggregate: "Putting details together", project: "Choosing tokens", prompt: "Reading", answer: "Answering" };

const at = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
/** Thumbnails of the frames that the worker has. */
let thumbnails = [];
/** Which video is the latest: what is heard of an earlier one is not shown. */
let current = 0;
let encoded = false;

function fail(text) {
  at("error").textContent = text;
  at("error").hidden = false;
  at("working").hidden = true;
}

function doing(text, done, total) {
  at("working").hidden = false;
  at("doing").textContent = total ? `${text}, ${Math.floor(done)} of ${total}` : text;
  if (total) at("bar").value = done / total;
  else at("bar").removeAttribute("value");
}

worker.onerror = (event) => fail(`The model does not start: ${event.message ?? "its worker was refused"}`);
worker.onmessage = ({ data }) => {
  // A start that fails concerns every video.
  if (data.video !== current && data.video) return;
  if (data.kind === "progress") doing(STEPS[data.step] ?? data.step, data.done, data.total);
  if (data.kind === "error") fail(`Something went wrong: ${data.text}`);
  if (data.kind === "encoded") {
    encoded = true;
    at("working").hidden = true;
    at("send").disabled = false;
    at("note").textContent += ` Looked at in ${data.seconds.toFixed(1)} s.`;
  }
  if (data.kind === "answer") show(data);
};

/** Waits for an event of the video, or for its failure. */
function heard(video, name) {
  return new Promise((resolve, reject) => {
    const done = (act) => () => {
      video.removeEventListener(name, good);
      video.removeEventListener("error", bad);
      act();
    };
    const good = done(resolve);
    const bad = done(() => reject(new Error(video.error?.message || "this browser cannot play the file")));
    video.addEventListener(name, good);
    video.addEventListener("error", bad);
  });
}

/** Sends the video's frames to the worker. */
async function take(file) {
  const mine = ++current;
  at("error").hidden = true;
  at("seen").hidden = true;
  at("send").disabled = true;
  at("answer").textContent = "";
  encoded = false;
  thumbnails = [];
  worker.postMessage({ kind: "clear", video: mine });
  const video = at("video");
  if (video.src) URL.revokeObjectURL(video.src);
  const loaded = heard(video, "loadeddata");
  video.src = URL.createObjectURL(file);
  video.hidden = false;
  try {
    await loaded;
    await sample(video, mine);
  } catch (error) {
    if (mine === current) fail(`No frames come out of ${file.name}: ${error.message}`);
  }
}

async function sample(video, mine) {
  if (!Number.isFinite(video.duration)) throw new Error("it does not say how long it is");
  if (!video.videoWidth) throw new Error("there are no pictures in it");
  const interval = Math.max(INTERVAL, video.duration / MOST_FRAMES);
  const count = Math.max(1, Math.floor(video.duration / interval));
  const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
  const [width, height] = [video.videoWidth, video.videoHeight].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  for (let i = 0; i < count; i++) {
    // The middle of a frame's time rather than its first instant, which rounding may put into the frame before.
    const sought = heard(video, "seeked");
    video.currentTime = Math.min(i * interval + 0.01, video.duration);
    await sought;
    if (mine !== current) return;
    context.drawImage(video, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    thumbnails.push(await createImageBitmap(canvas, { resizeWidth: 120, resizeHeight: Math.max(1, Math.round((120 * height) / width)) }));
    worker.postMessage({ kind: "frame", seconds: i * interval, width, height, pixels: data.buffer }, [data.buffer]);
    doing("Taking frames", i + 1, count);
  }
  const sparse = interval > INTERVAL ? `, one every ${interval.toFixed(1)} s because it is long` : "";
  const smaller = scale < 1 ? `, drawn at ${width} × ${height}` : "";
  at("note").textContent = `${count} frames of ${video.duration.toFixed(1)} s${sparse}${smaller}.`;
  worker.postMessage({ kind: "encode" });
}

function show({ answer, explanation, seconds }) {
  at("working").hidden = true;
  at("send").disabled = false;
  at("answer").textContent = answer;
  at("answer").dataset.seconds = seconds;
  const { frames } = explanation.visuals[0];
  const used = new Set(frames.map(({ fate }) => fate));
  at("legend").replaceChildren(
    ...Object.keys(FATES).filter((fate) => used.has(fate)).map((fate) => {
      const item = document.createElement("li");
      item.className = fate;
      item.textContent = `${FATES[fate]} (${frames.filter((frame) => frame.fate === fate).length})`;
      return item;
    }),
  );
  at("strip").replaceChildren(
    ...frames.map((frame) => {
      const item = document.createElement("li");
      item.className = frame.fate;
      const canvas = document.createElement("canvas");
      const picture = thumbnails[frame.sample];
      [canvas.width, canvas.height] = [picture.width, picture.height];
      canvas.getContext("2d").drawImage(picture, 0, 0);
      const words = document.createElement("span");
      words.textContent = `${frame.timestamp.toFixed(0)} s · ${frame.tokens ? `${frame.tokens} tokens` : "left out"}`;
      item.title = FATES[frame.fate];
      item.append(canvas, words);
      return item;
    }),
  );
  at("seen").hidden = false;
}

at("choose").onclick = () => at("file").click();
at("file").onchange = ({ target }) => target.files[0] && take(target.files[0]);
for (const name of ["dragenter", "dragover"]) addEventListener(name, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) addEventListener(name, () => at("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) take(file);
});
at("ask").onsubmit = (event) => {
  event.preventDefault();
  if (!encoded) return;
  at("send").disabled = true;
  at("error").hidden = true;
  at("answer").textContent = "";
  doing("Reading");
  worker.postMessage({ kind: "ask", question: at("question").value });
};
