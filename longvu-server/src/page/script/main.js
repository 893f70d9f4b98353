// The page: questions about the video, one after the other.

const STEPS = {
  queue: "Waiting for other requests",
  fetch: "Fetching the video",
  look: "Looking at the frames",
  aggregate: "Putting together what both towers saw",
  project: "Choosing tokens for the question",
  prompt: "Reading the prompt",
};

const settings = new Settings();
const strip = new Strip((time) => source.play(time));
let running = null;
let server = {};
const source = new Source(server, chosen);

$("video").addEventListener("timeupdate", () => strip.at($("video").currentTime));

// Another video: what was said about the last one goes.
function chosen(questions) {
  running?.abort();
  $("log").replaceChildren();
  $("seen").hidden = true;
  strip.clear();
  const buttons = questions.map((text) => element("button", { type: "button", onclick: () => ask(text) }, text));
  $("suggestions").replaceChildren(...buttons);
  $("suggestions").hidden = !buttons.length;
}

function busy(aborter) {
  running = aborter;
  $("send").hidden = Boolean(aborter);
  $("stop").hidden = !aborter;
  for (const button of $("suggestions").children) button.disabled = Boolean(aborter);
  if (!aborter) $("encode").hidden = true;
}

// A question's place in the log.
function turn(question) {
  const answer = element("p", { class: "answer running" });
  const told = element("div", { class: "told" });
  const item = element("li", { "aria-busy": "true" }, element("p", { class: "question" }, question), answer, told);
  $("log").append(item);
  item.scrollIntoView({ block: "nearest" });
  return { item, answer, told, question, report: null, finish: null };
}

async function ask(question) {
  if (running) return;
  if (!source.file) {
    show($("source-error"), "Choose a video first, or take the example.");
    $("choose").focus();
    return;
  }
  const wrong = settings.wrong();
  if (wrong) {
    settings.dialog.showModal();
    show($("settings-error"), wrong);
    return;
  }
  const aborter = new AbortController();
  const asked = turn(question);
  busy(aborter);
  try {
    await answered(asked, aborter.signal);
    finish(asked);
  } catch (error) {
    if (error.name === "AbortError") asked.told.append("Stopped.");
    else failed(asked, error);
  } finally {
    asked.item.setAttribute("aria-busy", "false");
    asked.answer.classList.remove("running");
    asked.answer.hidden = !asked.answer.textContent;
    if (running === aborter) busy(null);
  }
}

// The answer, streamed into the log. A file that the server no longer has is sent once more.
async function answered(asked, signal) {
  await uploaded(signal);
  try {
    await stream(asked, signal);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404) throw error;
    source.begin();
    await uploaded(signal);
    await stream(asked, signal);
  }
}

// Waits for the upload, or for the end of waiting.
async function uploaded(signal) {
  if (source.id) return;
  const stopped = new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new DOMException("given up", "AbortError")));
  });
  await Promise.race([source.ready ?? source.begin(), stopped]);
  signal.throwIfAborted();
}

function stream(asked, signal) {
  const body = settings.request([source.content(), { type: "text", text: asked.question }]);
  bar({ step: "queue" });
  return converse(body, signal, {
    progress: bar,
    chunk(chunk) {
      const [choice] = chunk.choices ?? [];
      if (choice?.delta?.content) {
        $("encode").hidden = true;
        asked.answer.append(choice.delta.content);
        $("log").scrollTop = $("log").scrollHeight;
      }
      if (choice?.finish_reason) asked.finish = choice.finish_reason;
      if (chunk.longvu) asked.report = chunk.longvu;
      if (chunk.usage) asked.usage = chunk.usage;
    },
  });
}

// How far the work before the answer is.
function bar({ step, done, total, left }) {
  const words = STEPS[step] ?? step;
  const parts = [words];
  if (total > 1) parts.push(`${number.format(done)} of ${number.format(total)}`);
  if (left > 0) parts.push(`${lasting(left)} left`);
  $("encode-text").textContent = parts.join(", ");
  if (total > 0) Object.assign($("encode-bar"), { max: total, value: Math.min(done, total) });
  else $("encode-bar").removeAttribute("value");
  $("encode").hidden = false;
  say(words);
}

function finish(asked) {
  const { report, finish, usage } = asked;
  if (!asked.answer.textContent) asked.answer.append("(an empty answer)");
  if (finish === "length") asked.told.append(element("span", {}, "Cut at the longest answer; the settings allow longer ones."));
  if (usage) asked.told.append(element("span", {}, `${count(usage.prompt_tokens, "token")} read, ${number.format(usage.completion_tokens)} written`));
  if (!report?.visuals?.length) return;
  const visual = report.visuals[0];
  asked.told.append(element("span", {}, `${visual.frames_full} of ${count(visual.frames_sampled, "frame")} in full`));
  const again = element("button", { type: "button", class: "frames" }, "Show its frames");
  again.addEventListener("click", () => {
    present(asked);
    $("seen").scrollIntoView({ block: "start" });
  });
  asked.told.append(again);
  present(asked);
}

const ORIGINS = {
  computed: "",
  shared: "encoded together with another request",
  memory: "encoded before",
  disk: "encoded before, kept on disk",
};

// What the model saw for an answer.
function present(asked) {
  const { visuals, window: use, seconds: took = {} } = asked.report;
  const [visual] = visuals;
  const told = [
    `For “${asked.question}”: ${count(visual.frames_sampled, "frame")} sampled, ${number.format(visual.frames_kept)} in the prompt`,
    `${number.format(visual.frames_full)} of them at full resolution`,
    count(visual.tokens, "token"),
  ];
  const steps = { queue: "waited", encode: "encoded", prepare: "chose", prefill: "read", generate: "wrote" };
  const times = Object.entries(steps).filter(([step]) => took[step] >= 0.005).map(([step, word]) => `${word} ${took[step].toFixed(2)} s`);
  const origin = ORIGINS[visual.origin];
  if (origin) times.unshift(origin);
  $("about").textContent = `${told.join(", ")}. ${times.length ? `${times.join(", ")}.` : ""}`.replace(/\. (\p{L})/u, (_, first) => `. ${first.toUpperCase()}`);
  $("warnings").replaceChildren(...(visual.warnings ?? []).map((warning) => element("li", {}, warning)));
  $("warnings").hidden = !visual.warnings?.length;
  $("seen").hidden = false;
  drawWindow(use);
  strip.draw(visual);
  for (const button of $("log").querySelectorAll("button.frames")) button.disabled = asked.item.contains(button);
}

function failed(asked, error) {
  const message = element("p", { class: "error", role: "alert" }, error instanceof Refusal ? error.message : `The page failed: ${error.message}`);
  const again = element("button", { type: "button" }, "Ask again");
  again.addEventListener("click", () => {
    if (running) return;
    asked.item.remove();
    ask(asked.question);
  });
  message.append(again);
  asked.item.append(message);
  asked.item.scrollIntoView({ block: "nearest" });
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("question").value.trim();
  if (!question || running) return;
  $("question").value = "";
  ask(question);
});
$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("ask").requestSubmit();
});
$("stop").addEventListener("click", () => {
  running?.abort();
  $("question").focus();
});

async function start() {
  try {
    Object.assign(server, await (await request("v1/longvu/settings")).json());
  } catch (error) {
    const again = element("button", { type: "button", onclick: () => (show($("server-error"), ""), start()) }, "Try again");
    show($("server-error"), error.message);
    $("server-error").append(again);
    return;
  }
  $("model").textContent = `Questions about long videos, answered by ${server.model}`;
  if (server.miniature) {
    show($("notice"), "This is the small built-in model. It knows drawn videos of coloured shapes, digits and letters, as the example is, and nothing else.");
  }
  $("pick-example").hidden = !server.example;
  settings.defaults(server);
}

start();
