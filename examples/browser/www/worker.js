// The model's own thread: the page sends frames and questions, and hears of progress and answers.
import init, { Session } from "./pkg/longvu_browser.js";

/** The page's number of the video that is worked on. */
let video = 0;
const tell = (kind, data = {}) => postMessage({ kind, video, ...data });
const progress = (step, done, total) => tell("progress", { step, done, total });

let session;
const started = init().then(() => {
  session = new Session();
  tell("ready");
});

const work = {
  clear: ({ video: next }) => {
    video = next;
    session.clear();
  },
  frame: ({ seconds, width, height, pixels }) => session.push_frame(seconds, width, height, new Uint8Array(pixels)),
  encode: () => {
    const start = performance.now();
    session.encode(progress);
    tell("encoded", { seconds: (performance.now() - start) / 1000 });
  },
  ask: ({ question }) => {
    const start = performance.now();
    const told = JSON.parse(session.ask(question, progress));
    tell("answer", { ...told, seconds: (performance.now() - start) / 1000 });
  },
};

onmessage = async ({ data }) => {
  try {
    await started;
    work[data.kind](data);
  } catch (error) {
    tell("error", { text: error?.message ?? String(error) });
  }
};
started.catch((error) => tell("error", { text: `the model does not start: ${error?.message ?? error}` }));
